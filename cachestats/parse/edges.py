"""Cut the edges of many nodes out of their JSON, all at once.

An index has several edges for each spec, but few that differ in more than the hash to which they lead. So the hashes
are taken out of the text first, with a few operations on all of it, and what is left of an edge is parsed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.codes import HASH_LENGTH
from cachestats.parse.nodes import Dependency, Edge, decode_edge

_BEFORE_HASH = np.frombuffer(b'"hash":"', "<u8")  # eight bytes, which are compared as one number
_BLANK = "?" * HASH_LENGTH  # replaces the hash of an edge
_NO_EDGES = msgspec.Raw(b"[]")


class CutEdges(NamedTuple):
    """The edges of some nodes, one node after the other."""

    counts: npt.NDArray[np.int32]
    """The number of edges of each node."""
    hashes: pa.StringArray
    """The hash to which each edge leads."""
    pieces: pa.DictionaryArray
    """What is left of each edge, for `edges_of_pieces`."""


def cut_edges(dependencies: Sequence[msgspec.Raw]) -> CutEdges:
    """Return the edges in the dependencies of some nodes, for code that turns `FAULTS` into a `JsonError` itself.

    The text is cut wherever one object may end and the next begin. If every piece is an object by itself, then the text
    is a list of just these objects; if any cut is inside an object or a text, the piece before it is not an object.

    Raises
    ------
    ValidationError
        If exactly one hash of the form that Spack writes cannot be taken out of every edge.
    """
    has_edges = [one != _NO_EDGES for one in dependencies]
    lists = [*compress(dependencies, has_edges)]
    text = bytearray().join(lists)
    hashes = _take_hashes(text)
    ends = np.cumsum([0, *map(len, lists)])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    pieces = pc.split_pattern(pa.Array.from_buffers(pa.large_binary(), len(lists), buffers), b"},{")
    counts = np.zeros(len(dependencies), np.int32)
    counts[has_edges] = pc.list_value_length(pieces)
    left = pieces.flatten().dictionary_encode()
    # Where a piece has one blank and no escapes, the parser can find no other text that is equal to the blank.
    is_other = pc.not_equal(pc.count_substring(left.dictionary, _BLANK), 1)
    if pc.any(pc.or_(is_other, pc.match_substring(left.dictionary, "\\"))).as_py():
        raise msgspec.ValidationError("an unusual hash")
    return CutEdges(counts, hashes, left)


def edges_of_pieces(pieces: Iterable[bytes]) -> list[Edge]:
    """Return the edges of which pieces are left, without their hashes; also for code that handles `FAULTS` itself.

    Raises
    ------
    ValidationError
        If one of them is not an edge, or one without a hash.
    """
    edges = [decode_edge(b"{%b}" % piece.removeprefix(b"[{").removesuffix(b"}]")) for piece in pieces]
    if not all(edge.hash == _BLANK for edge in edges):
        raise msgspec.ValidationError("no hash")
    return edges


def piece_of_edge(edge: Dependency) -> bytes:
    """Return the piece from which `edges_of_pieces` makes this edge."""
    parameters = {"deptypes": edge.types, "virtuals": edge.virtuals}
    return msgspec.json.encode({"name": edge.package, "hash": _BLANK, "parameters": parameters})[1:-1]


def _take_hashes(text: bytearray) -> pa.StringArray:
    """Return the hashes in JSON without white space, and put blanks in their places."""
    starts = np.flatnonzero(_windows(text, "<u8") == _BEFORE_HASH) + _BEFORE_HASH.itemsize
    windows = _windows(text, f"S{HASH_LENGTH}")
    if starts.max(initial=-1) >= len(windows):
        raise msgspec.ValidationError("a short hash")
    hashes = windows[starts]
    characters = hashes.view(np.uint8)
    # Among these characters, JSON gives only the backslash a meaning.
    if not ((characters >= ord("2")) & (characters <= ord("z")) & (characters != ord("\\"))).all():
        raise msgspec.ValidationError("an unusual hash")
    windows[starts] = _BLANK.encode()
    return pa.Array.from_buffers(pa.binary(HASH_LENGTH), len(hashes), [None, pa.py_buffer(hashes)]).cast(pa.string())


def _windows(text: bytearray, dtype: str) -> npt.NDArray[Any]:
    """Return what is read as a value of some type from each position in a text."""
    return np.ndarray(max(len(text) - np.dtype(dtype).itemsize + 1, 0), dtype, text, strides=(1,))
