"""Backtests of a retraining: past arrivals, injected wrong labels, and the gate's error rates."""
