"""The verb `retain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import RETAIN_ROWS
from cachestats.cli.completion import complete_packages, complete_snapshots
from cachestats.cli.match import environment_in
from cachestats.cli.output import emit, talk, write
from cachestats.cli.parameters import NAME, Size, dataset_argument, output_options, union_option
from cachestats.cli.question import ONLY_ROOT, PAGES_TELL_NONE
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.text import byte_size, counted, visible

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.retention import Counts, Retention
    from cachestats.environment import Environment


def watch_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb `--watch`."""
    return click.option(
        "--watch",
        "watched",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="ENVIRONMENT",
        help="Say which hits this environment loses; may be repeated. It keeps nothing, but counts in --one-build and "
        "--budget.",
    )(function)


_POLICIES = (
    click.option("--newest", type=click.IntRange(0), metavar="N", help="Keep the newest N snapshots."),
    click.option(
        "--days",
        type=click.IntRange(0),
        metavar="D",
        help="Keep develop, and the snapshots less than D days older than the newest dated one.",
    ),
    click.option(
        "--rolling/--no-rolling",
        default=True,
        show_default=True,
        help="Whether develop counts as the newest snapshot in --newest and --days.",
    ),
    click.option(
        "--snapshot",
        "snapshots",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_snapshots,
        help="Keep this snapshot, or those of a pattern such as 'v*'; may be repeated.",
    ),
    click.option(
        "--environment",
        "environments",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="ENVIRONMENT",
        help="Keep what this environment needs, a spack.lock or anything else that `match` takes; may be repeated.",
    ),
    click.option("--with-build", is_flag=True, help="Also keep what is needed to build the environments."),
    click.option(
        "--stack", "stacks", type=NAME, multiple=True, metavar="NAME", help="Keep this stack; may be repeated."
    ),
    click.option(
        "--package",
        "packages",
        type=NAME,
        multiple=True,
        metavar="NAME",
        shell_complete=complete_packages,
        help="Keep this package, or those of a pattern such as 'py-*'; may be repeated.",
    ),
    click.option(
        "--spec",
        "spec",
        multiple=True,
        metavar="EXPR",
        shell_complete=complete_packages,
        help="Keep the specs that satisfy this expression, such as 'hdf5@1.14:+mpi %gcc'; may be repeated.",
    ),
    click.option("--one-build", is_flag=True, help="Keep one build of those that look alike, as in `duplicates`."),
    click.option(
        "--budget",
        type=Size(),
        metavar="SIZE",
        help="Keep more, the most needed first, up to this size in all, such as 500GB.",
    ),
    click.option("--break-dependencies", is_flag=True, help="Do not keep what kept specs are linked to or run with."),
)


_KEEPING = {
    "newest": "--newest",
    "days": "--days",
    "snapshots": "--snapshot",
    "environments": "--environment",
    "stacks": "--stack",
    "packages": "--package",
    "spec": "--spec",
    "one_build": "--one-build",
    "budget": "--budget",
}
"""The options that keep something, by the policies of `retain`."""


def _policy_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_POLICIES):
        function = option(function)
    return function


@click.command(cls=Verb)
@dataset_argument
@_policy_options
@watch_option
@click.option(
    "--by",
    type=click.Choice(RETAIN_ROWS),
    default="stack",
    show_default=True,
    help="What to count by; `reason` is the policy that keeps a spec.",
)
@click.option(
    "--list",
    "listed",
    type=click.Choice(["keep", "drop"]),
    help="Write the hashes that stay or go instead, one a line, sorted.",
)
@union_option
@output_options
def retain(
    dataset: Any,
    environments: tuple[Path, ...],
    watched: tuple[Path, ...],
    by: Any,
    listed: str | None,
    union: bool,
    form: str,
    out: Path | None,
    **policies: Any,
) -> None:
    """Say what stays and what goes under a policy. Nothing is deleted.

    Policies add up: a spec stays if any of them keeps it, in any of its snapshots, and so does all that it is linked to
    or runs with. What no policy keeps goes. A hash counts once, however many snapshots and stacks list it.

    `spack buildcache prune --keeplist FILE` deletes what is not in FILE, which --list keep writes.
    """
    from cachestats.analysis.retain import retain as decide

    if listed and form != "table":
        raise ArgumentError(
            f"expected plain text for --list, found {form}",
            hint="leave out --format, and let FILE of --out end in .txt",
        )
    kept = environments_by_name(environments)
    others = environments_by_name(watched, among=kept)
    _check(policies, kept)
    retention = decide(dataset, **policies, environments=kept, watched=others)
    if listed:
        hashes = retention.hashes(keep=listed == "keep")
        write("".join(f"{visible(one)}\n" for one in hashes).encode(), out)
    else:
        answer = retention.by(by, union=union)
        emit(_for_eyes(answer) if form in {"table", "markdown"} else answer, form, out)
        if by == "stack" and answer.is_empty() and retention.counts.kept + retention.counts.dropped:
            talk(ONLY_ROOT)
    _say_what_it_means(retention, policies["budget"])


