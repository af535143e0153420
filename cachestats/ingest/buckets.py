"""Buckets: a large snapshot is stored in several files, so that an update writes only what changed of it.

A bucket holds the specs of some packages. Which ones, and how many buckets there are, depends on nothing but the names
of the packages and the number of entries in the snapshot's inputs, so that an update comes to the same as a build.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.rows import as_array, compact
from cachestats.parse.arrays import Codes
from cachestats.parse.records import RECORDS, Fragment
from cachestats.schema import STORED_TABLES

# A changed page costs as much as its bucket; each bucket costs a few files to open. Measured for `develop` with 377,000
# specs: reading, merging and writing takes 4.3 s as a whole, 0.09 s in 32 buckets, and 0.07 s in 64.
_SMALLEST_SPLIT = 1 << 16
_ENTRIES = 1 << 14


def bucket_count(num_entries: int) -> int:
    """Return the number of buckets of a snapshot whose inputs have so many entries: 1, or a power of two.

    Examples
    --------
    >>> from cachestats.ingest.buckets import bucket_count
    >>> bucket_count(8_000), bucket_count(65_536), bucket_count(377_000)
    (1, 4, 32)
    """
    if num_entries < _SMALLEST_SPLIT:
        return 1
    return 1 << (-(-num_entries // _ENTRIES) - 1).bit_length()


def bucket_of(package: str, count: int) -> int:
    """Return the bucket of a package, out of so many.

    Examples
    --------
    >>> from cachestats.ingest.buckets import bucket_of
    >>> bucket_of("hdf5", 32), bucket_of("hdf5", 1)
    (14, 0)
    """
    return zlib.crc32(package.encode("utf-8", "surrogatepass")) % count


def buckets_of(packages: pa.DictionaryArray, count: int) -> Codes:
    """Return the bucket of each package in a column."""
    buckets = np.array([bucket_of(name, count) for name in packages.dictionary.to_pylist()], np.int64)
    found: Codes = buckets[packages.indices.to_numpy()]
    return found


def split(
    tables: Mapping[str, pa.Table], count: int, wanted: Collection[int]
) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Yield the tables `specs`, `variants` and `dependencies` of each wanted bucket, given those of all of them."""
    if count == 1:
        yield 0, dict(tables)
        return
    specs = tables["specs"]
    hashes = as_array(specs.column("hash"))
    of_rows = buckets_of(as_array(specs.column("package")), count)
    of_specs = np.empty(len(hashes.dictionary), np.int64)
    of_specs[hashes.indices.to_numpy()] = of_rows
    of_table = {"specs": of_rows}
    for name in ("variants", "dependencies"):
        owners = as_array(tables[name].column("hash"))
        specs_of_owners = pc.index_in(owners.dictionary, hashes.dictionary).to_numpy(zero_copy_only=False)
        of_table[name] = of_specs[specs_of_owners.astype(np.int64)][owners.indices.to_numpy()]
    for bucket in sorted(wanted):
        yield (
            bucket,
            {
                name: compact(tables[name].filter(pa.array(buckets == bucket)), STORED_TABLES[name])
                for name, buckets in of_table.items()
            },
        )


def only_buckets(fragments: Iterable[Fragment], count: int, wanted: Collection[int]) -> Iterator[Fragment]:
    """Yield the fragments with only the pages of packages in some buckets."""
    for fragment in fragments:
        keeps = np.array([bucket_of(page.package, count) in wanted for page in fragment.pages], bool)
        if keeps.all():
            yield fragment
        elif keeps.any():
            yield _only_pages(fragment, keeps)


def _only_pages(fragment: Fragment, keeps: npt.NDArray[np.bool_]) -> Fragment:
    """Return a fragment with only some of its pages, and without the names that only the others have."""
    page = fragment.records.column("page").to_numpy()
    records = fragment.records.filter(pa.array(keeps[page]))
    number = (np.cumsum(keeps) - 1).astype(np.int32)
    columns = [
        pa.array(number[column.to_numpy()]) if name == "page" else _without_unused(as_array(column))
        for name, column in zip(records.column_names, records.columns, strict=True)
    ]
    pages = [one for one, kept in zip(fragment.pages, keeps.tolist(), strict=True) if kept]
    return Fragment(
        fragment.snapshot,
        pages,
        pa.table(columns, schema=RECORDS),
        dependencies=fragment.dependencies,
        is_part_of_stacks=fragment.is_part_of_stacks,
    )


def _without_unused(column: pa.Array) -> pa.Array:
    """Return a column without the names in its dictionary that no row has."""
    if pa.types.is_list(column.type):
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), _without_unused(column.flatten()))
    if not pa.types.is_dictionary(column.type):
        return column
    indices = column.indices.fill_null(-1).to_numpy()
    is_used = np.bincount(indices + 1, minlength=len(column.dictionary) + 1)[1:] > 0
    position = np.append(np.cumsum(is_used) - 1, -1).astype(np.int32)[indices]
    names = column.dictionary.filter(pa.array(is_used))
    return pa.DictionaryArray.from_arrays(pa.array(position, mask=indices < 0), names)
