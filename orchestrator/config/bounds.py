"""Upper bounds of the numbers in a configuration, each with its reason.

An unbounded number makes a process fail elsewhere: in a library that allocates memory, in a timer
that overflows, in a loop that never ends. Every bound is far above any value used in practice.
"""

from __future__ import annotations

MOST_SECONDS = 10 * 365 * 24 * 3600
"""Ten years: longer than any duration in a configuration, and far below the overflow of dates and
timers.
"""

MOST_CLASSES = 1_000_000
"""A classifier has one row per class; a million rows fill the memory of most machines."""

MOST_TASKS = 1_000_000
"""At most one task per class, because every task has at least one class."""

MOST_IMAGES = 10**10
"""More images than any collection has, and small enough for 64-bit index arithmetic."""

MOST_EPOCHS = 100_000
"""An epoch on the smallest data set takes a hundredth of a second."""

MOST_BATCH = 2**20
"""A batch of a million images exceeds the memory of any GPU."""

MOST_VIEWS = 1024
"""Each view of an image costs a forward pass."""

MOST_STEPS = 100_000
"""Each step is computed for every class and task."""

MOST_DIMENSIONS = 65_536
"""Matrices are square: with 65,536 columns, one takes 16 GiB."""

MOST_WEIGHT = 1e9
"""In 32-bit arithmetic, a loss term that is a billion times larger than the other terms swamps
them.
"""

MOST_RATE = 1e12
"""Training diverges, and reports this, at learning rates of 1 and more; above this bound a single
step overflows 32-bit numbers.
"""

MOST_WORKERS = 10_000
"""The node count of the largest known Ray clusters."""

MOST_THREADS = 1024
"""The CPU count of the largest machines; OpenMP aborts the process if it cannot start the threads.
"""

MOST_GPUS = 1024
"""More GPUs than any machine has."""

MOST_RESOURCES = 1e6
"""Amount of one resource on one node. If no node has the requested amount, Ray waits, and names the
resource.
"""

MOST_GIB = 1e6
"""A petabyte: the number of bytes still fits into 64 bits."""

MOST_PARAMETERS = 10**13
"""Ten times the number of parameters of the largest networks."""

MOST_RETRIES = 10_000
"""Each retry takes at least seconds; Kubernetes counts retries in 32 bits."""

MOST_TRIALS = 100_000
"""The leaderboard, the charts and the search of a sweep read all of its trials."""

MOST_SEEDS = 1000
"""Each configuration is trained once per seed."""

MOST_PARAMETERS_SWEPT = 256
"""More parameters than an experiment has; a search becomes useless with far fewer."""

MOST_CHOICES = 10_000
"""Number of values of one parameter; a grid tries all of them."""

LARGEST_NUMBER = 1e100
"""Bound of a range. The square of this number, and the distance between two such numbers, are still
finite.
"""

LARGEST_INTEGER = 2**53
"""Bound of an integer range: searches draw floating-point numbers, which skip integers above it."""

MOST_STEPS_OF_A_RANGE = 10**9
"""Number of values of a range with a step; more values could not be distinguished with 12
digits.
"""

MOST_CHARACTERS = 1000
"""Length of a constraint or another text that is parsed."""
