"""The command line: each verb parses its arguments, calls one public function and prints the answer.

Data goes to stdout, messages go to stderr. A module that takes long to import is imported only by the verb that needs
it, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from typing import NoReturn

import click

from cachestats.cli.build import build
from cachestats.cli.check import check
from cachestats.cli.compare import compare, compare_counts, compare_specs
from cachestats.cli.coverage import coverage
from cachestats.cli.dependents import dependents
from cachestats.cli.dictionary import dictionary
from cachestats.cli.duplicates import duplicates
from cachestats.cli.export import export
from cachestats.cli.find import find
from cachestats.cli.gaps import gaps
from cachestats.cli.history import history, lifespans
from cachestats.cli.holes import holes
from cachestats.cli.host import host
from cachestats.cli.info import info
from cachestats.cli.match import causes, hit_rates, match
from cachestats.cli.output import stdout_failed, talk
from cachestats.cli.overlap import overlap, overlap_sets
from cachestats.cli.plot import plot
from cachestats.cli.rejected import rejected
from cachestats.cli.report import report
from cachestats.cli.retain import retain
from cachestats.cli.sections import Verbs
from cachestats.cli.sql import sql
from cachestats.cli.update import update
from cachestats.cli.usable import reusable, usable
from cachestats.cli.verify import verify
from cachestats.cli.versions import versions
from cachestats.cli.why import why
from cachestats.errors import ArgumentError, CachestatsError

# From `sysexits.h`. Python itself exits with 1 after an uncaught exception, but here 1 means that a check failed.
_INTERNAL_ERROR = 70
_DEBUG = "CACHESTATS_DEBUG"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cachestats", message="%(prog)s %(version)s")
def cli() -> None:
    """Ask Spack's binary build cache what it covers.

    \b
    Make a dataset first, then ask about it:
      cachestats build SOURCE --out cache
      cachestats coverage cache --rows stack --columns target --measure packages

    \b
    Exit codes:
        0  success
        1  a check failed
        2  wrong command line
       10  source missing or unreadable
       11  too much of the source rejected
       12  dataset missing, damaged, of another schema version, or not writable
       13  a snapshot would lose more than half of its specs
       14  dataset busy
       15  a Python package from an optional extra is not installed
       16  a worker process was killed; nothing was published
       70  internal error
      130  interrupted
      143  terminated
    """  # noqa: D301 (a real backspace, which tells Click not to wrap the paragraph)


def main() -> None:
    """Run the command line, and turn every error into a message and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.showwarning = _warn  # type: ignore[assignment]
    try:
        _run()
    except CachestatsError as error:
        talk(f"error: {error}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(words)
        talk(words.getvalue().rstrip())
        sys.exit(error.exit_code)
    except _Terminated:
        talk("terminated")
        sys.exit(143)
    except (click.Abort, KeyboardInterrupt):
        talk("interrupted")
        sys.exit(130)
    except UnicodeEncodeError as error:
        talk(f"error: expected text in UTF-8, found {error.object!r}\nhint: check the arguments")
        sys.exit(2)
    except BaseException as error:  # a panic inside Polars is not an Exception
        if os.environ.get(_DEBUG):
            talk(traceback.format_exc())
        talk(
            f"internal error: {type(error).__name__}: {error}\n"
            f"hint: please report it, with the traceback that {_DEBUG}=1 prints"
        )
        sys.exit(_INTERNAL_ERROR)


def _warn(message: Warning | str, *_: object) -> None:
    talk(f"warning: {message}")


class _Terminated(BaseException):
    """The process was asked to end: what is unfinished is cleaned up as after an interruption."""


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _run() -> None:
    try:
        cli(prog_name="cachestats", standalone_mode=False)
    except SystemExit:
        return  # Click exits so when the reader of its help closed the pipe
    except FileNotFoundError as error:
        if error.filename is not None:
            raise
        _raise_nowhere(error)
    except OSError as error:
        # What Click prints itself, such as help, does not go through `write`; an error of stdout names no file.
        if error.filename is not None:
            raise
        stdout_failed(error)


def _raise_nowhere(error: FileNotFoundError) -> NoReturn:
    """Raise if there is no current folder, or none for temporary files; Python's own errors name neither."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ArgumentError("expected a current folder, found that it was removed", hint="change to another") from None
    raise ArgumentError(f"expected a folder for temporary files: {error.strerror}", hint="set TMPDIR") from error


cli.add_section("Make a dataset", build, update)
cli.add_section(
    "Ask",
    info,
    find,
    coverage,
    usable,
    reusable,
    host,
    match,
    causes,
    hit_rates,
    gaps,
    versions,
    compare,
    compare_counts,
    compare_specs,
    check,
    history,
    lifespans,
    overlap,
    overlap_sets,
    duplicates,
    holes,
    retain,
    dependents,
    why,
    rejected,
    verify,
    dictionary,
    sql,
)
cli.add_section("Draw", plot, report)
cli.add_section("Export", export)
