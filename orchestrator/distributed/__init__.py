"""Ray Train: the teacher lane and the student lane, each a worker group that runs for all tasks."""
