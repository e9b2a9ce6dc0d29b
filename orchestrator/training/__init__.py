"""The one epoch loop, the random streams, and what a learner is handed."""
