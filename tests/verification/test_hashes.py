"""Hashes are computed again: each kind of fault is found, and what cannot be computed is counted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import cachestats as cs
from conftest import in_corpus
from tests.support.indices import index
from tests.support.mirrors import layout_2
from tests.support.nodes import changed_dag, edge, hashed, node
from tests.support.whole import HDF5, KEYS, NODES, ZLIB, changed, counts, found, messages, write_index

TOOL = "t" * 32


def test_a_whole_index_has_no_findings(tmp_path: Path) -> None:
    verified = cs.verify(write_index(tmp_path / "develop"))
    assert verified.findings.is_empty()
    assert counts(verified, "hash") == (2, 0, 0, None)


def test_white_space_does_not_matter(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop", index(NODES, cached=set(NODES)))
    verified = cs.verify(tmp_path / "develop")
    assert counts(verified, "hash") == (2, 0, 0, None)


def test_a_changed_node_is_named_with_what_depends_on_it(tmp_path: Path) -> None:
    nodes = changed("zlib", version="1.1")
    verified = cs.verify(write_index(tmp_path / "develop", nodes))
    assert found(verified) == [("hash", "zlib")]
    row = verified.findings.row(0, named=True)
    assert (row["severity"], row["hash"], row["snapshot"]) == ("error", KEYS["zlib"], "develop")
    assert hashed(nodes[KEYS["zlib"]]) in row["message"]
    assert f"1 spec above it: hdf5/{KEYS['hdf5'][:7]}" in row["message"]


def test_everything_above_a_wrong_node_is_counted(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    keys = {name: name * 32 for name in names}
    chain = {
        keys[name]: node(name, keys[name], package_hash="p", dependencies=[edge(below, keys[below], ["link"], [])])
        for below, name in pairwise(names)
    }
    nodes = changed_dag({keys["a"]: node("a", keys["a"], package_hash="p")} | chain, {})
    wrong = next(key for key, one in nodes.items() if one["name"] == "a")
    nodes[wrong] = nodes[wrong] | {"version": "2.0"}
    message = messages(cs.verify(write_index(tmp_path / "develop", nodes)))
    assert "4 specs above it: b/" in message
    assert message.count("/") == 3, "the nearest ones are named"


def test_a_record_under_another_hash_is_found(tmp_path: Path) -> None:
    verified = cs.verify(write_index(tmp_path / "develop", changed("zlib", hash=ZLIB)))
    assert found(verified) == [("hash", "zlib")]
    assert f"found a node that says {ZLIB}" in messages(verified)


def test_a_node_that_is_no_cached_spec_is_checked_too(tmp_path: Path) -> None:
    nodes = NODES | {TOOL: node("tool", TOOL, package_hash="p")}
    verified = cs.verify(write_index(tmp_path / "develop", nodes, cached=set(NODES)))
    assert found(verified) == [("hash", "tool")]


@pytest.mark.parametrize(
    ("fields", "version", "why"),
    [
        ({"annotations": {"original_specfile_version": 4}}, "8", "first written in format 4"),
        ({"package_hash": None}, "5", "in a format that leaves out what was hashed"),
    ],
)
def test_what_cannot_be_computed_is_counted(fields: dict[str, Any], version: str, why: str, tmp_path: Path) -> None:
    nodes = {ZLIB: node("zlib", ZLIB, **fields)}
    verified = cs.verify(write_index(tmp_path / "develop", nodes, version=version))
    assert counts(verified, "hash") == (0, 0, 1, why)


def test_the_end_of_the_hash_of_a_spliced_spec_is_that_of_its_build_spec(tmp_path: Path) -> None:
    spliced = {key: value for key, value in node("spliced", HDF5, package_hash="p").items() if key != "hash"}
    spliced["build_spec"] = {"name": "spliced", "hash": ZLIB}
    key = hashed(spliced)[:-7] + "z" * 7
    verified = cs.verify(write_index(tmp_path / "develop", {key: spliced | {"hash": key}}))
    assert counts(verified, "hash") == (1, 0, 0, None)
    other = hashed(spliced)
    verified = cs.verify(write_index(tmp_path / "other", {other: spliced | {"hash": other}}))
    assert found(verified) == [("hash", "spliced")]


def test_records_that_are_no_specs_are_told_once(tmp_path: Path) -> None:
    records = {key: {"spec": one, "in_buildcache": True} for key, one in NODES.items()}
    broken: dict[str, Any] = {"x" * 32: {"spec": [1], "in_buildcache": True}}
    layout_2(tmp_path / "develop", json.dumps({"database": {"version": "8", "installs": records | broken}}).encode())
    verified = cs.verify(tmp_path / "develop")
    assert verified.findings.select("check", "hash").rows() == [("record", "x" * 32)]


@pytest.mark.slow
def test_every_hash_of_the_corpus_is_right() -> None:
    verified = cs.verify(in_corpus("mirrors"))
    assert verified.count("error") == 0
    checked, *rest = counts(verified, "hash")
    assert checked > 8234
    assert rest == [0, 0, None]
