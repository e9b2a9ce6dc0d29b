"""Matplotlib pictures of runs and sweeps."""
