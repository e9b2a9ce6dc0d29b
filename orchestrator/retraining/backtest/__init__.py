"""Backtest a retraining: replay past arrivals, inject wrong labels, and count the gate's errors."""
