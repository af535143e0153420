"""Encode the tables of one file of a snapshot: a row per spec, names as codes, the stacks of a spec as one set.

The code of a name depends on the name alone (`cachestats.codes`), so that files need no common dictionary: an update
encodes the files that it writes, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.codes import BASE32, HASH_LENGTH, code_of_hash, digest_of, name_of_set
from cachestats.dataset.rows import as_array
from cachestats.errors import DatasetError
from cachestats.parse.arrays import Codes, distinct, distinct_rows
from cachestats.schema import COMMON_NAMES, ENCODED_DEPENDENCIES, ENCODED_SPECS, NAMES, Table

_STACKS_AT_ONCE = 62  # as bits of a number
_VALUES = np.full(256, 255, np.uint8)  # of the characters of base32
_VALUES[np.frombuffer(BASE32.encode(), np.uint8)] = np.arange(32)

_Names = dict[str, tuple[pa.Array, Codes]]
"""Names and their codes, by column."""


def encode(specs: pa.Table, dependencies: pa.Table, missing: pa.Array) -> dict[str, pa.Table]:
    """Return the tables `encoded_specs`, `encoded_dependencies` and `names` of one file of a snapshot.

    Parameters
    ----------
    specs, dependencies
        The finished tables, sorted as declared, all text dictionary-encoded.
    missing
        The hashes to which edges of the snapshot lead and that none of its specs has: they get names of their own.

    Raises
    ------
    DatasetError
        If two names have the same code.
    """
    names: _Names = {}
    try:
        tables = {
            "encoded_specs": _encoded_specs(specs, names),
            "encoded_dependencies": _encoded_dependencies(dependencies, missing, names),
        }
    except ValueError as error:
        raise DatasetError(str(error), hint="rename one of the two: a code of 64 bits cannot tell them apart") from None
    return tables | {"names": _names_table(names)}


def count_names(old: pa.Table | None, added: Iterable[pa.Table], taken: Iterable[pa.Table]) -> pa.Table:
    """Return the table `common_names` after files were added and taken away, given their common names."""
    schema = COMMON_NAMES.arrow()
    parts = [schema.empty_table() if old is None else old]
    for change, tables in ((1, added), (-1, taken)):
        for names in tables:
            counts = pa.array(np.full(len(names), change, np.int64))
            parts.append(pa.table([*names.columns, counts], schema=schema))
    keys = ["column", "code", "name"]
    counted = pa.concat_tables(parts).group_by(keys, use_threads=False).aggregate([("num_files", "sum")])
    counted = counted.select([*keys, "num_files_sum"]).rename_columns(schema.names)
    counted = counted.filter(pc.greater(counted.column("num_files"), 0))
    return counted.sort_by([(name, "ascending") for name in COMMON_NAMES.sort]).cast(schema)


def _encoded_specs(specs: pa.Table, names: _Names) -> pa.Table:
    hashes = as_array(specs.column("hash"))
    owners = hashes.indices.to_numpy()
    # The rows of a spec, one per stack, follow each other.
    first = np.flatnonzero(np.append(True, owners[1:] != owners[:-1])) if len(owners) else owners.astype(np.int64)
    rows = pa.array(first)
    columns = {
        "spec": _codes_of_hashes(hashes.dictionary),  # in order of first appearance
        "hash": hashes.dictionary,
        "stacks": _sets(as_array(specs.column("stack")), first, names),
    }
    for column in ENCODED_SPECS.columns:
        if column.name not in columns:
            columns[column.name] = _coded(column.name, as_array(specs.column(column.name)).take(rows), names)
    if len(distinct(columns["spec"].to_numpy())) < len(first):
        raise ValueError(f"expected a code of its own for each of {len(first):,} hashes, found one for two of them")
    return _table(ENCODED_SPECS, columns)


def _encoded_dependencies(dependencies: pa.Table, missing: pa.Array, names: _Names) -> pa.Table:
    columns = {}
    for name, encoded in (("hash", "spec"), ("dependency_hash", "dependency")):
        column = as_array(dependencies.column(name))
        columns[encoded] = _codes_of_hashes(column.dictionary).take(column.indices)
        if name == "dependency_hash":
            used = column.dictionary.take(pc.unique(column.indices))
            named = used.filter(pc.is_in(used, missing))
            names[encoded] = named, _codes_of_hashes(named).to_numpy()
    for declared in ENCODED_DEPENDENCIES.columns:
        if declared.name not in columns:
            columns[declared.name] = _coded(declared.name, as_array(dependencies.column(declared.name)), names)
    return _table(ENCODED_DEPENDENCIES, columns)


def _coded(name: str, column: pa.Array, names: _Names) -> pa.Array:
    """Return the codes of a text column, and note its names; other columns stay as they are."""
    if not pa.types.is_dictionary(column.type):
        return column
    indices = column.indices.fill_null(-1).to_numpy()
    used = np.flatnonzero(np.bincount(indices + 1, minlength=len(column.dictionary) + 1)[1:])
    texts = column.dictionary.take(pa.array(used))
    codes = np.zeros(len(column.dictionary) + 1, np.int64)  # one more, which the -1 of a null indexes
    codes[used] = found = _codes_of(texts.to_pylist())
    names.setdefault(name, (texts, found))  # `snapshot` is in both tables
    return pa.array(codes[indices], mask=indices < 0)


def _sets(stacks: pa.DictionaryArray, first: Codes, names: _Names) -> pa.Array:
    """Return the code of each spec's set of stacks; `first` are the first rows of the specs."""
    codes = stacks.indices.fill_null(-1).to_numpy()
    masks = [np.zeros(len(first), np.int64)]
    for start in range(0, len(stacks.dictionary), _STACKS_AT_ONCE):
        bits = np.zeros(len(stacks.dictionary) + 1, np.int64)  # one more, which the -1 of a null indexes
        here = bits[start:-1][:_STACKS_AT_ONCE]
        here[:] = np.int64(1) << np.arange(len(here))
        if len(first):
            masks.append(np.bitwise_or.reduceat(bits[codes], first))
    examples, sets = distinct_rows(masks)
    ends = np.append(first[1:], len(codes))
    stack = [*stacks.dictionary.to_pylist(), None]  # for the -1 of a null, too
    texts = [
        name_of_set(stack[code] for code in codes[start:end].tolist())
        for start, end in zip(first[examples].tolist(), ends[examples].tolist(), strict=True)
    ]
    found = _codes_of(texts)
    names["stacks"] = pa.array(texts, pa.string()), found
    return pa.array(found[sets])


