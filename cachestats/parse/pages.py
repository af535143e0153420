"""Many pages at once, as columns.

A page as the site writes it is five lines of which two are JSON. The JSON of all pages of a batch is read by Arrow's
reader in one go, straight into columns, and checked as columns. A batch in which anything is out of the ordinary is
halved until the page in question stands alone; that page goes to the careful reader (`frontmatter`), which alone knows
rules and messages. So this module only has to know what is clean, and both readers agree on that (tested).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from cachestats.parse.codes import Codes, distinct
from cachestats.parse.frontmatter import folder_findings, normalise, read_page
from cachestats.parse.records import RECORDS, Generation, PageInfo, Piece, generation
from cachestats.rejection import Rejection
from cachestats.sources.base import Page

# Only names that YAML reads as text without a doubt; a page with another one is read with care.
_HEAD = re.compile(
    rb'---\ntitle: "([A-Za-z0-9][A-Za-z0-9_.+-]{0,199})"\n'
    rb"layout: cache\n"
    rb"categories: \[package, (develop(?:-[0-9]{4}-[0-9]{2}-[0-9]{2})?|v[0-9][0-9.]{0,50})\]\n"
    rb"meta: "
)
_TAIL = re.compile(rb"\n---\n?\Z")
_SPECS = b"spec_details: "

_TEXTS = ("compiler", "hash", "os", "platform", "size", "target")
_LISTS = ("stacks", "variants", "versions")
_JSON = pj.ParseOptions(
    explicit_schema=pa.schema(
        {
            "specs": pa.list_(
                pa.struct(
                    dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(_LISTS, pa.list_(pa.string())),
                )
            )
        }
    ),
    unexpected_field_behavior="ignore",
)
_META_LISTS = {
    "compilers": "compiler",
    "oss": "os",
    "platforms": "platform",
    "targets": "target",
    "versions": "version",
}


class _Meta(msgspec.Struct):
    compilers: list[str]
    num_specs: int
    num_specs_by_stack: dict[str, int]
    oss: list[str]
    platforms: list[str]
    stacks: list[str]
    targets: list[str]
    versions: list[str]


_decode_meta = msgspec.json.Decoder(_Meta).decode


class _Split(NamedTuple):
    """One page cut into its parts, the JSON of its specs not read yet."""

    page: Page
    package: str
    snapshot: str
    meta: _Meta
    specs: memoryview
    generation: Generation


def read_pages(pages: Iterable[Page]) -> Iterator[Piece | Rejection]:
    """Read pages of any snapshots; yield their specs, a piece a snapshot, and the pages that cannot be read.

    Every entry of every page comes out as a record or as a rejection.
    """
    clean: dict[str, list[_Split]] = {}
    for page in pages:
        split = _split(page)
        if split is None:
            yield read_page(page)
        else:
            clean.setdefault(split.snapshot, []).append(split)
    for splits in clean.values():
        yield from _read_splits(splits)


def _read_splits(splits: list[_Split]) -> Iterator[Piece | Rejection]:
    piece = _read_columns(splits)
    if piece is not None:
        yield piece
    elif len(splits) == 1:
        yield read_page(splits[0].page)
    else:
        half = len(splits) // 2
        yield from _read_splits(splits[:half])
        yield from _read_splits(splits[half:])


def _split(page: Page) -> _Split | None:
    """Cut a page into its parts, or return None where it does not look as the site writes it."""
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
    try:
        meta = _decode_meta(memoryview(data)[head.end() : end_of_meta])
    except (msgspec.DecodeError, RecursionError):
        return None
    first_spec = data[start : data.find(b"}", start)]
    return _Split(
        page,
        head[1].decode(),
        head[2].decode(),
        meta,
        memoryview(data)[start:end],
        generation(
            sorted_keys=first_spec.startswith(b'[{"compiler"'),
            tarball=b'"tarball"' in first_spec,
            old_compilers=any("@=" in compiler for compiler in meta.compilers),
        ),
    )


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_columns(splits: list[_Split]) -> Piece | None:
    """Read the specs of pages of one snapshot as columns, or return None unless all of them are clean."""
    lines = b"".join(part for split in splits for part in (b'{"specs":', split.specs, b"}\n"))
    # The value of `specs` could close its own bracket and go on; then it is no JSON value, though the line is.
    if lines.count(b"}]") != len(splits) or b"} " in lines or b"}\t" in lines:
        return None
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
    counts = np.diff(lists.offsets.to_numpy())
    pages = np.repeat(np.arange(len(splits), dtype=np.int32), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    versions = specs.field("versions")
    if versions.null_count or not (np.diff(versions.offsets.to_numpy()) == 1).all():
        return None
    columns = {
        "page": pa.array(pages),
        "position": pa.array(np.arange(len(pages)) - first, pa.int32()),
        "hash": specs.field("hash"),
        "version": versions.flatten().dictionary_encode(),
        **{name: specs.field(name).dictionary_encode() for name in ("os", "platform", "target", "compiler", "size")},
    }
    for name in ("stacks", "variants"):
        values = specs.field(name)
        if values.null_count or len(values.offsets) == 0 or values.offsets[0].as_py() != 0:
            return None
        columns[name] = pa.ListArray.from_arrays(values.offsets, values.flatten().dictionary_encode())
    if not _are_clean(columns) or not _agrees([split.meta for split in splits], pages, columns):
        return None
    columns["size_bytes"] = pa.nulls(len(pages), pa.int64())
    infos = [
        PageInfo(split.page.origin, split.package, split.generation, count)
        for split, count in zip(splits, counts.tolist(), strict=True)
    ]
    findings = [finding for split in splits for finding in folder_findings(split.page, split.snapshot, split.package)]
    records = pa.table([columns[name] for name in RECORDS.names], schema=RECORDS)
    return Piece(splits[0].snapshot, infos, records, findings)


def _are_clean(columns: dict[str, pa.Array]) -> bool:
    """Whether all text is there and not empty, and no size is given."""
    if columns["hash"].null_count or (len(columns["hash"]) and pc.min(pc.binary_length(columns["hash"])).as_py() == 0):
        return False
    for name in ("os", "platform", "target", "version", "compiler", "size", "stacks", "variants"):
        column = columns[name].values if name in _LISTS else columns[name]
        if (column.null_count and name not in {"compiler", "size"}) or "" in column.dictionary.to_pylist():
            return False
    return set(columns["size"].dictionary.to_pylist()) <= {"-"}


def _agrees(metas: list[_Meta], pages: npt.NDArray[np.int32], columns: dict[str, pa.Array]) -> bool:
    """Whether every page's `meta` sums up its specs rightly."""
    if [meta.num_specs for meta in metas] != np.bincount(pages, minlength=len(metas)).tolist():
        return False
    for key, name in _META_LISTS.items():
        found = distinct(_pairs(pages, columns[name]))
        if not np.array_equal(found, distinct(_said([getattr(meta, key) for meta in metas], columns[name]))):
            return False
    stacks = columns["stacks"].values
    owners = np.repeat(np.arange(len(pages)), np.diff(columns["stacks"].offsets.to_numpy()))
    in_stack = _pairs(owners, stacks)
    if len(distinct(in_stack)) != len(in_stack):  # a stack named twice by one spec
        return False
    in_page = np.sort(_pairs(pages[owners], stacks))
    found = distinct(in_page)
    counts = np.diff(np.append(np.searchsorted(in_page, found), len(in_page)))
    said = _said([list(meta.num_specs_by_stack) for meta in metas], stacks)
    order = np.argsort(said)
    said_counts = np.array([count for meta in metas for count in meta.num_specs_by_stack.values()])
    return (
        np.array_equal(found, said[order])
        and np.array_equal(counts, said_counts[order])
        and np.array_equal(found, distinct(_said([meta.stacks for meta in metas], stacks)))
    )


def _pairs(owners: npt.NDArray[np.integer], column: pa.DictionaryArray) -> Codes:
    """Return one number for each pair of owner (a page or a spec) and name."""
    codes = column.indices.fill_null(len(column.dictionary)).to_numpy()
    keep = codes < len(column.dictionary)
    pairs: Codes = owners[keep].astype(np.int64) * (len(column.dictionary) + 1) + codes[keep]
    return pairs


def _said(names: list[list[str]], column: pa.DictionaryArray) -> Codes:
    """Return the numbers that `_pairs` would give to these names of each page."""
    owners = np.repeat(np.arange(len(names)), [len(page) for page in names])
    flat = pa.array([name for page in names for name in page], pa.string())
    codes = pc.index_in(flat, value_set=column.dictionary).fill_null(len(column.dictionary)).to_numpy()
    pairs: Codes = owners * (len(column.dictionary) + 1) + codes
    return pairs
