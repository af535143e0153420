"""The command line: each verb reads its arguments, calls one public function and prints.

Data goes to stdout, talk to stderr. Modules that take long to import are imported by the verb that needs them.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cachestats.errors import ArgumentError, CachestatsError, DatasetError
from cachestats.naming import ROOT_STACK, counted
from cachestats.schema import SPECS, TABLES

if TYPE_CHECKING:
    import polars as pl

    from cachestats.workers import Progress

T = TypeVar("T")

FORMATS = ("table", "csv", "json", "markdown", "parquet")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cachestats", message="%(prog)s %(version)s")
def cli() -> None:
    """Ask Spack's binary build cache what it covers.

    \b
    First make a dataset, then ask it:
      cachestats build SOURCE --out cache
      cachestats coverage cache --rows stack --columns target --measure packages

    \b
    Exit codes: 0 done, 2 usage, 10 source unreadable, 11 too much rejected,
    12 dataset missing, of another schema or not writable, 13 refused to shrink,
    14 dataset busy.
    """  # noqa: D301 (a real backspace, by which Click knows a paragraph not to be wrapped)


def main() -> None:
    """Run the command line; what cachestats raises on purpose becomes a message and an exit code."""
    try:
        cli(prog_name="cachestats", standalone_mode=False)
    except CachestatsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)


class _Share(click.ParamType[float]):
    """A share such as `1%` or `0.01`."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"expected a share such as 1% or 0.01, found {text!r}", param, ctx)
        return share


class _Where(click.ParamType[tuple[str, str]]):
    """A filter such as `target=x86_64_v3`."""

    name = "column=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        column, equals, wanted = str(value).partition("=")
        columns = [column.name for column in SPECS.columns if column.dtype == "string" and column.name != "variants"]
        if not equals or column not in columns or not wanted.isprintable():
            near = get_close_matches(column, columns, 1)
            advice = f"; try {near[0]}={wanted or 'VALUE'}" if near else ""
            self.fail(f"expected COLUMN=VALUE with one of {', '.join(columns)}, found {value!r}{advice}", param, ctx)
        return column, wanted


def _dataset_argument(function: Callable[..., None]) -> Callable[..., None]:
    @click.argument("dataset", type=click.Path(path_type=Path))
    @wraps(function)
    def opened(*, dataset: Path, **options: Any) -> None:
        import pyarrow as pa
        from narwhals.exceptions import NarwhalsError
        from polars.exceptions import PolarsError

        from cachestats.dataset import open_dataset

        try:
            function(dataset=open_dataset(dataset), **options)
        except (PolarsError, NarwhalsError, pa.ArrowException) as error:
            raise DatasetError(
                f"expected whole Parquet files in {dataset}, found one that cannot be read: {error}",
                hint="build the dataset again",
            ) from error

    return opened


def _output_options(function: Callable[..., None]) -> Callable[..., None]:
    @click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        help="How to write it.  [default: by the ending of --out, else table]",
    )
    @click.option(
        "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
    )
    @wraps(function)
    def chosen(*, form: str | None, out: Path | None, **options: Any) -> None:
        by_ending = {f".{name}": name for name in FORMATS} | {".md": "markdown"}
        function(form=form or by_ending.get(out.suffix if out else "", "table"), out=out, **options)

    return chosen


def _source_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--wait",
            type=click.FloatRange(0),
            default=600,
            show_default=True,
            help="Seconds to wait for another process that is writing the dataset.",
        ),
        click.option("--threads", type=click.IntRange(1), help="Worker threads.  [default: one for each CPU]"),
        click.option(
            "--retries",
            type=click.IntRange(0),
            default=5,
            show_default=True,
            help="How often to try again when a server is busy or a connection breaks.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=60,
            show_default=True,
            help="Seconds to wait for a server to answer, or to go on.",
        ),
        click.option("--signed", is_flag=True, help="Sign requests to S3 with your AWS credentials."),
        click.option(
            "--allow-host",
            "allow_hosts",
            multiple=True,
            metavar="HOST",
            help="Host that a server may redirect to, or a catalogue lead to, beside its own; may be repeated.",
        ),
        click.option(
            "--max-rejected",
            type=_Share(),
            default="1%",
            show_default=True,
            help="Share of the pages and indices, and of the specs, that may be rejected.",
        ),
        click.option(
            "--allow-shrink", is_flag=True, help="Publish even if a snapshot loses more than half of its specs."
        ),
        click.option(
            "--sizes", is_flag=True, help="Read the sizes of binaries too, from layout 3: a small file for each spec."
        ),
        click.option(
            "--stack",
            "stacks",
            multiple=True,
            metavar="NAME",
            help="Take this stack only; may be repeated. Names the specs of an installation, or of a lone index.",
        ),
        click.option(
            "--snapshot",
            "snapshots",
            multiple=True,
            metavar="NAME",
            help="Take this snapshot only; may be repeated. Names that of an installation, or of a lone index.",
        ),
    ):
        function = option(function)
    return function


