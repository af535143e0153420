"""Rows of tables, their text as codes: sorted as a table declares, with dictionaries in a fixed order.

The order of the dictionaries decides on the bytes of a file: hashes and variants are in order of first appearance,
which is cheaper, all other names in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.parse.arrays import Codes
from cachestats.schema import Table


def sort_rows(table: pa.Table, declared: Table) -> pa.Table:
    """Return rows sorted as the table declares, one per key, with dictionaries in their fixed order.

    All text must be dictionary-encoded.
    """
    columns = {
        name: as_array(column)
        for name, column in zip(table.column_names, table.unify_dictionaries().columns, strict=True)
    }
    key = np.zeros(len(table), np.int64)
    for name in declared.sort:
        rank = ranks_of(columns[name])
        key = key * (len(columns[name].dictionary) + 1) + rank
    # If an edge appears twice, the row with more information comes first.
    unknown = columns["is_external"].is_null().to_numpy(zero_copy_only=False) if "is_external" in columns else 0
    order = np.argsort(key * 2 + unknown, kind="stable")
    kept = order[np.append(True, key[order][1:] != key[order][:-1])] if len(order) else order
    rows = pa.array(kept)
    return compact(pa.table({name: column.take(rows) for name, column in columns.items()}), declared)


def compact(table: pa.Table, declared: Table) -> pa.Table:
    """Return a table without unused names, its dictionaries in their fixed order."""
    columns = dict(zip(table.column_names, map(as_array, table.columns), strict=True))
    return table_of(
        declared,
        {
            name: column
            if not pa.types.is_dictionary(column.type)
            else _by_appearance(column)
            if name in {"hash", "variants"}
            else encoded(column)
            for name, column in columns.items()
        },
    )


def with_dictionaries(table: pa.Table) -> pa.Table:
    """Return a table with all text columns dictionary-encoded."""
    columns = [column.dictionary_encode() if column.type == pa.string() else column for column in table.columns]
    return pa.table(columns, names=table.column_names)


def as_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as a single array."""
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def ranks_of(column: pa.DictionaryArray) -> Codes:
    """Return, for each row, the rank of its name among the sorted names; null comes last."""
    names = column.dictionary
    rank = np.empty(len(names) + 1, np.int64)
    rank[pc.sort_indices(names).to_numpy()] = np.arange(len(names))
    rank[len(names)] = len(names)
    result: Codes = rank[column.indices.fill_null(len(names)).to_numpy()]
    return result


def _by_appearance(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a dictionary column without nulls with its dictionary in order of first appearance."""
    codes = column.indices.to_numpy()
    first = np.full(len(column.dictionary), len(codes))
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of equal codes the last counts, which comes first
    used = np.flatnonzero(first < len(codes))
    names = used[np.argsort(first[used])]
    position = np.empty(len(column.dictionary), np.int32)
    position[names] = np.arange(len(names), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(position[codes], column.dictionary.take(pa.array(names)))


def encoded(column: pa.DictionaryArray, canonical: Callable[[str], str | None] | None = None) -> pa.DictionaryArray:
    """Return a dictionary column with canonical names and a dictionary in a fixed order, without unused names."""
    indices = column.indices.fill_null(-1).to_numpy()
    used = np.flatnonzero(np.bincount(indices + 1, minlength=len(column.dictionary) + 1)[1:])
    spelled = column.dictionary.take(used)
    if canonical:
        spelled = pa.array(map(canonical, spelled.to_pylist()), pa.string())
    elif len(used) == len(column.dictionary) and _is_sorted(spelled):
        return column
    if _is_sorted(spelled):
        names, rank = spelled, np.arange(len(spelled), dtype=np.int32)
    else:
        # A name's code is its rank; null comes last.
        rank = pc.rank(spelled, tiebreaker="dense").to_numpy().astype(np.int32) - 1
        names = spelled.take(np.unique(rank, return_index=True)[1]).drop_null()
    # One extra element at the end, which the -1 of a null indexes.
    codes = np.full(len(column.dictionary) + 1, -1, np.int32)
    codes[used] = np.where(rank < len(names), rank, -1)
    codes = codes[indices]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), names)


def _is_sorted(names: pa.StringArray) -> bool:
    """Return whether names are distinct and sorted, which those of a part of a sorted table are."""
    return bool(names.null_count == 0 and pc.all(pc.less(names[:-1], names[1:]), min_count=0).as_py())


def table_of(table: Table, columns: dict[str, pa.Array]) -> pa.Table:
    """Return the columns in their declared order; an unfinished table lacks some."""
    return pa.table({column.name: columns[column.name] for column in table.columns if column.name in columns})
