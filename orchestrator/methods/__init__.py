"""Continual-learning methods: the dual-teacher method of this project, and baselines."""
