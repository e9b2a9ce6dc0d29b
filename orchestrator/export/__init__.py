"""Export a trained network as one file for a phone, a server or a browser: write it, compare it
with the original, and quantise it.

This module imports nothing, because the command line checks for the optional packages before it
loads torch.
"""
