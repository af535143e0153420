"""The command line, run in this process: a process of its own takes half a second to import what each verb needs."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cachestats.cli import main


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    """Run the command line, which must end with this exit code, and return what it wrote."""
    command = ["cachestats", *map(str, arguments)]
    root = logging.getLogger()
    level = root.level
    with CliRunner().isolation() as (stdout, stderr, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.setattr(root, "handlers", [])  # the command line logs to stderr only where nobody else has set up logging
        try:
            main()
        except SystemExit as end:
            found = end.code or 0
        else:
            found = 0
        finally:
            root.setLevel(level)
        done = subprocess.CompletedProcess(command, found, stdout.getvalue(), stderr.getvalue())
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done
