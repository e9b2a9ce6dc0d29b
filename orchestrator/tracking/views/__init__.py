"""Describe saved views of MLflow's experiment page."""
