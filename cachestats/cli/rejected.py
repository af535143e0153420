"""The verb `rejected`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.completion import complete_words
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import NAME, dataset_argument, output_options
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.findings import RULES
from cachestats.schema import SEVERITIES
from cachestats.text import counted, nearest


@click.command(cls=Verb)
@dataset_argument
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only rows of this severity.")
@click.option("--rule", type=NAME, shell_complete=complete_words(RULES), help="Only rows that broke this rule.")
@output_options
def rejected(dataset: Any, severity: str | None, rule: str | None, form: str, out: Path | None) -> None:
    """List what could not be read, and what to do about it.

    Warnings are listed too: what they name was read, but something about it is odd.
    """
    import polars as pl

    if rule is not None and rule not in RULES:
        raise ArgumentError(
            f"expected one of the {len(RULES)} rules, found {rule!r}",
            hint=f"try {', '.join(nearest([rule], RULES) or sorted(RULES)[:3])}; docs/reference/rules.md lists them",
        )
    everything = dataset.rejected.collect()
    frame = everything
    for column, wanted in (("severity", severity), ("rule", rule)):
        if wanted is not None:
            frame = frame.filter(pl.col(column) == wanted)
    shown = ("severity", "rule", "origin", "location", "message", "hint")
    emit(frame.select(shown) if form == "table" else frame, form, out)
    by_rule = frame.group_by("severity", "rule").len().sort("len", "rule", descending=[True, False])
    summary = ", ".join(f"{counted(count, kind)} ({name})" for kind, name, count in by_rule.iter_rows())
    lost = f"{counted(frame['num_specs'].sum(), 'spec')} left out"
    if unknown := frame["num_specs"].null_count():
        lost += f", and an unknown number of specs of {counted(unknown, 'page')}"
    total = counted(everything.height, "row")
    if everything.is_empty():
        talk("nothing was rejected")
        return
    talk(f"{frame.height:,} of {total}, {lost}{': ' if summary else ''}{summary}")
