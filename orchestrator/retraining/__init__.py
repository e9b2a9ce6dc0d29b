"""Scheduled retraining: detect arrivals, decide what to learn from them, and keep track of the
champion and of the process that may change it.
"""
