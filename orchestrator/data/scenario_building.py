"""Build a scenario: divide a data set into tasks, and its images into splits."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from orchestrator.config.scenario import Label, ScenarioConfig
from orchestrator.data.image_table import ImageTable
from orchestrator.data.samples import natural_key
from orchestrator.data.scenario import Indices, Scenario, Split, Task
from orchestrator.errors import DataError

MIN_TRAINING_IMAGES = 2


def build_scenario(
    table: ImageTable, config: ScenarioConfig, validation_fraction: float, seed: int
) -> Scenario:
    """Divide a data set into tasks, and its training images into training and validation.

    Args:
        table: Table with all images.
        config: Class order and task sizes.
        validation_fraction: Share of each class's training images to set aside for validation, in
            [0, 1).
        seed: Seed that determines which images are set aside, and which images are kept if
            `max_images_per_class` or `max_images_per_base_class` limits their number.

    Raises:
        DataError: The class order has unknown labels, there are too few classes, or a class has too
            few images in a split.
    """
    if config.tasks is None:
        class_names = _class_order(table, config.class_order)
        tasks = _cut_into_tasks(len(class_names), config)
    else:
        class_names = _class_order(
            table, [label for task in config.tasks for label in task], "scenario.tasks"
        )
        tasks = _tasks_of_sizes([len(task) for task in config.tasks])
    num_learned_tasks = config.learned.num_tasks if config.learned else 0
    num_learned = tasks[num_learned_tasks].new_classes.start
    _check_same_classes(table, class_names, num_learned)
    indices: dict[Split, list[Indices]] = {split: [] for split in Split}
    for position, name in enumerate(class_names):
        rows = np.flatnonzero(table.labels == name)
        train, validation = rows[~table.is_test[rows]], rows[:0]
        if position >= num_learned:
            train, validation = _set_aside(
                train, validation_fraction, _random(seed, "validation", name), name
            )
        is_base = position < tasks[0].num_seen_classes
        limit = config.max_images_per_base_class if is_base else config.max_images_per_class
        if limit is not None:
            shuffled = _random(seed, "max_images_per_class", name).permutation(train)
            train = np.sort(shuffled[:limit])
        indices[Split.TRAIN].append(train)
        indices[Split.VALIDATION].append(validation)
        indices[Split.TEST].append(rows[table.is_test[rows]])
    return Scenario(
        table,
        class_names,
        tasks,
        {split: tuple(rows) for split, rows in indices.items()},
        num_learned_tasks,
    )


def _class_order(
    table: ImageTable, order: int | Sequence[Label], where: str = "scenario.class_order"
) -> tuple[str, ...]:
    labels = sorted(set(table.labels.tolist()), key=natural_key)
    if isinstance(order, int):
        return tuple(_random(order, "class_order").permutation(labels).tolist())
    for label in order:
        if str(label) not in labels:
            nearest = difflib.get_close_matches(str(label), labels, n=1)
            advice = (
                f"did you mean {nearest[0]}?" if nearest else f"labels are {', '.join(labels[:20])}"
            )
            raise DataError(
                f"the data set {table.name} has no label {label!r}", where=where, next_step=advice
            )
    return tuple(str(label) for label in order)


def _check_same_classes(table: ImageTable, class_names: Sequence[str], num_learned: int) -> None:
    in_test, in_train = (
        set(table.labels[table.is_test].tolist()),
        set(table.labels[~table.is_test].tolist()),
    )
    for position, name in enumerate(class_names):
        for present, split in ((in_train, "training"), (in_test, "test")):
            if name not in present and (split == "test" or position >= num_learned):
                raise DataError(
                    f"class {name!r} has no {split} images",
                    where=table.name,
                    next_step=f"add {split} images or remove the class from scenario.class_order",
                )


def _cut_into_tasks(num_classes: int, config: ScenarioConfig) -> tuple[Task, ...]:
    base, step = config.num_base_classes, config.classes_per_task
    if base > num_classes:
        raise DataError(
            f"num_base_classes = {base}, but there are only {num_classes} classes",
            where="scenario",
            next_step=f"set it to at most {num_classes}",
        )
    if num_classes > base and step > num_classes - base:
        raise DataError(
            f"classes_per_task = {step}, but only {num_classes - base} of {num_classes} classes are"
            " left after the first task",
            where="scenario",
            next_step=f"set it to at most {num_classes - base}",
        )
    return _tasks_of_sizes(
        [base, *(min(step, num_classes - start) for start in range(base, num_classes, step))]
    )


def _tasks_of_sizes(sizes: Sequence[int]) -> tuple[Task, ...]:
    ends = [*accumulate(sizes)]
    return tuple(
        Task(i, range(end - size, end), end)
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    )


def _set_aside(
    rows: Indices, fraction: float, random: np.random.Generator, name: str
) -> tuple[Indices, Indices]:
    num_validation = max(1, round(fraction * len(rows))) if fraction > 0 else 0
    if len(rows) - num_validation < MIN_TRAINING_IMAGES:
        raise DataError(
            f"class {name!r} has {len(rows)} training images, {num_validation} of them for"
            f" validation: fewer than {MIN_TRAINING_IMAGES} remain for training",
            where="data",
            next_step=(
                "add images, remove the class from scenario.class_order, or lower"
                " data.validation_fraction"
            ),
        )
    shuffled = random.permutation(rows)
    return np.sort(shuffled[num_validation:]), np.sort(shuffled[:num_validation])


def _random(seed: int, *purpose: str) -> np.random.Generator:
    return np.random.default_rng(
        int.from_bytes(hashlib.sha256(repr((seed, purpose)).encode()).digest()[:8], "big")
    )
