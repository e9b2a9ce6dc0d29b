from orchestrator.config import Experiment, flatten
from orchestrator.config.overrides import with_values
from orchestrator.reporting.configuration import (
    Setting,
    differences,
    same_but_for_the_seed,
    unlike_defaults,
)


def changed(**values: object) -> dict[str, str]:
    return flatten(
        with_values(
            Experiment(), {path.replace("__", "."): value for path, value in values.items()}
        )
    )


def test_the_defaults_do_not_differ_from_themselves_whatever_name_seed_and_store() -> None:
    assert unlike_defaults(flatten(Experiment())) == []
    assert unlike_defaults(changed(data__max_memory_gib=4)) == []
    assert (
        unlike_defaults(
            changed(name="mine", seed=7, store__uri="/tmp/x", execution__kind="in_process")  # noqa: S108
        )
        == []
    )


def test_a_changed_setting_is_shown_with_its_default() -> None:
    assert unlike_defaults(changed(teacher__training__epochs=3)) == [
        Setting("teacher.training.epochs", ("3", flatten(Experiment())["teacher.training.epochs"]))
    ]


def test_differences_are_the_settings_that_are_not_equal_in_all_runs() -> None:
    found = differences([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "c": "4"}])
    assert [(setting.path, setting.values) for setting in found] == [
        ("b", ("2", "3", "–")),
        ("c", ("–", "–", "4")),
    ]
    assert [found[0].is_other(place) for place in range(3)] == [False, True, True]


def test_configurations_are_equal_whatever_their_seed_and_paths() -> None:
    assert same_but_for_the_seed(
        changed(seed=1, tracking__experiment="x")
    ) == same_but_for_the_seed(changed(seed=2))
    assert same_but_for_the_seed(changed(data__max_memory_gib=4)) == same_but_for_the_seed(
        changed()
    )
    assert same_but_for_the_seed(changed(seed=1)) != same_but_for_the_seed(
        changed(student__temperature=3)
    )
