"""Assemble the records of one snapshot into its tables: canonical names, no duplicates, sorted.

The code works on integer codes throughout: each distinct name is looked at once, in plain Python, and rows are ordered
by sorting numbers. The result depends only on the contents of the pages, not on their order or on how they were split
into fragments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats import naming
from cachestats.dataset.rows import as_array, encoded, sort_rows, table_of
from cachestats.findings import Finding, Findings
from cachestats.parse.arrays import Codes, distinct_pairs, ranges
from cachestats.parse.records import INDEX_ONLY, Fragment, PageInfo
from cachestats.schema import DEPENDENCIES, SPECS, TABLES, VARIANTS
from cachestats.spack_releases import canonical_compiler

_SPECS_AT_ONCE = 1 << 16
_FACTS = ("os", "platform", "target", "version", "compiler")

_TEXTS_OF_INDEX = tuple(name for name in INDEX_ONLY if name != "spec_format")

# If a spec has the same value of a variant twice, with different signs, the first of these signs is kept.
_SIGNS = (":=", "=", "+", "~", "")

# Snapshots have most versions in common: without a cache, the keys take 3% of the time of a build of pages.
_MOST_VERSIONS = 1 << 16
_REPEATED = "duplicate-hash"
_version_sort_key = lru_cache(_MOST_VERSIONS)(naming.version_sort_key)

T = TypeVar("T")


class _Variant(NamedTuple):
    """One variant: its canonical text and the sign it was written with."""

    text: str
    sign: str


@dataclass(frozen=True)
class SnapshotTables:
    """One snapshot, ready to be stored; text is still dictionary-encoded, with the dictionaries in a fixed order."""

    specs: pa.Table
    """All columns except the last, `requirement`, which is computed from the whole snapshot."""
    variants: pa.Table
    dependencies: pa.Table
    findings: list[Finding]
    copies: set[str]
    """Origins of pages that are copies of other pages; the findings about their specs are already reported."""

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The tables by name."""
        return {"specs": self.specs, "variants": self.variants, "dependencies": self.dependencies}


def assemble(fragments: Sequence[Fragment]) -> SnapshotTables:
    """Return the tables of one snapshot, given all its fragments.

    The columns are those of the tables `specs` and `variants`, in their sort order. A spec that appears twice on a
    page, or on the pages of two packages, is kept once and reported; a page that was read twice counts as one page.
    """
    snapshot = fragments[0].snapshot
    pages = [page for fragment in fragments for page in fragment.pages]
    records = _concatenate(fragments)
    joined = any(fragment.is_part_of_stacks for fragment in fragments)
    doubts: list[Finding] = []
    if joined and pc.count_distinct(records.column("hash")).as_py() < len(records):
        doubts = _disagreements(records, pages, snapshot)
        records = _joined_by_hash(records)
    kept, findings = _distinct(records, pages, snapshot)
    findings += doubts
    # Sources list pages by package, and pages list specs by hash: mostly there is nothing to do.
    if not np.array_equal(kept.to_numpy(), np.arange(len(records))):
        records = records.take(kept)
    copies = set() if joined else _copies(records, pages, findings)
    findings += [] if joined else _second_pages(records, pages, snapshot)
    packages = pa.array([page.package for page in pages], pa.string()).dictionary_encode()
    specs, variants = _Snapshot(snapshot, packages.take(as_array(records.column("page"))), records).tables()
    edges = _dependencies(
        snapshot, pa.concat_tables([fragment.dependencies for fragment in fragments]).unify_dictionaries()
    )
    return SnapshotTables(specs, variants, edges, findings, copies)


