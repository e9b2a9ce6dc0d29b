"""List, report and reconcile tracked runs."""
