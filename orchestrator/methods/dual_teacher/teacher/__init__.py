"""The continually taught first model [patent A]: prototypes, their augmentation, the joint
embedding space.
"""

from orchestrator.methods.dual_teacher.teacher.model import TeacherModel
from orchestrator.methods.dual_teacher.teacher.task import learn_teacher_task

__all__ = ["TeacherModel", "learn_teacher_task"]
