"""The verbs that make and keep a dataset, and say what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, log, progress_bar, talk, with_network, write
from cachestats.cli.parameters import NAME, dataset_argument, output_options, source_options
from cachestats.errors import SourceError
from cachestats.text import counted

if TYPE_CHECKING:
    from cachestats.dataset.dataset import Dataset


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the dataset.")
@source_options
def build(sources: tuple[str, ...], out: Path, **options: Any) -> None:
    """Read pages of the cache site, or indices of build caches, into a Parquet dataset.

    SOURCE is a path, or an address that begins with https://, http:// or s3://, of

    \b
    - a checkout of the cache site: its root, its _cache folder, one snapshot's
      folder, one page; or an archive of one (.tar, .tar.gz, .tar.zst, .zip)
    - a build-cache mirror of layout 1, 2 or 3, or a folder of mirrors, each
      snapshot's with those of its stacks inside: SNAPSHOT/STACK/...
    - a catalogue of mirrors, cache_spack_io_index.json
    - one index.json, or the database of an installation (.spack-db/index.json)

    A snapshot that the sources hold anything of replaces that of the dataset whole; the dataset's other snapshots stay.
    """  # noqa: D301 (as above)
    from cachestats.ingest.build import build_dataset

    log()
    with progress_bar() as (progress, on_bytes):
        dataset = build_dataset(*sources, out=out, progress=progress, **with_network(options, on_bytes))
    counts, snapshots = dataset.manifest["tables"], dataset.manifest["snapshots"]
    specs = sum(snapshot["num_specs"] for snapshot in snapshots.values())
    talk(f"{out}: {counted(len(snapshots), 'snapshot')}, {counted(specs, 'spec')} in {counted(counts['specs'], 'row')}")
    _say_what_is_wrong(dataset)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--prune", is_flag=True, help="Drop what is gone from the sources.")
@click.option(
    "--recheck",
    is_flag=True,
    help="Trust neither dates nor tags, nor that weekly snapshots and releases never change: read everything again.",
)
@source_options
@output_options
def update(dataset: Path, sources: tuple[str, ...], form: str, out: Path | None, **options: Any) -> None:
    """Bring a dataset up to date with its sources, reading only what changed.

    The sources are those that the dataset was built from, with the options they were given with, or the SOURCE named
    here. The answer is a row for each snapshot in which something came, changed or went. What is gone from a source is
    kept, unless --prune is given.
    """
    from cachestats.dataset.dataset import open_dataset
    from cachestats.ingest.update import update_dataset

    log()
    with progress_bar() as (progress, on_bytes):
        changes = update_dataset(dataset, *sources, progress=progress, **with_network(options, on_bytes))
    if not changes.is_empty() or form != "table":
        emit(changes, form, out)
    after = open_dataset(dataset)
    if changes.is_empty():
        talk(f"{dataset}: up to date")
        _say_what_is_wrong(after)
        return
    files = ", ".join(f"{changes[f'files_{what}'].sum():,} {what}" for what in ("came", "changed", "gone"))
    specs = f"{changes['specs_added'].sum():,} specs added, {changes['specs_removed'].sum():,} removed"
    talk(f"{dataset}: {counted(changes.height, 'snapshot')}; files: {files}; {specs}")
    _say_what_is_wrong(after)


def _say_what_is_wrong(dataset: Dataset) -> None:
    """Say what was rejected and what is only kept; end with an exit code where a snapshot could not be read."""
    import polars as pl

    from cachestats.rejection import FAILURES

    rows = dataset.manifest["tables"]["rejected"]
    if rows:
        talk(f"{counted(rows, 'rejected row')}; see them with: cachestats rejected {dataset.path}")
    if gone := dataset.documents.filter("is_gone").select(pl.len()).collect().item():
        talk(f"{counted(gone, 'file')} gone from the sources and kept; --prune drops them")
    failed = dataset.rejected.filter(pl.col("rule").is_in(FAILURES), pl.col("severity") == "error")
    names = sorted(failed.select("snapshot").collect()["snapshot"].drop_nulls().unique())
    if names:
        raise SourceError(
            f"expected whole snapshots, found that of {', '.join(names)} not all could be read: left as it was",
            hint=f"see why: cachestats rejected {dataset.path}",
        )


@click.command()
@dataset_argument
@output_options
def info(dataset: Any, form: str, out: Path | None) -> None:
    """Show what a dataset holds: its snapshots, their counts, and where they were read from."""
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
    for name, source in dataset.manifest["sources"].items():
        files = counted(source["files"], "file")
        talk(f"read from {name} ({source['kind']}): {files}, {source['passed_over']:,} passed over")
    total = frame.select(pl.col("num_specs").sum()).item()
    version = dataset.manifest["schema_version"]
    talk(f"{counted(frame.height, 'snapshot')}, {counted(total, 'spec')}; schema version {version}")


@click.command()
@dataset_argument
@click.option("--severity", type=click.Choice(("error", "warning")), help="Only these.")
@click.option("--rule", type=NAME, help="Only those that broke this rule.")
@output_options
def rejected(dataset: Any, severity: str | None, rule: str | None, form: str, out: Path | None) -> None:
    """Show what could not be read, or was read with a warning, and what to try."""
    import polars as pl

    everything = dataset.rejected.collect()
    frame = everything
    for column, wanted in (("severity", severity), ("rule", rule)):
        if wanted is not None:
            frame = frame.filter(pl.col(column) == wanted)
    shown = ("severity", "rule", "origin", "place", "message", "hint")
    emit(frame.select(shown) if form == "table" else frame, form, out)
    by_rule = frame.group_by("severity", "rule").len().sort("len", "rule", descending=[True, False])
    summary = ", ".join(f"{count:,} {kind} {name}" for kind, name, count in by_rule.iter_rows())
    lost = f"{counted(frame['num_specs'].sum(), 'spec')} left out"
    if unknown := frame["num_specs"].null_count():
        lost += f", and those of {counted(unknown, 'page')}, how many nobody can tell"
    total = counted(everything.height, "row")
    talk(f"{frame.height:,} of {total}, {lost}{': ' if summary else ''}{summary}")


@click.command()
@output_options
def dictionary(form: str, out: Path | None) -> None:
    """Show what every column of every table means."""
    from cachestats.schema import data_dictionary, dictionary_markdown

    if form == "markdown":
        write(dictionary_markdown().encode(), out)
    else:
        emit(data_dictionary(), form, out)
