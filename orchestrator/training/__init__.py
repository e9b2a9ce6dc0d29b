"""The shared epoch loop, the random streams, and the context of a learner."""
