"""The command line, run in this process."""

from __future__ import annotations

import subprocess
import sys


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "cachestats", *map(str, arguments)], capture_output=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done
