"""The two roles. Everything that is done for both is done in this order: the student learns from
the teacher.
"""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["teacher", "student"]

ROLES: tuple[Role, ...] = ("teacher", "student")
