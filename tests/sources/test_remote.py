"""Sources on servers and in S3: they give what the same files give on disk, and no server can do harm."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import re
import shutil
import socketserver
import threading
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import cachestats as cs
from cachestats.errors import RejectedError, SourceError
from cachestats.sources.storage import transfer
from cachestats.sources.storage.http import HttpStorage
from cachestats.sources.storage.urls import public_url
from conftest import CORPUS, SEEDS
from tests.support.datasets import OF_INDICES, bytes_of, column_bytes, site_archive
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, G, build, layout_2, layout_3, layout_3_again
from tests.support.nodes import GCC, node
from tests.support.servers import Answer, HttpServer, S3Server, body, chunked, cut, drip, hang, redirect, status
from tests.support.site import page, spec, write

Serve = Callable[..., HttpServer]
E32, B = "e" * 32, "b" * 32
OTHER = node("b", B)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE", 0.02)


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return mirrors of three snapshots in the three layouts, with a catalogue and a checkout of the site beside."""
    root = tmp_path_factory.mktemp("served")
    both = index({A: PACKAGE, G: GCC, B: OTHER}, cached={A, G, B})
    layout_2(root / "develop", both)
    layout_2(root / "develop/e4s", DEFAULT)
    layout_3(root / "develop-2025-07-13", (8, both))
    layout_3(root / "develop-2025-07-13/e4s", (8, DEFAULT), compression="gzip")
    layout_2(root / "v1.0", DEFAULT)
    entries = {}
    for snapshot in ("develop", "develop-2025-07-13", "v1.0"):
        entries[snapshot] = []
        for label in ("root", "e4s"):
            mirror = root / snapshot / ("" if label == "root" else label)
            found = [*mirror.glob("build_cache/index.json"), *mirror.glob("blobs/sha256/*/*")]
            entries[snapshot] += [
                {"label": label, "url": f"s3://spack-binaries/{path.relative_to(root).as_posix()}"} for path in found
            ]
    (root / "cache_spack_io_index.json").write_text(json.dumps(entries))
    write(root / "site", {("develop", name): page(name, "develop", [spec(name * 32)]) for name in "xyz"})
    site_archive(root / "site", root / "site.tar.gz", seed=1)
    site_archive(root / "site", root / "site.zip", seed=1)
    return root