def _check(policies: dict[str, Any], kept: dict[str, Environment]) -> None:
    """Raise if no policy was given, in the words of the shell."""
    given = {name: value for name, value in policies.items() if name in _KEEPING and value not in (None, False, ())}
    if not given and not kept:
        raise ArgumentError(
            "expected a policy that says what to keep, found none, so that everything would go",
            hint=f"give one or more of {', '.join(_KEEPING.values())}",
        )


def environments_by_name(
    paths: tuple[Path, ...], among: dict[str, Environment] | None = None
) -> dict[str, Environment]:
    """Return environments by the names of their files, or by their paths where names would be the same."""
    names = [path.name or str(path) for path in paths]
    taken = {*(among or ())}
    labels = [
        str(path) if names.count(name) > 1 or name in taken else name for path, name in zip(paths, names, strict=True)
    ]
    return {label: environment_in((path,)) for label, path in zip(labels, paths, strict=True)}


def _say_what_it_means(retention: Retention, budget: int | None) -> None:
    counts = retention.counts
    total = counts.kept + counts.dropped
    share = f", {counts.kept / total:.1%}" if total else ""
    talk(
        f"{counted(len(retention.subset.names), 'snapshot')}: {counts.kept:,} of {counted(total, 'spec')} stay{share}; "
        f"{counts.dropped:,} go"
    )
    talk(_bytes_in_words(counts))
    if budget is not None and counts.kept_bytes is not None and counts.kept_bytes > budget:
        talk(f"the other policies keep more than the budget of {byte_size(budget)}: nothing was added")
    for name, specs, hits, kept, lost in retention.hits.iter_rows():
        talk(f"{name}: {hits:,} of {counted(specs, 'spec')} hit, {kept:,} afterwards; {lost:,} lost")
    broken = retention.num_broken
    if broken:
        missing = counted(retention.holes.height, "spec")
        talk(f"{counted(broken, 'kept spec')} would be broken: {missing} that they are linked to or run with would go")
    if counts.unknown_dependencies:
        talk(f"what {counted(counts.unknown_dependencies, 'kept spec')} need is unknown, and may go: {PAGES_TELL_NONE}")


def _bytes_in_words(counts: Counts) -> str:
    if counts.kept_bytes is None or counts.dropped_bytes is None:
        return "sizes are unknown: `build --sizes` reads them from mirrors of layout 3 and OCI caches"
    words = f"{byte_size(counts.kept_bytes)} stay, {byte_size(counts.dropped_bytes)} go"
    unknown = f", without {counted(counts.unknown_sizes, 'spec')} of unknown size" if counts.unknown_sizes else ""
    return words + unknown


def _for_eyes(answer: pl.DataFrame) -> pl.DataFrame:
    """Write bytes in units, and drop what says nothing: bytes of which none is known, and a count of zeros."""
    import polars as pl

    sizes = [name for name in answer.columns if name.endswith("_bytes")]
    known = [name for name in sizes if answer[name].null_count() < answer.height]
    left_out = {*sizes, *([] if known and answer["unknown_sizes"].sum() else ["unknown_sizes"])}
    texts = {
        name.replace("_bytes", "_size"): [None if one is None else byte_size(one) for one in answer[name]]
        for name in known
    }
    return answer.drop(left_out).with_columns(pl.Series(name, cells, dtype=pl.String) for name, cells in texts.items())
