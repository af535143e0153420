"""Arithmetic on names as numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachestats.parse.arrays import distinct_rows

LARGEST = 2**62 - 1  # the bits of 62 stacks


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[st.sampled_from([0, 1, 7, LARGEST])] * n), min_size=1)))
def test_distinct_rows_are_numbered_in_their_order(rows: list[tuple[int, ...]]) -> None:
    first, numbers = distinct_rows([np.array(column, np.int64) for column in zip(*rows, strict=True)])
    order = sorted(set(rows))
    assert first.tolist() == [rows.index(row) for row in order]
    assert numbers.tolist() == [order.index(row) for row in rows]


def test_there_may_be_no_rows() -> None:
    assert [len(found) for found in distinct_rows([np.empty(0, np.int64)] * 2)] == [0, 0]
