"""Check a dataset: its files, and the tables of each of its snapshots."""

from __future__ import annotations

from cachestats.dataset.checksums import damaged_files
from cachestats.dataset.dataset import Dataset, check_current, with_dependencies
from cachestats.dataset.paths import file_records, stored_files
from cachestats.dataset.subset import Subset
from cachestats.verification.checks import OF_MIRROR
from cachestats.verification.ledger import Ledger, Place
from cachestats.verification.snapshot import CONTENT, Contents, check_holes, check_usable

_NOT_HERE = "only in the sources of a dataset"


def check_dataset(dataset: Dataset, ledger: Ledger) -> None:
    """Check a dataset. If a file is damaged, only the files are checked."""
    source = str(dataset.path)
    for check in ("hash", "union", *OF_MIRROR):
        ledger.leave_out(check, _NOT_HERE)
    if not _check_files(dataset, Place(source), ledger):
        return
    contents = Contents()
    known = {*with_dependencies(dataset, dataset.manifest.snapshots)}
    for snapshot, record in dataset.manifest.snapshots.items():
        place = Place(source, snapshot)
        specs = dataset.scan("specs", snapshots=[snapshot])
        has_edges = snapshot in known
        if has_edges:
            check_holes(Subset(dataset, (snapshot,)), None, place, record.num_specs, ledger)
        else:
            ledger.skip("hole", "dependencies not known", record.num_specs)
        check_usable(specs, place, record.num_specs, ledger)
        edges = dataset.scan("dependencies", snapshots=[snapshot]) if has_edges else None
        contents.add(place, specs.select("hash", *CONTENT), edges)
    contents.check(ledger)


def _check_files(dataset: Dataset, place: Place, ledger: Ledger) -> bool:
    """Check that every file has the checksum in the manifest, and that there are no others."""
    records = file_records(dataset.manifest)
    damaged = damaged_files(dataset.path, records)
    if damaged:
        check_current(dataset)
    ledger.count("file", len(records))
    for error in damaged.values():
        ledger.find("file", place, error.message, hint=error.hint)
    for name in sorted(stored_files(dataset.path) - records.keys()):
        ledger.find("extra-file", place, f"expected only files that the manifest lists, found {dataset.path / name}")
    return not damaged
