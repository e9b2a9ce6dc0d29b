"""Continual-learning methods: this project's own and those to compare it with."""