def merge_specs(
    old: pa.Table, new: SnapshotTables | None, *, packages: Collection[str], stacks: Collection[str]
) -> tuple[pa.Table, pa.Array] | None:
    """Return the table `specs` of a snapshot after some of its packages or stacks were read again.

    Parameters
    ----------
    old
        The stored table, all text dictionary-encoded.
    new
        The tables that were read; None if nothing is left of them.
    packages, stacks
        Packages and stacks of the old table to leave out: they are in `new`, or gone.

    Returns
    -------
    tuple of pyarrow.Table and pyarrow.Array, or None
        The same table as `assemble` makes from all fragments, and the hashes kept from the old table. None if the table
        cannot be determined without reading the whole snapshot, because a hash that was read also appears elsewhere in
        the snapshot, as a different spec.
    """
    is_left_out = _is_in(old.column("package"), packages) | _is_in(old.column("stack"), stacks)
    specs = old.drop_columns("requirement").filter(pa.array(~is_left_out))
    kept = _used(specs.column("hash"))
    if new:
        if packages and _is_in(new.specs.column("hash"), kept).any():
            return None
        specs = pa.concat_tables([specs, new.specs])
    specs = sort_rows(specs, SPECS)
    return (specs, kept) if _says_one_thing(specs) else None


def merge_rows(name: str, old: pa.Table, new: SnapshotTables | None, kept: pa.Array) -> pa.Table:
    """Return the table `variants` or `dependencies` of such a snapshot, given the hashes kept from the old one."""
    rows = old.filter(pa.array(_is_in(old.column("hash"), kept)))
    return sort_rows(pa.concat_tables([rows, new.tables[name]]) if new else rows, TABLES[name])


def _says_one_thing(specs: pa.Table) -> bool:
    """Whether all rows of a hash, one per stack, agree."""
    facts = [name for name in specs.column_names if name not in {"stack", "size_bytes"}]
    plain = pa.table({name: _codes(specs.column(name)) for name in facts})
    return bool(plain.group_by(facts).aggregate([]).num_rows == pc.count_distinct(plain.column("hash")).as_py())


def _is_in(column: pa.ChunkedArray, names: Collection[str] | pa.Array) -> npt.NDArray[np.bool_]:
    """Return whether each row has one of the given names; each distinct name of the column is looked at once."""
    coded = as_array(column)
    wanted = names if isinstance(names, pa.Array) else pa.array(sorted(names), pa.string())
    found = np.append(pc.is_in(coded.dictionary, wanted).to_numpy(zero_copy_only=False), False)  # and null
    result: npt.NDArray[np.bool_] = found[coded.indices.fill_null(len(coded.dictionary)).to_numpy()]
    return result


def _used(column: pa.ChunkedArray) -> pa.Array:
    """Return the distinct names in a column without nulls."""
    coded = as_array(column)
    return coded.dictionary.take(pc.unique(coded.indices))


def _codes(column: pa.ChunkedArray) -> pa.Array:
    chunk = as_array(column)
    return chunk.indices if pa.types.is_dictionary(chunk.type) else chunk


def _concatenate(fragments: Sequence[Fragment]) -> pa.Table:
    tables, first = [], 0
    for fragment in fragments:
        page = pc.add(fragment.records.column("page"), pa.scalar(first, pa.int32()))
        tables.append(fragment.records.set_column(0, "page", page))
        first += len(fragment.pages)
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _dependencies(snapshot: str, edges: pa.Table) -> pa.Table:
    """Return the table `dependencies`, in which an edge that appears in the indices of several stacks is one row."""
    columns = dict(zip(edges.column_names, map(as_array, edges.columns), strict=True))
    texts = {name: encoded(column) for name, column in columns.items() if pa.types.is_dictionary(column.type)}
    hashes, others = (texts[name].indices.to_numpy().astype(np.int64) for name in ("hash", "dependency_hash"))
    # If only some indices know the end of an edge, a row from one that does comes first.
    unknown = columns["is_external"].is_null().to_numpy(zero_copy_only=False)
    pairs = hashes * len(texts["dependency_hash"].dictionary) + others
    order = np.argsort(2 * pairs + unknown, kind="stable")
    pairs = pairs[order]
    rows = pa.array(order[np.append(True, pairs[1:] != pairs[:-1])] if len(order) else order)
    columns = {name: column.take(rows) for name, column in (columns | texts).items()}
    return table_of(DEPENDENCIES, columns | {"snapshot": _constant(snapshot, len(rows))})