def _coverage_options(function: Callable[..., None]) -> Callable[..., None]:
    # The choices stand in analysis.coverage, which imports Polars: too slow for `--help` and `build`.
    axes = "snapshot, package, version, platform, os, target, compiler, compiler_name, stack"
    for option in (
        click.option("--root", is_flag=True, help="Keep `root`, the union of the stacks, on stack axes."),
        click.option(
            "--where",
            type=_Where(),
            multiple=True,
            metavar="COLUMN=VALUE",
            help="Only these specs. Repeat it for more: values of one column are alternatives, columns must all hold.",
        ),
        click.option(
            "--snapshot",
            multiple=True,
            metavar="NAME|all",
            help="Snapshot to look at; may be repeated.  [default: develop if there, else the newest; all where "
            "snapshots are an axis]",
        ),
        click.option(
            "--of",
            type=click.Choice(("row", "column", "all")),
            help="What 100% is for a share: the packages of its row, of its column, or all.  [default: row]",
        ),
        click.option(
            "--measure",
            type=click.Choice(("specs", "packages", "share")),
            default="specs",
            show_default=True,
            help="What to count: distinct specs, distinct packages, or the share of packages.",
        ),
        click.option("--columns", required=True, metavar="AXIS", help="What the columns are: another of these."),
        click.option("--rows", required=True, metavar="AXIS", help=f"What the rows are: one of {axes}."),
    ):
        function = option(function)
    return function


@cli.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the dataset.")
@_source_options
def build(sources: tuple[str, ...], out: Path, **options: Any) -> None:
    """Read pages of the cache site, or indices of build caches, into a Parquet dataset.

    SOURCE is a path, or an address that begins with https://, http:// or s3://, of

    \b
    - a checkout of the cache site: its root, its _cache folder, one snapshot's
      folder, one page; or an archive of one (.tar, .tar.gz, .tar.zst, .zip)
    - a build-cache mirror of layout 1, 2 or 3, or a folder of mirrors, each
      snapshot's with those of its stacks inside: SNAPSHOT/STACK/...
    - a catalogue of mirrors, cache_spack_io_index.json
    - one index.json, or the database of an installation (.spack-db/index.json)

    A snapshot that the sources hold anything of replaces that of the dataset whole; the dataset's other snapshots stay.
    """  # noqa: D301 (as above)
    from cachestats.build import build_dataset

    _log()
    with _progress_bar() as (progress, on_bytes):
        dataset = build_dataset(*sources, out=out, progress=progress, **_with_network(options, on_bytes))
    counts, snapshots = dataset.manifest["tables"], dataset.manifest["snapshots"]
    specs = sum(snapshot["num_specs"] for snapshot in snapshots.values())
    _talk(
        f"{out}: {counted(len(snapshots), 'snapshot')}, {counted(specs, 'spec')} in {counted(counts['specs'], 'row')}, "
        f"{counted(counts['rejected'], 'rejected row')}"
    )
    if counts["rejected"]:
        _talk(f"see them with: cachestats rejected {out}")


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--prune", is_flag=True, help="Drop what is gone from the sources.")
@click.option(
    "--recheck",
    is_flag=True,
    help="Trust neither dates nor tags, nor that weekly snapshots and releases never change: read everything again.",
)
@_source_options
@_output_options
def update(dataset: Path, sources: tuple[str, ...], form: str, out: Path | None, **options: Any) -> None:
    """Bring a dataset up to date with its sources, reading only what changed.

    The sources are those that the dataset was built from, with the options they were given with, or the SOURCE named
    here. The answer is a row for each snapshot in which something came, changed or went. What is gone from a source is
    kept, unless --prune is given.
    """
    from cachestats.update import update_dataset

    _log()
    with _progress_bar() as (progress, on_bytes):
        changes = update_dataset(dataset, *sources, progress=progress, **_with_network(options, on_bytes))
    if not changes.is_empty() or form != "table":
        _emit(changes, form, out)
    if changes.is_empty():
        _talk(f"{dataset}: up to date")
        return
    files = ", ".join(f"{changes[f'files_{what}'].sum():,} {what}" for what in ("came", "changed", "gone"))
    specs = f"{changes['specs_added'].sum():,} specs added, {changes['specs_removed'].sum():,} removed"
    _talk(f"{dataset}: {counted(changes.height, 'snapshot')}; files: {files}; {specs}")
    if (changes["change"] == "kept").any():
        _talk("kept: gone from the source, and still in the dataset; --prune drops it")


