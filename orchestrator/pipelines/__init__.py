"""Use cases of the program, such as `run` and `sweep`, one folder each."""
