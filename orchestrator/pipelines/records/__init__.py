"""Report on tracked runs and put their records in order."""
