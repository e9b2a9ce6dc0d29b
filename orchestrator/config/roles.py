"""Define the two roles, teacher and student. The teacher is processed first, because the student
learns from the teacher.
"""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["teacher", "student"]

ROLES: tuple[Role, ...] = ("teacher", "student")
