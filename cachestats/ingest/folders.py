"""The checksums of folders of pages, from the rows of `inputs`, as `sources.look` computes them again from the disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.manifest import SourceRecord
from cachestats.findings import FAILURES, Finding
from cachestats.ingest.by_git import ByGit
from cachestats.ingest.existing import Existing
from cachestats.sources.look import checksum, folders_above


def with_folders(
    sources: Mapping[str, SourceRecord],
    inputs: pa.Table,
    existing: Existing,
    findings: Collection[Finding],
    by_git: ByGit | None,
) -> dict[str, SourceRecord]:
    """Return records of sources with the checksums of their folders of pages.

    Parameters
    ----------
    sources
        The records.
    inputs
        The inputs as they will be published, without those in settled folders: their checksums stay.
    existing
        The dataset before.
    findings
        The findings as they will be published. A source with one that the next update may drop is not whole.
    by_git
        Answers of git, if it is to be asked about folders that it was not asked about before.
    """
    origins = pa.array([row.origin for row in findings], pa.string())
    known = {
        origin
        for table in (inputs, existing.set_aside)
        for origin in table.column("origin").filter(pc.is_in(table.column("origin"), origins)).to_pylist()
    }
    passing = {row.source for row in findings if row.rule in FAILURES or row.origin not in known}
    result = {}
    for name, record in sources.items():
        checksums: dict[str, str] = {}
        trees: dict[str, str] = {}
        commit = None
        is_whole = False
        if record.kind == "folder" and not record.snapshots and not record.stacks:
            top, settled = name.rstrip("/"), existing.settled.get(name, {})
            rows = inputs.filter(pc.equal(inputs.column("source"), name)).select(["origin", "fingerprint", "is_gone"])
            columns = (column.to_pylist() for column in rows.columns)
            checksums, is_whole = _checksums(top, zip(*columns, strict=True), settled)
            before = existing.manifest.sources.get(name, record)
            insides = [folder[len(top) + 1 :] for folder in settled]
            checksums |= {inside: before.folders[inside] for inside in insides}
            trees = {inside: before.by_git[inside] for inside in insides if inside in before.by_git}
            commit = before.commit if trees else None
            if by_git:
                asked = {inside: value for inside, value in checksums.items() if inside not in trees}
                found_commit, found = by_git.clean(name, asked)
                trees, commit = trees | found, found_commit or commit
        result[name] = msgspec.structs.replace(
            record,
            folders=dict(sorted(checksums.items())),
            is_whole=is_whole and not {name, None} & passing,
            by_git=dict(sorted(trees.items())),
            commit=commit if trees else None,
        )
    return result


def _checksums(
    top: str, rows: Iterable[tuple[str, str | None, bool]], settled: Iterable[str]
) -> tuple[dict[str, str], bool]:
    """Return the checksums of the folders of pages of a source, and whether all of these rows are in such folders.

    A folder has one if it has pages only, all of them with a fingerprint, and no input is further down in it: an update
    would enter the folders there.
    """
    pages: dict[str, list[tuple[str, str]]] = {}
    without: set[str] = set()
    folders = set(settled)
    for origin, fingerprint, is_gone in rows:
        place, _, file = origin.rpartition("/")
        folder, _, name = place.rpartition("/")
        folders.add(folder)
        if is_gone:
            continue
        if file == "specs.md" and fingerprint is not None and f"{folder}/".startswith(f"{top}/"):
            pages.setdefault(folder, []).append((name, fingerprint))
        else:
            without.add(folder)
    is_whole = not without
    without |= folders_above({folder.rpartition("/")[0] for folder in folders} - {""})
    checksums = {folder[len(top) + 1 :]: checksum(each) for folder, each in pages.items() if folder not in without}
    return checksums, is_whole and len(checksums) == len(pages)
