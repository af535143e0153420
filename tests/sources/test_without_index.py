"""Mirrors without an index: what is read of their spec files is what an index of them gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.decode import JsonError
from cachestats.errors import SourceError
from cachestats.sources.spec_files import SpecFiles, read_spec_file
from conftest import in_corpus
from tests.support import mirrors
from tests.support.datasets import bytes_of
from tests.support.indices import index
from tests.support.mirrors import PACKAGE, A, G
from tests.support.nodes import GCC, edge, node
from tests.support.servers import HttpServer
from tests.support.spec_files import layout_2, layout_3, spec_file

B, C, D = "b" * 32, "c" * 32, "d" * 32
EXTERNAL = node("glibc", C, version="2.36", external={"path": "/usr", "module": None})
NOT_CACHED = node("d", D)
NEEDS = [edge("glibc", C, ["link"], ["libc"]), edge("gcc", G, ["build"], ["c"]), edge("d", D, ["build"], [])]
OTHER = node("b", B, dependencies=NEEDS)
NODES = {A: PACKAGE, B: OTHER, C: EXTERNAL, D: NOT_CACHED, G: GCC}
INDEX = index(NODES, cached={A, B, G})
LAYOUTS = {2: layout_2, 3: layout_3}


def build(folder: Path, *, name: str = "dataset", **options: object) -> cs.Dataset:
    return cs.build_dataset(folder / "mirrors", out=folder / name, without_index=True, **options)


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a dataset of a snapshot with a stack, read from their indices."""
    for stack in ("", "e4s"):
        mirrors.layout_2(tmp_path / "indexed/ours" / stack, INDEX)
    return bytes_of(cs.build_dataset(tmp_path / "indexed", out=tmp_path / "expected"))


@pytest.mark.parametrize("layout", [2, 3])
def test_spec_files_give_what_their_index_gives(
    layout: int, expected: dict[str, bytes], http_server: Callable[..., HttpServer], tmp_path: Path
) -> None:
    for stack in ("", "e4s"):
        LAYOUTS[layout](tmp_path / "mirrors/ours" / stack, INDEX)
    dataset = build(tmp_path)
    assert bytes_of(dataset) == expected, "the stack is known although the mirror above it has no index"
    server = http_server(tmp_path / "mirrors", listings="apache")
    served = cs.build_dataset(server.url, out=tmp_path / "served", without_index=True)
    assert bytes_of(served) == expected
    sized = build(tmp_path, name="sized", sizes=True)
    sizes = sized.specs.select("package", "size_bytes").unique(maintain_order=True).collect().rows()
    assert sizes == ([("a", 1), ("b", 1), ("gcc", 3)] if layout == 3 else [("a", None), ("b", None), ("gcc", None)])
    server.requests.clear()
    assert cs.update_dataset(dataset.path).is_empty()
    assert cs.update_dataset(served.path).is_empty()
    assert not [one for one in server.requests if one.path.endswith((".json", ".sig")) and "index" not in one.path]


@pytest.mark.parametrize("layout", [2, 3])
def test_an_update_sees_spec_files_come_and_go(layout: int, tmp_path: Path) -> None:
    write = LAYOUTS[layout]
    write(tmp_path / "mirrors/ours", index(NODES, cached={A, G}))
    dataset = build(tmp_path)
    shutil.rmtree(tmp_path / "mirrors")
    write(tmp_path / "mirrors/ours", index(NODES, cached={B, G}))
    changes = cs.update_dataset(dataset.path).select("specs_added", "specs_removed", "num_specs").rows()
    assert changes == [(1, 1, 2)], "that there is no index is remembered"


def test_an_index_beside_the_spec_files_is_compared_with_them(tmp_path: Path) -> None:
    for layout in (layout_2, layout_3):
        mirror = tmp_path / "mirrors" / layout.__name__
        layout(mirror, INDEX)
        listed = index(NODES, cached={A, C, G})
        (mirrors.layout_3 if layout == layout_3 else _index_of_layout_2)(
            mirror, *([(8, listed)] if layout == layout_3 else [listed])
        )
    dataset = build(tmp_path)
    rows = dataset.rejected.select("snapshot", "rule", "location", "package").collect().rows()
    assert sorted(rows) == [
        (name, *difference)
        for name in ("layout_2", "layout_3")
        for difference in (("only-indexed", C, "glibc"), ("unindexed", B, "b"))
    ]
    assert set(dataset.specs.collect()["package"]) == {"a", "b", "gcc"}
    indices = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "indices")
    assert indices.rejected.collect().is_empty()


