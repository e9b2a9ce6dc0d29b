"""Results by class in reports, worked out by hand for two tasks of two classes each."""

from collections.abc import Callable

from orchestrator import output_files
from orchestrator.config.roles import Role
from orchestrator.evaluation.confusion import Confusion, as_csv, count_confusions
from orchestrator.reporting.classes import classes_section, moved_classes
from orchestrator.reporting.comparison import comparison
from orchestrator.reporting.run_report import run_report
from orchestrator.tracking.tracked_run import TrackedRun
from tests.page_text import text_of

NewRun = Callable[..., TrackedRun]

CLASSES = ["class 0a", "class 0b", "class 1a", "class 1b"]


def counted(learned: int, role: Role, answers: dict[str, str]) -> list[Confusion]:
    """Return rows of predictions written as digits: `{"0": "0012"}` is four images of class 0."""
    pairs = [(int(label), int(it)) for label, given in answers.items() for it in given]
    labels, predictions = zip(*pairs, strict=True)
    return count_confusions((learned, role), labels, predictions, CLASSES, 100)


# after both tasks the student predicts class 1b for 3 of 4 images of 0a, and 0b for one of 1a
STUDENT_AT_THE_END = {"0": "0333", "1": "1111", "2": "2221", "3": "3333"}
ROWS = [
    *counted(1, "student", {"0": "0000", "1": "1110"}),
    *counted(2, "student", STUDENT_AT_THE_END),
    *counted(1, "teacher", {"0": "0000", "1": "1111"}),
    *counted(2, "teacher", {"0": "0003", "1": "1111", "2": "2222", "3": "3333"}),
]


def recorded(new_run: NewRun, rows: list[Confusion], letter: str = "a") -> TrackedRun:
    return new_run(letter, files={output_files.CONFUSION_FILE: as_csv(rows)})


def test_the_most_frequent_confusion_and_the_least_accurate_class_come_first(
    new_run: NewRun,
) -> None:
    section = classes_section(recorded(new_run, ROWS))
    assert section is not None
    assert [(it.label, it.predicted, it.ages, it.worst_share) for it in section.pairs] == [
        ("class 0a", "class 1b", "old as new", 0.75),
        ("class 1a", "class 0b", "new as old", 0.25),
    ]
    least, second, *_ = section.rows
    assert (least.name, least.task, least.num_images) == ("class 0a", 1, 4)
    assert (least.accuracy["student"], least.change["student"]) == (0.25, -0.75)
    assert (least.accuracy["teacher"], least.change["teacher"]) == (0.75, -0.25)
    assert (second.name, second.change["student"]) == ("class 1a", None), "just learned"
    [ages] = section.ages
    assert (ages.learned, ages.old_as_new, ages.new_as_old) == (
        2,
        {"teacher": 1 / 8, "student": 3 / 8},
        {"teacher": 0.0, "student": 1 / 8},
    )


def test_a_report_names_the_confused_classes(new_run: NewRun) -> None:
    text = text_of(run_report(recorded(new_run, ROWS)))
    assert "class 0a class 1b old as new 25.0 1 of 4 75.0 3 of 4" in text
    assert "class 1a class 0b new as old 0.0 25.0 1 of 4" in text
    assert "2 12.5 0.0 37.5 12.5" in text
    assert "class 0a 25.0 75.0 class 0b 100.0" in text, "the student's matrix"


def test_with_many_classes_only_the_worst_are_shown_and_no_matrix(new_run: NewRun) -> None:
    names = [f"breed {number}" for number in range(300)]
    labels = [label for label in range(300) for _ in range(2)]
    wrong = [(label + place) % 300 for place, label in enumerate(labels)]
    rows = count_confusions((1, "student"), labels, wrong, names, 1000)
    html = run_report(recorded(new_run, rows))
    assert len(html) < 300_000
    text = text_of(html)
    assert "The 12 worst of 598 pairs." in text
    assert "The student’s 200 worst classes" in text
    assert "Confusion matrices" not in text


def test_a_run_of_an_earlier_release_reports_that_classes_are_not_recorded(new_run: NewRun) -> None:
    said = "Answers by class are not recorded. Trials of sweeps"
    assert said in text_of(run_report(new_run()))
    damaged = new_run(files={output_files.CONFUSION_FILE: "tasks_learned,model\n1,teacher\n"})
    assert said in text_of(run_report(damaged))


def test_a_comparison_names_the_classes_that_changed(new_run: NewRun) -> None:
    better = STUDENT_AT_THE_END | {"0": "0003", "3": "3332"}
    runs = [
        recorded(new_run, ROWS),
        recorded(new_run, counted(2, "student", better), "b"),
        new_run("c"),
    ]
    to_b, to_c = moved_classes("ABC", runs)
    assert [(it.name, it.role, it.difference) for it in to_b.moved] == [
        ("class 0a", "student", 0.5),
        ("class 1b", "student", -0.25),
    ]
    assert not to_c.is_recorded
    text = text_of(comparison(runs))
    assert "class 0a Student 25.0 75.0 +50.0 class 1b Student 100.0 75.0 −25.0" in text
    assert "C : accuracies by class are not recorded for A or C" in text
    assert "B has the same accuracy as A on every class" in text_of(comparison([runs[0], runs[0]]))
