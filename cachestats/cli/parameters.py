"""Arguments and options that verbs share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.errors import ArgumentError, CachestatsError
from cachestats.naming import nearest
from cachestats.schema import SPECS

if TYPE_CHECKING:
    from cachestats.dataset import Dataset

FORMATS = ("table", "csv", "json", "markdown", "parquet")
_ENDINGS = {".txt": "table", ".csv": "csv", ".json": "json", ".md": "markdown", ".parquet": "parquet"}


class Share(click.ParamType[float]):
    """A share such as `1%` or `0.01`."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share from 0 to 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"expected a share such as 1% or 0.01, found {text!r}", param, ctx)
        return share


class Where(click.ParamType[tuple[str, str]]):
    """A filter such as `target=x86_64_v3`."""

    name = "column=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return column and value."""
        column, equals, wanted = str(value).partition("=")
        columns = [column.name for column in SPECS.columns if column.dtype == "string" and column.name != "variants"]
        if not equals or column not in columns:
            near = nearest([column], columns, 1)
            advice = f"; try {near[0]}={wanted or 'VALUE'}" if near else ""
            self.fail(f"expected COLUMN=VALUE with one of {', '.join(columns)}, found {value!r}{advice}", param, ctx)
        return column, NAME.convert(wanted, param, ctx)


class Name(click.ParamType[str]):
    """A name that may stand in the data: text that can be read, and not nothing."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        text = str(value)
        if not text or not text.isprintable():
            self.fail(f"expected a name, found {text!r}", param, ctx)
        return text


NAME = Name()


class Opened(click.ParamType["Dataset"]):
    """The folder of a dataset, which is opened."""

    name = "dataset"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Dataset:
        """Return the dataset."""
        from cachestats.dataset import open_dataset

        return open_dataset(str(value))


def dataset_argument(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the argument DATASET, opened."""

    @click.argument("dataset", type=Opened())
    @wraps(function)
    def checked(**options: Any) -> None:
        from cachestats.dataset import Dataset

        try:
            function(**options)
        except CachestatsError:
            raise
        except Exception:
            # Most likely a file is damaged. Otherwise it is a fault of the verb, which nobody foresaw.
            from cachestats.parquet import check_files

            for value in options.values():
                if isinstance(value, Dataset):
                    check_files(value)
            raise

    return checked


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb `--format` and `--out`."""

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
        if out is None:
            form = form or "table"
        elif not out.name:
            raise ArgumentError(f"expected the name of a file as --out, found {str(out)!r}", hint="leave out --out")
        elif form is None:
            form = _ENDINGS.get(out.suffix.lower())
            if form is None:
                raise ArgumentError(
                    f"expected a file that ends in {', '.join(_ENDINGS)}, found {out.name!r}",
                    hint=f"say what to write with --format, one of {', '.join(FORMATS)}",
                )
        function(form=form, out=out, **options)

    return chosen


where_option = click.option(
    "--where",
    type=Where(),
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only these specs. Repeat it for more: values of one column are alternatives, columns must all hold.",
)
_EVERYTHING = "none"


def snapshots_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb `--snapshot`, which may be repeated."""
    return click.option(
        "--snapshot",
        type=NAME,
        multiple=True,
        metavar="NAME|all",
        help=f"Snapshot to look at; may be repeated.  [default: {default}]",
    )


_NEWEST = "develop if there, else the newest"
snapshot_option = snapshots_option(_NEWEST)


def question_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say which specs it is asked about."""
    return where_option(snapshots_option(f"{_NEWEST}; all where snapshots are an axis")(function))


def by_option(choices: str, *, default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb `--by`: what to tell apart, or None for nothing."""
    return click.option(
        "--by",
        default=default,
        show_default=True,
        metavar=f"AXIS|{_EVERYTHING}",
        callback=lambda ctx, param, value: None if value == _EVERYTHING else value,
        help=f"Tell apart one of {choices}; with {_EVERYTHING} look at the whole.",
    )


root_option = click.option(
    "--root", is_flag=True, help="Keep `root`, the union of the stacks, where stacks are told apart."
)


def source_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how sources are read."""
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
            type=Share(),
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
