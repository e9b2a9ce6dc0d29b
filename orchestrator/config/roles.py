"""Define the two roles, in processing order: the teacher first, because the student learns from
it.
"""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["teacher", "student"]

ROLES: tuple[Role, ...] = ("teacher", "student")
