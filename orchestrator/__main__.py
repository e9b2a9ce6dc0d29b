"""Make `python -m orchestrator` the command `orchestrator`."""

from orchestrator.cli import main

main()
