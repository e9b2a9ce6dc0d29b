"""Show the description of a data set, and the labels that a run finds suspicious."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.data.samples import HALVES
from orchestrator.data.survey import Survey
from orchestrator.output_files import SUSPICIOUS_LABELS_FILE
from orchestrator.pipelines.data.describe import Description
from orchestrator.pipelines.data.describe_unlabeled import UnlabeledDescription
from orchestrator.pipelines.data.suspicious_labels import DoubtedByRun
from orchestrator.reporting.quantities import count, percent
from orchestrator.reporting.unlabeled import unlabeled_words

_MAX_CLASSES = 60
_MAX_KINDS = 6
_MAX_DOUBTED = 20


def show_description(description: Description, console: Console) -> None:
    """Show a data set: its images per class, image sizes, colour modes, size after decoding,
    fingerprint, and problems.
    """
    survey = description.survey
    console.print(_class_table(description.name, survey))
    for line in _facts(description):
        console.print(line, soft_wrap=True)


def show_doubted(doubted: DoubtedByRun, description: Description, console: Console) -> None:
    """Show the labels that a run finds most suspicious, and the number of suspicious labels."""
    counts, shown = doubted.counts, doubted.labels[:_MAX_DOUBTED]
    table = Table(
        title=f"run {doubted.run_id}: the {len(shown)} most suspicious labels", title_justify="left"
    )
    table.add_column("row", justify="right")
    for name in ("image", "label"):
        table.add_column(name, overflow="fold")
    table.add_column("doubt", justify="right")
    for name in ("teacher says", "student says"):
        table.add_column(name, overflow="fold")
    for label in shown:
        table.add_row(
            str(label.row),
            escape(label.image),
            escape(label.label),
            percent(label.doubt),
            escape(label.teacher_says),
            escape(label.student_says),
        )
    if shown:
        console.print(table)
    console.print(
        f"of {count(counts['num_judged'])} labels that the run learned from, teacher or student"
        f" contradicts {count(counts['num_contradicted'])}, and both contradict"
        f" {count(counts['num_contradicted_by_both'])}; its {SUSPICIOUS_LABELS_FILE} lists"
        f" {count(counts['num_listed'])}",
        soft_wrap=True,
    )
    if description.table is None or description.table.fingerprint != doubted.fingerprint:
        console.print(
            "note: the run learned from other images; row numbers may differ", soft_wrap=True
        )


def show_unlabeled(found: UnlabeledDescription, console: Console) -> None:
    """Show the number, sizes and colour modes of images without labels, and how many of these
    images a run would use and skip.
    """
    for line in _unlabeled_facts(found):
        console.print(line, soft_wrap=True)


def _unlabeled_facts(found: UnlabeledDescription) -> Iterator[str]:
    yield f"unlabeled    {found.name}: {count(found.num_images)} images without labels"
    if found.sizes:
        yield f"sizes        {_most_common(_by_size(found.sizes))}"
        yield f"modes        {_most_common(found.modes)}"
    if found.pool is not None:
        words = unlabeled_words(len(found.pool), asdict(found.pool.left_out))
        yield f"a run uses   {words}"
    if found.bad:
        first = found.bad[0]
        yield (
            f"note: {count(len(found.bad))} of the images without labels cannot be used, the first:"
            f" {first.where} {first.reason}"
        )
    if found.refusal:
        yield f"a run would fail: {found.refusal}"


def _by_size(sizes: Mapping[tuple[int, int], int]) -> dict[str, int]:
    return {f"{width}x{height}": num for (width, height), num in sizes.items()}


def _class_table(name: str, survey: Survey) -> Table:
    table = Table(title=f"{name}: {len(survey.classes)} classes", title_justify="left")
    table.add_column("class")
    for half in HALVES:
        table.add_column(half, justify="right")
    for label in survey.classes[:_MAX_CLASSES]:
        table.add_row(label, *(count(survey.counts[half][label]) for half in HALVES))
    if rest := survey.classes[_MAX_CLASSES:]:
        table.add_row(
            f"{len(rest)} more",
            *(count(sum(survey.counts[half][label] for label in rest)) for half in HALVES),
        )
    table.add_row("all", *(count(survey.counts[half].total()) for half in HALVES))
    return table


def _facts(description: Description) -> Iterator[str]:
    survey = description.survey
    size = "x".join(map(str, description.shape))
    yield f"sizes        {_most_common(_by_size(survey.sizes))}"
    yield f"modes        {_most_common(survey.modes)}"
    yield (
        f"decoded      {description.decoded_bytes / 2**30:.3f} GiB as {size} (channels, height,"
        " width)"
    )
    table = description.table
    fingerprint = table.fingerprint if table else "– (a run cannot use these images)"
    yield f"fingerprint  {fingerprint}"
    for finding in survey.findings():
        yield f"note: {finding}"
    if description.refusal:
        yield f"a run would fail: {description.refusal}"


def _most_common(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} ({count(number)})" for name, number in ordered[:_MAX_KINDS])
    return f"{shown}, {len(ordered) - _MAX_KINDS} more" if len(ordered) > _MAX_KINDS else shown
