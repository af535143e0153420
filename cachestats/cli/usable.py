"""The verb `usable`."""

from __future__ import annotations

import platform as this_machine
from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import NAME, dataset_argument, output_options, snapshot_option, where_option
from cachestats.cli.question import Question
from cachestats.errors import ArgumentError
from cachestats.naming import counted, nearest

HOST = "host"


@click.command()
@dataset_argument
@click.option(
    "--target", type=NAME, required=True, metavar="NAME|host", help="Target of the machine, such as zen4; or this one."
)
@click.option("--os", type=NAME, metavar="NAME", help="Its operating system, such as ubuntu22.04.  [default: any]")
@click.option(
    "--platform", type=NAME, metavar="NAME", help="Its platform.  [default: linux; this machine's with --target host]"
)
@snapshot_option
@where_option
@output_options
def usable(
    dataset: Any, target: str, os: str | None, platform: str | None, form: str, out: Path | None, **question: Any
) -> None:
    """Show what a machine can use, and how well it fits.

    For each version of each package: `native` (built for this very target), `usable` (for an ancestor of it, which it
    runs) or `missing`, and the target of the binary that fits best. Sorted by package, then by version.
    """
    import polars as pl

    from cachestats.analysis.usable import CELLS
    from cachestats.analysis.usable import usable as look
    from cachestats.targets import host_target, known_targets

    if target == HOST:
        target, platform = host_target(), platform or this_machine.system().lower()
    platform = platform or "linux"
    asked = Question(dataset, **question, measure="specs", of=None, root=False)
    targets = {*known_targets(), *asked.names_of("target")}
    if target not in targets:
        raise ArgumentError(
            f"expected a target that archspec knows or that is in {asked.names}, found {target!r}",
            hint=f"try {', '.join(nearest([target], sorted(targets)) or asked.names_of('target')[:3])}",
        )
    answer = look(asked.specs, target=target, os=os, platform=platform)
    emit(answer, form, out)
    if answer.is_empty():
        asked.say_there_is_nothing()
        return
    every = answer["package"].n_unique()
    runs = answer.filter(pl.col("cell") != "missing")["package"].n_unique()
    counts = dict(answer["cell"].value_counts().iter_rows())
    cells = ", ".join(f"{counts.get(cell, 0):,} {cell}" for cell in CELLS)
    talk(
        f"{target} with {os or f'any {platform}'} can use {runs:,} of the {every:,} packages of {asked.words}, "
        f"{runs / every:.1%}; of {answer.height:,} versions {cells}"
    )
    if runs:
        return
    for column, value in (("os", os), ("platform", platform)):
        asked.say_what_is_unheard(column, [value] if value else [])
    for other in asked.names_of("platform"):
        usable_there = look(asked.specs, target=target, os=os, platform=other).filter(pl.col("cell") != "missing")
        if not usable_there.is_empty():
            packages = counted(usable_there["package"].n_unique(), "package")
            talk(f"hint: on {other} it can use {packages}: add --platform {other}")
