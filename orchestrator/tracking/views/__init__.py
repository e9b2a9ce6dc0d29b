"""Saved views of MLflow's experiment page, as values."""
