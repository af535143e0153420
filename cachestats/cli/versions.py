"""The verb `versions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.axes import GROUP_AXES
from cachestats.cli.completion import complete_packages, complete_words
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import NAME, dataset_argument, output_options, question_options, union_option
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.text import alternatives, counted


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    required=True,
    metavar="AXIS",
    shell_complete=complete_words(GROUP_AXES),
    help=f"Axis to compare: {alternatives(GROUP_AXES)}.",
)
@click.option(
    "--package",
    "packages",
    type=NAME,
    shell_complete=complete_packages,
    multiple=True,
    metavar="NAME",
    help="Only this package; may be repeated.",
)
@union_option
@question_options
@output_options
def versions(
    dataset: Any, packages: tuple[str, ...], form: str, out: Path | None, where: tuple[Any, ...], **question: Any
) -> None:
    """Compare the newest version of each package across stacks.

    The answer has a row for each package and stack, or other axis (--by), and says whether there is a newer version
    elsewhere. Versions are ordered as in Spack: 1.10 comes after 1.9, and develop and main come after every number. A
    table or Markdown shows the versions that lag behind first.
    """
    from cachestats.analysis.versions import versions as newest

    where = (*where, *(("package", name) for name in packages))
    asked = Question(dataset, **question, where=where, measure="specs", denominator=None)
    by = asked.axes["by"]
    answer = newest(asked.subset, by=by, union=asked.axes["union"])
    shown = answer.sort("is_behind", descending=True, maintain_order=True) if form in {"table", "markdown"} else answer
    emit(shown, form, out)
    if answer.is_empty():
        asked.say_there_is_nothing()
        return
    behind = answer.filter("is_behind")
    late, every = behind["package"].n_unique(), answer["package"].n_unique()
    most = behind.group_by(by).len().sort("len", by, descending=[True, False], nulls_last=True).head(1).rows()
    name, count = most[0] if most else (None, 0)
    where_most = f"; most in {name or 'none'}, {count:,}" if most else ""
    talk(
        f"newest versions by {by} in {asked.words}: {late:,} of {counted(every, 'package')} "
        f"lag behind somewhere, {late / every:.1%}{where_most}"
    )
