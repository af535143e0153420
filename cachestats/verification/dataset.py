"""Check a dataset: its files, and the tables of each of its snapshots."""

from __future__ import annotations

from cachestats.dataset.dataset import Dataset, with_dependencies
from cachestats.dataset.parquet import check_files
from cachestats.dataset.subset import Subset
from cachestats.errors import DatasetError
from cachestats.schema import STORED_TABLES
from cachestats.verification.checks import LISTED
from cachestats.verification.ledger import Ledger, Place
from cachestats.verification.snapshot import CONTENT, Contents, check_holes, check_usable

_NOT_HERE = "in a dataset, only in its sources"


def check_dataset(dataset: Dataset, ledger: Ledger) -> None:
    """Check a dataset. If a file is damaged, nothing else can be said."""
    source = str(dataset.path)
    for check in ("hash", "union", *LISTED, "blob", "signature"):
        ledger.skip(check, _NOT_HERE)
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
            ledger.skip("hole", "whose dependencies are not known", record.num_specs)
        check_usable(specs, place, record.num_specs, ledger)
        edges = dataset.scan("dependencies", snapshots=[snapshot]) if has_edges else None
        contents.add(place, specs.select("hash", *CONTENT), edges)
    contents.check(ledger)


def _check_files(dataset: Dataset, place: Place, ledger: Ledger) -> bool:
    """Check that every file can be read, and has the rows that the manifest tells."""
    try:
        check_files(dataset)
        ledger.count("file", sum(len(dataset.files(table)) for table in STORED_TABLES))
    except DatasetError as error:
        ledger.count("file")  # those after it were not read
        ledger.find("file", place, error.message, hint=error.hint)
        return False
    return True
