"""Sweeps: the points of a search space, the choice of the next ones, and their learning."""
