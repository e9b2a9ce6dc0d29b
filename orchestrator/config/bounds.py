"""Upper bounds of the numbers in a configuration, each with its reason.

A number without a bound ends a process somewhere else: in a library that allocates, a timer that
overflows, a loop that does not end. Each of these is far above what anybody has used.
"""

from __future__ import annotations

MOST_SECONDS = 10 * 365 * 24 * 3600
"""Ten years: nothing here lasts longer, and dates and timers overflow far above."""

MOST_CLASSES = 1_000_000
"""A classifier of a million classes has as many rows as memory holds."""

MOST_TASKS = 1_000_000
"""As many as classes: every task has one at least."""

MOST_IMAGES = 10**10
"""More than any collection; their numbers still fit into 64 bits a thousand times over."""

MOST_EPOCHS = 100_000
"""An epoch of the smallest data takes a hundredth of a second."""

MOST_BATCH = 2**20
"""A million images are a batch that no graphics processor holds."""

MOST_VIEWS = 1024
"""Each view of an image costs a pass through the network."""

MOST_STEPS = 100_000
"""Each is computed for every class and task."""

MOST_DIMENSIONS = 65_536
"""Matrices are square: of 65,536 columns, one takes 16 GiB."""

MOST_WEIGHT = 1e9
"""In 32 bits, a part of a sum that counts a billion times as much drowns the others."""

MOST_RATE = 1e12
"""Learning diverges from one on, and says so; from here on one step of it overflows 32 bits."""

MOST_WORKERS = 10_000
"""Ray's largest known clusters have as many nodes."""

MOST_THREADS = 1024
"""The processors of the largest machines; OpenMP ends the process where it cannot start so many."""

MOST_GPUS = 1024
"""More than any machine holds."""

MOST_RESOURCES = 1e6
"""Of a kind, on one node: what no node has is waited for, and named, by Ray."""

MOST_GIB = 1e6
"""A petabyte: 64 bits still count its bytes."""

MOST_PARAMETERS = 10**13
"""Ten times the largest networks."""

MOST_RETRIES = 10_000
"""Each takes seconds at least; Kubernetes counts with 32 bits."""

MOST_TRIALS = 100_000
"""A sweep's leaderboard, charts and search read all of its trials."""

MOST_SEEDS = 1000
"""With each of them, each configuration learns once."""

MOST_PARAMETERS_SWEPT = 256
"""All that an experiment has, and some more; searches fail far below."""

MOST_CHOICES = 10_000
"""Of one parameter: a grid goes through all of them."""

LARGEST_NUMBER = 1e100
"""Of a range: its square, and the distance of two of them, are still numbers."""

LARGEST_INTEGER = 2**53
"""Of a range: above, a floating-point number skips integers, and searches draw with those."""

MOST_STEPS_OF_A_RANGE = 10**9
"""Values of a range with a step: more than 12 digits tell apart."""

MOST_CHARACTERS = 1000
"""Of a constraint, or of another text that is taken apart."""
