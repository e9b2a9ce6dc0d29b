"""The continually taught first model [patent A]: prototypes, their augmentation, the joint
embedding space.
"""

from orchestrator.teacher.learning import TeacherModel, learn_teacher_task

__all__ = ["TeacherModel", "learn_teacher_task"]
