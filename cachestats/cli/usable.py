"""The verb `usable`."""

from __future__ import annotations

import platform as this_machine
from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import NAME, dataset_argument, output_options, question_options
from cachestats.cli.question import Question, close_names

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
@question_options
@output_options
def usable(
    dataset: Any, target: str, os: str | None, platform: str | None, form: str, out: Path | None, **question: Any
) -> None:
    """Show what a machine can use, and how well it fits.

    For each version of each package: `native` (built for this very target), `usable` (for an ancestor of it, which it
    runs) or `missing`, and the target of the binary that fits best.
    """
    import polars as pl

    from cachestats.analysis.usable import CELLS
    from cachestats.analysis.usable import usable as look
    from cachestats.targets import host_target, is_known

    if target == HOST:
        target, platform = host_target(), platform or this_machine.system().lower()
    platform = platform or "linux"
    asked = Question(dataset, **question, measure="specs", of=None, root=False)
    answer = look(asked.specs, target=target, os=os, platform=platform)
    emit(answer, form, out)
    if answer.is_empty():
        asked.say_there_is_nothing()
        return
    packages = answer["package"].n_unique()
    runs = answer.filter(pl.col("cell") != "missing")["package"].n_unique()
    counts = dict(answer["cell"].value_counts().iter_rows())
    cells = ", ".join(f"{counts.get(cell, 0):,} {cell}" for cell in CELLS)
    talk(
        f"{target} with {os or f'any {platform}'} can use {runs:,} of the {packages:,} packages of {asked.words}, "
        f"{runs / packages:.1%}; of {answer.height:,} versions {cells}"
    )
    if runs:
        return
    for column, value in (("target", target), ("os", os), ("platform", platform)):
        there = asked.names_of(column)
        if value and value not in there and not (column == "target" and is_known(value)):
            talk(f"hint: no {column} is {value}; there is {close_names([value], there)}")
