"""What verbs print: frames to stdout or a file, words and progress to stderr."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from cachestats.errors import ArgumentError, DatasetError

if TYPE_CHECKING:
    import polars as pl

    from cachestats.workers import Progress

T = TypeVar("T")


def talk(words: str) -> None:
    """Say something to stderr; where nobody can hear it, the answer and the exit code still count."""
    try:
        click.echo(words, err=True)
    except OSError:
        _give_up(sys.stderr)


def emit(frame: pl.DataFrame, form: str, out: Path | None, *, percent: bool = False) -> None:
    """Write a frame to a file or to stdout; with `percent` its floats are shares."""
    import polars as pl

    if form == "table":
        write(
            _table(
                frame, percent=percent, to_terminal=out is None and sys.stdout is not None and sys.stdout.isatty()
            ).encode(),
            out,
        )
    elif form == "markdown":
        shown = pl.DataFrame(
            {
                name: [_cell(value, percent=percent and dtype.is_float()) for value in frame[name].to_list()]
                for name, dtype in frame.schema.items()
            },
            schema=dict.fromkeys(frame.columns, pl.String),
        )
        with pl.Config(
            tbl_formatting="MARKDOWN",
            tbl_hide_column_data_types=True,
            tbl_hide_dataframe_shape=True,
            tbl_rows=-1,
            tbl_cols=-1,
            tbl_width_chars=-1,
            fmt_str_lengths=10_000,
        ):
            write(f"{shown}\n".encode(), out)
    elif form == "csv":
        if nested := [
            name for name, dtype in frame.schema.items() if dtype.is_nested() or dtype.base_type() is pl.Binary
        ]:
            raise ArgumentError(
                f"expected columns of text and numbers for csv, found a list in each cell of {', '.join(nested)}",
                hint="use --format json or parquet",
            )
        write(frame.write_csv().encode(), out)
    elif form == "json":
        write(f"{frame.write_json()}\n".encode(), out)
    else:
        if out is None and sys.stdout is not None and sys.stdout.isatty():
            raise ArgumentError("expected a file for parquet, found a terminal", hint="add --out FILE.parquet")
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        write(buffer.getvalue(), out)


def write(data: bytes, out: Path | None) -> None:
    """Write bytes to a file or to stdout."""
    if out is None:
        if sys.stdout is None:
            raise DatasetError("expected somewhere to write to, found stdout closed", hint="use --out")
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            stdout_failed(error)
        return
    from cachestats.errors import reported

    with reported(out):
        out.write_bytes(data)


def stdout_failed(error: OSError) -> None:
    """Raise if stdout cannot be written to, but not if whoever read it has seen enough."""
    _give_up(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        raise DatasetError(f"cannot write to stdout: {error.strerror}", hint="use --out") from error


def _give_up(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: Python would complain once more when it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _table(frame: pl.DataFrame, *, percent: bool, to_terminal: bool) -> str:
    """Return a frame as a table that fits the terminal; in a file or a pipe it is as wide as it has to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    text = io.StringIO()
    width = shutil.get_terminal_size().columns if to_terminal else 100_000
    console = Console(file=text, width=width, force_terminal=to_terminal, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns: list[list[Text]] = []
    needed = 0
    for name, dtype in frame.schema.items():
        is_number = dtype.is_numeric()
        cells = [Text(_cell(value, percent=percent and dtype.is_float())) for value in frame[name].to_list()]
        needed += 3 + max(cell.cell_len for cell in (Text(name), *cells))
        # Text can be folded; a number that is folded is a wrong number.
        if is_number and needed > width:
            talk(
                f"{frame.width - len(columns)} more columns do not fit the terminal: "
                "make it wider, or use --format or --out",
            )
            break
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
        columns.append(cells)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _cell(value: object, *, percent: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if percent:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def log() -> None:
    """On a terminal only warnings, since there is a progress bar; elsewhere lines that a log can keep."""
    level = logging.WARNING if sys.stderr.isatty() else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)


def with_network(options: dict[str, Any], on_bytes: Callable[[int], None] | None) -> dict[str, Any]:
    """Return options with those that tell how to deal with servers in one."""
    from cachestats.sources.storage import Network

    names = ("timeout", "retries", "allow_hosts", "signed")
    network = Network(**{name: options.pop(name) for name in names}, on_bytes=on_bytes)
    return options | {"network": network}


@contextmanager
def progress_bar() -> Iterator[tuple[Progress | None, Callable[[int], None] | None]]:
    """Give a progress bar on a terminal, with what is worked off and the bytes that came; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None, None
        return
    from rich import filesize, progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[received]}"),
        progress.TimeElapsedColumn(),
    )
    total = 0

    def track(iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
        return bar.track(iterable, task_id=bar.add_task(f"{desc} ({unit})", total=total, received=""))

    def received(size: int) -> None:
        nonlocal total
        total += size
        if bar.tasks:
            bar.update(bar.tasks[0].id, received=filesize.decimal(total))

    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield track, received
