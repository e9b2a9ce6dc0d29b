"""Define the upper bounds of numbers in a configuration, each with its reason.

Without an upper bound, a huge number would fail far from the configuration: in a library that
allocates memory, in a timer that overflows, or in a loop that never ends. Every bound is far above
any value used in practice.
"""

from __future__ import annotations

MOST_SECONDS = 10 * 365 * 24 * 3600
"""Ten years: longer than any duration in a configuration, and far below the durations at which
dates and timers overflow.
"""

MOST_CLASSES = 1_000_000
"""Largest number of classes: a classifier has one row per class, and a million rows fill the memory
of most machines.
"""

MOST_TASKS = 1_000_000
"""Largest number of tasks: one per class, because every task has at least one class."""

MOST_IMAGES = 10**10
"""Largest number of images: more than any collection has, and small enough for 64-bit index
arithmetic.
"""

MOST_EPOCHS = 100_000
"""Largest number of epochs. With the smallest data set, an epoch takes a hundredth of a second, and
this number of epochs takes a quarter of an hour.
"""

MOST_BATCH = 2**20
"""Largest batch size: a batch of a million images exceeds the memory of any GPU."""

MOST_VIEWS = 1024
"""Largest number of augmented views of an image: each view costs a forward pass."""

MOST_STEPS = 100_000
"""Largest number of steps that optimise augmented prototypes: each step is computed for every class
and task.
"""

MOST_DIMENSIONS = 65_536
"""Largest number of dimensions of features or embeddings: a square matrix with 65,536 columns takes
16 GiB.
"""

MOST_WEIGHT = 1e9
"""Largest weight of a loss term. In 32-bit arithmetic, adding a term that is a billion times larger
rounds the other terms away.
"""

MOST_RATE = 1e12
"""Largest learning rate. At rates of 1 and more, training diverges and reports the divergence.
Above this bound, a single step overflows 32-bit numbers.
"""

MOST_WORKERS = 10_000
"""Largest number of workers: the node count of the largest known Ray clusters."""

MOST_THREADS = 1024
"""Largest number of threads: the CPU count of the largest machines. OpenMP aborts a process whose
threads cannot all be started.
"""

MOST_GPUS = 1024
"""Largest number of GPUs of one machine: more than any machine has."""

MOST_RESOURCES = 1e6
"""Largest amount of one resource on one node. If no node has the requested amount, Ray waits and
reports the missing resource.
"""

MOST_GIB = 1e6
"""Largest size in GiB: a petabyte, whose number of bytes still fits into 64 bits."""

MOST_PARAMETERS = 10**13
"""Largest number of parameters of a network: ten times as many as the largest networks have."""

MOST_RETRIES = 10_000
"""Largest number of retries: each retry takes at least some seconds, and Kubernetes counts retries
in 32 bits.
"""

MOST_TRIALS = 100_000
"""Largest number of trials of a sweep: the leaderboard, charts and search of a sweep read all
trials.
"""

MOST_SEEDS = 1000
"""Largest number of seeds: each configuration of a sweep is trained once per seed."""

MOST_PARAMETERS_SWEPT = 256
"""Largest number of parameters that a sweep varies. No experiment has so many settings, and a
search becomes useless with far fewer parameters.
"""

MOST_CHOICES = 10_000
"""Largest number of values of one parameter; a grid tries all of them."""

LARGEST_NUMBER = 1e100
"""Largest bound of a parameter's range. The square of this number, and the distance between two
such numbers, are still finite.
"""

LARGEST_INTEGER = 2**53
"""Largest bound of an integer range. Searches draw floating-point numbers, which cannot represent
every integer above this bound.
"""

MOST_STEPS_OF_A_RANGE = 10**9
"""Largest number of values of a range with a step. Values are rounded to 12 significant digits,
which could not distinguish more values.
"""

MOST_CHARACTERS = 1000
"""Largest length of a constraint or another text that is parsed."""