@cli.command()
@_dataset_argument
@_output_options
def info(dataset: Any, form: str, out: Path | None) -> None:
    """Show what a dataset holds: its snapshots, their counts, and where they were read from."""
    import polars as pl

    from cachestats.naming import snapshot_order

    frame = dataset.snapshots.collect()
    order = sorted(range(frame.height), key=lambda row: snapshot_order(frame["snapshot"][row]))
    shown = ("snapshot", "num_specs", "num_packages", "num_stacks", "num_rejected", "num_pages", "generation")
    _emit(frame[order].select(shown) if form == "table" else frame[order], form, out)
    for name, source in dataset.manifest["sources"].items():
        files = counted(source["files"], "file")
        _talk(f"read from {name} ({source['kind']}): {files}, {source['passed_over']:,} others passed over")
    total = frame.select(pl.col("num_specs").sum()).item()
    version = dataset.manifest["schema_version"]
    _talk(f"{counted(frame.height, 'snapshot')}, {counted(total, 'spec')}; schema version {version}")


@cli.command()
@_dataset_argument
@_coverage_options
@_output_options
def coverage(dataset: Any, form: str, out: Path | None, **question: Any) -> None:
    """Count what is covered, for any two of the axes.

    As a table or as Markdown the answer is a matrix; as csv, json or parquet it is the tidy table with the columns
    ROWS, COLUMNS and value, cells that are zero left out.
    """
    from cachestats.analysis.coverage import coverage as count
    from cachestats.analysis.coverage import coverage_matrix

    asked = _Question(dataset, **question)
    as_matrix = form in {"table", "markdown"}
    answer = (coverage_matrix if as_matrix else count)(asked.specs, **asked.axes)
    _emit(answer, form, out, percent=asked.axes["measure"] == "share")
    if answer.is_empty():
        _talk(f"no specs in {asked.words}")
        for hint in asked.hints():
            _talk(f"hint: {hint}")
        return
    rows, columns = counted(answer.height, "row"), counted(answer.width - 1, "column")
    matrix = f"{rows} ({asked.axes['rows']}) by {columns} ({asked.axes['columns']})"
    size = matrix if as_matrix else counted(answer.height, "cell")
    _talk(f"{asked.axes['measure']} of {asked.words}: {size}")


@cli.group()
def plot() -> None:
    """Draw a chart into a .png, .svg or .pdf file."""


@plot.command("coverage")
@_dataset_argument
@_coverage_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def plot_coverage(dataset: Any, out: Path, **question: Any) -> None:
    """Draw coverage as a heatmap."""
    import matplotlib

    from cachestats.analysis.coverage import coverage_matrix
    from cachestats.plots.coverage import plot_coverage as draw
    from cachestats.plots.saving import save_plot

    matplotlib.use("agg")
    asked = _Question(dataset, **question)
    matrix = coverage_matrix(asked.specs, **asked.axes)
    if matrix.is_empty():
        raise ArgumentError(
            f"expected something to draw, found no specs in {asked.words}",
            hint="; ".join(asked.hints()) or "ask for another snapshot",
        )
    matrix.only = asked.filters or None
    save_plot(draw(matrix), out)
    _talk(f"wrote {out}")


