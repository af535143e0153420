"""The verb `usable`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import MISSING, STATES
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, host_options, output_options, snapshot_option, where_option
from cachestats.cli.question import Question
from cachestats.errors import ArgumentError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.hosts import Host

_MOST_OBSTACLES = 4  # that are named
_EXAMPLES = {"darwin": "--os sonoma", "linux": "--os ubuntu22.04", "windows": "--platform windows"}


@click.command()
@dataset_argument
@host_options
@click.option(
    "--list",
    "listed",
    type=click.Choice(("packages", "specs")),
    default="packages",
    show_default=True,
    help="A row for each version of each package, or for each spec with its hash.",
)
@snapshot_option
@where_option
@output_options
def usable(
    dataset: Any, host: Host | None, spack: Any, listed: str, form: str, out: Path | None, **question: Any
) -> None:
    """Show which packages a host can use, and what prevents the rest.

    Each version of each package is `native` (a spec built for exactly the host's target can be reused), `usable` (only
    specs built for an ancestor of the host's target can be reused) or `missing` (no spec can be reused). The answer
    names the target of the best spec or, if none can be reused, what prevents the one that comes closest. A host can
    reuse what Spack itself would reuse: on Linux, the host's libc must be at least as new as the spec's; by the rules
    of Spack 0.21 and older, the operating system must be the same.

    Without --os or --libc, the answer has a row for each libc or operating system that the cache was built for.
    """
    from cachestats.analysis.usable import reusable, usable_by_system
    from cachestats.analysis.usable import usable as look

    if host is None:
        raise ArgumentError(
            "expected a host, found none",
            hint="give one, such as --host zen4:rhel9, --target zen4 --os rhel9, or --host host",
        )
    asked = Question(dataset, **question, measure="specs", denominator=None, union=False)
    if asked.specs.head(1).collect().is_empty():
        asked.say_there_is_nothing()
        return
    words = rules_in_words(dataset, asked.chosen, spack)
    if not host.is_complete:
        answer = usable_by_system(asked.specs, host=host, spack=spack)
        emit(answer, form, out)
        talk(
            f"what {host.target} can use in {asked.words}, for each libc or operating system that the cache was built "
            f"for, {words}; choose one with --os or --libc"
        )
        if not answer["packages"].sum():
            _hint_at_other_platforms(asked, host)
        return
    if listed == "specs":
        found = reusable(asked.specs, host=host, spack=spack)
        emit(found, form, out)
    answer = look(asked.specs, host=host, spack=spack)
    if listed == "packages":
        emit(answer, form, out)
    _say_how_much(answer, host, asked, words)
    _say_obstacles(answer, host)
    if answer.filter(cell=MISSING).height == answer.height:
        _hint_at_other_platforms(asked, host)


def rules_in_words(dataset: Any, snapshots: list[str], spack: str | None) -> str:
    """Return which rules decide what can be reused, such as `by the rules of Spack 0.23`."""
    if spack is not None:
        return f"by the rules of Spack {spack}"
    rules = dict(dataset.snapshots.select("snapshot", "reuse_rules").collect().iter_rows())
    found = sorted({rules[name] for name in snapshots})
    return f"by the rules of Spack {' and '.join(found)}{', each for its own snapshots' * (len(found) > 1)}"


def _say_how_much(answer: pl.DataFrame, host: Host, asked: Question, words: str) -> None:
    import polars as pl

    every = answer["package"].n_unique()
    runs = answer.filter(pl.col("cell") != MISSING)["package"].n_unique()
    counts = dict(answer["cell"].value_counts().iter_rows())
    cells = ", ".join(f"{counts.get(state, 0):,} {state}" for state in STATES)
    talk(
        f"{host} can use {runs:,} of the {every:,} packages in {asked.words}, {runs / every:.1%}, {words}; "
        f"{counted(answer.height, 'version')}: {cells}"
    )


def _say_obstacles(answer: pl.DataFrame, host: Host) -> None:
    """Say why some packages cannot be used; those that only need the host to declare an external come first."""
    import polars as pl

    from cachestats.analysis.usable import obstacles

    counts = obstacles(answer)
    declared = counts.filter(status="external")
    where = "" if host.externals is not None else "; list what it declares with --packages packages.yaml"
    for _, by, packages in declared.head(_MOST_OBSTACLES).rows():
        talk(f"{counted(packages, 'more package')} if the host declares {by}{where}")
    if declared.height > _MOST_OBSTACLES:
        left = sum(declared["packages"][_MOST_OBSTACLES:].to_list())
        talk(f"{counted(left, 'more package')} if it declares others: see the column `by`")
    others = counts.filter(pl.col("status") != "external")
    ways = [f"{_obstacle(status, by)} ({packages:,})" for status, by, packages in others.head(_MOST_OBSTACLES).rows()]
    if ways:
        more = f" and {others.height - _MOST_OBSTACLES} more" if others.height > _MOST_OBSTACLES else ""
        talk(f"obstacles for the others: {', '.join(ways)}{more}")


def _obstacle(status: str, by: str) -> str:
    """Return an obstacle in words, without saying anything twice."""
    return by if by.startswith((status, "names ", "libc ")) or status in by else f"{status} {by}"


def _hint_at_other_platforms(asked: Question, host: Host) -> None:
    """Say for which other platforms there are specs, since nothing can be used on this one."""
    if others := [name for name in asked.names_of("platform") if name != host.platform]:
        examples = [_EXAMPLES.get(name, f"--platform {name}") for name in others]
        talk(f"hint: nothing fits on {host.platform}; for {' and '.join(others)}, try {' or '.join(examples)}")
