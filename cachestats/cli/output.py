"""What verbs print: frames to stdout or a file, messages and progress to stderr."""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TextIO, TypeVar

import click

from cachestats.atomic import replaced_file
from cachestats.cli.datasets import check_unchanged, print_later
from cachestats.errors import ArgumentError, DatasetError
from cachestats.text import counted, visible

if TYPE_CHECKING:
    import polars as pl

    from cachestats.ingest.workers import Progress

T = TypeVar("T")

_GAP, _TIGHT_GAP = 3, 2
_LEAST_TEXT = 10
_MOST_NAMED = 5
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_PARTS = re.compile("[^_-]*[_-]|[^_-]+")
_MAY_BE_NONE = frozenset({"compiler", "compiler_name", "compiler_version", "stack"})
"""Columns in which null is shown as `none`, the value to filter by: `--where compiler=none`."""


class Verbosity(Enum):
    """How much a verb says on stderr."""

    QUIET = "quiet"
    """Only errors."""
    NORMAL = "normal"
    VERBOSE = "verbose"
    """Also the log, and what the names and patterns of the question stand for."""


def verbosity() -> Verbosity:
    """Return how much the verb that runs is to say."""
    context = click.get_current_context(silent=True)
    return context.meta.get(__name__, Verbosity.NORMAL) if context else Verbosity.NORMAL


def set_verbosity(context: click.Context, wanted: Verbosity) -> None:
    """Set how much a verb says."""
    if context.meta.setdefault(__name__, wanted) != wanted:
        raise ArgumentError("expected --quiet or --verbose, found both", hint="leave out one of them")


def detail(words: str) -> None:
    """Print a message to stderr if the verb is verbose."""
    if verbosity() == Verbosity.VERBOSE:
        talk(words)


def talk(words: str) -> None:
    """Print a message to stderr. If stderr is closed, the message is lost; the answer and the exit code still count.

    A quiet verb prints none; errors are printed when it has ended. Messages have names from sources that anybody may
    have written, so what a terminal would obey is escaped.
    """
    if verbosity() == Verbosity.QUIET:
        return
    print_later(partial(_to_stderr, _lines(words)))


def _to_stderr(text: str) -> None:
    try:
        click.echo(text, err=True)
    except OSError:
        _give_up(sys.stderr)


def emit(frame: pl.DataFrame, form: str, out: Path | None, *, percent: bool = False) -> None:
    """Write a frame to a file or to stdout; with `percent`, floats are shown as percentages."""
    import polars as pl

    if form == "table":
        _emit_table(_columns(frame, percent=percent), out)
    elif form == "markdown":
        write(_markdown(frame, percent=percent).encode(), out)
    elif form in {"csv", "csv-safe"}:
        if nested := [name for name, dtype in frame.schema.items() if dtype.is_nested() or dtype == pl.Binary]:
            raise ArgumentError(
                f"expected text and numbers for {form}, found lists in {', '.join(nested)}",
                hint="use --format json or parquet",
            )
        write((frame if form == "csv" else _without_formulas(frame)).write_csv().encode(), out)
    elif form == "json":
        # JSON can express neither NaN nor infinity.
        numbers = [pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in _floats(frame)]
        write(f"{frame.with_columns(numbers).write_json()}\n".encode(), out)
    else:
        if _is_terminal(out):
            raise ArgumentError("expected a file for parquet, found a terminal", hint="add --out FILE.parquet")
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        write(buffer.getvalue(), out)


def _without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose texts and names begin with a ' if a spreadsheet would take them for formulas."""
    import polars as pl

    frame = frame.rename({name: f"'{name}" for name in frame.columns if name.startswith(_FORMULAS)})
    texts = [pl.col(name) for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        pl.when(text.str.slice(0, 1).is_in(_FORMULAS)).then("'" + text).otherwise(text).name.keep() for text in texts
    )


