"""Train the modules of any method: the epoch loop, random streams, and the context that every
learning stage receives.
"""
