"""A learned network as one file for a phone, a server or a browser: written, compared with the
original, made small.

Nothing is imported here: the command line asks for the optional packages before it loads torch.
"""
