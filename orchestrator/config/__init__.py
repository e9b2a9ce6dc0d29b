"""Configuration: frozen values read from YAML; imports neither torch nor ray nor mlflow."""

from orchestrator.config.experiment import Experiment
from orchestrator.config.loader import dump_experiment, flatten, load_experiment

__all__ = ["Experiment", "dump_experiment", "flatten", "load_experiment"]