def emit_rows(rows: Sequence[NamedTuple], out: Path | None) -> None:
    """Write rows of text and whole numbers as a table, as `emit` does, but without Polars, which takes time to import.

    There must be a row: its values tell which columns are numbers.
    """
    fields = zip(rows[0]._fields, zip(*rows, strict=True), strict=True)
    columns = [_Column.of(name, isinstance(values[0], int), [*map(_cell, values)]) for name, values in fields]
    _emit_table(columns, out)


def _emit_table(columns: list[_Column], out: Path | None) -> None:
    table, left_out = _table(columns, width=shutil.get_terminal_size().columns if _is_terminal(out) else None)
    write(table.encode(), out)
    if left_out:
        more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
        talk(
            f"{counted(len(left_out), 'column')} {'does' if len(left_out) == 1 else 'do'} not fit the terminal: "
            f"{', '.join(left_out[:_MOST_NAMED])}{more}; make it wider, or use --format or --out"
        )


def _is_terminal(out: Path | None) -> bool:
    return out is None and sys.stdout.isatty()


def _floats(frame: pl.DataFrame) -> list[str]:
    return [name for name, dtype in frame.schema.items() if dtype.is_float()]


def _markdown(frame: pl.DataFrame, *, percent: bool) -> str:
    import polars as pl

    cells = {
        visible(name).replace("|", r"\|"): [cell.replace("|", r"\|") for cell in _cells(frame[name], percent=percent)]
        for name in frame.columns
    }
    shown = pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String))
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=-1,
        fmt_str_lengths=10_000,
    ):
        return f"{shown}\n"


def write(data: bytes, out: Path | None) -> None:
    """Write bytes to a file or to stdout."""
    if out is None:
        print_later(partial(_to_stdout, data))
        return
    check_unchanged()
    with replaced_file(out) as unfinished:
        unfinished.write_bytes(data)
    talk(f"wrote {out}")


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        stdout_failed(error)