def _codes_of_hashes(hashes: pa.Array) -> pa.Array:
    """Return `code_of_hash` of each hash; those of 32 characters of base32 are decoded all at once."""
    if len(hashes) and pc.all(pc.equal(pc.binary_length(hashes), HASH_LENGTH)).as_py():
        _, offsets, data = hashes.buffers()
        start = np.frombuffer(offsets, np.int32)[hashes.offset]
        text = np.frombuffer(data, np.uint8)[start : start + len(hashes) * HASH_LENGTH]
        values = _VALUES[text.reshape(-1, HASH_LENGTH)]
        if values.max(initial=0) < 32:
            return pa.array(_first_bits(values))
    return pa.array([code_of_hash(text) for text in hashes.to_pylist()], pa.int64())


def _first_bits(values: npt.NDArray[np.uint8]) -> Codes:
    """Return the first 64 bits of rows of values of five bits each."""
    bits = np.zeros(len(values), np.uint64)
    for column in values[:, :12].T:
        bits = (bits << np.uint64(5)) | column
    first = (bits << np.uint64(4)) | (values[:, 12] >> 1)
    return (first ^ np.uint64(1 << 63)).view(np.int64)  # as a signed number that sorts as the hash does


def _codes_of(names: Sequence[str]) -> Codes:
    """Return the code of each of some distinct names.

    Raises
    ------
    ValueError
        If two names have the same code.
    """
    codes = np.frombuffer(b"".join(map(digest_of, names)), "<i8").astype(np.int64)
    if len(np.unique(codes)) < len(names):
        owner: dict[int, str] = {}
        for name, code in zip(names, codes.tolist(), strict=True):
            if (other := owner.setdefault(code, name)) != name:
                raise ValueError(f"expected a code of its own for each name, found {code} for {other!r} and {name!r}")
    return codes


def _names_table(names: _Names) -> pa.Table:
    schema = NAMES.arrow()
    parts = [schema.empty_table()]
    for column, (texts, codes) in sorted(names.items()):
        constant = pa.array([column]).take(pa.array(np.zeros(len(texts), np.int32)))
        parts.append(pa.table([constant, codes, texts], schema=schema))
    return pa.concat_tables(parts)


def _table(table: Table, columns: dict[str, pa.Array]) -> pa.Table:
    return pa.table([columns[column.name] for column in table.columns], schema=table.arrow())
