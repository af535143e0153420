"""The DAG hash, computed again: of every node of real indices, and of literal ones."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cachestats.hashing import dag_hash
from conftest import CORPUS, ROOT, in_corpus


def committed_nodes() -> dict[str, dict[str, Any]]:
    """Return the nodes of the lockfile in `data/`."""
    content = gzip.decompress((ROOT / "data" / "developer-tools.spack.lock.gz").read_bytes())
    nodes: dict[str, dict[str, Any]] = json.loads(content)["concrete_specs"]
    return nodes


def test_every_node_of_the_committed_lockfile_has_the_hash_it_says() -> None:
    nodes = committed_nodes()
    assert len(nodes) == 146
    for key, node in nodes.items():
        assert dag_hash(node) == dag_hash(json.dumps(node).encode()) == key


@pytest.mark.slow
def test_every_node_of_the_corpus_has_the_hash_it_says() -> None:
    in_corpus("mirrors")
    found: set[tuple[str, str]] = set()
    for path in sorted((CORPUS / "mirrors").rglob("index.json")):
        snapshot = path.relative_to(CORPUS / "mirrors").parts[0]
        for key, record in json.loads(path.read_bytes())["database"]["installs"].items():
            if (snapshot, key) not in found:
                node = record["spec"]
                assert dag_hash(node) == key
                assert all(dag_hash(node | {field: "changed"}) != key for field in node if field != "hash")
                found.add((snapshot, key))
    assert len(found) == 8234


def changed_once(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value in which one thing is changed: a value, a key, or the order of two keys."""
    if isinstance(value, dict):
        for key in value:
            for changed in changed_once(value[key]):
                yield value | {key: changed}
            yield {f"{name}_" if name == key else name: one for name, one in value.items()}
        if len(value) > 1:
            yield dict(reversed(value.items()))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from ([*value[:place], changed, *value[place + 1 :]] for changed in changed_once(one))
            yield value[:place] + value[place + 1 :]
        yield [*value, "more"]
    elif isinstance(value, bool):
        yield not value
    else:
        yield "changed" if value is None else f"{value}_"


def test_a_change_of_any_one_field_of_a_node_is_seen() -> None:
    changes = 0
    for node in [*committed_nodes().values()][::12]:
        before = copy.deepcopy(node)
        rest = {key: value for key, value in node.items() if key != "hash"}
        for changed in changed_once(rest):
            assert dag_hash(changed) != node["hash"]
            changes += 1
        assert node == before
    assert changes > 1000


def test_text_that_is_not_ascii_is_escaped_as_spack_does() -> None:
    assert dag_hash({"name": "a", "flags": "é"}) == dag_hash(b'{"name": "a", "flags": "\\u00e9"}')
    assert dag_hash({"name": "a", "flags": "é"}) == "kfljcmsjt7rzcwjpdkwnmmenhgyvah3x"


def test_a_spliced_spec_ends_as_its_build_spec_does() -> None:
    plain = {"name": "hdf5", "version": "1.14.5"}
    spliced = plain | {"build_spec": {"name": "hdf5", "hash": "abcdefghijklmnopqrstuvwxy2345672"}}
    assert dag_hash(spliced)[-7:] == "2345672"
    assert dag_hash(spliced)[:-7] != dag_hash(plain)[:-7], "the build spec itself is hashed, too"


@pytest.mark.parametrize("data", [b"[]", b'"text"', b"{", b"\xff"])
def test_what_is_no_node_has_no_hash(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected a node|Expecting|decode"):
        dag_hash(data)
