"""What is there, beside what the index says: in both layouts of mirrors, in registries, and on servers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import ArgumentError
from cachestats.sources.storage import disk, transfer
from cachestats.sources.storage.base import Storage
from cachestats.verification import mirrors
from tests.support import spec_files
from tests.support.servers import HttpServer, RegistryServer
from tests.support.whole import (
    KEYS,
    NODES,
    compact,
    counts,
    found,
    messages,
    write_index,
    write_layout_2,
    write_layout_3,
)

Write = Callable[..., Path]
LAYOUTS = pytest.mark.parametrize("write", [write_layout_2, write_layout_3])
OF_ZLIB = {write_layout_2: "**/*zlib*.spec.json*", write_layout_3: "**/*zlib*.spec.manifest.json"}


def binary(mirror: Path, package: str) -> Path:
    """Return the binary of a package, which has its name as content."""
    return next(path for path in mirror.rglob("*") if path.is_file() and path.read_bytes() == package.encode())


@LAYOUTS
def test_a_whole_mirror_has_no_findings(write: Write, tmp_path: Path) -> None:
    verified = cs.verify(write(tmp_path / "develop"), blobs=True)
    assert verified.findings.is_empty()
    assert [counts(verified, check)[0] for check in ("no-manifest", "no-binary", "unindexed")] == [2, 2, 2]
    assert counts(verified, "blob")[0] == (2 if write is write_layout_2 else 4)


@LAYOUTS
def test_a_mirror_without_specs_is_whole(write: Write, tmp_path: Path) -> None:
    assert cs.verify(write(tmp_path / "develop", {}), blobs=True).findings.is_empty()


@LAYOUTS
def test_without_deep_nothing_is_looked_at(write: Write, tmp_path: Path) -> None:
    mirror = write(tmp_path / "develop")
    binary(mirror, "zlib").unlink()
    verified = cs.verify(mirror)
    assert verified.findings.is_empty()
    assert counts(verified, "no-binary") == (0, 0, None, "without deep")
    assert counts(verified, "blob") == (0, 0, None, "without blobs")


def made_old(mirror: Path, days: int) -> None:
    """Date the index of a mirror back."""
    for path in mirror.rglob("index*.json"):
        when = time.time() - days * 86_400 - 60
        os.utime(path, (when, when))


@LAYOUTS
def test_an_index_that_is_older_than_its_specs_is_told(
    write: Write, tmp_path: Path, http_server: Callable[..., HttpServer]
) -> None:
    mirror = write(tmp_path / "develop")
    assert counts(cs.verify(mirror, deep=True), "age") == (2, 0, 0, None)
    made_old(mirror, days=3)
    url = f"{http_server(tmp_path, listings='apache').url}/develop"
    for source, options in ((mirror, {"deep": True}), (mirror, {"blobs": True}), (url, {"deep": True})):
        verified = cs.verify(source, **options)
        assert found(verified) == [("age", None)]
        assert verified.count("error") == 0
        assert "3 days older than" in messages(verified)
        assert "2 specs came after it, and it lacks 0 of them" in messages(verified)


@LAYOUTS
def test_an_age_that_is_not_known_is_said(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = write(tmp_path / "develop")
    monkeypatch.setattr(disk.DiskStorage, "modified", Storage.modified)
    assert counts(cs.verify(mirror, deep=True), "age") == (0, 0, 2, "storage does not tell when the index was written")
    assert counts(cs.verify(mirror), "age") == (0, 0, None, "without deep")


@LAYOUTS
def test_a_missing_binary_is_found(write: Write, tmp_path: Path) -> None:
    mirror = write(tmp_path / "develop")
    binary(mirror, "zlib").unlink()
    for options in ({"deep": True}, {"blobs": True}):
        verified = cs.verify(mirror, **options)
        assert found(verified) == [("no-binary", "zlib")]
        assert messages(verified).count(KEYS["zlib"]) <= 1, "the name of a file is not repeated"


@LAYOUTS
def test_a_missing_manifest_is_found(write: Write, tmp_path: Path) -> None:
    mirror = write(tmp_path / "develop")
    next(mirror.glob(OF_ZLIB[write])).unlink()
    assert found(cs.verify(mirror, deep=True)) == [("no-manifest", "zlib")]
    for path in [*mirror.glob("**/*.spec.*")]:
        path.unlink()
    verified = cs.verify(mirror, deep=True)
    assert found(verified) == [("no-manifest", None)]
    assert "of 2 specs, found none at all" in messages(verified)


@LAYOUTS
def test_a_spec_that_no_index_has_is_found(write: Write, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole")
    zlib = {KEYS["zlib"]: NODES[KEYS["zlib"]]}
    part = whole
    if write is write_layout_2:
        (part / "build_cache/index.json").write_bytes(compact(zlib))
    else:
        other = write_layout_3(tmp_path / "other", zlib)
        (other / "v3/manifests/index/index.manifest.json").replace(part / "v3/manifests/index/index.manifest.json")
        for path in (other / "blobs").rglob("*"):
            if path.is_file():
                target = part / path.relative_to(other)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    verified = cs.verify(part, deep=True)
    package = "hdf5" if write is write_layout_3 else None
    assert verified.findings.select("check", "hash", "package").rows() == [("unindexed", KEYS["hdf5"], package)]
    assert verified.count("error") == 0


@LAYOUTS
@pytest.mark.parametrize("content", [b"zlob", b"zli"])
def test_a_damaged_binary_is_found(write: Write, content: bytes, tmp_path: Path) -> None:
    mirror = write(tmp_path / "develop")
    binary(mirror, "zlib").write_bytes(content)
    assert found(cs.verify(mirror, deep=True)) == []
    verified = cs.verify(mirror, blobs=True)
    assert found(verified) == [("blob", "zlib")]
    is_shorter = write is write_layout_3 and len(content) == 3
    assert ("expected 4 bytes, found 3" if is_shorter else "expected the sha256 checksum") in messages(verified)


def test_a_binary_without_a_known_checksum_is_counted(tmp_path: Path) -> None:
    mirror = write_layout_2(tmp_path / "develop")
    spec_file = next(mirror.glob("**/*hdf5*.spec.json.sig"))
    spec_file.write_bytes(spec_file.read_bytes().replace(b"binary_cache_checksum", b"other"))
    verified = cs.verify(mirror, blobs=True)
    assert verified.findings.is_empty()
    assert counts(verified, "blob") == (1, 0, 1, "checksum not known")


def test_a_damaged_manifest_is_told(tmp_path: Path) -> None:
    mirror = write_layout_3(tmp_path / "develop")
    next(mirror.glob("**/zlib*.spec.manifest.json")).write_text("{")
    assert found(cs.verify(mirror, deep=True)) == [("unreadable", "zlib")]


def test_a_manifest_that_names_no_binary_is_told(tmp_path: Path) -> None:
    mirror = write_layout_3(tmp_path / "develop")
    manifest = next(mirror.glob("**/zlib*.spec.manifest.json"))
    manifest.write_text(json.dumps({"version": 3, "data": []}))
    assert found(cs.verify(mirror, deep=True)) == [("no-binary", "zlib")]


def test_a_view_of_a_mirror_is_not_all_that_is_indexed(tmp_path: Path) -> None:
    mirror = write_layout_3(tmp_path / "develop")
    index = mirror / "v3/manifests/index"
    (index / "view").mkdir()
    (index / "view/index.manifest.json").write_bytes((index / "index.manifest.json").read_bytes())
    zlib = write_layout_3(tmp_path / "other", {KEYS["zlib"]: NODES[KEYS["zlib"]]})
    (zlib / "v3/manifests/index/index.manifest.json").replace(index / "view/index.manifest.json")
    for path in [one for one in (zlib / "blobs").rglob("*") if one.is_file()]:
        target = mirror / path.relative_to(zlib)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    assert cs.verify(mirror, deep=True).findings.is_empty()


def test_a_run_that_was_stopped_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, resume = write_layout_3(tmp_path / "develop"), tmp_path / "resume"
    read: list[str] = []
    fault_of = mirrors._fault_of

    def stopped(storage: disk.DiskStorage, file: mirrors.File) -> str | None:
        read.append(file.path)
        if len(read) == 3:
            raise KeyboardInterrupt
        return fault_of(storage, file)

    monkeypatch.setattr(mirrors, "_AT_ONCE", 1)
    monkeypatch.setattr(mirrors, "_fault_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        cs.verify(mirror, blobs=True, resume=resume)
    assert len(resume.read_text().split()) == 2
    verified = cs.verify(mirror, blobs=True, resume=resume)
    assert (len(read), counts(verified, "blob")[0]) == (5, 4)
    assert not resume.exists(), "the next run reads everything"
    with pytest.raises(ArgumentError, match="expected resume with blobs"):
        cs.verify(mirror, resume=resume)


def test_an_oci_cache_is_checked(registry: Callable[..., RegistryServer]) -> None:
    server = registry()
    spec_files.push(server, compact(NODES), listed=compact(NODES))
    verified = cs.verify(server.cache, blobs=True)
    assert verified.findings.is_empty()
    assert (counts(verified, "blob")[0], counts(verified, "no-manifest")[0]) == (4, 2)
    assert counts(verified, "signature") == (0, 0, None, "without keyring")
    name = next(key for key, data in server.blobs.items() if data == b"zlib")
    server.blobs[name] = b"zlob"
    assert found(cs.verify(server.cache, blobs=True)) == [("blob", "zlib")]
    del server.blobs[name]
    assert found(cs.verify(server.cache, deep=True)) == [("no-binary", "zlib")]
    tag = next(tag for tag in server.manifests if tag.startswith("zlib"))
    server.manifests[tag] = b'{"schemaVersion": 2, "manifests": []}'
    assert found(cs.verify(server.cache, deep=True)) == [("unreadable", "zlib")], "an image for several platforms"
    del server.manifests[tag]
    assert found(cs.verify(server.cache, deep=True)) == [("no-manifest", "zlib")]


@LAYOUTS
def test_a_server_that_lists_no_folders_is_said_not_to_be_checked(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.01)
    write(tmp_path / "develop")
    with HttpServer(tmp_path) as server:
        verified = cs.verify(f"{server.url}/develop", deep=True)
    assert verified.findings.is_empty()
    assert counts(verified, "no-manifest") == (0, 0, 2, "server lists no files")


def test_an_index_without_a_mirror_is_said_not_to_be_checked(tmp_path: Path) -> None:
    write_index(tmp_path / "develop")
    index = (tmp_path / "develop/build_cache/index.json").replace(tmp_path / "some.json")
    verified = cs.verify(f"develop={index}", deep=True)
    assert counts(verified, "no-binary") == (0, 0, 2, "no mirror around the index")
