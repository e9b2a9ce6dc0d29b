"""Terminal output: one module for each kind of result that commands show."""