def _joined_by_hash(records: pa.Table) -> pa.Table:
    """Return one record per hash, with the stacks of all its records; a record of an index precedes one of a page."""
    records = records.take(np.argsort(pc.is_null(records.column("spec_format")).to_numpy(), kind="stable"))
    hashes = as_array(records.column("hash")).dictionary_encode()
    code, first = np.unique(hashes.indices.to_numpy(), return_index=True)
    lists = as_array(records.column("stacks"))
    stacks = lists.flatten()
    owners = np.repeat(hashes.indices.to_numpy().astype(np.int64), pc.list_value_length(lists).to_numpy())
    owner, stack = distinct_pairs(owners, stacks.indices.to_numpy().astype(np.int64), len(stacks.dictionary))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(code)))])
    names = pa.DictionaryArray.from_arrays(pa.array(stack, pa.int32()), stacks.dictionary)
    position = records.column_names.index("stacks")
    joined = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)
    return records.take(pa.array(first)).set_column(position, "stacks", joined)


def _disagreements(records: pa.Table, pages: list[PageInfo], snapshot: str) -> list[Finding]:
    """Return a warning for each spec that the indices of several stacks describe differently."""
    is_of_index = pc.is_valid(records.column("spec_format"))
    if pc.all(is_of_index).as_py():
        return _disagreements_in(records, pages, snapshot, (*_FACTS, *INDEX_ONLY))
    # The snapshot also has pages: columns that only indices have are compared among indices only.
    found = _disagreements_in(records, pages, snapshot, _FACTS)
    return found + _disagreements_in(records.filter(is_of_index), pages, snapshot, INDEX_ONLY)


def _disagreements_in(records: pa.Table, pages: list[PageInfo], snapshot: str, names: Sequence[str]) -> list[Finding]:
    columns = {name: _codes(records.column(name)) for name in ("hash", *names)}
    facts = pa.table(columns | {"row": np.arange(len(records))}).group_by(list(columns)).aggregate([("row", "min")])
    if len(facts) == pc.count_distinct(records.column("hash")).as_py():
        return []
    counts = Counter(facts.column("hash").to_pylist())
    kept = records.take(facts.column("row_min")).select(["page", "hash", *names])
    first: dict[str, dict[str, Any]] = {}
    findings = Findings()
    for row in sorted(kept.to_pylist(), key=lambda row: pages[row["page"]].origin):
        hash_, page = row["hash"], pages[row.pop("page")]
        if counts[hash_] > 1 and (other := first.setdefault(hash_, row)) is not row:
            differs = ", ".join(name for name in names if row[name] != other[name])
            findings.add(
                Finding(
                    page.origin,
                    f"database.installs[{hash_!r}]",
                    "stacks-disagree",
                    f"expected the indices of all stacks to agree on a spec, found a different {differs}",
                    "one of them was used; rebuild the indices with `spack buildcache update-index`",
                    snapshot=snapshot,
                    package=page.package,
                )
            )
    return findings.all()


