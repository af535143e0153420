"""Edges that are cut out of the JSON of many nodes: those that a parser finds, or none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestats.decode import FAULTS
from cachestats.parse.edges import cut_edges, edges_of_pieces, piece_of_edge
from cachestats.parse.nodes import Dependency, Edge

A, B = "a" * 32, "b2345672345672345672345672345672"

TEXTS = st.text('{}[],:"\\\\ a\u00e9', max_size=6)
ANYTHING = st.recursive(TEXTS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=6)
EDGES = st.fixed_dictionaries(
    {"name": TEXTS, "hash": st.sampled_from([A, B]) | TEXTS},
    optional={"a": ANYTHING, "parameters": st.dictionaries(TEXTS, ANYTHING, max_size=2)},
)


def compact(value: object) -> bytes:
    """Return JSON without spaces, as Spack writes indices."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def cut(*lists: bytes) -> list[list[tuple[str | None, str, bytes]]]:
    """Return package, hash and parameters of the edges that are cut out of the dependencies of some nodes."""
    counts, hashes, pieces = cut_edges([*map(msgspec.Raw, lists)])
    edges = edges_of_pieces(pieces.dictionary.to_pylist())
    found = zip(pieces.indices.to_pylist(), hashes.to_pylist(), strict=True)
    rows = iter([(edges[code].name, hash_, bytes(edges[code].parameters)) for code, hash_ in found])
    return [[next(rows) for _ in range(count)] for count in counts.tolist()]


@given(st.lists(st.lists(EDGES, max_size=4), max_size=3))
def test_edges_that_are_cut_out_are_those_that_a_parser_finds(nodes: list[list[dict[str, Any]]]) -> None:
    lists = [compact(edges) for edges in nodes]
    try:
        found = cut(*lists)
    except FAULTS:
        # Spack's own edges have objects and lists of text in them, but no lists of objects, and no braces in text.
        edges = [edge for edges in nodes for edge in edges]
        assert any(one["hash"] not in {A, B} or set(b"{}\\\\") & {*compact(one)[1:-1]} for one in edges)
        return
    expected = [msgspec.json.decode(text, type=list[Edge]) for text in lists]
    assert found == [[(one.name, one.key, bytes(one.parameters)) for one in edges] for edges in expected]


def test_equal_edges_to_several_specs_leave_one_piece() -> None:
    edges = [{"name": "gmake", "hash": hash_, "parameters": {"deptypes": ["build"]}} for hash_ in (A, B, A, B)]
    counts, hashes, pieces = cut_edges([msgspec.Raw(one) for one in (compact(edges), b"[]", compact(edges))])
    assert counts.tolist() == [4, 0, 4]
    assert hashes.to_pylist() == [A, B, A, B] * 2
    assert len(pieces.dictionary) == 3  # one begins a list, one ends it


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[{}]",
        b'[{"name":"x"}]',
        b'[{"hash":"a"}]',
        b'[{"hash":"%b}]' % b"a".ljust(32),
        b'[{"hash":"%b"}]' % b"\\\\".ljust(32, b"a"),
        b'[{"hash": "%b"}]' % A.encode(),
        b'[{"hash":"%b","hash" : "%b"}]' % (A.encode(), B.encode()),
        b'[{"hash":"%b","hash":"%b"}]' % (A.encode(), B.encode()),
        b'[{"hash":"%b","hash" : "%b"}]' % (A.encode(), b"?" * 32),
        b'[{"hash" : "%b","a\\"hash":"%b"}]' % (b"\\u003f" * 32, A.encode()),
        b'[{"a":{"hash":"%b"},"hash" : "%b"}]' % (A.encode(), A.encode()),
    ],
)
def test_unusual_edges_are_left_to_a_parser(text: bytes) -> None:
    with pytest.raises(FAULTS):
        cut(text)


@pytest.mark.parametrize("package", ["gmake", "a\\b", "?" * 32, None])
def test_an_edge_that_was_read_by_itself_has_a_piece_too(package: str | None) -> None:
    edge = Dependency(A, package, frozenset({"build"}), frozenset())
    (found,) = edges_of_pieces([piece_of_edge(edge)])
    assert (found.name, bytes(found.parameters)) == (package, b'{"deptypes":["build"],"virtuals":[]}')
