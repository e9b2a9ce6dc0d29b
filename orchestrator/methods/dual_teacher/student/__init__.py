"""The student: a smaller model, distilled from the teacher's embedding and classifier (patent A,
claim 8) with an adaptive transfer ratio (patent B); see docs/method.md.
"""

from orchestrator.methods.dual_teacher.student.model import StudentModel
from orchestrator.methods.dual_teacher.student.task import learn_student_task

__all__ = ["StudentModel", "learn_student_task"]
