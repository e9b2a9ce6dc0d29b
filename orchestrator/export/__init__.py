"""Export a trained network as one file for a phone, a server or a browser. The file is written,
compared with the original network, and optionally quantised.

This module imports nothing: the command line must be able to check for the optional packages before
torch is imported.
"""
