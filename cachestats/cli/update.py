"""The verb `update`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.build import say_plan, say_what_is_wrong, without
from cachestats.cli.output import emit, emit_rows, log, progress_bar, talk, with_settings
from cachestats.cli.parameters import dry_run_option, output_options, source_options
from cachestats.cli.sections import Verb
from cachestats.text import counted


@click.command(cls=Verb)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--prune", is_flag=True, help="Drop specs of files that are gone from the sources.")
@click.option(
    "--recheck",
    is_flag=True,
    help="Read everything again, whatever dates and tags say, dated snapshots and releases included.",
)
@click.option(
    "--git",
    is_flag=True,
    help="For folders in a git checkout: do not read files again that only have new dates, as after a fresh clone.",
)
@dry_run_option
@source_options
@output_options
def update(dataset: Path, sources: tuple[str, ...], dry_run: bool, form: str, out: Path | None, **options: Any) -> None:
    """Update a dataset, reading only what changed in its sources.

    Without SOURCE, the sources and options are those that the dataset was built with. The answer has a row for each
    snapshot in which files were added, changed or removed. What is gone from a source stays in the dataset, unless
    --prune is given.

    NAME=SOURCE reads a mirror, an OCI cache, an index or an installation into the snapshot NAME, as do later updates
    without SOURCE. The source's snapshots under other names stay as they are and are not read again.
    """
    from cachestats.dataset.dataset import open_dataset
    from cachestats.ingest.changes import changes_frame
    from cachestats.ingest.update import changes_of_update, plan_update

    log()
    with progress_bar() as (progress, on_bytes):
        if dry_run:
            asked = without(with_settings(options, on_bytes), "wait", "max_rejected", "allow_shrink")
            say_plan(plan_update(dataset, *sources, progress=progress, **asked), dataset, form, out)
            return
        changes = changes_of_update(dataset, *sources, progress=progress, **with_settings(options, on_bytes))
    if form != "table":
        emit(changes_frame(changes), form, out)
    elif changes:
        emit_rows(changes, out)
    after = open_dataset(dataset)
    if not changes:
        talk(f"{dataset}: up to date")
        say_what_is_wrong(after)
        return
    came, changed, gone, added, removed = map(
        sum, zip(*((*one[2:5], one.specs_added, one.specs_removed) for one in changes), strict=True)
    )
    talk(
        f"{dataset}: {counted(len(changes), 'snapshot')}; files: {came:,} new, {changed:,} changed, {gone:,} gone; "
        f"{counted(added, 'spec')} added, {removed:,} removed"
    )
    say_what_is_wrong(after)
