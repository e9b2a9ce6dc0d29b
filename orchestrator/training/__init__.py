"""Train the modules of any method: the epoch loop, random streams, and the context of a learner."""