def _distinct(records: pa.Table, pages: list[PageInfo], snapshot: str) -> tuple[pa.Array, list[Finding]]:
    """Return the positions of the records to keep, sorted by (package, hash), and findings about the others."""
    by_name = sorted(range(len(pages)), key=lambda page: (pages[page].package, pages[page].origin))
    rank = np.empty(len(pages), np.int64)
    rank[by_name] = np.arange(len(pages))
    packages = {name: code for code, name in enumerate(sorted({page.package for page in pages}))}
    package = np.array([packages[page.package] for page in pages], np.int64)
    page = records.column("page").to_numpy()
    keys = pa.table(
        {
            "package": package[page],
            "hash": records.column("hash"),
            "page": rank[page],
            "position": records.column("position"),
        }
    )
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    hashes = records.column("hash")
    if len(pc.unique(hashes)) == len(hashes):
        return order, []
    kept: list[int] = []
    findings = Findings()
    first_with: dict[str, int] = {}
    hash_list = hashes.to_pylist()
    for row in order.to_pylist():
        first = first_with.setdefault(hash_list[row], row)
        if first == row:
            kept.append(row)
        elif page[first] == page[row] and findings.is_full(origin := pages[page[row]].origin, _REPEATED):
            findings.count(origin, _REPEATED, snapshot, num_specs=1)  # on one page, none is a copy of another
        else:
            for finding in _repeat(records, pages, snapshot, first, row):
                findings.add(finding)
    return pa.array(kept, pa.int64()), findings.all()


def _repeat(records: pa.Table, pages: list[PageInfo], snapshot: str, first: int, again: int) -> list[Finding]:
    """Return the rejection of a hash that was already seen; none for the same page read twice."""
    kept, left_out = (records.slice(row, 1).to_pylist()[0] for row in (first, again))
    kept_page, page = pages[kept.pop("page")], pages[left_out.pop("page")]
    kept_position, position = kept.pop("position"), left_out.pop("position")
    elsewhere = kept_page.origin != page.origin or kept_position == position
    if kept == left_out and kept_page.package == page.package and elsewhere:
        return []
    differs = ", ".join(name for name in kept if kept[name] != left_out[name]) or "nothing"
    return [
        Finding(
            page.origin,
            f"spec_details[{position}].hash",
            _REPEATED,
            f"expected each hash once in a snapshot, found {left_out['hash']} again; "
            f"the first is spec_details[{kept_position}] of {kept_page.origin}, and differs in {differs}",
            "the first was kept; give one source for each snapshot, or write the page again",
            num_specs=1,
            snapshot=snapshot,
            package=page.package,
        )
    ]


def _copies(records: pa.Table, pages: list[PageInfo], findings: list[Finding]) -> set[str]:
    """Return the origins of pages that contributed no spec and have no finding: each is a copy of another page."""
    with_specs = {pages[number].origin for number in pc.unique(records.column("page")).to_pylist()}
    packages = Counter(page.package for page in pages)
    said = {finding.origin for finding in findings}
    return {
        page.origin
        for page in pages
        if packages[page.package] > 1 and page.num_specs and page.origin not in with_specs | said
    }


def _second_pages(records: pa.Table, pages: list[PageInfo], snapshot: str) -> list[Finding]:
    """Return a warning for each page that adds specs to a package that already has a page."""
    first: dict[str, PageInfo] = {}
    used = pc.unique(records.column("page")).to_pylist()
    return [
        Finding(
            page.origin,
            "file",
            "second-page",
            f"expected one page for {page.package} in {snapshot}, found this one and {first[page.package].origin}, "
            "which have different specs",
            "the specs of both were kept; give one source for each snapshot",
            snapshot=snapshot,
            package=page.package,
        )
        for page in sorted((pages[number] for number in used), key=lambda page: (page.package, page.origin))
        if first.setdefault(page.package, page) is not page
    ]


