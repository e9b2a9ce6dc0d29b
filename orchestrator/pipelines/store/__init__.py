"""Clean up the stage store."""
