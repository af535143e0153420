"""The verbs `usable` and `reusable`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, host_options, output_options, snapshot_option, where_option
from cachestats.cli.question import Question, rules_in_words
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.usable import Summary
    from cachestats.hosts import Host

_MOST_OBSTACLES = 4  # that are named
_EXAMPLES = {"darwin": "--os sonoma", "linux": "--os ubuntu22.04", "windows": "--platform windows"}


@click.command(cls=Verb)
@dataset_argument
@host_options
@snapshot_option
@where_option
@output_options
def usable(dataset: Any, host: Host | None, spack: Any, form: str, out: Path | None, **question: Any) -> None:
    """Show which packages a host can use, and what stops the rest.

    Each version of each package is `native` (a spec built for exactly the host's target can be reused), `usable` (only
    specs built for an ancestor of the host's target can be reused) or `missing` (no spec can be reused). The answer
    names the target of the best spec or, if none can be reused, what prevents the one that comes closest. A host can
    reuse what Spack itself would reuse: on Linux, the host's libc must be at least as new as the spec's; by the rules
    of Spack 0.21 and older, the operating system must be the same.

    Without --os or --libc, the answer has a row for each libc or operating system that the cache was built for.
    """
    from cachestats.analysis.usable import obstacles, summary, usable_by_system
    from cachestats.analysis.usable import usable as look

    host = given_host(host)
    asked = Question(dataset, **question)
    rules = rules_in_words(dataset, asked, spack)
    answer = (look if host.is_complete else usable_by_system)(asked.subset, host=host, spack=spack)
    emit(answer, form, out)
    if not asked.subset.num_specs:
        asked.say_there_is_nothing()
        return
    if host.is_complete:
        counts = summary(answer)
        _say_how_much(counts, host, asked, rules)
        _say_obstacles(obstacles(answer), host)
        is_anything_usable = counts.num_usable > 0
    else:
        talk(
            f"what {host.target} can use in {asked.words}, for each libc or operating system that the cache was built "
            f"for, {rules}; choose one with --os or --libc"
        )
        is_anything_usable = answer["packages"].sum() > 0
    if not is_anything_usable:
        _hint_at_other_platforms(asked, host)


@click.command(cls=Verb)
@dataset_argument
@host_options
@snapshot_option
@where_option
@output_options
def reusable(dataset: Any, host: Host | None, spack: Any, form: str, out: Path | None, **question: Any) -> None:
    """Show which specs a host can reuse, and what stops the rest.

    The answer has a row for each spec, with its hash. `usable` shows only the best spec of each version of a package.
    """
    from cachestats.analysis.usable import reusable as look
    from cachestats.axes import NATIVE, USABLE

    host = given_host(host)
    asked = Question(dataset, **question)
    answer = look(asked.subset, host=host, spack=spack)
    same = ["snapshot"] if len(asked.chosen) == 1 else []
    for_eyes = answer.drop(same).with_columns(answer["hash"].str.head(7))
    emit(for_eyes if form in {"table", "markdown"} else answer, form, out)
    if answer.is_empty():
        asked.say_there_is_nothing()
        return
    reused = int(answer["status"].is_in([NATIVE, USABLE]).sum())
    talk(
        f"{host} can reuse {reused:,} of {counted(answer.height, 'spec')} in {asked.words}, "
        f"{reused / answer.height:.1%}, {rules_in_words(dataset, asked, spack)}"
    )


def given_host(host: Host | None) -> Host:
    """Return the host that was given.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if host is None:
        raise ArgumentError(
            "expected a host, found none",
            hint="give one, such as --host zen4:rhel9, --target zen4 --os rhel9, or --host host",
        )
    return host


def _say_how_much(counts: Summary, host: Host, asked: Question, rules: str) -> None:
    cells = ", ".join(f"{number:,} {cell}" for cell, number in counts.num_versions.items())
    talk(
        f"{host} can use {counts.num_usable:,} of {counted(counts.num_packages, 'package')} in {asked.words}, "
        f"{counts.share:.1%}, {rules}; {counted(sum(counts.num_versions.values()), 'version')}: {cells}"
    )


def _say_obstacles(obstacles: pl.DataFrame, host: Host) -> None:
    """Say why some packages cannot be used; those that only need the host to declare an external come first."""
    declared = obstacles.filter(status="external").rows()
    where = "" if host.externals is not None else "; list what it declares with --externals packages.yaml"
    for _, by, packages in declared[:_MOST_OBSTACLES]:
        talk(f"{counted(packages, 'more package')} if the host declares {by}{where}")
    if left := sum(packages for *_, packages in declared[_MOST_OBSTACLES:]):
        talk(f"{counted(left, 'more package')} if it declares others: see the column `by`")
    say_obstacles(obstacles[len(declared) :])


def say_obstacles(obstacles: pl.DataFrame) -> None:
    """Say what stops a host, from the columns `status` and `by` and a number, the most frequent first."""
    ways = [f"{_obstacle(status, by)} ({number:,})" for status, by, number in obstacles.head(_MOST_OBSTACLES).rows()]
    if ways:
        more = f" and {obstacles.height - len(ways):,} more" if obstacles.height > len(ways) else ""
        talk(f"obstacles for the others: {', '.join(ways)}{more}")


def _obstacle(status: str, by: str) -> str:
    """Return an obstacle in words, without saying anything twice."""
    return by if by.startswith((status, "names ", "libc ")) or status in by else f"{status} {by}"


def _hint_at_other_platforms(asked: Question, host: Host) -> None:
    """Say for which other platforms there are specs, since nothing can be used on this one."""
    if others := [name for name in asked.among.values("platform") if name != host.platform]:
        examples = [_EXAMPLES.get(name, f"--platform {name}") for name in others]
        talk(f"hint: nothing fits on {host.platform}; for {' and '.join(others)}, try {' or '.join(examples)}")
