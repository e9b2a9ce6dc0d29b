"""Plan a run or a sweep without starting it."""
