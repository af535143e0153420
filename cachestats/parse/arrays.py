"""Arithmetic on names that were replaced by numbers, and on pairs of an owner (a page, a spec) and such a name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]

_SPARSE = 8  # up to so many places a number it is faster to count in an array with all places than to sort


def distinct(numbers: Codes) -> Codes:
    """Return the distinct numbers, sorted. NumPy's `unique` hashes, which takes three times as long here."""
    numbers = np.sort(numbers)
    return numbers[np.append(True, numbers[1:] != numbers[:-1])] if len(numbers) else numbers


def tally(numbers: Codes, bound: int) -> tuple[Codes, Codes]:
    """Return the distinct numbers, sorted, and how often each stands; all are below `bound`."""
    if bound <= _SPARSE * len(numbers):
        counts = np.bincount(numbers, minlength=bound)
        found = np.flatnonzero(counts)
        return found, counts[found]
    return np.unique(numbers, return_counts=True)


def distinct_pairs(owners: Codes, codes: Codes, count: int) -> tuple[Codes, Codes]:
    """Return the distinct pairs of owner and code, sorted; `count` is the number of codes there are."""
    keys = owners * count + codes
    if not (np.diff(keys) > 0).all():  # pages are written in this order, so there is rarely anything to do
        keys = distinct(keys)
    return keys // max(count, 1), keys % max(count, 1)


def ranges(starts: Codes, lengths: Codes) -> Codes:
    """Return start, start + 1, ... for each start, `length` numbers long."""
    before = np.cumsum(lengths) - lengths
    result: Codes = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return result
