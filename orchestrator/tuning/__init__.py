"""Sweeps: the points of a search space, which to try next, and learning them side by side."""