@pytest.fixture
def expected(mirrors: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a dataset built from the mirrors on disk."""
    for snapshot in ("develop", "develop-2025-07-13", "v1.0"):
        shutil.copytree(mirrors / snapshot, tmp_path / "on-disk" / snapshot)
    return bytes_of(cs.build_dataset(tmp_path / "on-disk", out=tmp_path / "expected"))


@pytest.mark.slow
@pytest.mark.parametrize("listings", [None, "apache", "nginx", "python"])
def test_a_server_gives_what_the_disk_gives(
    listings: Any, mirrors: Path, expected: dict[str, bytes], http_server: Serve, tmp_path: Path
) -> None:
    server = http_server(mirrors, listings=listings)
    catalogue = cs.build_dataset(server.url, out=tmp_path / "catalogue")
    assert bytes_of(catalogue) == expected
    assert bytes_of(cs.build_dataset(mirrors / "cache_spack_io_index.json", out=tmp_path / "copy")) == expected
    one = cs.build_dataset(f"{server.url}/develop", out=tmp_path / "one")
    assert set(one.specs.collect()["stack"]) == {"root", "e4s"}, "the catalogue above knows the stacks"
    lone = cs.build_dataset(
        f"{server.url}/develop-2025-07-13/e4s/v3/manifests/index/index.manifest.json", out=tmp_path / "l"
    )
    assert lone.specs.select("snapshot", "stack").unique().collect().rows() == [("develop-2025-07-13", "e4s")]
    if listings:
        site = cs.build_dataset(f"{server.url}/site", out=tmp_path / "site")
        assert bytes_of(site) == bytes_of(cs.build_dataset(mirrors / "site", out=tmp_path / "site-on-disk"))


@pytest.mark.parametrize("name", ["site.tar.gz", "site.zip"])
def test_archives_stream(name: str, mirrors: Path, http_server: Serve, tmp_path: Path) -> None:
    server = http_server(mirrors)
    server.forever(f"/{name}", chunked())  # as code hosts send them, without a length
    served = cs.build_dataset(f"{server.url}/{name}", out=tmp_path / "served")
    assert bytes_of(served) == bytes_of(cs.build_dataset(mirrors / "site", out=tmp_path / "from-disk"))
    server.requests.clear()
    assert cs.update_dataset(tmp_path / "served").is_empty()
    assert len(server.requests) <= 2, "its entity tag tells that it is the same"


@pytest.mark.slow
def test_s3_gives_what_the_disk_gives(
    mirrors: Path,
    expected: dict[str, bytes],
    s3_server: Callable[..., S3Server],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server = s3_server(mirrors, bucket="caches")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert bytes_of(cs.build_dataset("s3://caches", out=tmp_path / "catalogue")) == expected
    develop = cs.build_dataset("s3://caches/develop", out=tmp_path / "develop")
    assert set(develop.specs.collect()["stack"]) == {"root", "e4s"}
    site = cs.build_dataset("s3://caches/site", out=tmp_path / "site")
    assert bytes_of(site) == bytes_of(cs.build_dataset(mirrors / "site", out=tmp_path / "from-disk"))
    assert cs.update_dataset(tmp_path / "site").is_empty()
    server.put("site/_cache/develop/new/specs.md", page("new", "develop", [spec("n" * 32)]).encode())
    assert cs.update_dataset(tmp_path / "site").select("files_came", "specs_added").rows() == [(1, 1)]
    with pytest.raises(SourceError, match=r"found nothing|found none"):
        cs.build_dataset("s3://caches/nothing", out=tmp_path / "nothing")
    with pytest.raises(SourceError):
        cs.build_dataset("s3://no-such-bucket/develop", out=tmp_path / "nothing")


def test_the_public_bucket_is_read_through_its_address() -> None:
    assert public_url("s3://spack-binaries/develop/x") == "https://binaries.spack.io/develop/x"
    assert public_url("s3://other/develop") == "s3://other/develop"


def test_an_index_may_be_packed(tmp_path: Path) -> None:
    nodes = {f"{number:032d}": node("a", f"{number:032d}") for number in range(5000)}  # more than a block of zstd
    plain = index(nodes, cached=set(nodes))
    for name, data in (("index.json.gz", gzip.compress(plain)), ("index.json.zst", zstd(plain))):
        (tmp_path / "develop/build_cache").mkdir(parents=True, exist_ok=True)
        (tmp_path / "develop/build_cache" / name).write_bytes(data)
        dataset = cs.build_dataset(tmp_path / "develop/build_cache" / name, out=tmp_path / name)
        assert dataset.specs.select("snapshot", "stack").unique().collect().rows() == [("develop", "root")]
        assert dataset.specs.collect().height == 5000


def zstd(data: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(data)
    return bytes(buffer.getvalue())


def test_views_are_stacks(tmp_path: Path, http_server: Serve) -> None:
    mirror = tmp_path / "mirrors/develop"
    layout_3(mirror, (8, index({A: PACKAGE, G: GCC, B: OTHER}, cached={A, G, B})))
    root = (mirror / "v3/manifests/index/index.manifest.json").read_bytes()
    layout_3_view(mirror, "ours", index({B: OTHER}, cached={B}))
    expected = {("a", "root"), ("b", "root"), ("gcc", "root"), ("b", "ours")}
    assert set(build(tmp_path).specs.select("package", "stack").collect().rows()) == expected
    assert (mirror / "v3/manifests/index/index.manifest.json").read_bytes() == root
    server = http_server(tmp_path / "mirrors", listings="nginx")
    served = cs.build_dataset(f"{server.url}/develop", out=tmp_path / "served")
    assert set(served.specs.select("package", "stack").collect().rows()) == expected


def layout_3_view(mirror: Path, view: str, data: bytes) -> None:
    """Put a view into a mirror."""
    layout_3(mirror / "elsewhere", (8, data))
    place = mirror / "v3/manifests/index" / view / "index.manifest.json"
    place.parent.mkdir()
    shutil.move(mirror / "elsewhere/v3/manifests/index/index.manifest.json", place)
    shutil.copytree(mirror / "elsewhere/blobs", mirror / "blobs", dirs_exist_ok=True)
    shutil.rmtree(mirror / "elsewhere")


def test_an_installation_is_a_stack_that_the_user_names(tmp_path: Path) -> None:
    records = {
        A: {"spec": PACKAGE, "path": "/opt/a", "installed": True, "explicit": True, "installation_time": 1.0},
        B: {"spec": OTHER, "path": None, "installed": False, "explicit": False, "installation_time": 1.0},
        E32: {
            "spec": node("glibc", E32, external={"path": "/usr"}),
            "path": "/usr",
            "installed": True,
            "explicit": False,
        },
        G: {"spec": GCC, "path": "/opt/gcc", "installed": True, "explicit": False, "installation_time": 1.0},
    }
    database = tmp_path / "store/.spack-db/index.json"
    database.parent.mkdir(parents=True)
    database.write_text(json.dumps({"database": {"version": "8", "installs": records}}))
    for source in (database, tmp_path / "store"):
        with pytest.raises(SourceError, match="expected a name for the stack"):
            cs.build_dataset(source, out=tmp_path / "dataset")
        dataset = cs.build_dataset(source, out=tmp_path / "dataset", stacks=["login-node"])
        rows = dataset.specs.select("package", "snapshot", "stack", "compiler").collect().rows()
        assert rows == [("a", "local", "login-node", "gcc@14.2.0"), ("gcc", "local", "login-node", None)]
    assert cs.update_dataset(tmp_path / "dataset").is_empty()


def test_snapshots_and_stacks_are_chosen(mirrors: Path, http_server: Serve, tmp_path: Path) -> None:
    server = http_server(mirrors)
    dataset = cs.build_dataset(server.url, out=tmp_path / "a", snapshots=["develop", "v1.0"], stacks=["e4s", "root"])
    assert set(dataset.specs.select("snapshot", "stack").collect().rows()) == {
        ("develop", "root"),
        ("develop", "e4s"),
        ("v1.0", "root"),
    }
    assert not [one for one in server.requests if "2025-07-13" in one.path]
    for choice, message in (
        ({"snapshots": ["devlop"]}, "expected the snapshot devlop in .*\n.*there is develop"),
        ({"stacks": ["e4"]}, "expected the stack e4 in .*\n.*there is e4s"),
    ):
        with pytest.raises(SourceError, match=message):
            cs.build_dataset(server.url, out=tmp_path / "b", **choice)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="expected indices to select the stacks"):
        cs.build_dataset(SEEDS, out=tmp_path / "b", stacks=["e4s"])
    pages = cs.build_dataset(SEEDS, out=tmp_path / "c", snapshots=["develop"])
    assert set(pages.specs.collect()["snapshot"]) == {"develop"}


def catalogue(root: Path, entries: Any) -> Path:
    root.mkdir(exist_ok=True)
    path = root / "cache_spack_io_index.json"
    path.write_text(json.dumps(entries))
    return path


def entry(label: str, path: str) -> dict[str, str]:
    return {"label": label, "url": f"s3://spack-binaries/{path}"}


def test_a_catalogue_with_holes(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop/e4s", DEFAULT)
    layout_2(tmp_path / "develop/again", index({B: OTHER}, cached={B}))
    layout_2(tmp_path / "v1.0", DEFAULT)
    e4s = entry("e4s", "develop/e4s/build_cache/index.json")
    again = entry("e4s", "develop/again/build_cache/index.json")
    entries = {
        "develop": [e4s, e4s, again],  # no root; twice the same, and another of that name
        "v0.9": [],
        "v1.0": [entry("root", "v1.0/build_cache/index.json"), entry("e4s", "v1.0/e4s/build_cache/index.json")],
    }
    path = catalogue(tmp_path, entries)
    dataset = cs.build_dataset(path, out=tmp_path / "dataset", max_rejected=0.5)
    assert set(dataset.specs.select("snapshot", "package", "stack").collect().rows()) == {
        ("develop", name, "e4s") for name in ("a", "b", "gcc")
    }, "a snapshot with a stack that is not there is not published"
    assert dataset.rejected.collect().select("rule", "severity", "snapshot").rows() == [
        ("same-stack", "warning", "develop"),
        ("empty-snapshot", "warning", "v0.9"),
        ("missing", "error", "v1.0"),
    ]
    with pytest.raises(RejectedError, match=r"found nothing at .*v1.0/e4s/build_cache/index.json"):
        cs.build_dataset(path, out=tmp_path / "strict")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://spack-binaries/../../../../etc/passwd",
        "s3://spack-binaries/%2e%2e/%2e%2e/etc/passwd",
        "ftp://example.org/index.json",
        "https:///index.json",
        "http://localhost:9/index.json",
        "",
    ],
)
def test_a_catalogue_cannot_lead_astray(url: str, tmp_path: Path, http_server: Serve) -> None:
    catalogue(tmp_path / "served", {"develop": [{"label": "root", "url": url}]})
    server = http_server(tmp_path / "served")
    for source in (server.url, tmp_path / "served/cache_spack_io_index.json"):
        with pytest.raises(SourceError, match=r"expected the URL of an index|found nothing at"):
            cs.build_dataset(source, out=tmp_path / "dataset")
    assert {one.path for one in server.requests} <= {
        "/",
        "/cache_spack_io_index.json",
        "/index.json",
        "/index.json.hash",
    }


def test_a_catalogue_leads_to_another_host_with_leave(tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "other/develop", DEFAULT)
    (tmp_path / "served").mkdir()
    other, server = http_server(tmp_path / "other"), http_server(tmp_path / "served")
    address = other.url.replace("127.0.0.1", "localhost")
    url = f"{address}/develop/build_cache/index.json"
    catalogue(tmp_path / "served", {"develop": [{"label": "root", "url": url}]})
    with pytest.raises(SourceError, match="found nothing"):
        cs.build_dataset(server.url, out=tmp_path / "dataset")
    assert other.requests == []
    dataset = cs.build_dataset(server.url, out=tmp_path / "dataset", network=cs.Network(allow_hosts=("localhost",)))
    assert dataset.manifest.tables["specs"] == 2
    assert cs.update_dataset(tmp_path / "dataset").is_empty(), "leave is remembered"


@pytest.mark.parametrize("target", ["http://localhost:{port}/x", "file:///etc/passwd", "ftp://example.org/x"])
def test_a_redirect_cannot_lead_to_another_host_or_a_file(target: str, tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "develop", DEFAULT)
    server = http_server(tmp_path)
    port = server.url.rpartition(":")[2]
    server.forever("/develop/build_cache/index.json", redirect(target.format(port=port)))
    with pytest.raises(SourceError, match=r"to stay on its own host, found that it leads to|cannot read"):
        cs.build_dataset(f"{server.url}/develop", out=tmp_path / "dataset")
    assert "/x" not in {one.path for one in server.requests}


def test_a_redirect_is_followed_on_the_same_host_and_with_leave(tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "develop", DEFAULT)
    server = http_server(tmp_path)
    other = server.url.replace("127.0.0.1", "localhost")
    for target, hosts in (
        ("/develop/build_cache/index.json", []),
        (f"{other}/develop/build_cache/index.json", ["localhost"]),
    ):
        server.forever("/moved/build_cache/index.json", redirect(target))
        dataset = cs.build_dataset(
            f"{server.url}/moved/build_cache/index.json",
            out=tmp_path / "dataset",
            network=cs.Network(allow_hosts=tuple(hosts)),
        )
        assert set(dataset.specs.collect()["snapshot"]) == {"moved"}


@pytest.mark.parametrize(
    "trouble", [[status(500)] * 2, [status(429, retry_after="0"), status(503)], [cut(100), cut(300)]]
)
def test_trouble_that_passes_is_waited_out(
    trouble: list[Any], tmp_path: Path, http_server: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    layout_2(tmp_path / "served/develop", DEFAULT)
    server = http_server(tmp_path / "served")
    path = "/develop/build_cache/index.json"
    server.answer(path, *trouble)
    with caplog.at_level(logging.WARNING):
        dataset = cs.build_dataset(f"{server.url}{path}", out=tmp_path / "dataset")
    assert dataset.manifest.tables["specs"] == 2
    assert caplog.text.count("trying again in") == 2


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        (600.0, 500, 600),
        (-600.0, 0, 0),
        ("9" * 5000, 1e8, 1e9),
        ("soon", None, None),
        ("\u0667", None, None),
    ],
)
def test_a_server_says_when_to_try_again(asked: str | float, least: float | None, most: float | None) -> None:
    words = asked if isinstance(asked, str) else formatdate(time.time() + asked, usegmt=asked > 0)

    class BusyError(Exception):
        headers = {"Retry-After": words}  # noqa: RUF012

    pause = HttpStorage(cs.Network()).requested_pause(BusyError())
    assert pause == least if least is None or most is None or pause is None else least <= pause <= most


@pytest.mark.slow
def test_a_listing_of_s3_has_an_end(
    tmp_path: Path, s3_server: Callable[..., S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"served/develop/p{number}").mkdir(parents=True)
        (tmp_path / f"served/develop/p{number}/specs.md").write_text("---")
    server = s3_server(tmp_path / "served", bucket="caches")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    with pytest.raises(SourceError, match="at most 10 files and folders") as caught:
        cs.build_dataset(f"s3://{server.bucket}/develop/", out=tmp_path / "out", limits=cs.InputLimits(records=10))
    assert "--max-records" in str(caught.value)


def test_a_broken_connection_goes_on_where_it_broke(tmp_path: Path, http_server: Serve) -> None:
    nodes = {f"{number:032d}": node("a", f"{number:032d}") for number in range(5000)}
    layout_2(tmp_path / "served/develop", index(nodes, cached=set(nodes)))
    server = http_server(tmp_path / "served")
    path = "/develop/build_cache/index.json"
    server.answer(path, *[cut(1_500_000)] * 3)
    received: list[int] = []
    cs.build_dataset(f"{server.url}{path}", out=tmp_path / "dataset", network=cs.Network(on_bytes=received.append))
    size = (tmp_path / f"served{path}").stat().st_size
    assert size < sum(received) < 1.7 * size
    assert [one.headers["range"] for one in server.requests if "range" in one.headers]


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        (status(500), {"retries": 2}, "after 3 tries: HTTP 500"),
        (status(403), {}, "HTTP 403"),
        (cut(100), {"retries": 2}, "after 3 tries"),
        (drip(1), {"retries": 1, "timeout": 0.2}, "after 2 tries"),
        (hang(60), {"retries": 1, "timeout": 0.2}, "after 2 tries"),
        (body(b"<html>Sign in</html>"), {}, "expected"),
        (body(gzip.compress(bytes(100 << 20))), {}, "unpacks to more than|checksum"),
        (body(DEFAULT[:-9]), {}, "expected the sha256 checksum"),
    ],
)
def test_trouble_that_stays_is_told_and_nothing_is_published(
    answer: Any, options: dict[str, Any], message: str, tmp_path: Path, http_server: Serve
) -> None:
    layout_2(tmp_path / "served/develop", DEFAULT)
    server = http_server(tmp_path / "served")
    path = "/develop/build_cache/index.json"
    server.forever(path, answer)
    with pytest.raises(SourceError, match=message):
        cs.build_dataset(f"{server.url}{path}", out=tmp_path / "dataset", network=cs.Network(**options))
    assert not (tmp_path / "dataset/manifest.json").exists()


def test_an_index_is_read_again_only_if_its_checksum_or_tag_changed(tmp_path: Path, http_server: Serve) -> None:
    served = tmp_path / "served"
    layout_2(served / "develop", DEFAULT)
    layout_2(served / "develop/untold", DEFAULT)
    (served / "develop/untold/build_cache/index.json.hash").unlink()
    layout_3(served / "develop/e4s", (8, DEFAULT))
    layout_2(served / "v1.0", DEFAULT)
    server = http_server(served, listings="nginx")
    cs.build_dataset(server.url, out=tmp_path / "dataset")
    server.requests.clear()
    assert cs.update_dataset(tmp_path / "dataset").is_empty()
    asked = [one.path for one in server.requests]
    assert not any("/blobs/sha256/" in path for path in asked)
    assert "/develop/build_cache/index.json.hash" in asked
    assert "/v1.0/build_cache/index.json.hash" not in asked, "a release does not change"

    data = index({A: PACKAGE, G: GCC, B: OTHER}, cached={A, G, B})
    for stack in ("", "untold"):
        shutil.rmtree(served / "develop" / stack / "build_cache")
        layout_2(served / "develop" / stack, data)
    (served / "develop/untold/build_cache/index.json.hash").unlink()
    layout_3_again(served / "develop/e4s", data)
    changes = cs.update_dataset(tmp_path / "dataset")
    assert changes.select("snapshot", "files_changed", "specs_added").rows() == [("develop", 3, 1)]
    assert bytes_of(cs.open_dataset(tmp_path / "dataset")) == bytes_of(cs.build_dataset(served, out=tmp_path / "fresh"))


def test_credentials_are_neither_kept_nor_told(
    tmp_path: Path, http_server: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    layout_2(tmp_path / "served/develop", DEFAULT)
    server = http_server(tmp_path / "served")
    address = server.url.replace("//", "//me:hunter2@")
    server.answer("/develop/build_cache/index.json", status(200), status(500))
    with caplog.at_level(logging.DEBUG, "cachestats"):
        dataset = cs.build_dataset(f"{address}/develop/build_cache/index.json?token=hunter2", out=tmp_path / "dataset")
    assert "hunter2" not in caplog.text
    assert any("authorization" in one.headers for one in server.requests)
    for path in filter(Path.is_file, dataset.path.rglob("*")):
        assert b"hunter2" not in path.read_bytes(), path


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="begins with https://, http://, s3:// or oci://, found 'ftp://"):
        cs.build_dataset("ftp://example.org/develop", out=tmp_path / "dataset")
    lock = tmp_path / "spack.lock"
    lock.write_text('{"_meta": {"file-type": "spack-lockfile"}}')
    with pytest.raises(SourceError, match="found an environment's lockfile"):
        cs.build_dataset(lock, out=tmp_path / "dataset")


@pytest.mark.slow
def test_the_corpus_from_a_server_is_what_its_pages_are(tmp_path: Path, http_server: Serve, corpus: cs.Dataset) -> None:
    server = http_server(CORPUS)
    expected = column_bytes(corpus, OF_INDICES)
    for place in ("mirrors", "mirrors/develop-2024-04-14"):
        dataset = cs.build_dataset(f"{server.url}/{place}", out=tmp_path / re.sub(r"\W", "", place))
        found = column_bytes(dataset, OF_INDICES)
        assert found == {name: expected[name] for name in found}


MANIFEST = {
    "version": 3,
    "data": [{"contentLength": 7, "mediaType": "application/vnd.spack.spec.v5+json", "checksum": "0" * 64}],
}


def size_manifest(mirror: Path, name: str, hash_: str, size: int, *, is_signed: bool = False) -> None:
    binary = {"contentLength": size, "mediaType": "application/vnd.spack.install.v2.tar+gzip", "checksum": "0" * 64}
    text = json.dumps({"version": 3, "data": [*MANIFEST["data"], binary]}, indent=1)  # type: ignore[misc]
    if is_signed:
        text = (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n- " + text + "\n-----BEGIN PGP SIGNATURE-----\n\nabc\n"
        )
    path = mirror / f"v3/manifests/spec/{name}/{name}-1.0-{hash_}.spec.manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def sized(tmp_path: Path) -> Path:
    """Return a mirror of layout 3 with the manifests of two of its three specs, one of them signed."""
    nodes = {"a" * 32: node("a", "a" * 32), B: OTHER, "c" * 32: node("c", "c" * 32)}
    version = nodes["a" * 32]["version"]
    assert version == OTHER["version"] == "1.0"
    layout_3(tmp_path / "served/develop", (8, index(nodes, cached=set(nodes))))
    layout_3(tmp_path / "served/develop/e4s", (8, index(nodes, cached={B})))
    size_manifest(tmp_path / "served/develop", "a", "a" * 32, 111)
    size_manifest(tmp_path / "served/develop/e4s", "b", B, 222, is_signed=True)
    return tmp_path / "served"


def test_sizes_are_read_from_manifests(
    sized: Path, tmp_path: Path, http_server: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = http_server(sized, listings="nginx")
    for source in (sized, server.url):
        with caplog.at_level(logging.INFO):
            dataset = cs.build_dataset(source, out=tmp_path / "dataset", sizes=True)
        rows = dataset.specs.select("package", "stack", "size_bytes").collect().rows()
        assert rows == [("a", "root", 111), ("b", "e4s", 222), ("b", "root", 222), ("c", "root", None)]
        assert dataset.rejected.collect().select("rule", "severity").rows() == [("no-size", "warning")]
        assert dataset.rejected.select("source").collect().item() in dataset.manifest.sources
        assert "sizes of 2 of 3 specs; 1 manifest signed (signatures are not verified)" in caplog.text


def test_sizes_that_are_known_are_not_asked_for(sized: Path, tmp_path: Path, http_server: Serve) -> None:
    server = http_server(sized, listings="nginx")
    cs.build_dataset(server.url, out=tmp_path / "dataset")
    assert not asked_for_sizes(server)
    cs.update_dataset(tmp_path / "dataset", server.url, sizes=True)
    assert asked_for_sizes(server) == ["a", "b", "b", "c"]
    server.requests.clear()
    size_manifest(sized / "develop", "d", "d" * 32, 444)
    nodes = {"a" * 32: node("a", "a" * 32), B: OTHER, "d" * 32: node("d", "d" * 32)}
    shutil.rmtree(sized / "develop/blobs")
    (sized / "develop/v3/manifests/index/index.manifest.json").unlink()
    shutil.move(sized / "develop/v3/manifests/spec", tmp_path / "spec")
    shutil.rmtree(sized / "develop/v3")
    layout_3(sized / "develop", (8, index(nodes, cached=set(nodes))))
    shutil.move(tmp_path / "spec", sized / "develop/v3/manifests/spec")
    cs.update_dataset(tmp_path / "dataset")
    assert asked_for_sizes(server) == ["d"]
    rows = cs.open_dataset(tmp_path / "dataset").specs.select("package", "stack", "size_bytes").collect().rows()
    assert rows == [("a", "root", 111), ("b", "e4s", 222), ("b", "root", 222), ("d", "root", 444)]


def test_sizes_go_on_after_a_failure(sized: Path, tmp_path: Path, http_server: Serve) -> None:
    size_manifest(sized / "develop", "c", "c" * 32, 333)
    server = http_server(sized, listings="nginx")
    path = f"/develop/v3/manifests/spec/c/c-1.0-{'c' * 32}.spec.manifest.json"
    server.forever(path, status(500))
    with pytest.raises(SourceError, match="HTTP 500"):
        cs.build_dataset(server.url, out=tmp_path / "dataset", sizes=True, network=cs.Network(retries=0))
    server.normal(path)
    server.requests.clear()
    dataset = cs.build_dataset(server.url, out=tmp_path / "dataset", sizes=True, network=cs.Network(retries=0))
    assert asked_for_sizes(server) == ["c"]
    assert dataset.specs.select("size_bytes").unique().sort("size_bytes").collect().to_series().to_list() == [
        111,
        222,
        333,
    ]
    assert not (dataset.path / ".cachestats/journals").exists()


def asked_for_sizes(server: HttpServer) -> list[str]:
    return sorted(one.path.split("/")[-2] for one in server.requests if one.path.endswith(".spec.manifest.json"))


def test_halves_of_two_files_are_never_joined(tmp_path: Path, http_server: Serve) -> None:
    nodes = {f"{number:032d}": node("a", f"{number:032d}") for number in range(8000)}
    old, new = (index({key: one | {"version": v} for key, one in nodes.items()}, cached=set(nodes)) for v in "12")
    assert len(old) == len(new)
    layout_2(tmp_path / "served/develop", new)
    (tmp_path / "served/develop/build_cache/index.json.hash").unlink()
    path = "/develop/build_cache/index.json"
    weak = {"etag": 'W/"same"'}
    for headers in ({"etag": None}, weak, {"etag": '"old"'}):
        server = http_server(tmp_path / "served")
        server.answer(path, Answer(), Answer(), body(old, **headers) | cut(len(old) // 2))
        with pytest.raises(SourceError, match="it changed while it was read"):
            cs.build_dataset(f"{server.url}{path}", out=tmp_path / "dataset")
    server = http_server(tmp_path / "served", etags=False)
    server.answer(path, Answer(), Answer(), cut(len(new) // 2))
    dataset = cs.build_dataset(f"{server.url}{path}", out=tmp_path / "dataset")
    assert set(dataset.specs.collect()["version"]) == {"2"}


def test_labels_of_a_catalogue_that_look_alike_are_not_one(tmp_path: Path) -> None:
    layout_2(tmp_path / "x", DEFAULT)
    one = "x/build_cache/index.json"
    entries = {"a": [entry("b/c", one), entry("e4s", one), entry("e4s#2", one)], "a/b": [entry("c", one)]}
    dataset = cs.build_dataset(catalogue(tmp_path, entries), out=tmp_path / "dataset")
    found = set(dataset.specs.select("snapshot", "stack").collect().rows())
    assert found == {("a", "b/c"), ("a", "e4s"), ("a", "e4s#2"), ("a/b", "c")}
    with pytest.raises(SourceError, match="expected names of snapshots and stacks"):
        cs.build_dataset(catalogue(tmp_path, {"": [entry("root", one)]}), out=tmp_path / "dataset")


def test_a_mirror_may_be_a_whole_server(tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "served", DEFAULT)
    server = http_server(tmp_path / "served")
    dataset = cs.build_dataset(server.url, out=tmp_path / "dataset")
    assert set(dataset.specs.collect()["snapshot"]) == {server.url.removeprefix("http://")}


@pytest.mark.parametrize("header", ["Location", "URI"])
def test_secrets_are_not_in_what_is_raised(header: str, tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "served/develop", DEFAULT)
    server = http_server(tmp_path / "served")
    path = "/develop/build_cache/index.json"
    address = f"{server.url.replace('//', '//me:hunter2@')}{path}?token=hunter2"
    elsewhere = server.url.replace("127.0.0.1", "localhost").replace("//", "//me:hunter2@")
    to_elsewhere = body(b"", location=None) | status(302) | body(b"", **{header: f"{elsewhere}/x?token=hunter2"})
    for answer in (status(403), status(500), redirect(f"{path}?token=hunter2"), to_elsewhere):
        server.forever(path, answer)
        with pytest.raises(SourceError) as caught:
            cs.build_dataset(address, out=tmp_path / "dataset", network=cs.Network(retries=0))
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "/x" not in {one.path for one in server.requests}
    for wrong in ("ftp://me:hunter2@example.org/x", "http://[::1/hunter2"):
        with pytest.raises(SourceError) as caught:
            cs.build_dataset(wrong, out=tmp_path / "dataset")
        assert "me:hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("address", ["http://[::1", "http://h\u2100x/", "http:///x", "a\0b", "https://"])
def test_what_is_no_address_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected"):
        cs.build_dataset(address, out=tmp_path / "dataset")


class _Endless(socketserver.BaseRequestHandler):
    """Answers with one line again and again."""

    line = b"HTTP/1.1 102 Processing\r\n\r\n"

    def handle(self) -> None:
        self.request.recv(10_000)
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(self.line)
                time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("line", [_Endless.line, b"X: y\r\n"])
def test_a_server_that_never_comes_to_the_point_is_given_up_on(line: bytes, tmp_path: Path) -> None:
    handler = type("Handler", (_Endless,), {"line": line})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        network = cs.Network(timeout=0.2, retries=0)
        with pytest.raises(SourceError, match="cannot read"):
            cs.build_dataset(f"http://127.0.0.1:{server.server_address[1]}/x", out=tmp_path / "d", network=network)
        server.shutdown()


def test_listings_are_read_as_they_are_meant(tmp_path: Path, http_server: Serve) -> None:
    write(
        tmp_path / "served",
        {("develop", name): page(name, "develop", [spec(f"{name:x<32}")]) for name in ("httpie", "zlib")},
    )
    server = http_server(tmp_path / "served", listings="nginx")
    folder = "/_cache/develop/"
    links = "".join(
        f'<a href="{name}">x</a>'
        for name in ("httpie/", "zlib/", "../", "/", "//localhost/y/", "?C=M", "%2e%2e/", "a%2fb/")
    )
    spaces = "<a" + 200_000 * " " + ">"
    server.forever(folder, body(f"<html>{spaces}{links}</html>".encode(), content_type="text/html"))
    dataset = cs.build_dataset(server.url, out=tmp_path / "dataset")
    assert set(dataset.specs.collect()["package"]) == {"httpie", "zlib"}


def test_what_a_server_forbids_is_not_there(tmp_path: Path, http_server: Serve) -> None:
    layout_3(tmp_path / "served/develop", (8, DEFAULT))
    server = http_server(tmp_path / "served")
    for path in (
        "/develop",
        "/develop/",
        "/develop/cache_spack_io_index.json",
        "/cache_spack_io_index.json",
        "/develop/build_cache/index.json",
    ):
        server.forever(path, status(403))
    assert cs.build_dataset(f"{server.url}/develop", out=tmp_path / "dataset").manifest.tables["specs"] == 2


def test_junk_among_manifests_costs_no_more_than_a_size(sized: Path, tmp_path: Path) -> None:
    size_manifest(sized / "develop", "a", "a" * 32, 1 << 63)
    size_manifest(sized / "develop", "c", "c" * 32, -5)
    dataset = cs.build_dataset(sized, out=tmp_path / "dataset", sizes=True)
    assert dataset.specs.select("package", "size_bytes").unique().sort("package").collect().rows() == [
        ("a", None),
        ("b", 222),
        ("c", None),
    ]
    size_manifest(sized / "develop", "a", "a" * 32, 111)
    cs.update_dataset(dataset.path)
    assert cs.open_dataset(dataset.path).specs.filter(package="a").collect()["size_bytes"].to_list() == [None]
    cs.update_dataset(dataset.path, sizes=True)
    assert cs.open_dataset(dataset.path).specs.filter(package="a").collect()["size_bytes"].to_list() == [111]
    assert cs.open_dataset(dataset.path).rejected.collect()["rule"].to_list() == ["no-size"]


def test_each_source_keeps_its_own_options(tmp_path: Path, http_server: Serve) -> None:
    layout_2(tmp_path / "other/v1.0", DEFAULT)
    layout_2(tmp_path / "mirrors/develop", DEFAULT)
    other, server = http_server(tmp_path / "other"), http_server(tmp_path / "served")
    url = other.url.replace("127.0.0.1", "localhost") + "/v1.0/build_cache/index.json"
    (tmp_path / "served").mkdir()
    catalogue(tmp_path / "served", {"v1.0": [{"label": "root", "url": url}]})
    cs.build_dataset(server.url, out=tmp_path / "dataset", network=cs.Network(allow_hosts=("localhost",)))
    cs.update_dataset(tmp_path / "dataset", tmp_path / "mirrors", sizes=True)
    cs.update_dataset(tmp_path / "dataset")
    sources = cs.open_dataset(tmp_path / "dataset").manifest.sources
    kept = {source.kind: (source.allow_hosts, source.sizes) for source in sources.values()}
    assert kept == {"catalogue": (["localhost"], False), "folder": ([], True)}


def test_a_catalogue_that_appears_does_not_make_another_source_of_an_address(
    tmp_path: Path, http_server: Serve
) -> None:
    layout_2(tmp_path / "served/develop", DEFAULT)
    server = http_server(tmp_path / "served", listings="nginx")
    cs.build_dataset(f"{server.url}/", out=tmp_path / "dataset")
    catalogue(tmp_path / "served", {"develop": [entry("root", "develop/build_cache/index.json")]})
    for source in ([], [server.url]):
        changes = cs.update_dataset(tmp_path / "dataset", *source)
        assert changes["files_gone"].sum() == 0
        assert list(cs.open_dataset(tmp_path / "dataset").manifest.sources) == [server.url]
    assert cs.update_dataset(tmp_path / "dataset").is_empty()
