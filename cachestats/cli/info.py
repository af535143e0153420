"""The verb `info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, output_options
from cachestats.cli.sections import Verb
from cachestats.text import counted


@click.command(cls=Verb)
@dataset_argument
@output_options
def info(dataset: Any, form: str, out: Path | None) -> None:
    """Show a dataset's snapshots, their counts and their sources."""
    import polars as pl

    from cachestats.naming import snapshot_order

    frame = dataset.snapshots.collect()
    order = sorted(range(frame.height), key=lambda row: snapshot_order(frame["snapshot"][row]))
    shown = (
        "snapshot",
        "num_specs",
        "num_packages",
        "num_stacks",
        "num_rejected",
        "num_pages",
        "generation",
        "reuse_rules",
    )
    emit(frame[order].select(shown) if form == "table" else frame[order], form, out)
    for name, source in dataset.manifest.sources.items():
        files = counted(source.files, "file")
        talk(f"read from {name} ({source.kind}): {files}, {source.passed_over:,} passed over")
    total = frame.select(pl.col("num_specs").sum()).item()
    version = dataset.manifest.schema_version
    talk(f"{counted(frame.height, 'snapshot')}, {counted(total, 'spec')}; schema version {version}")