@cli.command()
@_dataset_argument
@click.option("--table", type=click.Choice(tuple(TABLES)), help="Table to write, into the file --out.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A .parquet or .csv file to write.")
@click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write pages to: a new one, or that of an earlier export, which is brought up to date.",
)
def export(dataset: Any, table: str | None, out: Path | None, site: Path | None) -> None:
    """Write one table into one file for BI tools, or everything as pages of the site.

    Give either --table and --out, or --site.
    """
    if site and not (table or out):
        from cachestats.site import export_site

        pages = export_site(dataset, site)
        _talk(f"wrote {counted(pages, 'page')} to {site}")
    elif table and out and not site:
        from cachestats.dataset import export_table

        rows = export_table(dataset, table, out)
        _talk(f"wrote {counted(rows, 'row')} of {table} to {out}")
    else:
        given = [name for name, value in (("--table", table), ("--out", out), ("--site", site)) if value]
        raise ArgumentError(
            f"expected either --table and --out, or --site, found {' and '.join(given) or 'none of them'}",
            hint="a table goes into the file --out, pages go into the folder --site",
        )


@cli.command()
@_dataset_argument
@click.option("--severity", type=click.Choice(("error", "warning")), help="Only these.")
@click.option("--rule", help="Only those that broke this rule.")
@_output_options
def rejected(dataset: Any, severity: str | None, rule: str | None, form: str, out: Path | None) -> None:
    """Show what could not be read, or was read with a warning, and what to try."""
    import polars as pl

    everything = dataset.rejected.collect()
    frame = everything
    for column, wanted in (("severity", severity), ("rule", rule)):
        if wanted is not None:
            frame = frame.filter(pl.col(column) == wanted)
    shown = ("severity", "rule", "origin", "place", "message", "hint")
    _emit(frame.select(shown) if form == "table" else frame, form, out)
    by_rule = frame.group_by("severity", "rule").len().sort("len", "rule", descending=[True, False])
    summary = ", ".join(f"{count:,} {kind} {name}" for kind, name, count in by_rule.iter_rows())
    lost = f"{counted(frame['num_specs'].sum(), 'spec')} left out"
    if unknown := frame["num_specs"].null_count():
        lost += f", and those of {counted(unknown, 'page')}, how many nobody can tell"
    total = counted(everything.height, "row")
    _talk(f"{frame.height:,} of {total}, {lost}{': ' if summary else ''}{summary}")


@cli.command()
@_output_options
def dictionary(form: str, out: Path | None) -> None:
    """Show what every column of every table means."""
    from cachestats.schema import data_dictionary, dictionary_markdown

    if form == "markdown":
        _write(dictionary_markdown().encode(), out)
    else:
        _emit(data_dictionary(), form, out)


class _Question:
    """What `coverage` and `plot coverage` were asked: the specs, the arguments of the function, and words for them."""

    def __init__(
        self,
        dataset: Any,
        *,
        snapshot: tuple[str, ...],
        where: tuple[tuple[str, str], ...],
        measure: str,
        of: str | None,
        root: bool,
        **axes: str,
    ) -> None:
        if of and measure != "share":
            raise ArgumentError(f"expected --of with --measure share, found it with {measure}", hint="leave out --of")
        self.wanted: dict[str, list[str]] = {}
        for column, value in where:
            self.wanted.setdefault(column, []).append(value)
        snapshots = [*snapshot, *self.wanted.pop("snapshot", ())]
        self.chosen = _chosen_snapshots(dataset, snapshots, everything="snapshot" in axes.values())
        self.in_snapshots = _matching(dataset.specs, "snapshot", self.chosen)
        self.specs = self.in_snapshots
        for column, values in self.wanted.items():
            self.specs = _matching(self.specs, column, values)
        # Whoever asks for root by name means it.
        root = root or ROOT_STACK in self.wanted.get("stack", ())
        self.axes: dict[str, Any] = axes | {"measure": measure, "of": of or "row", "root": root}
        self.filters = ", ".join(f"{column}={' or '.join(values)}" for column, values in self.wanted.items())
        names = " and ".join(self.chosen) if len(self.chosen) < 4 else counted(len(self.chosen), "snapshot")
        self.words = f"{names}{', ' * bool(self.filters)}{self.filters}"

    def hints(self) -> list[str]:
        """Return, for each filter that nothing passes, what there is instead."""
        hints = []
        for column, values in self.wanted.items():
            if _matching(self.in_snapshots, column, values).select(column).head(1).collect().is_empty():
                there = sorted(self.in_snapshots.select(column).unique().collect()[column].drop_nulls())
                near = [name for value in values for name in get_close_matches(value, there, 3, 0.5)] or there[:3]
                hints.append(f"no {column} is {' or '.join(values)}; there is {', '.join(near)}")
        return hints


