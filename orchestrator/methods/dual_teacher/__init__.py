"""The project's method: a continually taught teacher and a student distilled from it."""
