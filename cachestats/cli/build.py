"""The verb `build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, log, progress_bar, talk, with_settings
from cachestats.cli.parameters import dry_run_option, source_options
from cachestats.cli.sections import Verb
from cachestats.errors import SourceError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.dataset import Dataset


@click.command(cls=Verb)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the dataset: a new one, or that of an existing dataset.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="If the dataset is damaged, make what is damaged again, and keep the snapshots that are whole.",
)
@dry_run_option
@source_options
def build(sources: tuple[str, ...], out: Path, dry_run: bool, **options: Any) -> None:
    """Build a dataset from cache pages or build-cache indices.

    SOURCE is a path, or a URL that begins with https://, http://, s3:// or oci://. It is one of:

    \b
    - a checkout of the cache site: its root, its _cache folder, the folder of a
      snapshot, or one page; or an archive of these (.tar, .tar.gz, .tar.zst, .zip)
    - a build-cache mirror of layout 1, 2 or 3, or a folder of such mirrors in
      which each snapshot contains its stacks: SNAPSHOT/STACK/...
    - an OCI build cache, oci://HOST/NAME (oci+http:// without TLS), or a folder
      with the OCI image layout
    - a catalogue of mirrors, cache_spack_io_index.json
    - one index.json, or the database of an installation (.spack-db/index.json)

    NAME=SOURCE names the snapshot of a mirror, an OCI cache, an index or an installation, as in
    develop-2026-11-28=/srv/mirror, so that you can follow it week by week with `cachestats update`. If the source has
    several snapshots, select one of them with --snapshot. Pages name their snapshots themselves. An existing path or a
    URL that contains a = is not split.

    A snapshot found in the sources replaces the dataset's snapshot of the same name completely. The dataset's other
    snapshots stay as they are.

    With --repair, all files of the dataset are compared with their checksums. A snapshot is made again if one of its
    files is missing or damaged; all are if the manifest or a table of the whole dataset is. SOURCE must have all of
    these: if it lacks one, nothing is changed, and the error lists them.
    """  # noqa: D301 (a real backspace, which tells Click not to wrap the paragraph)
    from cachestats.ingest.build import build_dataset, plan_build

    log()
    with progress_bar() as (progress, on_bytes):
        if dry_run:
            asked = without(with_settings(options, on_bytes), "wait", "max_rejected", "allow_shrink", "sizes")
            say_plan(plan_build(*sources, out=out, progress=progress, **asked), out)
            return
        dataset = build_dataset(*sources, out=out, progress=progress, **with_settings(options, on_bytes))
    counts, snapshots = dataset.manifest.tables, dataset.manifest.snapshots
    specs = sum(snapshot.num_specs for snapshot in snapshots.values())
    talk(f"{out}: {counted(len(snapshots), 'snapshot')}, {counted(specs, 'spec')} in {counted(counts['specs'], 'row')}")
    say_what_is_wrong(dataset)


def say_plan(plan: pl.DataFrame, dataset: Path, form: str = "table", out: Path | None = None) -> None:
    """Print what would be done with a dataset."""
    emit(plan, form, out)
    changed = plan.filter(~plan["action"].is_in(["keep", "leave"]))["snapshot"].drop_nulls().n_unique()
    talk(f"{dataset}: {counted(changed, 'snapshot')} would change; nothing was written")


def without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return options without those that matter only when something is written."""
    return {name: value for name, value in options.items() if name not in names}


def say_what_is_wrong(dataset: Dataset) -> None:
    """Say what was rejected and what is gone from the sources; raise if a snapshot could not be read completely."""
    rows = dataset.manifest.tables["rejected"]
    if rows:
        talk(f"{counted(rows, 'rejected row')}; see them with: cachestats rejected {dataset.path}")
    if gone := dataset.manifest.num_gone:
        talk(f"kept although gone from the sources: {counted(gone, 'file')}; --prune drops them")
    if not rows or all(source.is_whole for source in dataset.manifest.sources.values()):
        return  # none that could not be read
    import polars as pl

    from cachestats.findings import FAILURES

    failed = dataset.rejected.filter(pl.col("rule").is_in(FAILURES), pl.col("severity") == "error")
    names = sorted(failed.select("snapshot").collect()["snapshot"].drop_nulls().unique())
    if names:
        raise SourceError(
            f"expected complete snapshots, found some that could not be read completely: {', '.join(names)}; "
            "the dataset has them as before",
            hint=f"see why with: cachestats rejected {dataset.path}",
        )
