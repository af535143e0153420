"""Repair a dataset: what is whole is kept, and what is damaged must be made again from the sources."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote

from msgspec.structs import replace

from cachestats.dataset.checksums import damaged_files
from cachestats.dataset.paths import file_name, file_records, snapshot_file_names, stored_files
from cachestats.dataset.publication import published_manifest
from cachestats.errors import DamagedError, DatasetError
from cachestats.ingest.existing import Existing
from cachestats.schema import STORED_TABLES
from cachestats.text import file_stem

logger = logging.getLogger(__name__)


def read_undamaged(folder: Path) -> Existing:
    """Return what is whole of a dataset; `Existing.lost` says which snapshots must be made again.

    Rows of all snapshots are in the small tables, so that all snapshots are lost if one of these is damaged.
    """
    try:
        manifest = published_manifest(folder)
    except DamagedError as error:
        logger.warning(error.message)
        manifest = None
    if manifest is None:
        files = stored_files(folder)
        names = {Path(name).stem.partition("~")[0] for name in files if "/" in name}
        return Existing(folder, lost=dict.fromkeys(names, 0), lost_files=files)
    records = file_records(manifest)
    damaged = damaged_files(folder, records)
    for problem in damaged.values():
        logger.warning(problem.message)
    if any(file_name(table) in damaged for table in STORED_TABLES.values() if not table.by_snapshot):
        lost = {file_stem(name): one.num_specs for name, one in manifest.snapshots.items()}
        return Existing(folder, lost=lost, lost_files=records)
    whole = {
        name: one
        for name, one in manifest.snapshots.items()
        if damaged.keys().isdisjoint(snapshot_file_names(name, one))
    }
    lost = {file_stem(name): one.num_specs for name, one in manifest.snapshots.items() if name not in whole}
    return Existing(folder, replace(manifest, snapshots=whole), is_there=True, lost=lost, lost_files=records)


def check_repaired(existing: Existing, snapshots: Collection[str]) -> None:
    """Check that all lost snapshots are among those that are made again.

    Raises
    ------
    DatasetError
        If they are not.
    """
    missing = sorted(map(unquote, existing.lost.keys() - {*map(file_stem, snapshots)}))
    if missing:
        raise DatasetError(
            f"expected sources with all damaged snapshots of {existing.path}, found none with {', '.join(missing)}; "
            "nothing was published",
            hint="add their sources; if there are none any more, build what is left into a new folder",
        )
