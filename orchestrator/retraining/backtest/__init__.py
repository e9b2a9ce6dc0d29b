"""Backtest a retraining: replay the arrival of past files, inject wrong labels, and count how often
the gate promotes or rejects a candidate wrongly.
"""
