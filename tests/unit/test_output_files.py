"""Frozen surface: renaming a file breaks scripts, and reports of runs that are already tracked."""

from orchestrator import output_files


def test_names_of_output_files_and_folders_are_frozen() -> None:
    assert {
        value for key, value in vars(output_files).items() if key.endswith(("_FILE", "_FOLDER"))
    } == {
        "summary.json",
        "experiment.yaml",
        "environment.json",
        "ray.log",
        "report.html",
        "models",
        "figures",
        "overview.png",
        "suspicious_labels.csv",
        "suspicious_labels.png",
        "search_space.yaml",
        "ledger.jsonl",
        "leaderboard.csv",
        "best.yaml",
        "front.csv",
        "front",
        "pareto_front.png",
        "parallel_coordinates.png",
        "parameter_importance.png",
        "best_accuracy_curves.png",
        "backtest.json",
        "backtest.html",
        "gate.json",
        "confusion.csv",
    }
    assert output_files.accuracy_matrix_file("student") == "student_accuracy_matrix.png"
    assert output_files.seed_summary_file(7) == "summary-seed-7.json"


def test_only_a_one_seed_summary_counts_as_one() -> None:
    assert output_files.is_seed_summary_file(output_files.seed_summary_file(12))
    for name in ("summary.json", "summary-seed-.json", "summary-seed-1.json.tmp", "summary-seed-1"):
        assert not output_files.is_seed_summary_file(name)
