"""Backtest a retraining: replay the arrival of past files, inject wrong labels, and count how often
correct files lead to no promotion, and wrong labels to a champion.
"""
