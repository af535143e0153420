"""Check the indices of sources, snapshot by snapshot, with one index in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
import pyarrow as pa

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.ingest.assemble import assemble
from cachestats.ingest.closures import add_requirements
from cachestats.ingest.part import summarize_specs
from cachestats.naming import UNION_STACK
from cachestats.parse.index import read_index
from cachestats.parse.records import Fragment
from cachestats.schema import DEPTYPES
from cachestats.sources.items import EXPECTED, FailedIndex, Index, Page, Previous, Source
from cachestats.sources.mirror import IndexLocation, IndexTask
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.spack_releases import rules_of_sources
from cachestats.verification.checks import OF_INDEX, OF_MIRROR
from cachestats.verification.hashes import check_hashes
from cachestats.verification.ledger import Ledger, Place
from cachestats.verification.mirrors import Mirror, contents_of
from cachestats.verification.snapshot import CONTENT, Contents, check_holes, check_usable

_OF_SPECS = ("snapshot", "hash", "package", "version", "spec_format", "stack", "requirement")
_OF_EDGES = (
    "snapshot",
    "hash",
    "dependency_hash",
    "dependency_package",
    "is_external",
    *(f"is_{one}" for one in DEPTYPES),
)
_KEY = re.compile(r"\['(\w+)'\]")
_COMPARED = "stacks-disagree"  # found again, in more columns, where all indices are compared


@dataclass
class Snapshot:
    """The indices of a snapshot in one source, none of them read, with their locations as far as these are known."""

    place: Place
    indices: list[tuple[Index, IndexLocation | None]] = field(default_factory=list)


def find_snapshots(sources: Iterable[Source], ledger: Ledger) -> list[Snapshot]:
    """Return the snapshots of sources, and write down which indices cannot be read.

    Raises
    ------
    SourceError
        If there are pages, a source has nothing that is selected, or it cannot be read at all.
    """
    found: dict[Place, Snapshot] = {}
    for source in sources:
        is_empty = True
        for task in source.batches(Previous()):
            location = task.location if isinstance(task, IndexTask) else None
            for item in task():
                is_empty = False
                if isinstance(item, Page):
                    raise SourceError(
                        f"expected the indices of a build cache, found pages in {source.name}",
                        hint="pages lack dependencies, and what hashes are made of: build a dataset, and verify that",
                    )
                if isinstance(item, FailedIndex):
                    ledger.count("unreadable")
                    _write_down_unread(item.finding(), ledger)
                elif isinstance(item, Finding):
                    _write_down(item, ledger)
                elif isinstance(item, Index):
                    place = Place(source.name, item.snapshot)
                    found.setdefault(place, Snapshot(place)).indices.append((item, location))
        if is_empty:  # such as pages, none of which is of the selected snapshots
            raise SourceError(
                f"expected the indices of a build cache in {source.name}, found none to check",
                hint="check --snapshot" if source.selection.snapshots else f"give {EXPECTED}",
            )
    return [*found.values()]


def check_snapshot(
    snapshot: Snapshot,
    limits: InputLimits,
    compared: Contents | None,
    mirrors: dict[str, Mirror] | None,
    ledger: Ledger,
) -> None:
    """Check the indices of a snapshot.

    Parameters
    ----------
    snapshot
        The snapshot.
    limits
        Limits for the indices.
    compared
        To which the content of each index is added; None if there is only one index.
    mirrors
        To which the mirrors are added, by name; None if they are not looked at.
    ledger
        Where findings are written down.
    """
    fragments: list[Fragment] = []
    for index, location in snapshot.indices:
        place = Place(index.origin, index.snapshot)
        fragment = _read(index, place, limits, ledger)
        if fragment is None:
            continue
        fragments.append(fragment)
        if fragment.pages and compared is not None:
            tables = assemble([fragment])
            edges = _frame(tables.dependencies, ("hash", "dependency_hash"))
            compared.add(place, _frame(tables.specs, ("hash", *CONTENT)).lazy(), edges.lazy())
        if mirrors is not None:
            _add_mirror(location, place, fragment, mirrors, ledger)
    if any(fragment.pages for fragment in fragments):
        _check_tables(snapshot.place, fragments, ledger)


def _read(index: Index, place: Place, limits: InputLimits, ledger: Ledger) -> Fragment | None:
    """Check the hashes in an index, and return its specs; None if it cannot be read."""
    ledger.count("unreadable")
    try:
        content = index.read()
    except SourceError as error:
        _write_down_unread(FailedIndex(index.origin, index.snapshot, error).finding(), ledger)
        return None
    names = {"origin": index.origin, "snapshot": index.snapshot, "stack": index.stack}
    fragment = read_index(content.data, **names, limits=limits)
    if isinstance(fragment, Finding):
        _write_down_unread(fragment, ledger)
        return None
    ledger.count("record", len(fragment.records))
    for finding in fragment.findings:
        _write_down(finding, ledger)
    check_hashes(content.data, place, ledger)
    return fragment


def _written(location: IndexLocation) -> datetime | None:
    """Return when an index was written; None if that is not known."""
    try:
        return location.storage.modified(location.path)
    except SourceError:  # it was read: whatever is wrong with its date is no fault of the mirror
        return None


def _add_mirror(
    location: IndexLocation | None, place: Place, fragment: Fragment, mirrors: dict[str, Mirror], ledger: Ledger
) -> None:
    found = None if location is None else contents_of(location)
    if location is None or found is None:
        for check in OF_MIRROR:
            ledger.skip(check, "no mirror around the index", len(fragment.records))
        return
    name, contents = found
    mirror = mirrors.setdefault(name, Mirror(Place(name, place.snapshot), contents))
    mirror.written.append(_written(location))
    packages = [page.package for page in fragment.pages]
    pages, hashes = (fragment.records.column(column).to_pylist() for column in ("page", "hash"))
    mirror.indexed.update((digest, packages[page]) for page, digest in zip(pages, hashes, strict=True))


def _check_tables(place: Place, fragments: Sequence[Fragment], ledger: Ledger) -> None:
    """Check what the indices of a snapshot say together."""
    tables = assemble(fragments)
    for finding in tables.findings:
        if finding.rule != _COMPARED:
            _write_down(finding, ledger)
    summary = summarize_specs(tables.specs)
    generations = {fragment.generation for fragment in fragments if fragment.generation}
    rules = rules_of_sources(place.snapshot or "", generations, names_libc=summary.name_libc)
    specs = _frame(add_requirements(tables.specs, tables.dependencies, rules), _OF_SPECS)
    check_holes(specs, _frame(tables.dependencies, _OF_EDGES), place, summary.num_specs, ledger)
    check_usable(specs.lazy(), place, summary.num_specs, ledger)
    if summary.stacks and UNION_STACK in specs["stack"]:
        _check_union(specs, place, ledger)


def _check_union(specs: pl.DataFrame, place: Place, ledger: Ledger) -> None:
    """Check that the index of the whole snapshot has the specs of all stacks."""
    union = specs.filter(stack=UNION_STACK).select("hash")
    others = specs.filter(pl.col("stack") != UNION_STACK)
    ledger.count("union", others["hash"].n_unique())
    lacking = others.join(union, on="hash", how="anti").group_by("package", "hash").agg(pl.col("stack").sort())
    for package, digest, stacks in lacking.iter_rows():
        message = f"expected the spec of {', '.join(stacks)} in the index of the whole snapshot, found none"
        ledger.find("union", place, message, package=package, digest=digest)


def _frame(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    frame = pl.from_arrow(table.select(columns))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 (Polars does not say so of tables)
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def _write_down_unread(finding: Finding, ledger: Ledger) -> None:
    """Write down that an index cannot be read, and what is not checked for that reason."""
    _write_down(finding, ledger)
    for check in OF_INDEX:
        ledger.skip(check, "index that cannot be read")


def _write_down(finding: Finding, ledger: Ledger) -> None:
    """Write down what a reader found."""
    check = "record" if finding.rule == "record" else "odd" if finding.severity == "warning" else "unreadable"
    key = _KEY.search(finding.location)
    ledger.find(
        check,
        Place(finding.origin, finding.snapshot),
        finding.message,
        package=finding.package,
        digest=key[1] if key else None,
        hint=finding.hint,
    )
