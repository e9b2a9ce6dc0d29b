"""Gather the input of a tick: the champion, the held candidate, and the changes in the source since
these models were trained.

The terms are explained in `pipelines.retraining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.retraining import Retraining
from orchestrator.config.scenario import Label
from orchestrator.data.growing_folder import SourceFile, is_held_out
from orchestrator.errors import UserInputError
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.quarantine import quarantined_files
from orchestrator.retraining.registration import Registered, load_registered
from orchestrator.retraining.scan import Scan, scan
from orchestrator.retraining.state import ModelPair, State, file_id
from orchestrator.retraining.suspects import SetAside, begin_reading
from orchestrator.stages import StageStore
from orchestrator.tracking.registry import ModelRegistry


@dataclass(frozen=True)
class Look:
    """Input of a tick (one execution of a retraining): the loaded models, and the scan of the
    source.

    Attributes:
        champion: The champion; None before the first champion.
        held: The held candidate, which the gate has neither promoted nor rejected; None if there is
            none.
        found: Differences between the source and the learned files of the held candidate or,
            without a held candidate, of the champion.
        set_aside: Files that are skipped because an earlier tick was killed while it read them.
    """

    champion: Registered | None
    held: Registered | None
    found: Scan
    set_aside: SetAside

    @property
    def base(self) -> Registered | None:
        """Return the models from which training continues: the held candidate, or the champion if
        no candidate is held.
        """
        return self.held or self.champion

    def without_set_aside(self, unlabeled: Sequence[SourceFile]) -> list[SourceFile]:
        """Return the unlabelled files that are not set aside. A file is set aside if an earlier
        tick was killed while it read the file.
        """
        return [it for it in unlabeled if it.name not in self.set_aside.unlabeled]

    @property
    def lineage(self) -> Lineage:
        """Return the lineage (learned files and classes) of the models from which training
        continues; empty if there are no models.
        """
        return self.base.lineage if self.base else Lineage()

    @property
    def held_files(self) -> dict[str, str]:
        """Return the files that the held candidate (neither promoted nor rejected yet) has learned
        and the champion has not. The result maps the id of each file (see `file_id`) to the file's
        name.
        """
        known = {file.sha256 for file in self.champion.lineage.files} if self.champion else set()
        files = self.held.lineage.files if self.held else ()
        return {file_id(file.sha256): file.name for file in files if file.sha256 not in known}

    @property
    def changed_held_files(self) -> list[str]:
        """Return the names of files that have changed since the held candidate learned them. A held
        candidate is neither promoted nor rejected yet.
        """
        changed = {file_id(file.sha256) for file in self.found.changed}
        return [name for known, name in self.held_files.items() if known in changed]

    def new_classes(self, learned: tuple[Label, ...] = ()) -> tuple[Label, ...]:
        """Return the new classes, which the champion cannot predict. These are the classes that
        only the held candidate (neither promoted nor rejected yet) has learned, and the classes
        that this tick learns.

        Args:
            learned: The classes that this tick learns.
        """
        num_known = len(self.champion.lineage.tasks) if self.champion else 0
        tasks = self.held.lineage.tasks[num_known:] if self.held else ()
        return (*(label for task in tasks for label in task), *learned)

    def files_to_judge_by(self, held_out_fraction: float) -> tuple[str, ...]:
        """Return the ids (see `file_id`) of new files by which the gate can judge the held
        candidate (neither promoted nor rejected yet) again. Such a file contains held-out images of
        learned classes.
        """
        return tuple(
            sorted(
                file_id(file.sha256)
                for file in self.found.new
                if any(
                    is_held_out(digest, held_out_fraction)
                    for label in self.lineage.classes
                    for digest in file.digests.get(label, ())
                )
            )
        )


@dataclass(frozen=True)
class Looking:
    """Reader of the input of one tick of a retraining: it loads the models, and looks for changes
    in the source of images.

    Attributes:
        retraining: The retraining, with its source.
        registry: The registry of the versions.
        store: The stage store, whose stages replace stages that are corrupt in the registry.
        scratch: Temporary folder for the files of versions.
    """

    retraining: Retraining
    registry: ModelRegistry
    store: StageStore
    scratch: Path

    def look(self, state: State, lease: Lease | None = None) -> Look:
        """Load the models, scan the source, and return the input of the tick.

        Args:
            state: The current champion and the held candidate.
            lease: The lease, held by this process. With a lease, the names of new files are
                recorded next to the journal before the files are read. If a file kills this tick,
                the next tick can skip the file. None for a dry run, which records nothing.

        Raises:
            UserInputError: Data, or the files of a version, cannot be used.
            TransientError: Source, store or registry cannot be used.
        """
        champion = self._load(state.champion, "champion") if state.champion else None
        held = self._load_held(state.held.pair) if state.held else None
        known = tuple(it.lineage for it in (champion, held) if it is not None)
        quarantined = (
            []
            if self.retraining.reactions.rejected_files == "retry"
            else quarantined_files(state, known, self.registry, self.scratch / "put-aside")
        )
        lineage = known[-1] if known else Lineage()
        aside = SetAside()
        if lease is not None:
            aside = begin_reading(lease.storage, lease.token, self.retraining, lineage)
        found = scan(self.retraining.source, lineage, quarantined, set_aside=aside.labeled)
        return Look(champion, held, found, aside)

    def _load_held(self, pair: ModelPair) -> Registered:
        try:
            return self._load(pair, "held")
        except UserInputError as error:
            raise UserInputError(
                f"the held candidate ({pair}) cannot be loaded ({error.what})",
                next_step="restore the version's files in MLflow's artifact store, or delete the"
                " version: its images then count as new",
            ) from error

    def _load(self, pair: ModelPair, folder: str) -> Registered:
        # one folder per version, because a later call may load another version
        place = self.scratch / folder / pair.student
        return load_registered(self.registry, pair, place, self.store)
