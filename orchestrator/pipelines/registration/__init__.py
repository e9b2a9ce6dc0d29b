"""Register a run's models in MLflow's registry."""
