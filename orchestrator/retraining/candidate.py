"""Prepare a candidate's training: draft its lineage, and build the experiment that trains it.

A lineage records what a model has learned, and from which files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from orchestrator.config.data import ArrivalsConfig, ArrivedFile, DataConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.retraining import Retraining
from orchestrator.config.retraining_source import SourceConfig, UnlabeledDeliveriesConfig
from orchestrator.config.roles import Role
from orchestrator.config.scenario import LearnedTasksConfig
from orchestrator.config.unlabeled import UnlabeledArrivalsConfig, UnlabeledFile
from orchestrator.data.growing_folder import Folder
from orchestrator.data.image_table import ImageTable
from orchestrator.methods.facts import facts_of, is_pretrained
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.evidence import Classes
from orchestrator.retraining.lineage import Lineage, UnlabeledTakenFile, sketch
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import Scan
from orchestrator.stages.graph import weights_of


def draft_lineage(
    experiment: Experiment,
    champion: Lineage,
    found: Scan,
    plan: ChangePlan,
    unlabeled: Sequence[UnlabeledTakenFile] = (),
) -> Lineage:
    """Return the lineage that the candidate will have: the champion's lineage and the planned
    tasks.

    Args:
        experiment: The experiment that trains the candidate.
        champion: Lineage of the model from which learning continues: the champion or the held
            candidate.
        found: Scan of the source.
        plan: Plan that says what the candidate learns.
        unlabeled: Present files without labels.

    Raises:
        ConfigError: Pre-trained weights cannot be read.
    """
    delivery = champion.last_delivery + 1
    learned_now = [str(label) for label in plan.new_classes]
    digests = {
        label: [digest for file in found.new for digest in file.digests.get(label, ())]
        for label in learned_now
    }
    return Lineage(
        files=(*found.kept, *(file.taken(delivery) for file in found.new)),
        tasks=(*champion.tasks, *([plan.new_classes] if plan.new_classes else [])),
        deliveries={
            **champion.deliveries,
            **dict.fromkeys([*plan.refreshed, *learned_now], delivery),
        },
        sketches={
            **champion.sketches,
            **{label: sketch(of_class) for label, of_class in digests.items()},
        },
        quarantined=tuple(found.quarantined),
        weights=weights_of(experiment),
        unlabeled=tuple(unlabeled),
    )


def candidate_experiment(
    retraining: Retraining, champion: Registered | None, draft: Lineage, plan: ChangePlan
) -> Experiment:
    """Return the complete experiment that trains a candidate.

    The experiment normally continues from the champion's last stages. For the champion's classes,
    the experiment then reads only held-out images, because the gate needs these images.

    The experiment starts from the first task in four cases: there is no champion, known classes are
    refreshed, the method learns from all images, or the configured networks differ from the
    champion's. Unchanged stages are then loaded from the stage store.

    A person can repeat the training by passing the experiment to `orchestrator run`.
    """
    experiment, source = retraining.experiment, retraining.source
    goes_on = (
        champion is not None
        and not plan.refreshed
        and not facts_of(experiment).learns_from_all_images
    )
    learned = (
        champion.lineage.learned
        if goes_on and champion and can_go_on(retraining, champion, draft)
        else None
    )
    # omit `validation_fraction`: the gate judges by the held-out images, so no further images are
    # needed for validation
    same = {
        name: value
        for name, value in experiment.data.of_any_source.items()
        if name != "validation_fraction"
    }
    if source.unlabeled is not None:
        same["unlabeled"] = _unlabeled(source, source.unlabeled, draft)
    data = ArrivalsConfig(
        path=source.path,
        files=tuple(
            ArrivedFile(name=file.name, sha256=file.sha256, delivery=file.delivery)
            for file in draft.files
        ),
        deliveries=tuple(draft.deliveries.items()),
        held_out_only=champion.lineage.classes if champion and learned else (),
        held_out_fraction=source.held_out_fraction,
        image_size=source.image_size,
        num_channels=source.num_channels,
        **same,
    )
    scenario = experiment.scenario.model_copy(update={"tasks": draft.tasks, "learned": learned})
    tracking = experiment.tracking.model_copy(
        update={"models": "none"}
    )  # models are registered only after the gate's verdict
    return Experiment.model_validate(
        {**dict(experiment), "data": data, "scenario": scenario, "tracking": tracking}
    )


def _unlabeled(
    source: SourceConfig, deliveries: UnlabeledDeliveriesConfig, draft: Lineage
) -> UnlabeledArrivalsConfig | None:
    """Return the configuration that lists the unlabelled files for a candidate to learn from; None
    if there are no such files.
    """
    files = tuple(UnlabeledFile(name=it.name, sha256=it.sha256) for it in draft.unlabeled)
    if not files:
        return None
    return UnlabeledArrivalsConfig(
        path=deliveries.path,
        files=files,
        held_out_fraction=source.held_out_fraction,
        max_images=deliveries.max_images,
    )


def can_go_on(retraining: Retraining, champion: Registered, draft: Lineage) -> bool:
    """Return whether learning can go on from the champion's stages.

    The configured networks must match the champion's networks. If the champion's extractor was
    trained, the configuration may freeze or fine-tune the extractor. But a trained extractor never
    matches a pre-trained extractor that is used unchanged, because the features differ.
    """
    configured, of_champion = retraining.experiment, champion.experiment
    known_weights = champion.lineage.weights
    return (
        of_champion.data.shape == retraining.source.shape
        and all(
            known_weights.get(role, weights) == weights for role, weights in draft.weights.items()
        )
        and all(
            build_from(configured) == build_from(of_champion)
            for build_from in (
                lambda it: it.method,
                lambda it: it.teacher.backbone,
                lambda it: is_pretrained("teacher", it),
                lambda it: (
                    it.teacher.joint_embedding.dimensions,
                    it.teacher.joint_embedding.adapter_width,
                ),
                lambda it: it.teacher.spread,
                lambda it: it.student.backbone,
            )
        )
    )


def held_out_images(retraining: Retraining, held: Lineage, found: Scan) -> ArrivalsConfig:
    """Return the data configuration that selects all present held-out images of a held candidate's
    classes.

    A held candidate is one about which the gate could not decide. The selection includes images in
    files that arrived after the candidate learned.

    Args:
        retraining: Configuration of the retraining, including the source of the images.
        held: Lineage of the held candidate.
        found: Comparison of the source with the held candidate's lineage.
    """
    source, arrived = retraining.source, held.last_delivery + 1
    files = (*found.kept, *(file.taken(arrived) for file in found.new))
    return ArrivalsConfig(
        path=source.path,
        files=tuple(
            ArrivedFile(name=file.name, sha256=file.sha256, delivery=file.delivery)
            for file in files
        ),
        deliveries=tuple(dict.fromkeys(held.classes, arrived).items()),
        held_out_only=held.classes,
        held_out_fraction=source.held_out_fraction,
        image_size=source.image_size,
        num_channels=source.num_channels,
        cache_dir=retraining.experiment.data.cache_dir,
    )


def looks_at(table: ImageTable, rows: Iterable[int], data: DataConfig) -> Classes:
    """Return for each held-out image the number of looks: gate verdicts that use the image.

    The next verdict is counted too.

    Each champion learned from one delivery: the files that were new to this champion. The gate
    judged the champion by the held-out images of this delivery and of all earlier deliveries.
    So the images of the first delivery are used in every verdict.

    Args:
        table: The images, with the file and row of each image.
        rows: Rows of the held-out images in the table.
        data: Configuration from which the table was built; it lists files and deliveries.
    """
    assert isinstance(data, ArrivalsConfig)  # noqa: S101 - candidates learn only from arrivals
    folder = Folder(data.path)
    last = max(file.delivery for file in data.files)
    of_file = {folder.where(file.name): last - file.delivery + 1 for file in data.files}
    files = (table.place_of(int(row)).rpartition(" row ")[0] for row in rows)
    return np.asarray([of_file.get(file, 1) for file in files], dtype=np.int64)


def learned_lineage(
    draft: Lineage, stages: Mapping[Role, str], matrices: Mapping[Role, Sequence[Sequence[float]]]
) -> Lineage:
    """Return the lineage of a candidate that has learned.

    Args:
        draft: The candidate's lineage before learning.
        stages: Key of the candidate's last stage, by role.
        matrices: The candidate's accuracy matrix, by role.
    """
    rows = {f"{role}_accuracies": matrix for role, matrix in matrices.items()}
    return draft.model_copy(
        update={
            "learned": LearnedTasksConfig.model_validate(
                {"num_tasks": len(draft.tasks), **stages, **rows}
            )
        }
    )
