"""The verb `dictionary`."""

from __future__ import annotations

from pathlib import Path

import click

from cachestats.cli.output import emit, write
from cachestats.cli.parameters import output_options
from cachestats.cli.sections import Verb


@click.command(cls=Verb)
@output_options
def dictionary(form: str, out: Path | None) -> None:
    """Describe every column of every table."""
    from cachestats.schema import data_dictionary, dictionary_markdown

    if form == "markdown":
        write(dictionary_markdown().encode(), out)
    else:
        emit(data_dictionary(), form, out)
