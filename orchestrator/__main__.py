"""Run the command line when Python is started as `python -m orchestrator`."""

from orchestrator.cli import main

main()
