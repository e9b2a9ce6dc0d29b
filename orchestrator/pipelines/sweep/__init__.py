"""Run a sweep: many trials of one experiment."""
