"""States of a model version, and the aliases of champion, previous champion and challenger."""

from __future__ import annotations

from enum import StrEnum

Alias = str
CHAMPION: Alias = "champion"
PREVIOUS: Alias = "previous"
CHALLENGER: Alias = "challenger"


class VersionState(StrEnum):
    """States of a model version.

    ```
                gate: promote                   a new champion                a new champion
    CANDIDATE ───────────────▶ CHAMPION ─────────────────────▶ PREVIOUS ──────────────▶ RETIRED
      │   │                     ▲ ▲  │                            │                        │
      │   │                     │ │  └── rollback ─▶ ROLLED_BACK  │                        │
      │   │                     │ └───── rollback of the next champion ────────────────────┘
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

    A person may also approve a REJECTED or ROLLED_BACK version as long as it continued learning
    from the present champion. The champion has the alias `champion`, and the champion before it has
    `previous`. The held candidate has `challenger`. Without a held candidate, the last rejected or
    rolled-back version has `challenger`.
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
