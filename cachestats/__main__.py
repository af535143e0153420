"""Make `python -m cachestats` the same as `cachestats`."""

from cachestats.cli import main

main()
