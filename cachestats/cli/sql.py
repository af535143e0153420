"""The verb `sql`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, output_options
from cachestats.naming import counted


@click.command()
@dataset_argument
@click.argument("query")
@output_options
def sql(dataset: Any, query: str, form: str, out: Path | None) -> None:
    """Ask the tables in SQL, read only.

    QUERY is one SELECT, as Polars understands it, over the tables specs, variants, dependencies, snapshots, targets,
    rejected and documents.
    """
    answer = dataset.sql(query).collect()
    emit(answer, form, out)
    talk(f"{counted(answer.height, 'row')} by {counted(answer.width, 'column')}")
