"""The verb `sql`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, output_options
from cachestats.cli.sections import Verb
from cachestats.text import counted


# A query may begin with a comment (`--`), which Click would take for an option.
@click.command(cls=Verb, context_settings={"ignore_unknown_options": True})
@dataset_argument
@click.argument("query")
@output_options
def sql(dataset: Any, query: str, form: str, out: Path | None) -> None:
    """Query the tables with SQL.

    QUERY is one SELECT in the SQL of Polars, over the tables specs, variants, dependencies, requirements, snapshots,
    targets, rejected and inputs. It cannot change anything, nor read any other file.
    """
    from cachestats.dataset.sql import answer_query

    answer = answer_query(dataset, query)
    emit(answer, form, out)
    talk(f"{counted(answer.height, 'row')} by {counted(answer.width, 'column')}")
