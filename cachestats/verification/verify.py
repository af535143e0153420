"""Verify sources or a dataset: read what there is, one index at a time, and hand it to each check."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cachestats.dataset.dataset import open_dataset
from cachestats.dataset.manifest import MANIFEST
from cachestats.dataset.paths import stored_files
from cachestats.errors import ArgumentError
from cachestats.sources.detect import open_sources
from cachestats.sources.request import SourceRequest
from cachestats.verification.checks import LISTED
from cachestats.verification.dataset import check_dataset
from cachestats.verification.indices import check_snapshot, find_snapshots
from cachestats.verification.ledger import Ledger, Verification
from cachestats.verification.mirrors import Depth, Finished, Mirror, check_mirror
from cachestats.verification.signatures import Keyring
from cachestats.verification.snapshot import Contents

if TYPE_CHECKING:
    from cachestats.ingest.workers import Progress
    from cachestats.sources.storage.input_limits import InputLimits
    from cachestats.sources.storage.network import Network

T = TypeVar("T")


def verify(
    *sources: str | os.PathLike[str],
    deep: bool = False,
    blobs: bool = False,
    keyring: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    network: Network | None = None,
    limits: InputLimits | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check that build caches, or a dataset, are whole.

    Parameters
    ----------
    *sources
        The folder of one dataset; or one or more sources, as in `build_dataset`: mirrors, folders of mirrors, OCI
        caches, catalogues, indices and installations. Several should have the same content for each hash that they
        share.
    deep
        Whether to look at the storage of mirrors and OCI caches for a spec file and a binary of each spec in their
        indices, and for specs that no index has. Folders must be listed, and for each spec one small file is read.
    blobs
        Whether to read all these files, and compare their checksums and lengths. Implies `deep`.
    keyring
        A file with public keys, as `gpg --export` writes it: signatures are verified with them. Implies `deep`.
    resume
        A file to write down which files were found whole, with `blobs`. If it is there, a run that was stopped
        continues; it is removed at the end.
    snapshots, stacks, network, limits
        As in `build_dataset`.
    progress
        A function such as `tqdm.tqdm`, which shows the progress of `deep`.

    Returns
    -------
    Verification
        The findings as a frame, and what was checked and what was not.

    Raises
    ------
    SourceError
        If a source does not exist, cannot be read, or has pages instead of indices.
    ArgumentError
        If options exclude each other, the keyring has no keys, or a dataset is not given alone.
    DatasetError
        If a dataset cannot be opened.

    Examples
    --------
    >>> import cachestats as cs
    >>> found = cs.verify(cs.example_dataset().path)
    >>> found.findings.height
    0
    >>> found.checks.filter(check="hole").select("checked", "found").row(0)
    (68, 0)
    """
    addresses = [os.fspath(source) for source in sources]
    snapshots, stacks = tuple(snapshots), tuple(stacks)
    if resume is not None and not blobs:
        raise ArgumentError("expected resume with blobs=True, found it alone", hint="add it, or leave out resume")
    ledger = Ledger()
    if any(map(_is_dataset, addresses)):
        if len(addresses) > 1 or deep or blobs or keyring is not None or snapshots or stacks:
            found = "other sources" if len(addresses) > 1 else "options for sources"
            raise ArgumentError(
                f"expected a dataset alone, found {found} with it", hint="verify the sources of the dataset instead"
            )
        check_dataset(open_dataset(addresses[0]), ledger)
        return ledger.verification()
    request = replace(SourceRequest.for_any(snapshots, stacks, network, limits), needs_names=False)
    readers = open_sources(request.at(addresses))
    with _depth(deep, blobs, keyring, resume, ledger) as depth:
        mirrors: dict[str, Mirror] = {}
        listed = find_snapshots(readers, ledger)
        compared = Contents() if sum(len(one.indices) for one in listed) > 1 else None
        for snapshot in _shown(progress, listed, "indices", len(listed), "snapshot"):
            check_snapshot(snapshot, request.limits, compared, None if depth is None else mirrors, ledger)
        if compared is not None:
            compared.check(ledger)
        if depth is not None:
            for name, mirror in mirrors.items():
                for _ in _shown(progress, check_mirror(mirror, depth, ledger), name, None, "spec"):
                    pass
    return ledger.verification()


@contextmanager
def _depth(
    deep: bool,
    blobs: bool,
    keyring: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    ledger: Ledger,
) -> Iterator[Depth | None]:
    """Give how deep to look at mirrors, None if not at all; write down what is left out."""
    if not (deep or blobs or keyring is not None):
        for check in LISTED:
            ledger.leave_out(check, "without deep")
    if not blobs:
        ledger.leave_out("blob", "without blobs")
    if keyring is None:
        for check in ("signature", "unsigned"):
            ledger.leave_out(check, "without keyring")
    with ExitStack() as stack:
        keys = None if keyring is None else stack.enter_context(Keyring(Path(keyring)))
        finished = None if resume is None else stack.enter_context(Finished(Path(resume)))
        yield Depth(blobs, keys, finished) if deep or blobs or keys else None


def _is_dataset(address: str) -> bool:
    """Whether a folder has the manifest of a dataset, or files of its tables."""
    return Path(address, MANIFEST).exists() or bool(stored_files(Path(address)))


def _shown(progress: Progress | None, items: Iterable[T], words: str, total: int | None, unit: str) -> Iterable[T]:
    return items if progress is None else progress(items, desc=words, total=total, unit=unit)
