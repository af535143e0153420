"""The errors that cachestats raises on purpose.

Each kind has the exit code with which the command line ends, so that a scheduled job knows why it failed without
reading its log. The message says what was expected and what was found; `hint` suggests a remedy.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_SHOWN, _SHOWN_BEFORE = 100, 60  # characters of an expression in a message, and those of them before its fault


class CachestatsError(Exception):
    """The base class of all errors that cachestats raises on purpose.

    Parameters
    ----------
    message
        What was expected, and what was found.
    hint
        A remedy to try, if there is one.

    Attributes
    ----------
    message, hint : str
        As given; `hint` may be None. `str(error)` has both.
    exit_code : int
        The exit code with which the command line ends; each kind of error has its own.

    Examples
    --------
    >>> import cachestats as cs
    >>> try:
    ...     cs.open_dataset("no/such/folder")
    ... except cs.CachestatsError as error:
    ...     print(error.exit_code, error.message)
    12 expected a dataset, found nothing at no/such/folder
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class CheckError(CachestatsError):
    """A check found less than expected."""


class ArgumentError(CachestatsError, ValueError):
    """A call names an axis, snapshot, column, ... that does not exist, or combines options that exclude each other."""

    exit_code = 2


class ExpressionError(ArgumentError):
    """A spec expression that Spack would not accept, or that asks for something that the data do not tell.

    `position` is the place of the fault in the expression: the number of characters before it.
    """

    def __init__(self, message: str, *, text: str, position: int, hint: str | None = None) -> None:
        start = max(0, position - _SHOWN_BEFORE)
        shown = "".join(char if char.isprintable() else "\ufffd" for char in text[start : start + _SHOWN])
        super().__init__(
            f"{message} at character {position + 1:,}:\n  {shown}\n  {' ' * (position - start)}^", hint=hint
        )
        self.position = position


class SourceError(CachestatsError):
    """A source does not exist, cannot be read, or contains no pages or indices."""

    exit_code = 10


class RejectedError(CachestatsError):
    """More of the source was rejected than `max_rejected` allows; nothing was published."""

    exit_code = 11


class DatasetError(CachestatsError):
    """A dataset is missing, damaged, of another schema version, or cannot be written."""

    exit_code = 12


class DamagedError(DatasetError):
    """A file of a dataset is missing, or is not as it was written."""


class ShrinkError(CachestatsError):
    """A snapshot would lose more than half of its specs; nothing was published."""

    exit_code = 13


class BusyError(CachestatsError):
    """Another process is writing the dataset and did not finish in time."""

    exit_code = 14


class RebuiltError(BusyError):
    """A dataset was built again while it was read; opened again, it answers."""


class WorkerError(CachestatsError):
    """A worker process was killed; nothing was published."""

    exit_code = 16


class MissingExtraError(CachestatsError):
    """A package that only some uses of cachestats need is not installed."""

    exit_code = 15


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of the file system into a DatasetError that names the location."""
    try:
        yield
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        hints = {errno.ENOENT: "make the folder first", errno.ENOTDIR: "give a folder, not a file"}
        raise DatasetError(
            f"cannot write to {path}: {problem}",
            hint=hints.get(error.errno or 0, "check free space and permissions there"),
        ) from error


def require_extra(extra: str, *packages: str, purpose: str) -> None:
    """Check that the packages of an extra are installed.

    Raises
    ------
    MissingExtraError
        If one of them is not.

    Examples
    --------
    >>> from cachestats.errors import require_extra
    >>> require_extra("report", "no_such_package", purpose="a report")
    Traceback (most recent call last):
        ...
    cachestats.errors.MissingExtraError: expected no_such_package for a report, found it not installed
    hint: pip install 'cachestats[report]'
    """
    missing = [name for name in packages if sys.modules.get(name, name) is None or find_spec(name) is None]
    if missing:
        it = "it" if len(missing) == 1 else "them"
        raise MissingExtraError(
            f"expected {' and '.join(missing)} for {purpose}, found {it} not installed",
            hint=f"pip install 'cachestats[{extra}]'",
        )
