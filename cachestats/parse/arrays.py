"""Arithmetic on names encoded as numbers, and on pairs of an owner (a page, a spec) and such a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]

_SPARSE = 8  # with up to this many possible values per number, counting in an array of them is faster than sorting

_MAX = np.iinfo(np.int64).max


def distinct(numbers: Codes) -> Codes:
    """Return the distinct numbers, sorted. NumPy's `unique` uses hashing, which takes three times as long here."""
    numbers = np.sort(numbers)
    return numbers[np.append(True, numbers[1:] != numbers[:-1])] if len(numbers) else numbers


def tally(numbers: Codes, bound: int) -> tuple[Codes, Codes]:
    """Return the distinct numbers, sorted, and their counts; all are below `bound`."""
    if bound <= _SPARSE * len(numbers):
        counts = np.bincount(numbers, minlength=bound)
        found = np.flatnonzero(counts)
        return found, counts[found]
    return np.unique(numbers, return_counts=True)


def distinct_pairs(owners: Codes, codes: Codes, count: int) -> tuple[Codes, Codes]:
    """Return the distinct pairs of owner and code, sorted; `count` is the number of possible codes."""
    keys = owners * count + codes
    if (np.diff(keys) > 0).all():  # pages are written in this order, so there is rarely anything to do
        return owners, codes
    keys = distinct(keys)
    return keys // max(count, 1), keys % max(count, 1)


def distinct_rows(columns: Sequence[Codes]) -> tuple[Codes, Codes]:
    """Return the first row with each distinct combination of values, in their order, and its number for every row.

    No number is negative. Some ten times faster than looking for distinct rows of a matrix.
    """
    keys = np.zeros(len(columns[0]), np.int64)
    bound = 1
    for column in columns:
        count = int(np.max(column, initial=0)) + 1
        if bound * count > _MAX:  # the numbers of the distinct values take their place
            keys, column = (np.unique(values, return_inverse=True)[1] for values in (keys, column))
            bound, count = (int(np.max(values, initial=0)) + 1 for values in (keys, column))
        keys = keys * count + column
        bound *= count
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return first, numbers


def ranges(starts: Codes, lengths: Codes) -> Codes:
    """Return start, start + 1, ... for each start, with as many numbers as its length."""
    before = np.cumsum(lengths) - lengths
    result: Codes = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return result
