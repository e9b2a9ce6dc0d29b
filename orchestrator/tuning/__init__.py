"""Run sweeps: choose points of a search space, compute their trials, and rank the results."""
