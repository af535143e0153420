"""The journal of spec files: it keeps what was read, and what is damaged is read from the cache again."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from cachestats.sources.journal import Entry, Journal
from cachestats.sources.spec_files import SpecFiles, read_spec_file
from tests.support.indices import index
from tests.support.mirrors import PACKAGE, A, G
from tests.support.nodes import GCC, node
from tests.support.spec_files import spec_files

B = "b" * 32
INDEX = index({A: PACKAGE, B: node("b", B), G: GCC}, cached={A, B, G})
NAMES = {"a": "1", "b": "1", "gcc": "1"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return the file of a complete reading of three spec files."""
    found, journal = SpecFiles(), Journal(tmp_path, "place")
    assert journal.take(NAMES, found, is_update=True) == set()
    for node_, data in spec_files(INDEX):
        journal.write([Entry(node_["name"], "1", (spec := read_spec_file(data)))])
        found.add(spec)
    journal.finish()
    (path,) = tmp_path.iterdir()
    return path


def take(folder: Path, **names: str) -> tuple[set[str], SpecFiles]:
    found, journal = SpecFiles(), Journal(folder, "place")
    known = journal.take(NAMES | names, found, is_update=True)
    journal.finish()
    return known, found


def test_what_was_read_is_known_and_gives_the_same_index(written: Path) -> None:
    whole = SpecFiles()
    for _, data in spec_files(INDEX):
        whole.add(read_spec_file(data))
    known, found = take(written.parent)
    assert known == {"a", "b", "gcc"}
    assert (found.index(), found.digest([])) == (whole.index(), whole.digest([]))
    assert take(written.parent, a="2")[0] == {"b", "gcc"}, "another fingerprint"
    assert take(written.parent)[0] == {"b", "gcc"}, "it was forgotten"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: gzip.compress(data)[:-8], {"a", "b", "gcc"}),
        (lambda data: gzip.compress(data[:-9]), {"a", "b"}),
        (lambda data: gzip.compress(data.replace(b'"key":"b"', b'"key":b')), {"a"}),
        (lambda data: gzip.compress(data.replace(G.encode(), b"x" * 32)), set()),
        (lambda data: data, set()),
    ],
)
def test_what_is_damaged_is_not_known(damage: Callable[[bytes], bytes], expected: set[str], written: Path) -> None:
    written.write_bytes(damage(gzip.decompress(written.read_bytes())))
    assert take(written.parent)[0] == expected
