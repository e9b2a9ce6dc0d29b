"""Name every file that a run or a sweep writes to its output folder or logs as an MLflow artifact.

Pipelines, reports, the terminal, the ledger of a sweep and the reader of tracked runs import the
names from this module. The module is not part of `config`, because the names are not configurable.
"""

import re

from orchestrator.config.roles import Role

SUMMARY_FILE = "summary.json"
EXPERIMENT_FILE = "experiment.yaml"
ENVIRONMENT_FILE = "environment.json"
RAY_LOG_FILE = "ray.log"
REPORT_FILE = "report.html"
BACKTEST_FILE = "backtest.json"
BACKTEST_REPORT_FILE = "backtest.html"
MODELS_FOLDER = "models"
FIGURES_FOLDER = "figures"
OVERVIEW_FILE = "overview.png"
CONFUSION_FILE = "confusion.csv"
GATE_FILE = "gate.json"
SUSPICIOUS_LABELS_FILE = "suspicious_labels.csv"
SUSPICIOUS_LABELS_SHEET_FILE = "suspicious_labels.png"

SEARCH_SPACE_FILE = "search_space.yaml"
LEDGER_FILE = "ledger.jsonl"
LEADERBOARD_FILE = "leaderboard.csv"
BEST_FILE = "best.yaml"
FRONT_FILE = "front.csv"
FRONT_FOLDER = "front"
PARETO_FRONT_FILE = "pareto_front.png"
PARALLEL_COORDINATES_FILE = "parallel_coordinates.png"
PARAMETER_IMPORTANCE_FILE = "parameter_importance.png"
BEST_CURVES_FILE = "best_accuracy_curves.png"

_SEED_SUMMARY = re.compile(r"summary-seed-\d+\.json")


def accuracy_matrix_file(role: Role) -> str:
    """Return the file name of a role's accuracy heat map in `FIGURES_FOLDER`, such as
    `teacher_accuracy_matrix.png`.
    """
    return f"{role}_accuracy_matrix.png"


def seed_summary_file(seed: int) -> str:
    """Return the file name of a trial's summary for one seed, such as `summary-seed-7.json`."""
    return f"summary-seed-{seed}.json"


def front_file(trial: int) -> str:
    """Return the file name of a trial's experiment in `FRONT_FOLDER`, such as `trial-0007.yaml`."""
    return f"trial-{trial:04}.yaml"


def is_seed_summary_file(name: str) -> bool:
    """Return whether a name is one that `seed_summary_file` returns."""
    return _SEED_SUMMARY.fullmatch(name) is not None
