"""Print the progress and the results of commands. Each module prints one kind of result: as tables
and lines for a person, or as JSON lines for a program.

A listener is an object whose methods a command calls while it works, to report progress.
"""
