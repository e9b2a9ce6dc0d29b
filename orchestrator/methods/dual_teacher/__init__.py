"""This project's method: a continually taught teacher and a student distilled from it."""

from orchestrator.methods.dual_teacher.method import DualTeacher

METHOD = DualTeacher()

__all__ = ["METHOD", "DualTeacher"]
