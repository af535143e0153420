"""Arguments and options that verbs share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import click
from click.shell_completion import CompletionItem

from cachestats.axes import VARIANT
from cachestats.cli.completion import complete_filters, complete_packages, complete_snapshots, complete_words
from cachestats.cli.datasets import ask
from cachestats.cli.output import talk
from cachestats.dataset.subset import FILTER_COLUMNS
from cachestats.errors import ArgumentError
from cachestats.naming import LEAVES_OUT
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.text import alternatives, byte_size, counted, nearest

if TYPE_CHECKING:
    from cachestats.dataset.dataset import Dataset
    from cachestats.hosts import Host
    from cachestats.spack_releases import Rules

FORMATS = ("table", "csv", "csv-safe", "json", "markdown", "parquet")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})?", re.IGNORECASE)
_ENDINGS = {".txt": "table", ".csv": "csv", ".json": "json", ".md": "markdown", ".parquet": "parquet"}


class Size(click.ParamType[int]):
    """A number of bytes, such as `500GB`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip())
        if not found:
            self.fail(f"expected a number of bytes such as 500GB or 1.5TB, found {value!r}", param, ctx)
        number, unit = found.groups()
        power = [one.casefold() for one in _UNITS].index((unit or "B").casefold())
        whole, _, part = number.partition(".")
        # Not by floats: a limit of bytes is exact.
        size: int = int(whole + part) * 1000**power // 10 ** len(part)
        return size


class Share(click.ParamType[float]):
    """A share such as `1%` or `0.01`."""

    name = "share"
    wanted = "a share such as 1% or 0.01"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share from 0 to 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"expected {self.wanted}, found {text!r}", param, ctx)
        return share


class Limit(Share):
    """A whole number such as 10, or a share such as `1%` or `0.01`."""

    name = "n|share"
    wanted = "a number such as 10, or a share such as 1%"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number as an integer, or the share from 0 to 1 as a float."""
        text = str(value)
        if text.isascii() and text.isdecimal():
            return int(text)
        return super().convert(text, param, ctx)


def over(limit: float, count: int, whole: int) -> bool:
    """Whether a count is over a limit: a number, or a share of the whole."""
    return count > limit if isinstance(limit, int) else count > limit * whole


def limit_in_words(limit: float, noun: str, *, of: str) -> str:
    """Return a limit such as `2 packages`, or `5.0% of its packages`."""
    return counted(limit, noun) if isinstance(limit, int) else f"{limit:.1%} of {of}"


class Where(click.ParamType[tuple[str, str]]):
    """A filter such as `target=x86_64_v3`, `os!=rhel9` or `package=py-*`."""

    name = "column=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return column and value, which has a leading `!` if it is left out."""
        column, equals, wanted = str(value).partition("=")
        leaves_out = LEAVES_OUT if column.endswith(LEAVES_OUT) else ""
        column = column.removesuffix(LEAVES_OUT)
        if not equals or column not in FILTER_COLUMNS:
            near = nearest([column], FILTER_COLUMNS, 1)
            advice = f"; try {near[0]}{leaves_out}={wanted or 'VALUE'}" if near else ""
            columns = ", ".join(FILTER_COLUMNS)
            self.fail(f"expected COLUMN=VALUE with one of {columns}, found {value!r}{advice}", param, ctx)
        return column, leaves_out + NAME.convert(wanted, param, ctx)


class Name(click.ParamType[str]):
    """A name that the data may contain: printable text, not empty."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        text = str(value)
        if not text or not text.isprintable():
            self.fail(f"expected a name, found {text!r}", param, ctx)
        return text


NAME = Name()


class Opened(click.ParamType["Dataset"]):
    """The folder of a dataset, which is opened at once."""

    name = "dataset"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Dataset:
        """Return the dataset."""
        from cachestats.dataset.dataset import open_dataset

        return open_dataset(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return that a folder is wanted."""
        return [CompletionItem(incomplete, type="dir")]