def _chosen_snapshots(dataset: Any, asked: list[str], *, everything: bool) -> list[str]:
    """Return the snapshots that are asked about, oldest first; by default `develop` if there, else the newest."""
    from cachestats.naming import snapshot_order

    names = sorted(dataset.manifest["snapshots"], key=snapshot_order)
    if "all" in asked or (everything and not asked):
        return names
    for name in asked:
        if name not in names:
            near = get_close_matches(name, names, 3) or names[-3:]
            raise ArgumentError(
                f"expected one of the {counted(len(names), 'snapshot')} of {dataset.path}, found {name!r}",
                hint=f"try {', '.join([*near, 'all'])}",
            )
    return [name for name in names if name in asked] if asked else names[-1:]


def _matching(specs: pl.LazyFrame, column: str, values: list[str]) -> pl.LazyFrame:
    """Return the specs that have one of the values; `none` is where there is no compiler or stack."""
    import polars as pl

    matches = pl.col(column).is_in(values)
    return specs.filter(matches | pl.col(column).is_null() if "none" in values else matches)


def _talk(words: str) -> None:
    click.echo(words, err=True)


def _emit(frame: pl.DataFrame, form: str, out: Path | None, *, percent: bool = False) -> None:
    """Write a frame to a file or to stdout."""
    if form == "table":
        _write(
            _table(
                frame, percent=percent, to_terminal=out is None and sys.stdout is not None and sys.stdout.isatty()
            ).encode(),
            out,
        )
    elif form == "markdown":
        import polars as pl

        shown = pl.DataFrame(
            {
                name: [_cell(value, percent=percent and dtype.is_numeric()) for value in frame[name].to_list()]
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
            _write(f"{shown}\n".encode(), out)
    elif form == "csv":
        _write(frame.write_csv().encode(), out)
    elif form == "json":
        _write(f"{frame.write_json()}\n".encode(), out)
    else:
        if out is None and sys.stdout is not None and sys.stdout.isatty():
            raise ArgumentError("expected a file for parquet, found a terminal", hint="add --out FILE.parquet")
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        _write(buffer.getvalue(), out)


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        if sys.stdout is None:
            raise DatasetError("expected somewhere to write to, found stdout closed", hint="use --out")
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            # Python would complain once more when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(error, BrokenPipeError):  # else whoever read our output has seen enough
                raise DatasetError(f"cannot write to stdout: {error.strerror}", hint="use --out") from error
        return
    from cachestats.errors import reported

    with reported(out):
        out.write_bytes(data)


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
        cells = [Text(_cell(value, percent=percent and is_number)) for value in frame[name].to_list()]
        needed += 3 + max(cell.cell_len for cell in (Text(name), *cells))
        # Text can be folded; a number that is folded is a wrong number.
        if is_number and needed > width:
            _talk(
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


def _log() -> None:
    """On a terminal only warnings, since there is a progress bar; elsewhere lines that a log can keep."""
    level = logging.WARNING if sys.stderr.isatty() else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)


def _with_network(options: dict[str, Any], on_bytes: Callable[[int], None] | None) -> dict[str, Any]:
    """Return options with those that tell how to deal with servers in one."""
    from cachestats.sources.storage import Network

    names = ("timeout", "retries", "allow_hosts", "signed")
    network = Network(**{name: options.pop(name) for name in names}, on_bytes=on_bytes)
    return options | {"network": network}


@contextmanager
def _progress_bar() -> Iterator[tuple[Progress | None, Callable[[int], None] | None]]:
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
