"""Run the lanes of an experiment with Ray Train. A lane is a group of workers that learns all tasks
of one role, teacher or student.
"""
