"""The life of a model version, and the aliases by which others find the versions that matter."""

from __future__ import annotations

from enum import StrEnum

Alias = str
CHAMPION: Alias = "champion"
PREVIOUS: Alias = "previous"
CHALLENGER: Alias = "challenger"


class VersionState(StrEnum):
    """Life of a model version.

    ```
                gate: promote                   another passes                another passes
    CANDIDATE ───────────────▶ CHAMPION ─────────────────────▶ PREVIOUS ──────────────▶ RETIRED
      │   │                     ▲ ▲  │                            │                        │
      │   │                     │ │  └── rollback ─▶ ROLLED_BACK  │                        │
      │   │                     │ └───── rollback, of the one after it ────────────────────┘
      │   │ gate: hold, ask     │
      │   └──────────▶ HELD ────┤ gate: promote, on more images
      │                 │ │     │ a person approves
      │       gate: ask │ │     │
      │                 ▼ │     │
      │              ASKED├─────┘ a person approves
      │                 │ │
      │ gate: reject    │ ├──▶ SUPERSEDED   another candidate, or champion, takes its place
      ▼                 ▼ ▼
    REJECTED ◀────────────┘ gate: reject (held only), or a person rejects
    ```

    A person may approve a REJECTED or ROLLED_BACK version as well, as long as it has learned on
    from the present champion. Aliases: a champion has `champion`, the one before it `previous`; the
    held candidate has `challenger`, and while there is none, what was rejected or rolled back last.
    """

    CANDIDATE = "candidate"
    HELD = "held"
    ASKED = "asked"
    CHAMPION = "champion"
    PREVIOUS = "previous"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled back"
    SUPERSEDED = "superseded"


UNDECIDED = (VersionState.HELD, VersionState.ASKED)
