"""The teacher: the first model, trained task by task with augmented prototypes in a joint embedding
space (patent A; see docs/method.md).
"""

from orchestrator.methods.dual_teacher.teacher.model import TeacherModel
from orchestrator.methods.dual_teacher.teacher.task import learn_teacher_task

__all__ = ["TeacherModel", "learn_teacher_task"]
