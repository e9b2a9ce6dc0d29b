"""Ray Train: the teacher lane and the student lane, each one worker group that lives for all
tasks.
"""