class _Snapshot:
    """The records of one snapshot in the order of the table `specs`, one per spec."""

    def __init__(self, snapshot: str, packages: pa.DictionaryArray, records: pa.Table) -> None:
        self.snapshot = snapshot
        self.packages = packages
        self.records = records

    def tables(self) -> tuple[pa.Table, pa.Table]:
        owners, codes, variants = self._listed("variants", _variant, _variant_order)
        text = self._joined(owners, codes, variants)
        return self._specs(text), self._variants(owners, codes, variants)

    def _specs(self, variants: pa.Array) -> pa.Table:
        owners, codes, stacks = self._with_null(*self._listed("stacks", str, str))
        kind_date = naming.snapshot_kind(self.snapshot)[1]
        length = len(owners)
        columns = {
            "package": encoded(self.packages),
            "hash": pa.DictionaryArray.from_arrays(np.arange(len(self.records), dtype=np.int32), self._column("hash")),
            # In order of first appearance, which is fixed, and cheaper than alphabetical order.
            "variants": variants.dictionary_encode(),
            "size_bytes": self._column("size_bytes"),
            **{name: encoded(self._column(name)) for name in ("version", "platform", "os", "target", *_TEXTS_OF_INDEX)},
            "version_key": encoded(self._column("version"), _version_sort_key),
            "spec_format": self._column("spec_format"),
            "compiler": encoded(self._column("compiler"), lambda text: canonical_compiler(text)[0]),
            "compiler_name": encoded(self._column("compiler"), lambda text: canonical_compiler(text)[1]),
            "compiler_version": encoded(self._column("compiler"), lambda text: canonical_compiler(text)[2]),
        }
        rows = pa.array(owners)
        columns = {name: column.take(rows) for name, column in columns.items()}
        columns["stack"] = pa.DictionaryArray.from_arrays(codes, pa.array(stacks, pa.string()))
        columns["snapshot"] = _constant(self.snapshot, length)
        columns["snapshot_date"] = pa.array([kind_date], pa.date32()).take(pa.array(np.zeros(length, np.int64)))
        return table_of(SPECS, columns)

    def _variants(self, owners: Codes, codes: Codes, variants: list[_Variant]) -> pa.Table:
        """Return a row for every value of every variant, sorted by hash."""
        hashes = self._column("hash")
        by_hash = pc.sort_indices(hashes).to_numpy()
        settings = [_settings(variant) for variant in variants]
        distinct = sorted({setting for of_variant in settings for setting in of_variant})
        rows = list(_variant_rows(owners, codes, settings, distinct, by_hash))
        owner = np.concatenate([part for part, _ in rows]) if rows else np.empty(0, np.int32)
        setting = np.concatenate([part for _, part in rows]) if rows else np.empty(0, np.int32)
        # A setting that no remaining spec has must not appear in the dictionaries: the file would contain it.
        is_used = np.bincount(setting, minlength=len(distinct)) > 0
        if not is_used.all():
            distinct = [one for one, used in zip(distinct, is_used.tolist(), strict=True) if used]
            setting = (np.cumsum(is_used) - 1)[setting]
        settings_of_rows = pa.array(setting)
        return table_of(
            VARIANTS,
            {
                "snapshot": _constant(self.snapshot, len(owner)),
                "hash": pa.DictionaryArray.from_arrays(owner, hashes.take(pa.array(by_hash))),
                "variant": _coded([one.name for one in distinct]).take(settings_of_rows),
                "value": _coded([one.value for one in distinct]).take(settings_of_rows),
                "sign": _coded([_SIGNS[one.sign] for one in distinct]).take(settings_of_rows),
            },
        )

    def _column(self, name: str) -> pa.Array:
        return as_array(self.records.column(name))

    def _listed(
        self, name: str, canonical: Callable[[str], T], order: Callable[[T], Any]
    ) -> tuple[Codes, Codes, list[T]]:
        """Return, for a list column, spec and code of each distinct entry, sorted, and the names of the codes."""
        lists = self._column(name)
        lengths = pc.list_value_length(lists).to_numpy()
        owners = np.repeat(np.arange(len(lists)), lengths)
        values = lists.flatten()
        spelled = [canonical(text) for text in values.dictionary.to_pylist()]
        names = sorted(set(spelled), key=order)
        code = {one: position for position, one in enumerate(names)}
        codes = np.array([code[one] for one in spelled], np.int64)[values.indices.to_numpy()]
        return *distinct_pairs(owners, codes, len(names)), names

    def _with_null(self, owners: Codes, codes: Codes, names: list[str]) -> tuple[Codes, pa.Array, list[str]]:
        """Give each spec without entries a single null entry."""
        without = np.flatnonzero(np.bincount(owners, minlength=len(self.records)) == 0)
        all_owners = np.concatenate([owners, without])
        order = np.argsort(all_owners, kind="stable")
        all_codes = np.concatenate([codes, np.full(len(without), -1)])[order].astype(np.int32)
        return all_owners[order], pa.array(all_codes, mask=all_codes < 0), names

    def _joined(self, owners: Codes, codes: Codes, variants: list[_Variant]) -> pa.Array:
        """Return the variants of each spec as one string."""
        texts = list(dict.fromkeys(variant.text for variant in variants))
        if len(texts) < len(variants):  # some are written with two signs, which the text does not show
            code = {text: position for position, text in enumerate(texts)}
            without_sign = np.array([code[variant.text] for variant in variants], np.int64)
            owners, codes = distinct_pairs(owners, without_sign[codes], len(texts))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(self.records)))])
        words = pa.array([naming.quote_variant(text) for text in texts], pa.string())
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.take(pa.array(codes))), " ")


