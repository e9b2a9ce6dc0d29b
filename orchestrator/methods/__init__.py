"""Continual-learning methods: this project's own and the baselines to compare it with."""
