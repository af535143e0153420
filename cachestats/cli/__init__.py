"""The command line: each verb reads its arguments, calls one public function and prints.

Data goes to stdout, talk to stderr. Modules that take long to import are imported by the verb that needs them.
"""

from __future__ import annotations

import io
import os
import sys
import traceback

import click

from cachestats.cli.build import build
from cachestats.cli.check import check
from cachestats.cli.compare import compare
from cachestats.cli.coverage import coverage
from cachestats.cli.dictionary import dictionary
from cachestats.cli.duplicates import duplicates
from cachestats.cli.export import export
from cachestats.cli.gaps import gaps
from cachestats.cli.history import history, lifespans
from cachestats.cli.holes import holes
from cachestats.cli.host import host
from cachestats.cli.info import info
from cachestats.cli.match import match
from cachestats.cli.output import stdout_failed, talk
from cachestats.cli.overlap import overlap
from cachestats.cli.plot import plot
from cachestats.cli.rejected import rejected
from cachestats.cli.report import report
from cachestats.cli.sql import sql
from cachestats.cli.update import update
from cachestats.cli.usable import usable
from cachestats.cli.versions import versions
from cachestats.errors import CachestatsError

# Of `sysexits.h`: 1, Python's own for what nobody caught, is that of a failed check.
_INTERNAL_ERROR = 70
_DEBUG = "CACHESTATS_DEBUG"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cachestats", message="%(prog)s %(version)s")
def cli() -> None:
    """Ask Spack's binary build cache what it covers.

    \b
    First make a dataset, then ask it:
      cachestats build SOURCE --out cache
      cachestats coverage cache --rows stack --columns target --measure packages

    \b
    Exit codes: 0 done, 1 check failed, 2 usage, 10 source unreadable, 11 too much rejected,
    12 dataset missing, of another schema or not writable, 13 refused to shrink,
    14 dataset busy, 70 internal error, 130 interrupted.
    """  # noqa: D301 (a real backspace, by which Click knows a paragraph not to be wrapped)


def main() -> None:
    """Run the command line; what cachestats raises on purpose becomes a message and an exit code."""
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
    except (click.Abort, KeyboardInterrupt):
        talk("interrupted")
        sys.exit(130)
    except UnicodeEncodeError as error:
        talk(f"error: expected text in UTF-8, found {error.object!r}\nhint: check the arguments")
        sys.exit(2)
    except BaseException as error:  # a panic inside Polars is no Exception
        if os.environ.get(_DEBUG):
            talk(traceback.format_exc())
        talk(f"internal error: {type(error).__name__}: {error}\nhint: please report it, with what {_DEBUG}=1 adds")
        sys.exit(_INTERNAL_ERROR)


def _run() -> None:
    try:
        cli(prog_name="cachestats", standalone_mode=False)
    except SystemExit:
        return  # thus Click says that whoever read the help has seen enough
    except OSError as error:
        # Only what Click prints by itself, such as help, is written to no file, and not by `write`.
        if error.filename is not None:
            raise
        stdout_failed(error)


for command in (
    build,
    update,
    info,
    coverage,
    host,
    usable,
    gaps,
    compare,
    history,
    lifespans,
    check,
    overlap,
    duplicates,
    holes,
    match,
    versions,
    plot,
    report,
    export,
    rejected,
    dictionary,
    sql,
):
    cli.add_command(command)
