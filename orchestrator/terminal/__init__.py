"""Terminal output: one module for each command that shows something."""