def stdout_failed(error: OSError) -> None:
    """Raise if stdout cannot be written to, unless the reader closed it (as `head` does)."""
    _give_up(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        raise DatasetError(f"cannot write to stdout: {error.strerror}", hint="use --out") from error


def _give_up(stream: TextIO) -> None:
    """Redirect a stream to nowhere: otherwise Python fails once more when it flushes the stream at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Column(NamedTuple):
    name: str
    is_number: bool
    cells: list[str]
    widest: int
    """The length of the longest cell."""

    @classmethod
    def of(cls, name: str, is_number: bool, cells: list[str]) -> Self:
        from rich.cells import cell_len

        return cls(visible(name), is_number, cells, max(map(cell_len, cells), default=0))

    @property
    def width(self) -> int:
        """Width without wrapping."""
        return max(len(self.name), self.widest)

    @property
    def least(self) -> int:
        """Smallest possible width: text can be wrapped, but a wrapped number would be misread."""
        part = max(map(len, _PARTS.findall(self.name)), default=0)
        return max(part, self.widest if self.is_number else min(self.widest, _LEAST_TEXT))


def _table(columns: list[_Column], *, width: int | None) -> tuple[str, list[str]]:
    """Return columns as a table of at most this width, if one is given, and those that do not fit."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    gap, widths = (_GAP, [column.width for column in columns]) if width is None else _fit(columns, width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, gap - _TIGHT_GAP))
    shown = [(column, wide) for column, wide in zip(columns, widths, strict=True) if wide]
    for column, wide in shown:
        justify: Any = "right" if column.is_number else "left"
        table.add_column(Text(_broken(column.name, wide)), width=wide, justify=justify, overflow="fold")
    for row in zip(*(column.cells for column, _ in shown), strict=True):
        table.add_row(*map(Text, row))
    text = io.StringIO()
    Console(file=text, width=sum(widths) + _GAP * len(widths), color_system=None, highlight=False).print(table)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "\n".join(lines) + "\n", [column.name for column, wide in zip(columns, widths, strict=True) if not wide]


def _fit(columns: list[_Column], width: int) -> tuple[int, list[int]]:
    """Return the gap between columns, and the width of each column, 0 if it is left out.

    Text columns are left out before numbers, and columns on the right before those on the left.
    """
    natural = [column.width for column in columns]
    if sum(natural) + _GAP * (len(columns) - 1) <= width:
        return _GAP, natural
    widths = [column.least for column in columns]
    positions = range(1, len(columns))
    for position in sorted(positions, key=lambda position: (columns[position].is_number, -position)):
        if _TIGHT_GAP * (sum(map(bool, widths)) - 1) + sum(widths) > width:
            widths[position] = 0
    room = width - _TIGHT_GAP * (sum(map(bool, widths)) - 1) - sum(widths)
    # The remaining width goes to text columns first, and to the narrowest of them.
    while room > 0 and (growing := [position for position, wide in enumerate(widths) if 0 < wide < natural[position]]):
        widths[min(growing, key=lambda position: (columns[position].is_number, widths[position]))] += 1
        room -= 1
    return _TIGHT_GAP, widths


def _broken(name: str, width: int) -> str:
    """Return a name broken into lines of this width, after underscores and hyphens."""
    lines = [""]
    for part in _PARTS.findall(name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _columns(frame: pl.DataFrame, *, percent: bool) -> list[_Column]:
    return [
        _Column.of(name, dtype.is_numeric(), _cells(frame[name], percent=percent))
        for name, dtype in frame.schema.items()
    ]


def _cells(column: pl.Series, *, percent: bool) -> list[str]:
    """Return the values of a column as text for people."""
    null = "none" if column.name.removeprefix("other_") in _MAY_BE_NONE else "-"
    as_share = percent and column.dtype.is_float()
    return [null if value is None else _cell(value, percent=as_share) for value in column.to_list()]


def _cell(value: object, *, percent: bool = False) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if percent:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else visible(str(value))


def _lines(words: str) -> str:
    """Return a message, which may have several lines, with all else escaped that does not show itself."""
    return "\n".join(map(visible, words.split("\n")))


class _Formatter(logging.Formatter):
    """Formats log lines, which have names from sources that anybody may have written."""

    def format(self, record: logging.LogRecord) -> str:
        return _lines(super().format(record))


def log() -> None:
    """Log warnings only on a terminal, which has a progress bar, and progress as well elsewhere, or if verbose."""
    level = logging.WARNING if sys.stderr.isatty() else logging.INFO
    level = {Verbosity.QUIET: logging.ERROR, Verbosity.VERBOSE: logging.INFO}.get(verbosity(), level)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def with_settings(options: dict[str, Any], on_bytes: Callable[[int], None] | None) -> dict[str, Any]:
    """Return options in which those about servers are replaced by one `Network`, and limits by `InputLimits`."""
    from cachestats.sources.storage.input_limits import InputLimits
    from cachestats.sources.storage.network import Network

    names = ("timeout", "retries", "allow_hosts", "signed")
    network = Network(**{name: options.pop(name) for name in names}, on_bytes=on_bytes)
    limits = InputLimits(**{one.name: options.pop(f"max_{one.name}") for one in fields(InputLimits)})
    return options | {"network": network, "limits": limits}


@contextmanager
def progress_bar() -> Iterator[tuple[Progress | None, Callable[[int], None] | None]]:
    """Show a progress bar on a terminal, with the items done and the bytes received; elsewhere show nothing.

    Nor is there one if the verb is quiet, or if it is verbose and logs its progress.
    """
    if not sys.stderr.isatty() or verbosity() != Verbosity.NORMAL:
        yield None, None
        return
    from rich import filesize, progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[received]}"),
        progress.TimeElapsedColumn(),
    )
    total = 0

    def track(iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
        return bar.track(iterable, task_id=bar.add_task(visible(f"{desc} ({unit})"), total=total, received=""))

    def received(size: int) -> None:
        nonlocal total
        total += size
        if bar.tasks:
            bar.update(bar.tasks[0].id, received=filesize.decimal(total))

    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield track, received
