"""Say what a run or a sweep would compute, without starting it."""
