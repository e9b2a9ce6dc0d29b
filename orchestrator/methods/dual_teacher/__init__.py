"""This project's method: a continually trained teacher, and a student distilled from the
teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["FACTS", "METHOD", "DualTeacher"]

if TYPE_CHECKING:
    from orchestrator.methods.dual_teacher.facts import FACTS
    from orchestrator.methods.dual_teacher.method import METHOD, DualTeacher
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.methods.dual_teacher.facts": ("FACTS",),
            "orchestrator.methods.dual_teacher.method": ("METHOD", "DualTeacher"),
        },
    )
