"""Define the configuration: immutable values read from YAML. This package imports neither torch nor
ray nor mlflow.
"""

from orchestrator.config.dumping import (
    dump_experiment,
    flatten,
    flatten_tree,
    values_to_keep,
)
from orchestrator.config.experiment import Experiment
from orchestrator.config.loader import (
    load_any,
    load_cluster,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.config.overrides import with_values
from orchestrator.config.retraining import Retraining
from orchestrator.config.search_space import SearchSpace

__all__ = [
    "Experiment",
    "Retraining",
    "SearchSpace",
    "dump_experiment",
    "flatten",
    "flatten_tree",
    "load_any",
    "load_cluster",
    "load_experiment",
    "load_retraining",
    "load_search_space",
    "values_to_keep",
    "with_values",
]
