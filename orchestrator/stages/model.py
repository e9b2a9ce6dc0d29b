"""What any stage gives."""

from orchestrator.baselines import BaselineModel
from orchestrator.student import StudentModel
from orchestrator.teacher import TeacherModel

Model = TeacherModel | StudentModel | BaselineModel
