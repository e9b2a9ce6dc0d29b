"""A method and a backbone for the continual orchestrator."""
