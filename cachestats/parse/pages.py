"""Parse many pages at once, as columns.

A page as the site writes it has five lines, of which two are JSON. Arrow's reader parses the JSON of all pages of a
read task in one go, straight into columns, which are then checked. Pages with anything unusual among them are halved
until the page in question is alone; that page goes to the validating reader (`validate`), which alone knows rules and
messages. So this module only has to recognize clean pages, and both readers agree on those (tested).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from cachestats.decode import FAULTS
from cachestats.findings import Finding
from cachestats.parse.arrays import distinct, tally
from cachestats.parse.form import LISTS, META_LISTS, OPTIONAL_TEXTS, TEXTS, VERSIONS, Meta
from cachestats.parse.frontmatter import normalise
from cachestats.parse.records import INDEX_ONLY, RECORDS, Fragment, Generation, PageInfo, generation
from cachestats.parse.validate import folder_findings, read_page
from cachestats.sources.items import Page
from cachestats.sources.storage.input_limits import InputLimits, limit_hint

# Only names that YAML certainly reads as text; a page with another name goes to the validating reader.
_HEAD = re.compile(
    rb'---\ntitle: "([A-Za-z0-9][A-Za-z0-9_.+-]{0,199})"\n'
    rb"layout: cache\n"
    rb"categories: \[package, (develop(?:-[0-9]{4}-[0-9]{2}-[0-9]{2})?|v[0-9][0-9.]{0,50})\]\n"
    rb"meta: "
)
_TAIL = re.compile(rb"\n---\n?\Z")
_SPECS = b"spec_details: "
_LISTS_OF_A_SPEC = len((VERSIONS, *LISTS))
_VALUES_OF_A_SPEC = 40  # most of them variants

_JSON = pj.ParseOptions(
    explicit_schema=pa.schema(
        {
            "specs": pa.list_(
                pa.struct(
                    dict.fromkeys((*TEXTS, *OPTIONAL_TEXTS), pa.string())
                    | dict.fromkeys((VERSIONS, *LISTS), pa.list_(pa.string())),
                )
            )
        }
    ),
    unexpected_field_behavior="ignore",
)
_NAMES = tuple(field for field in (*TEXTS, *OPTIONAL_TEXTS) if field != "hash")  # texts that repeat a lot
_decode_meta = msgspec.json.Decoder(Meta).decode


class _Split(NamedTuple):
    """One page split into its parts, with the JSON of its specs not yet parsed."""

    page: Page
    package: str
    snapshot: str
    meta: Meta
    specs: memoryview
    generation: Generation


def read_pages(pages: Iterable[Page], limits: InputLimits | None = None) -> Iterator[Fragment | Finding]:
    """Read pages of any snapshots; yield fragments with their specs, and findings for pages that cannot be read.

    Every entry of every page becomes a record or a rejection.
    """
    limits = limits or InputLimits()
    clean: dict[str, list[_Split]] = {}
    for page in pages:
        if _has_too_many(page.data, limits.specs):
            yield _too_many(page, limits)
            continue
        split = _split(page)
        if split is None:
            yield read_page(page)
        else:
            clean.setdefault(split.snapshot, []).append(split)
    for splits in clean.values():
        yield from _read_splits(splits)


def _has_too_many(data: bytes, most: int) -> bool:
    """Whether a page has more objects, lists or values than so many specs have, counted before any is made."""
    least = ((b"{", 1), (b"[", _LISTS_OF_A_SPEC), (b",", _VALUES_OF_A_SPEC))
    return len(data) > most and any(data.count(mark) > most * number for mark, number in least)


def _too_many(page: Page, limits: InputLimits) -> Finding:
    return Finding(
        page.origin,
        "file",
        "too-many",
        f"expected a page of at most {limits.specs:,} specs, found more",
        limit_hint("specs"),
        num_specs=None,
        snapshot=page.folder_snapshot,
        package=page.folder_package,
    )


def _read_splits(splits: list[_Split]) -> Iterator[Fragment | Finding]:
    fragment = _read_columns(splits)
    if fragment is not None:
        yield fragment
    elif len(splits) == 1:
        yield read_page(splits[0].page)
    else:
        half = len(splits) // 2
        yield from _read_splits(splits[:half])
        yield from _read_splits(splits[half:])


def _split(page: Page) -> _Split | None:
    """Split a page into its parts, or return None if it does not have the form that the site writes."""
    data = normalise(page.data)
    head, tail = _HEAD.match(data), _TAIL.search(data, max(0, len(data) - 5))
    if not head or not tail:
        return None
    end_of_meta = data.find(b"\n", head.end())
    start, end = end_of_meta + 1 + len(_SPECS), tail.start()
    if (
        not data.startswith(_SPECS, end_of_meta + 1)
        or not data.startswith(b"[{", start)
        or not data.endswith(b"}]", start, end)
        or data.find(b"\n", start, end) >= 0
        or not _is_utf8(data)
    ):
        return None
    said = data[head.end() : end_of_meta]
    try:
        meta = _decode_meta(said)
    except FAULTS:
        return None
    first_spec = data[start : data.find(b"}", start)]
    sorted_keys = first_spec.startswith(b'[{"compiler"')
    if not sorted_keys:  # then the names in `meta` are not sorted, either
        meta = _in_order(meta)
    return _Split(
        page,
        head[1].decode(),
        head[2].decode(),
        meta,
        memoryview(data)[start:end],
        generation(
            sorted_keys=sorted_keys,
            tarball=b'"tarball"' in first_spec,
            old_compilers=b"@=" in said and any("@=" in compiler for compiler in meta.compilers),
        ),
    )


def _in_order(meta: Meta) -> Meta:
    by_stack = dict(sorted(meta.num_specs_by_stack.items()))
    names = {key: sorted(getattr(meta, key)) for key in META_LISTS}
    return Meta(num_specs=meta.num_specs, num_specs_by_stack=by_stack, **names)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_columns(splits: list[_Split]) -> Fragment | None:
    """Read the specs of pages of one snapshot as columns, or return None unless all of them are clean."""
    lines = b"".join(part for split in splits for part in (b'{"specs":', split.specs, b"}\n"))
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=_JSON,
        )
    except pa.ArrowInvalid:
        return None
    lists = table.column("specs").combine_chunks()
    specs = lists.flatten()
    if len(lists) != len(splits) or lists.null_count or specs.null_count:
        return None
    # A value such as `[{...}], "x": [{}]` is not JSON, though the line made from it is. Like every value it ends in
    # `}]`, so it must have a closing brace that does not belong to a counted spec.
    if np.count_nonzero(np.frombuffer(lines, np.uint8) == ord("}")) != len(specs) + len(splits):
        return None
    counts = np.diff(lists.offsets.to_numpy())
    pages = np.repeat(np.arange(len(splits), dtype=np.int32), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    versions = specs.field(VERSIONS)
    if versions.null_count or not (np.diff(versions.offsets.to_numpy()) == 1).all():
        return None
    columns = {
        "page": pa.array(pages),
        "position": pa.array(np.arange(len(pages)) - first, pa.int32()),
        "hash": specs.field("hash"),
        VERSIONS: versions.flatten().dictionary_encode(),
        **{name: specs.field(name).dictionary_encode() for name in _NAMES},
    }
    for name in LISTS:
        values = specs.field(name)
        if values.null_count or len(values.offsets) == 0 or values.offsets[0].as_py() != 0:
            return None
        columns[name] = pa.ListArray.from_arrays(values.offsets, values.flatten().dictionary_encode())
    if not _are_clean(columns) or not _agrees([split.meta for split in splits], pages, columns):
        return None
    columns["version"] = columns[VERSIONS]
    columns |= {name: pa.nulls(len(pages), RECORDS.field(name).type) for name in ("size_bytes", *INDEX_ONLY)}
    infos = [
        PageInfo(split.page.origin, split.package, split.generation, count)
        for split, count in zip(splits, counts.tolist(), strict=True)
    ]
    findings = [finding for split in splits for finding in folder_findings(split.page, split.snapshot, split.package)]
    records = pa.table([columns[name] for name in RECORDS.names], schema=RECORDS)
    return Fragment(splits[0].snapshot, infos, records, findings)


def _are_clean(columns: dict[str, pa.Array]) -> bool:
    """Whether all text is present and not empty, and no size is given."""
    if columns["hash"].null_count or (len(columns["hash"]) and pc.min(pc.binary_length(columns["hash"])).as_py() == 0):
        return False
    for name in (*_NAMES, VERSIONS, *LISTS):
        column = columns[name].values if name in LISTS else columns[name]
        if (column.null_count and name not in OPTIONAL_TEXTS) or "" in column.dictionary.to_pylist():
            return False
    return set(columns["size"].dictionary.to_pylist()) <= {"-"}


def _agrees(metas: list[Meta], pages: npt.NDArray[np.int32], columns: dict[str, pa.Array]) -> bool:
    """Whether every page's `meta` summarizes its specs correctly, and no spec names a stack twice."""
    if [meta.num_specs for meta in metas] != np.bincount(pages, minlength=len(metas)).tolist():
        return False
    for key, name in META_LISTS.items():
        if name in LISTS:
            continue  # stacks, whose counts are compared as well
        if _names_by_page(pages, columns[name], len(metas))[:2] != _flat([getattr(meta, key) for meta in metas]):
            return False
    stacks = columns["stacks"].values
    specs = np.repeat(np.arange(len(pages)), np.diff(columns["stacks"].offsets.to_numpy()))
    in_stack = specs * len(stacks.dictionary) + stacks.indices.to_numpy()
    if not (np.diff(in_stack) > 0).all() and len(distinct(in_stack)) != len(in_stack):
        return False
    lengths, names, counts = _names_by_page(pages[specs], stacks, len(metas))
    by_stack = [meta.num_specs_by_stack for meta in metas]
    return (
        (lengths, names) == _flat([meta.stacks for meta in metas])
        and (lengths, names) == _flat(by_stack)
        and counts == list(chain.from_iterable(page.values() for page in by_stack))
    )


def _names_by_page(
    pages: npt.NDArray[np.int32], column: pa.DictionaryArray, num_pages: int
) -> tuple[list[int], list[str], list[int]]:
    """Return the number of distinct names of each page, the names page by page and sorted, and the count of each."""
    names = sorted(column.dictionary.to_pylist())
    rank = {name: code for code, name in enumerate(names)}
    ranks = np.array([rank[name] for name in column.dictionary.to_pylist()], np.int64)
    if column.null_count:
        pages, column = pages[column.is_valid().to_numpy(zero_copy_only=False)], column.drop_null()
    keys, counts = tally(pages * np.int64(len(names)) + ranks[column.indices.to_numpy()], num_pages * len(names))
    owners = np.bincount(keys // max(len(names), 1), minlength=num_pages)
    return owners.tolist(), [names[code] for code in (keys % max(len(names), 1)).tolist()], counts.tolist()


def _flat(names: Sequence[Collection[str]]) -> tuple[list[int], list[str]]:
    return list(map(len, names)), list(chain.from_iterable(names))