class _Setting(NamedTuple):
    """A variant, one of its values, and the index in `_SIGNS` of the sign between them."""

    name: str
    value: str
    sign: int


def _settings(variant: _Variant) -> list[_Setting]:
    name, values = naming.split_variant(variant.text)
    return [_Setting(name, value, _SIGNS.index(variant.sign)) for value in values]


def _variant_rows(
    owners: Codes, codes: Codes, settings: list[list[_Setting]], distinct: list[_Setting], order: Codes
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Yield, for the specs in the given order, their positions in it and their distinct settings, each value once.

    Only some specs are processed at a time: for all of `develop` the intermediate arrays would take more memory than
    everything else.
    """
    rank = {setting: code for code, setting in enumerate(distinct)}
    counts = np.array([len(of_variant) for of_variant in settings], np.int64)
    flat = np.array([rank[setting] for of_variant in settings for setting in of_variant], np.int64)
    # Settings that differ only in their sign are adjacent, the sign to keep first.
    is_other_sign = np.array([False, *(one[:2] == other[:2] for one, other in pairwise(distinct))])
    differs_by_sign = is_other_sign.any()
    pair = np.cumsum(~is_other_sign)
    first_value = np.cumsum(counts) - counts
    lengths = np.bincount(owners, minlength=len(order))
    first = np.cumsum(lengths) - lengths
    for position in range(0, len(order), _SPECS_AT_ONCE):
        specs = order[position : position + _SPECS_AT_ONCE]
        of_specs = codes[ranges(first[specs], lengths[specs])]
        positions = np.repeat(np.arange(position, position + len(specs)), lengths[specs])
        values = flat[ranges(first_value[of_specs], counts[of_specs])]
        owner, setting = distinct_pairs(np.repeat(positions, counts[of_specs]), values, len(distinct))
        if differs_by_sign:
            is_first = np.append(True, (np.diff(owner) > 0) | (np.diff(pair[setting]) > 0))[: len(owner)]
            owner, setting = owner[is_first], setting[is_first]
        yield owner.astype(np.int32), setting.astype(np.int32)


def _variant(text: str) -> _Variant:
    return _Variant(naming.canonical_variant(text), naming.variant_sign(text))


def _variant_order(variant: _Variant) -> tuple[str, str, str]:
    return naming.split_variant(variant.text)[0], variant.text, variant.sign


def _coded(texts: list[str]) -> pa.DictionaryArray:
    """Return texts as a dictionary column with a sorted dictionary."""
    return encoded(pa.array(texts, pa.string()).dictionary_encode())


def _constant(text: str, length: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(length, np.int32), pa.array([text], pa.string()))
