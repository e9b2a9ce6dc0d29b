"""Retrain on a schedule, promote or reject, roll back."""
