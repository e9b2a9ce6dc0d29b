"""What a person sees in the terminal: one module for each command that shows something."""