def dataset_argument(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the argument DATASET, an open dataset."""

    @click.argument("dataset", type=Opened())
    @wraps(function)
    def asked(**options: Any) -> None:
        ask(function, options)

    return asked


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb `--format` and `--out`."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        help="Format of the answer.  [default: by the ending of --out, otherwise table]",
    )
    @click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the answer to this file instead of stdout.",
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


_WHERE = click.option(
    "--where",
    type=Where(),
    multiple=True,
    shell_complete=complete_filters,
    metavar="COLUMN=VALUE",
    help="Only specs with this value, which may be a pattern such as 'py-*', or `none`; COLUMN!=VALUE leaves specs "
    "out. May be repeated: values of the same column are alternatives, and all columns must match.",
)
spec_option = click.option(
    "--spec",
    "expressions",
    multiple=True,
    metavar="EXPR",
    shell_complete=complete_packages,
    help="Only specs that satisfy this expression, such as 'hdf5@1.14:+mpi %gcc'; 'not EXPR' leaves specs out. "
    "May be repeated: several are alternatives.",
)


def where_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the filters on specs, `--where` and `--spec`, as `where` and `expressions`."""
    return _WHERE(spec_option(function))


_NO_AXIS = "none"
_OF_EXPRESSIONS = frozenset("@+~%^=/* ")
"""Characters that no axis has, and that nearly every spec expression has."""


def snapshots_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb `--snapshot`, which may be repeated."""
    return click.option(
        "--snapshot",
        type=NAME,
        multiple=True,
        shell_complete=complete_snapshots,
        metavar="NAME",
        help="Snapshot to look at: a name, a pattern such as 'develop-2025-*', newest, previous or all; may be "
        f"repeated. With a leading `!` it is left out.  [default: {default}]",
    )


NEWEST = "develop, or the newest if there is no develop"
snapshot_option = snapshots_option(NEWEST)


def question_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that choose the specs to look at."""
    return where_option(snapshots_option(f"{NEWEST}; all if snapshots are an axis")(function))


def axis_option(name: str, axes: Sequence[str], words: str, **options: Any) -> Callable[..., Callable[..., None]]:
    """Give a verb an option that names an axis: a column, `variant:NAME`, or spec expressions if it is repeated."""

    def axis_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | list[str] | None:
        if not values or values == (_NO_AXIS,):
            return None
        is_axis = [value in axes or value.startswith(VARIANT) for value in values]
        if len(values) == 1 and (is_axis[0] or not _OF_EXPRESSIONS & {*values[0]}):
            return values[0]
        if any(is_axis):
            found = " and ".join(values)
            raise click.BadParameter(f"expected one axis, or several spec expressions, found {found}", ctx, param)
        return [*values]

    return click.option(
        name,
        multiple=True,
        metavar="AXIS|EXPR",
        callback=axis_of,
        shell_complete=complete_words(axes),
        help=f"{words}: {alternatives(axes)}, variant:NAME, or a spec expression such as 'hdf5+mpi', which "
        "may be repeated for several.",
        **options,
    )


def by_option(axes: Sequence[str], *, default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb `--by`: the axis by which to split the answer, or None for no split."""
    return click.option(
        "--by",
        default=default,
        show_default=True,
        metavar=f"AXIS|{_NO_AXIS}",
        shell_complete=complete_words((*axes, _NO_AXIS)),
        callback=lambda ctx, param, value: None if value == _NO_AXIS else value,
        help=f"Axis by which to split the answer: {alternatives(axes)}; with {_NO_AXIS} it is not split.",
    )


union_option = click.option("--union", is_flag=True, help="Include `root`, the union of the stacks, among the stacks.")


_SYSTEM_OPTIONS = (
    click.option(
        "--externals",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="The packages.yaml of the host, which declares its externals; may be repeated.",
    ),
    click.option(
        "--spack",
        metavar="VERSION|newest",
        help="Apply the rules of this version of Spack, such as 0.21.  [default: the one that wrote each snapshot]",
    ),
    click.option(
        "--platform", type=NAME, metavar="NAME", help="Platform of the host.  [default: that of --os, otherwise linux]"
    ),
    click.option(
        "--libc",
        type=NAME,
        metavar="NAME@VERSION",
        help="Libc of the host, such as glibc@2.34.  [default: that of --os]",
    ),
    click.option(
        "--os",
        type=NAME,
        metavar="NAME|host",
        help="Operating system of the host, such as rhel9; `host` is that of this machine.",
    ),
)
_HOST_OPTIONS = (
    *_SYSTEM_OPTIONS,
    click.option(
        "--target",
        type=NAME,
        metavar="NAME|host",
        help="Target of the host, such as zen4; `host` is that of this machine, with its operating system and libc.",
    ),
    click.option(
        "--host",
        type=NAME,
        metavar="TARGET:OS|TARGET:LIBC|host",
        help="The host, such as zen4:rhel9 or zen4:glibc@2.34; `host` is this machine.",
    ),
)
_ANY_TARGET = "x86_64"
_MOST_NAMED = 5


def host_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that describe a host and choose a release of Spack, as `host` and `spack`.

    `host` is a `Host`, or None if no option describes one. `spack` names the rules of the release, or is None if no
    release is chosen.
    """

    @wraps(function)
    def resolved(
        *, host: str | None, platform: str | None, spack: str | None, externals: tuple[Path, ...], **options: Any
    ) -> None:
        parts = {name: options.pop(name) for name in ("target", "os", "libc")}
        found = _described_host(host, parts, platform, externals)
        if found is not None:
            check_target(found.target, [value for value in options.values() if _is_dataset(value)])
        function(host=found, spack=_rules(spack), **options)

    for option in _HOST_OPTIONS:
        resolved = option(resolved)
    return resolved


def system_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the same options as `host_options`, but without a target: the verb looks at several."""

    @wraps(function)
    def resolved(
        *, os: str | None, libc: str | None, platform: str | None, spack: str | None, externals: tuple[Path, ...],
        **options: Any,
    ) -> None:  # fmt: skip
        is_described = any((os, libc, platform, externals))
        parts = {"target": _ANY_TARGET if is_described else None, "os": os, "libc": libc}
        found = _described_host(None, parts, platform, externals)
        function(host=found, spack=_rules(spack), **options)

    for option in _SYSTEM_OPTIONS:
        resolved = option(resolved)
    return resolved


def _described_host(
    text: str | None, parts: dict[str, str | None], platform: str | None, files: tuple[Path, ...]
) -> Host | None:
    """Return the host that the options describe, or None if there are no such options."""
    from cachestats.hosts import Host, resolve_host
    from cachestats.packages_yaml import read_packages

    given = [f"--{name}" for name, value in parts.items() if value is not None]
    if text is not None and given:
        raise ArgumentError(
            f"expected a host by --host or by --target, --os and --libc, found --host with {' and '.join(given)}",
            hint=f"leave out {' and '.join(given)}, or --host",
        )
    if text is None and parts["target"] is None:
        given += ["--platform"] * (platform is not None) + ["--externals"] * bool(files)
        if given:
            raise ArgumentError(
                f"expected --target with {' and '.join(given)}, found none",
                hint="add --target NAME, such as --target zen4, or --target host for this machine",
            )
        return None
    externals = read_packages(*files) if files else None
    unchecked = [f"{' '.join(entry.unchecked)} of {entry.name}" for entry in externals or () if entry.unchecked]
    if unchecked:
        more = f" and {len(unchecked) - _MOST_NAMED:,} more" if len(unchecked) > _MOST_NAMED else ""
        talk(f"not checked, because caches do not record it: {', '.join(unchecked[:_MOST_NAMED])}{more}")
    if text is not None:
        return Host.parse(text, platform=platform, externals=externals)
    return resolve_host(
        str(parts["target"]), os=parts["os"], libc=parts["libc"], platform=platform, externals=externals
    )


def check_target(target: str, datasets: list[Dataset]) -> None:
    """Raise if archspec does not know a target and none of the datasets has it."""
    from cachestats.dataset.subset import Subset
    from cachestats.targets import known_targets

    known = known_targets()
    if target in known:
        return
    for dataset in datasets:
        known |= {*Subset(dataset).values("target")}
    if target not in known:
        near = nearest([target], sorted(known)) or ["zen4", "neoverse_v2", "m2"]
        raise ArgumentError(
            f"expected a target that archspec or the dataset knows, found {target!r}", hint=f"try {', '.join(near)}"
        )


def _is_dataset(value: object) -> TypeGuard[Dataset]:
    from cachestats.dataset.dataset import Dataset

    return isinstance(value, Dataset)


def _rules(spack: str | None) -> Rules | None:
    from cachestats.spack_releases import checked_rules

    return checked_rules(spack)


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only print what would be read, kept and dropped, and why; write nothing."
)


_NETWORK_OPTIONS = (
    click.option(
        "--retries",
        type=click.IntRange(0),
        default=5,
        show_default=True,
        help="Number of retries when a server is busy or a connection breaks.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        default=60,
        show_default=True,
        help="Seconds to wait for a server to answer or to send more.",
    ),
    click.option("--signed", is_flag=True, help="Sign requests to S3 with your AWS credentials."),
    click.option(
        "--allow-host",
        "allow_hosts",
        multiple=True,
        metavar="HOST",
        help="Another host that servers may redirect to and catalogues may link to; may be repeated.",
    ),
)
_LIMIT_OPTIONS = (
    click.option(
        "--max-listings",
        type=click.IntRange(1),
        default=InputLimits.listings,
        metavar="N",
        help="Most folders to list of a source that is not on disk, and most pages of tags of an OCI cache.  "
        f"[default: {InputLimits.listings:,}]",
    ),
    click.option(
        "--max-records",
        type=click.IntRange(1),
        default=InputLimits.records,
        metavar="N",
        help="Most records of an index, and most files in an archive or below a URL.  "
        f"[default: {InputLimits.records:,}]",
    ),
    click.option(
        "--max-specs",
        type=click.IntRange(1),
        default=InputLimits.specs,
        metavar="N",
        help=f"Most specs of a page.  [default: {InputLimits.specs:,}]",
    ),
    click.option(
        "--max-archive-bytes",
        type=Size(),
        default=InputLimits.archive_bytes,
        metavar="SIZE",
        help=f"Largest size of an archive when decompressed.  [default: {byte_size(InputLimits.archive_bytes)}]",
    ),
    click.option(
        "--max-file-bytes",
        type=Size(),
        default=InputLimits.file_bytes,
        metavar="SIZE",
        help="Largest size of a file, as it is sent and when decompressed.  "
        f"[default: {byte_size(InputLimits.file_bytes)}]",
    ),
)
_SELECTION_OPTIONS = (
    click.option(
        "--stack",
        "stacks",
        multiple=True,
        metavar="NAME",
        help="Read only this stack; may be repeated. For an installation, an OCI cache or a single index: the name "
        "of its stack.",
    ),
    click.option(
        "--snapshot",
        "snapshots",
        multiple=True,
        metavar="NAME",
        help="Read only this snapshot; may be repeated. For an installation, an OCI cache or a single index: the "
        "name of its snapshot.",
    ),
)


def source_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that control how sources are read."""
    for option in (
        click.option(
            "--wait",
            type=click.FloatRange(0),
            default=600,
            show_default=True,
            help="Seconds to wait for another process that is writing the dataset.",
        ),
        click.option(
            "--workers", type=click.IntRange(1), help="Number of worker processes.  [default: one for each CPU]"
        ),
        *_LIMIT_OPTIONS,
        *_NETWORK_OPTIONS,
        click.option(
            "--max-rejected",
            type=Share(),
            default="1%",
            show_default=True,
            help="Share of the files, and of the specs, that may be rejected.",
        ),
        click.option(
            "--allow-shrink", is_flag=True, help="Publish even if a snapshot loses more than half of its specs."
        ),
        click.option(
            "--sizes",
            is_flag=True,
            help="Also read the sizes of binaries (mirrors of layout 3 and OCI caches only): one more small file for "
            "each spec.",
        ),
        click.option(
            "--without-index",
            is_flag=True,
            help="Read the spec files of mirrors and OCI caches, one or two small files for each spec, instead of "
            "their indices, which may be missing or out of date; `rejected` then lists what an index lacks.",
        ),
        *_SELECTION_OPTIONS,
    ):
        function = option(function)
    return function


def input_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that control how sources are read where nothing is written."""
    for option in (*_LIMIT_OPTIONS, *_NETWORK_OPTIONS, *_SELECTION_OPTIONS):
        function = option(function)
    return function
