"""An update: look at the sources, and merge the inputs that changed into the tables of their snapshots.

Arrow and Polars are imported only if something changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.dataset.dataset import open_dataset
from cachestats.dataset.publication import SPEC_FILES, is_being_written
from cachestats.ingest.changes import Change, changes_frame
from cachestats.ingest.existing import Existing
from cachestats.ingest.limits import Limits
from cachestats.ingest.look import first_look, log_files
from cachestats.ingest.workers import Progress, Workers, checked_workers
from cachestats.sources.request import SourceRequest, SpecFileReading
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network

if TYPE_CHECKING:
    import polars as pl


def update_dataset(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    git: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    without_index: bool = False,
    network: Network | None = None,
    limits: InputLimits | None = None,
    workers: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Bring a dataset up to date with its sources in place, and return a table of what changed, not the dataset.

    Only changed files are read: a page if its size or date changed (its specs are replaced only if its contents
    changed, too), an index if its checksum or entity tag changed. Files that are gone from a source stay in the dataset
    unless `prune` is set. If nothing changed, nothing is written.

    Parameters
    ----------
    path
        The dataset's folder.
    *sources
        Sources to look at, which the dataset remembers from then on; by default those that it remembers, with the
        `snapshots`, `stacks`, `sizes`, `without_index`, hosts and signing that they were given with. `NAME=SOURCE`, as
        in `build_dataset`, reads the source into the snapshot NAME now and later; its snapshot under an earlier name,
        or its own, stays as it is and is not read again.
    prune
        Drop files that are gone from the sources.
    recheck
        Read everything again, whatever its dates and tags. By default, servers are not even asked about dated
        snapshots and releases, which do not change once they are published.
    git
        For folders in a checkout: do not read pages again that only have new dates, as after a fresh clone, if git says
        that their folder is as it was when an update with `git` last read it. What git cannot vouch for is looked at
        as usual, and the log says why.
    snapshots, stacks
        Look only at these; if no source is named, for this run only.
    allow_shrink, max_rejected, network, limits, workers, wait, progress
        As in `build_dataset`.
    sizes
        Read the sizes of binaries from now on; those that were not found before are requested again.
    without_index
        Read the spec files of mirrors and OCI caches instead of their indices from now on. Those that were read before
        are not read again, unless `recheck` is set: their names contain the hashes of the specs.

    Returns
    -------
    polars.DataFrame
        One row per snapshot that changed, the newest last; no rows if nothing changed:

        - `snapshot` (String): the snapshot.
        - `change` (String): `came`, `changed`, `went`, `kept` (files are gone from the source, and are kept in the
          dataset) or `failed` (an index could not be read, and the snapshot was left as it was).
        - `files_came`, `files_changed`, `files_gone` (Int64): pages and indices.
        - `specs_added`, `specs_removed` (Int64): specs that came and went.
        - `num_specs` (Int64): the specs that it has now.

    Raises
    ------
    DatasetError
        If there is no dataset at `path`, or it remembers no sources and none is given.
    SourceError, RejectedError, ShrinkError, ArgumentError, BusyError
        As in `build_dataset`.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> ds = cs.build_dataset("site", out="dataset")
    >>> cs.update_dataset("dataset").height
    0
    >>> Path("site/_cache/develop-2025-03-09/hwloc/specs.md").unlink()
    >>> changes = cs.update_dataset("dataset", prune=True)
    >>> changes.select("snapshot", "change", "files_gone", "specs_removed", "num_specs").rows()
    [('develop-2025-03-09', 'changed', 1, 1, 38)]
    """
    return changes_frame(
        changes_of_update(
            path,
            *sources,
            prune=prune,
            recheck=recheck,
            git=git,
            snapshots=snapshots,
            stacks=stacks,
            allow_shrink=allow_shrink,
            max_rejected=max_rejected,
            sizes=sizes,
            without_index=without_index,
            network=network,
            limits=limits,
            workers=workers,
            wait=wait,
            progress=progress,
        )
    )


def changes_of_update(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    git: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    without_index: bool = False,
    network: Network | None = None,
    limits: InputLimits | None = None,
    workers: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> list[Change]:
    """Do what `update_dataset` does, and return what changed without importing Polars."""
    accepted, count = Limits(max_rejected, allow_shrink).checked(), checked_workers(workers)
    existing = _existing(path)
    reading = SpecFileReading(existing.path / SPEC_FILES)
    request = SourceRequest.for_any(
        snapshots, stacks, network, limits, sizes=sizes, without_index=without_index, reading=reading
    )
    look = partial(first_look, request=request, sources=sources, recheck=recheck, git=git)
    found = look(existing)
    is_to_prune = prune and existing.manifest.num_gone
    if found.is_all and not is_to_prune and not sizes and not is_being_written(existing.path):
        for source in found.opened:
            log_files(source, sum(found.existing.settled[source.name].values()))
        return []
    from cachestats.ingest.merge import merge

    return merge(
        look,
        found,
        prune=prune,
        recheck=recheck,
        sizes=sizes,
        keeps_selections=not sources,
        limits=accepted,
        workers=Workers(count, progress, reading.stopping),
        wait=wait,
    )


def plan_update(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    git: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    sizes: bool = False,
    without_index: bool = False,
    network: Network | None = None,
    limits: InputLimits | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Read the inputs that changed and return what `update_dataset` would do with them. Nothing is written.

    As in `plan_build`, only a publication that another process left unfinished is finished first.

    Parameters
    ----------
    path, *sources, prune, recheck, git, snapshots, stacks, sizes, without_index, network, limits, workers, progress
        As in `update_dataset`.

    Returns
    -------
    polars.DataFrame
        A table like that of `plan_build`.

    Raises
    ------
    DatasetError, SourceError, ArgumentError, BusyError
        As in `update_dataset`.

    Examples
    --------
    >>> import cachestats as cs
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> ds = cs.build_dataset("site", out="dataset")
    >>> cs.plan_update("dataset").rows()
    [('develop-2024-06-02', 'keep', 'unchanged', 11), ('develop-2025-03-09', 'keep', 'unchanged', 13)]
    """
    from cachestats.ingest.merge import plan_merge

    count = checked_workers(workers)
    request = SourceRequest.for_any(snapshots, stacks, network, limits, sizes=sizes, without_index=without_index)
    found = first_look(_existing(path), request, sources, recheck=recheck, git=git)
    with Workers(count, progress) as pool:
        return plan_merge(found, prune=prune, recheck=recheck, sizes=sizes, workers=pool)


def _existing(path: str | os.PathLike[str]) -> Existing:
    """Return a dataset that must exist; its last publication is finished first."""
    return Existing(Path(path), open_dataset(path).manifest, is_there=True)
