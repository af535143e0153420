"""Mirrors: the layouts give the same, folders name snapshots and stacks, and checksums are kept to."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import cachestats as cs
from cachestats.errors import ArgumentError, SourceError
from cachestats.sources.items import Index, Previous, Unchanged
from cachestats.sources.mirror import locate_index
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.network import Network
from tests.support.datasets import bytes_of
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, build, layout_2, layout_3
from tests.support.servers import HttpServer
from tests.support.site import page, spec, write


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_layouts_give_the_same(compression: str, tmp_path: Path) -> None:
    for stack in ("", "e4s"):
        layout_2(tmp_path / "old/mirrors/develop" / stack, DEFAULT)
        layout_3(tmp_path / "new/mirrors/develop" / stack, (8, DEFAULT), compression=compression)
    old, new = build(tmp_path / "old"), build(tmp_path / "new")
    assert bytes_of(old) == bytes_of(new)
    rows = old.specs.select("package", "stack", "compiler").collect().rows()
    assert rows == [
        ("a", "e4s", "gcc@14.2.0"),
        ("a", "root", "gcc@14.2.0"),
        ("gcc", "e4s", None),
        ("gcc", "root", None),
    ]
    (row,) = new.snapshots.collect().rows(named=True)
    assert (row["num_pages"], row["num_specs"], row["num_stacks"], row["generation"]) == (2, 2, 1, "db8")


def test_a_mirror_without_an_index_is_told_how_to_get_one(
    tmp_path: Path, http_server: Callable[..., HttpServer]
) -> None:
    url = http_server(tmp_path, listings="apache").url
    for place in (
        "old/build_cache/linux-zlib-1.3.1-aaaa.spec.json.sig",
        "new/v3/manifests/spec/zlib/a.spec.manifest.json",
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        mirror = tmp_path / place.partition("/")[0]
        for source, found in ((mirror, "1 spec file"), (f"{url}/{mirror.name}", "its folder (build_cache|v3)")):
            with pytest.raises(SourceError, match=rf"the index of the mirror .*, found {found} without one") as caught:
                cs.build_dataset(source, out=tmp_path / "dataset")
            assert "--without-index`, or let Spack write it: spack buildcache update-index " in str(caught.value.hint)


def test_of_several_databases_the_newest_known_is_taken(tmp_path: Path) -> None:
    newest = index({A: PACKAGE | {"version": "9"}}, cached={A})
    others = [(version, index({A: PACKAGE}, cached={A})) for version in (10, 7)]
    layout_3(tmp_path / "mirrors/develop", others[0], (9, newest), others[1])
    assert build(tmp_path).specs.collect()["version"].to_list() == ["9"]


def test_without_a_known_database_both_what_is_there_and_what_is_known_are_told(tmp_path: Path) -> None:
    layout_3(tmp_path / "mirrors/develop", (12, DEFAULT), (10, DEFAULT))
    with pytest.raises(SourceError, match=r"a database of version 5 to 9 in .*, found version 10, 12"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["develop"], {("develop", "root")}),
        (["ours"], {("ours", "root")}),
        (["develop", "develop/e4s"], {("develop", "root"), ("develop", "e4s")}),
        (["ours", "ours/e4s"], {("ours", "root"), ("ours", "e4s")}),
        (["develop-2025-03-09/e4s", "v1.0/e4s"], {("develop-2025-03-09", "e4s"), ("v1.0", "e4s")}),
    ],
)
def test_folders_tell_snapshot_and_stack(folders: list[str], expected: set[tuple[str, str]], tmp_path: Path) -> None:
    for folder in folders:
        layout_2(tmp_path / "mirrors" / folder, DEFAULT)
    found = build(tmp_path).specs.select("snapshot", "stack").collect().rows()
    assert set(found) == expected


DATED = "develop-2026-06-07"


def test_a_dated_snapshot_in_a_folder_of_snapshots_has_one_name(tmp_path: Path) -> None:
    spelled = f"snapshots/{DATED}"
    layout_2(tmp_path / "cache" / spelled / "e4s", DEFAULT)
    write(tmp_path / "site", {(spelled, "zlib"): page("zlib", spelled, [spec()])})
    url = f"s3://cache/{spelled}/e4s/build_cache/index.json"
    entries = {name: [{"label": stack, "url": url}] for name, stack in ((spelled, "e4s"), (DATED, "ml"))}
    (tmp_path / "cache/cache_spack_io_index.json").write_text(json.dumps(entries))
    for number, (source, stacks) in enumerate(
        [
            ("site", {"e4s", "root"}),
            ("cache", {"e4s"}),
            ("cache/cache_spack_io_index.json", {"e4s", "ml"}),
            (f"cache/{spelled}", {"e4s"}),
            (f"cache/{spelled}/e4s/build_cache/index.json", {"e4s"}),
        ]
    ):
        dataset = cs.build_dataset(tmp_path / source, out=tmp_path / str(number), snapshots=[spelled])
        assert dataset.rejected.collect().is_empty()
        assert [*dataset.manifest.snapshots] == [DATED]
        assert {*dataset.specs.collect()["stack"]} == stacks
        assert dataset.at(spelled).snapshots == dataset.at("snapshots/develop-2026-*").snapshots == (DATED,)
        with pytest.raises(ArgumentError, match="all of the named ones are left out"):
            dataset.at(f"!{spelled}")


def test_what_is_not_as_its_checksum_says_is_refused(tmp_path: Path) -> None:
    layout_2(tmp_path / "a/mirrors/develop", DEFAULT, checksum="0" * 64)
    layout_3(tmp_path / "b/mirrors/develop", (8, DEFAULT), contentLength=7)
    layout_3(tmp_path / "c/mirrors/develop", (8, DEFAULT))
    (blob,) = (tmp_path / "c").rglob("blobs/sha256/*/*")
    blob.write_bytes(DEFAULT[:-1] + b" ")
    layout_3(tmp_path / "d/mirrors/develop", (8, DEFAULT), checksum="../../../../etc/passwd")
    layout_3(tmp_path / "e/mirrors/develop", (8, DEFAULT), mediaType="application/vnd.spack.spec.v5+json")
    for name, message in (
        ("a", "expected the sha256 checksum 0000"),
        ("b", f"expected 7 bytes in .*, found {len(DEFAULT):,}"),
        ("c", "expected the sha256 checksum"),
        ("d", "expected a sha256 checksum in"),
        ("e", "expected an index in"),
    ):
        with pytest.raises(SourceError, match=message):
            build(tmp_path / name)
        assert not (tmp_path / name / "dataset/specs").exists(), "nothing is published"


class Memory(Storage):
    """A storage that says nothing about itself but what it must."""

    @cached_property
    def filesystem(self) -> Any:
        return MemoryFileSystem()


class Here(Memory):
    is_remote = False


class Afar(Memory):
    is_remote = True


@pytest.mark.parametrize(("storage", "expected"), [(Here, Index), (Afar, Unchanged)])
def test_a_known_release_is_looked_at_again_where_that_is_no_request(storage: type[Storage], expected: type) -> None:
    path = "/mirrors/v1.0/build_cache/index.json"
    MemoryFileSystem().pipe(path, DEFAULT)
    location = locate_index(storage(Network()), path, path)
    known = Previous({path: None}, labels={path: ("v1.0", "root")})
    (item,) = location.items(known)
    assert isinstance(item, expected)


def test_a_storage_that_does_not_say_whether_it_is_remote_fails() -> None:
    location = locate_index(Memory(Network()), "/mirrors/v1.0/build_cache/index.json", "index")
    with pytest.raises(AttributeError, match="is_remote"):
        list(location.items(Previous()))