def test_views_are_read_from_their_indices(tmp_path: Path) -> None:
    layout_3(tmp_path / "mirrors/ours", INDEX)
    mirrors.layout_3(tmp_path / "mirrors/ours", (8, index(NODES, cached={A})))
    indices = tmp_path / "mirrors/ours/v3/manifests/index"
    (indices / "view").mkdir()
    (indices / "index.manifest.json").rename(indices / "view/index.manifest.json")
    found = build(tmp_path).specs.select("stack", "package").collect().rows()
    assert sorted(found) == [("root", "a"), ("root", "b"), ("root", "gcc"), ("view", "a")]


def _index_of_layout_2(mirror: Path, data: bytes) -> None:
    (mirror / "build_cache/index.json").write_bytes(data)


def test_a_mirror_without_spec_files_is_read_from_its_index(
    http_server: Callable[..., HttpServer], tmp_path: Path
) -> None:
    mirrors.layout_2(tmp_path / "mirrors/develop", INDEX)
    layout_3(tmp_path / "mirrors/v1.0", INDEX)
    dataset = build(tmp_path)
    counts = {name: one.num_specs for name, one in dataset.manifest.snapshots.items()}
    assert counts == {"develop": 3, "v1.0": 3}
    for listings in ("nginx", None):
        server = http_server(tmp_path / "mirrors/develop", listings=listings)
        served = cs.build_dataset(server.url, out=tmp_path / str(listings), without_index=True)
        assert [one.num_specs for one in served.manifest.snapshots.values()] == [3]


def test_damaged_spec_files_are_left_out_and_said(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/old", INDEX)
    folder = tmp_path / "mirrors/old/build_cache"
    (folder / "cut.spec.json").write_bytes(spec_file(OTHER)[:-9])
    (folder / "text.spec.json").write_bytes(b"hello")
    (folder / "lists.spec.json").write_bytes(b'{"spec": [{"zlib": {"version": "1.2"}}]}')
    (folder / "other.spec.json").write_bytes(b'{"name": "x"}')
    layout_3(tmp_path / "mirrors/new", INDEX)
    blob = max((tmp_path / "mirrors/new/blobs").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    blob.write_bytes(blob.read_bytes()[:-1])
    manifests = tmp_path / "mirrors/new/v3/manifests/spec"
    (manifests / "gcc").joinpath("x.spec.manifest.json").write_text('{"version": 3, "data": []}')
    dataset = build(tmp_path, max_rejected=0.9)
    rows = dataset.rejected.select("snapshot", "rule", "num_specs").collect().rows()
    assert sorted(rows) == [("new", "spec-file", 1)] * 2 + [("old", "no-spec", 0)] + [("old", "spec-file", 1)] * 3
    assert {name: one.num_specs for name, one in dataset.manifest.snapshots.items()} == {"new": 2, "old": 3}


def test_nothing_but_damage_is_not_published_as_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "mirrors/ours/build_cache").mkdir(parents=True)
    (tmp_path / "mirrors/ours/build_cache/x.spec.json").write_text("{}")
    with pytest.raises(SourceError, match=r"expected specs in .*, found none: expected a spec in x\.spec\.json"):
        build(tmp_path)


def test_nodes_keep_the_format_that_they_were_written_in() -> None:
    found = SpecFiles()
    found.add(read_spec_file(spec_file(PACKAGE, GCC | {"annotations": {"original_specfile_version": 3}}, version=4)))
    found.add(read_spec_file(spec_file(OTHER, EXTERNAL, GCC)))
    data = found.index().decode()
    assert data.startswith('{"database":{"version":"8"'), "the newest of them decides"
    assert data.count('"annotations":{"original_specfile_version":4}}') == 1
    assert data.count('"original_specfile_version": 3}') == 1
    with pytest.raises(JsonError):
        read_spec_file(b'{"spec": {"nodes": []}}')


@pytest.mark.parametrize(("name", "expected"), [("noindex_v2", ["zlib"]), ("noindex_v3", ["hdf5", "zlib"])])
def test_mirrors_from_the_field(name: str, expected: list[str], tmp_path: Path) -> None:
    mirror = in_corpus(f"cases/{name}")
    with pytest.raises(SourceError, match="the index of the mirror"):
        cs.build_dataset(mirror, out=tmp_path / "dataset")
    # The blobs of one have the node of the spec alone.
    dataset = cs.build_dataset(mirror, out=tmp_path / "dataset", without_index=True, sizes=True)
    rows = dataset.specs.select("package", "snapshot", "stack", "size_bytes").collect().rows()
    assert rows == [(package, name, "root", 323 if name == "noindex_v3" else None) for package in expected]
