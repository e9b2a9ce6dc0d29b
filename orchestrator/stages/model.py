"""What any stage gives."""

from orchestrator.methods.baselines import BaselineModel
from orchestrator.methods.dual_teacher.student import StudentModel
from orchestrator.methods.dual_teacher.teacher import TeacherModel

Model = TeacherModel | StudentModel | BaselineModel
