"""OCI caches: they give what a mirror gives, updates read only what changed, and no registry can do harm."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import RejectedError, SourceError
from cachestats.sources.storage import oci, transfer
from cachestats.sources.storage.oci import api_url
from cachestats.text import file_stem
from tests.support.datasets import bytes_of
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, G
from tests.support.mirrors import layout_2 as indexed_mirror
from tests.support.nodes import GCC, node
from tests.support.servers import Answer, HttpServer, RegistryServer, body, digest_of, redirect, status
from tests.support.spec_files import push, spec_file, stem

Serve = Callable[..., RegistryServer]
B = "b" * 32
OTHER = node("b", B)
MORE = index({A: PACKAGE, G: GCC, B: OTHER}, cached={A, G, B})
ANYTHING = cs.Network(retries=0)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE", 0.02)


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the configuration of docker, which is not there, so that nobody is logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker/config.json"


@pytest.fixture
def served(registry: Serve) -> RegistryServer:
    """Return a registry with a cache of two specs and their index."""
    server = registry()
    push(server)
    return server


def rejected(dataset: cs.Dataset) -> list[tuple[str, ...]]:
    """Return what is rejected by now."""
    return sorted(cs.open_dataset(dataset.path).rejected.select("rule", "location").collect().rows())


@pytest.mark.parametrize("without_index", [False, True])
def test_a_cache_gives_what_a_mirror_gives(without_index: bool, served: RegistryServer, tmp_path: Path) -> None:
    indexed_mirror(tmp_path / "cache", DEFAULT)
    mirror = cs.build_dataset(tmp_path / "cache", out=tmp_path / "mirror")
    options = {"without_index": without_index}
    dataset = cs.build_dataset(served.cache, out=tmp_path / "dataset", **options)
    assert bytes_of(dataset) == bytes_of(mirror), "the last part of its name names the snapshot"
    assert rejected(dataset) == []
    served.asked_for("manifests")
    sized = cs.build_dataset(served.cache, out=tmp_path / "sized", sizes=True, **options)
    assert len(served.asked_for("manifests")) == 3, "each of them once"
    assert sized.specs.select("package", "size_bytes").collect().rows() == [("a", 1), ("gcc", 3)]
    named = cs.build_dataset(f"week1={served.cache}", out=tmp_path / "named", stacks=["e4s"], **options)
    assert named.specs.select("snapshot", "stack").unique().collect().rows() == [("week1", "e4s")]
    also = cs.build_dataset(served.cache, out=tmp_path / "also", snapshots=["v1.0"], **options)
    assert also.manifest.snapshots.keys() == {"v1.0"}
    assert all(cs.update_dataset(one.path).is_empty() for one in (dataset, named, also))
    cs.update_dataset(also.path, f"week2={served.cache}")
    assert cs.open_dataset(also.path).manifest.snapshots.keys() == {"v1.0", "week2"}


def test_a_folder_with_the_image_layout_is_a_cache(served: RegistryServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "blobs/sha256").mkdir(parents=True)
    (cache / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for data in (*served.blobs.values(), *served.manifests.values()):
        (cache / "blobs/sha256" / digest_of(data).removeprefix("sha256:")).write_bytes(data)
    listed = [
        {"digest": digest_of(data), "size": len(data), "annotations": {"org.opencontainers.image.ref.name": tag}}
        for tag, data in served.manifests.items()
    ]
    (cache / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [*listed, {"digest": "", "size": 0}]})
    )
    expected = bytes_of(cs.build_dataset(served.cache, out=tmp_path / "served", sizes=True))
    for options in ({}, {"without_index": True}):
        dataset = cs.build_dataset(cache, out=tmp_path / f"dataset{len(options)}", sizes=True, **options)
        assert bytes_of(dataset) == expected
        assert cs.update_dataset(dataset.path).is_empty()


def test_without_an_index_an_error_says_how_to_get_one(registry: Serve, tmp_path: Path) -> None:
    server = registry()
    push(server, listed=None)
    server.push("latest", b"{}")
    with pytest.raises(SourceError, match=r"the index of the mirror oci\+http.*/site/cache, found 2 specs") as caught:
        cs.build_dataset(server.cache, out=tmp_path / "dataset")
    assert str(caught.value.hint).endswith(f"spack buildcache update-index {server.cache}")
    assert "--without-index" in str(caught.value.hint)
    with pytest.raises(SourceError, match=r"expected an OCI cache, found nothing at oci\+http.*/site/nothing"):
        cs.build_dataset(server.cache.replace("site/cache", "site/nothing"), out=tmp_path / "dataset")


def test_an_update_reads_the_index_only_if_its_digest_changed(served: RegistryServer, tmp_path: Path) -> None:
    dataset = cs.build_dataset(served.cache, out=tmp_path / "dataset")
    served.asked_for("blobs")
    assert cs.update_dataset(dataset.path).is_empty()
    assert served.asked_for("blobs") == []
    push(served, MORE, listed=MORE)
    assert cs.update_dataset(dataset.path).select("specs_added", "num_specs").rows() == [(1, 3)]
    assert served.asked_for("blobs") == [digest_of(MORE)]


def test_an_update_without_index_reads_only_new_specs(registry: Serve, tmp_path: Path) -> None:
    server = registry(tags_a_page=1)
    push(server, listed=None)
    dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True)
    server.asked_for("manifests")
    assert cs.update_dataset(dataset.path).is_empty()
    assert server.asked_for("manifests") == ["index.spack"], "it may have one by now"
    push(server, MORE, listed=None)
    assert cs.update_dataset(dataset.path).select("specs_added", "num_specs").rows() == [(1, 3)]
    assert server.asked_for("manifests") == [f"{stem(OTHER)}.spack", "index.spack"]
    del server.manifests[f"{stem(PACKAGE)}.spack"]
    assert cs.update_dataset(dataset.path).select("specs_removed", "num_specs").rows() == [(1, 2)]
    push(server, MORE, listed=None)
    cs.update_dataset(dataset.path)
    whole = cs.build_dataset(server.cache, out=tmp_path / "whole", without_index=True)
    assert bytes_of(dataset) == bytes_of(whole)
    server.asked_for("manifests")
    assert cs.update_dataset(dataset.path, recheck=True).is_empty()
    assert len(server.asked_for("manifests")) == 4, "all of them"
    assert cs.update_dataset(dataset.path, f"week2={server.cache}", without_index=True)["num_specs"].to_list() == [3]
    assert server.asked_for("manifests") == ["index.spack"], "a snapshot of another name has the same specs"


def test_spec_files_of_a_source_that_is_forgotten_are_removed(registry: Serve, tmp_path: Path) -> None:
    for one in (servers := [registry(), registry()]):
        push(one)
    kept = tmp_path / "dataset/.cachestats/spec-files"
    for number, one in enumerate(servers):
        cs.build_dataset(f"week1={one.cache}", out=tmp_path / "dataset", without_index=True)
        assert [path.name for path in kept.iterdir()] == [file_stem(one.cache)], f"source {number}"
        assert len([*kept.rglob("*.json.gz")]) == 1
    cs.build_dataset(f"week1={servers[1].cache}", out=tmp_path / "dataset")
    assert [*kept.iterdir()] == []


def test_a_build_that_failed_goes_on_where_it_stopped(
    registry: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cachestats.sources.without_index._AHEAD", 1)
    server = registry()
    push(server, MORE, listed=None)
    last = f"/v2/site/cache/manifests/{stem(GCC)}.spack"
    server.forever(last, status(503))
    with pytest.raises(SourceError, match="HTTP 503"):
        cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True, network=ANYTHING)
    server.normal(last)
    server.asked_for("manifests")
    dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True)
    assert server.asked_for("manifests") == [f"{stem(GCC)}.spack", "index.spack"]
    assert dataset.manifest.snapshots["cache"].num_specs == 3
    cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True)
    assert len(server.asked_for("manifests")) == 4, "a build after one that was finished reads everything"


def test_a_stale_index_is_compared_with_the_tags_when_asked(registry: Serve, tmp_path: Path) -> None:
    server = registry()
    gone = node("gone", "e" * 32)
    push(server, MORE, listed=index({A: PACKAGE, G: GCC, "e" * 32: gone}, cached={A, G, "e" * 32}))
    dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset")
    assert rejected(dataset) == [], "nobody asked"
    cs.update_dataset(dataset.path, without_index=True)
    assert set(cs.open_dataset(dataset.path).specs.collect()["package"]) == {"a", "b", "gcc"}
    assert rejected(dataset) == [("only-indexed", "e" * 32), ("unindexed", B)]
    server.push("index.spack", b"{}", b"not JSON")
    cs.update_dataset(dataset.path)
    assert rejected(dataset) == [("bad-index", "index")]
    push(server, MORE, listed=MORE)
    cs.update_dataset(dataset.path)
    assert rejected(dataset) == []


def test_images_that_are_no_specs_are_passed_over_and_damaged_ones_are_said(registry: Serve, tmp_path: Path) -> None:
    server = registry()
    push(server, MORE, listed=None)
    server.push("latest", b"no JSON")
    server.push("image.spack", b'{"architecture": "amd64"}', b"layer")
    server.manifests["platforms.spack"] = b'{"schemaVersion": 2, "manifests": []}'
    server.manifests |= {"cut.spack": b'{"config": {', "../../token?x.spack": b"{}"}
    server.push("odd.spack", b'{"spec": {"nodes": [{"name": "odd"}]}}')
    config = spec_file(node("lost", "f" * 32))
    server.push("lost.spack", config)
    del server.blobs[digest_of(config)]
    server.push("other.spack", b"{} ")
    server.manifests["other.spack"] = server.manifests["other.spack"].replace(b"sha256:", b"sha512:")
    dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True, max_rejected=0.6)
    assert dataset.manifest.snapshots["cache"].num_specs == 3
    assert rejected(dataset) == [
        ("no-spec", "image.spack"),
        ("no-spec", "platforms.spack"),
        ("spec-file", "cut.spack"),
        ("spec-file", "lost.spack"),
        ("spec-file", "odd.spack"),
        ("spec-file", "other.spack"),
    ]
    with pytest.raises(RejectedError):
        cs.build_dataset(server.cache, out=tmp_path / "strict", without_index=True)
    server.asked_for("manifests")
    assert cs.update_dataset(dataset.path, max_rejected=0.6).is_empty()
    assert len(server.asked_for("manifests")) == 7, "the six, and the index"
    server.push("lost.spack", config)
    assert cs.update_dataset(dataset.path, max_rejected=0.6)["specs_added"].to_list() == [1]


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("blobs/DIGEST", body(DEFAULT[:-1] + b" "), "expected the sha256 checksum"),
        ("blobs/DIGEST", body(DEFAULT + b" "), f"expected {len(DEFAULT):,} bytes"),
        (
            "manifests/index.spack",
            body(b"{}", docker_content_digest=f"sha256:{'0' * 64}"),
            "expected the digest sha256:0",
        ),
        ("manifests/index.spack", body(b"[]"), "expected the manifest of an image"),
        ("manifests/index.spack", body(b"{}"), "expected an index in .*, found no layers"),
        ("manifests/index.spack", body(b" " * (5 << 20)), "expected at most 4,194,304 bytes"),
        ("manifests/index.spack", redirect("http://other.example.org/"), "on its own host"),
        ("blobs/DIGEST", redirect("file:///etc/passwd"), "leads to file:///etc/passwd"),
        ("blobs/DIGEST", redirect("ftp://127.0.0.1/x"), "leads to ftp://127.0.0.1/x"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(
    path: str, answer: Answer, message: str, served: RegistryServer, tmp_path: Path
) -> None:
    served.forever(f"/v2/site/cache/{path.replace('DIGEST', digest_of(DEFAULT))}", answer)
    with pytest.raises(SourceError, match=message):
        cs.build_dataset(served.cache, out=tmp_path / "dataset", network=ANYTHING)
    assert not (tmp_path / "dataset/specs").exists(), "nothing is published"


def test_tags_without_an_end_are_refused(
    served: RegistryServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = '</v2/site/cache/tags/list?n=1&last=>; rel="next"'
    served.forever("/v2/site/cache/tags/list", body(b'{"tags": ["a.spack"]}', link=first))
    with pytest.raises(SourceError, match=r"an end to the tags of .*, found another page after 2 with 1 tag\n"):
        cs.build_dataset(served.cache, out=tmp_path / "dataset", without_index=True)
    served.normal("/v2/site/cache/tags/list")
    served.tags_a_page = 1
    limits = cs.InputLimits(listings=2)
    with pytest.raises(SourceError, match=r"found another page after 2 with 2 tags\nhint: .* --max-listings"):
        cs.build_dataset(served.cache, out=tmp_path / "dataset", without_index=True, limits=limits)
    monkeypatch.setattr(oci, "_MAX_PAGE_BYTES", 10)
    with pytest.raises(SourceError, match="expected at most 10 bytes"):
        cs.build_dataset(served.cache, out=tmp_path / "dataset", without_index=True)


def test_a_link_to_more_tags_leads_nowhere_else(served: RegistryServer, registry: Serve, tmp_path: Path) -> None:
    other = registry()
    tags = json.dumps({"tags": [f"{stem(PACKAGE)}.spack"]}).encode()
    served.answer("/v2/site/cache/tags/list", body(tags, link=f'<{other.url}/v2/x/tags/list?last=a>; rel="next"'))
    dataset = cs.build_dataset(served.cache, out=tmp_path / "dataset", without_index=True)
    assert dataset.manifest.snapshots["cache"].num_specs == 2
    assert other.requests == []


def test_a_busy_registry_is_asked_again(served: RegistryServer, tmp_path: Path) -> None:
    for path in ("tags/list", f"manifests/{stem(GCC)}.spack", "manifests/index.spack", f"blobs/{digest_of(DEFAULT)}"):
        served.answer(f"/v2/site/cache/{path}", status(429, retry_after="0"), status(503))
    dataset = cs.build_dataset(served.cache, out=tmp_path / "dataset", without_index=True)
    assert dataset.manifest.snapshots["cache"].num_specs == 2


def test_secrets_go_only_where_they_belong(
    docker: Path,
    registry: Serve,
    http_server: Callable[..., HttpServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    login = "me:secret-password"
    store = http_server(tmp_path)
    server = registry(login=login, uses=5, blobs_at=f"{store.url}/blobs")
    push(server, MORE, listed=MORE)
    (tmp_path / "blobs").mkdir()
    for digest, data in server.blobs.items():
        (tmp_path / "blobs" / digest).write_bytes(data)
    host = server.url.removeprefix("http://")
    docker.write_text(
        json.dumps({"auths": {f"http://{host}/v2/": {"auth": base64.b64encode(login.encode()).decode()}}})
    )
    server.answer("/token", status(429, retry_after="0"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret-of-netrc")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset", without_index=True, sizes=True)
    assert dataset.manifest.snapshots["cache"].num_specs == 3
    assert len(server.tokens) > 1, "they expired, and were renewed"
    for request in server.requests:
        authorization = request.headers.get("authorization", "Bearer")
        assert authorization.startswith("Basic" if request.path.startswith("/token") else "Bearer")
    assert len(store.requests) == 4, "three spec files and an index"
    assert not any("authorization" in request.headers for request in store.requests)
    docker.write_text(docker.read_text().replace('"auth": "', '"auth": "AAAA'))
    with pytest.raises(SourceError) as caught:
        cs.build_dataset(server.cache, out=tmp_path / "dataset")
    files = b"".join(path.read_bytes() for path in dataset.path.rglob("*") if path.is_file())
    for secret in ("secret-", base64.b64encode(login.encode()).decode()):
        assert secret not in f"{caught.value} {caplog.text}"
        assert secret.encode() not in files


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"cannot log in to 127.*: HTTP 401 from http://127"),
        ({"auths": {"HOST": {"auth": "bWU6d3Jvbmc="}}}, r"cannot log in to 127.*: HTTP 401 from http://127"),
        ({"auths": {"HOST": {"identitytoken": "secret"}}}, "a user and a password for 127.*, found an identity token"),
        ({"auths": {"HOST": {"auth": "secret"}}}, "a user and a password for 127.*, found none"),
        ({"auths": {"HOST": {"auth": "sécret"}}}, "a user and a password for 127.*, found none"),
        (
            {"auths": {"HOST": {}}, "credsStore": "no-such"},
            "from the helper docker-credential-no-such, .* no such program",
        ),
        ({"credHelpers": {"HOST": "../x"}}, "found no such program"),
        ({"credHelpers": {"HOST": "\0"}}, "found no such program"),
        ({"credHelpers": {"HOST": "failing"}}, "found that it failed with exit code 3"),
        ({"credHelpers": {"HOST": "chatty"}}, "found another answer"),
        ({"auths": ["secret"]}, "expected the configuration of docker in .*, found something else"),
    ],
)
def test_credentials_that_do_not_help_are_named(
    config: dict[str, object],
    message: str,
    docker: Path,
    registry: Serve,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _helper(tmp_path, "failing", "echo secret >&2; exit 3", monkeypatch)
    _helper(tmp_path, "chatty", "echo secret", monkeypatch)
    server = registry(login="me:password")
    docker.write_text(json.dumps(config).replace("HOST", server.url.removeprefix("http://")))
    with pytest.raises(SourceError, match=message) as caught:
        cs.build_dataset(server.cache, out=tmp_path / "dataset", network=ANYTHING)
    assert "secret" not in str(caught.value)


def test_the_helper_that_docker_names_is_asked(
    docker: Path, registry: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = registry(login="me:password")
    push(server)
    host = server.url.removeprefix("http://")
    answer = f'[ "$1 $(cat)" = "get {host}" ] && echo \'{{"Username": "me", "Secret": "password"}}\''
    _helper(tmp_path, "test", answer, monkeypatch)
    for config in ({"credHelpers": {host: "test"}}, {"auths": {host: {}}, "credsStore": "test"}):
        docker.write_text(json.dumps(config))
        dataset = cs.build_dataset(server.cache, out=tmp_path / "dataset")
        assert dataset.manifest.snapshots["cache"].num_specs == 2


def test_a_registry_may_want_the_password_itself(docker: Path, served: RegistryServer, tmp_path: Path) -> None:
    path = "/v2/site/cache/manifests/index.spack"
    served.answer(path, status(401, www_authenticate='Basic realm="registry"'))
    with pytest.raises(SourceError, match="asks for credentials, and there are none"):
        cs.build_dataset(served.cache, out=tmp_path / "dataset")
    docker.write_text(json.dumps({"auths": {served.url.removeprefix("http://"): {"auth": "bWU6cGFzc3dvcmQ="}}}))
    served.answer(path, status(401, www_authenticate='Basic realm="registry"'))
    cs.build_dataset(served.cache, out=tmp_path / "dataset")
    assert served.requests[-1].headers["authorization"] == "Basic bWU6cGFzc3dvcmQ="


def _helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "bin" / f"docker-credential-{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://127.0.0.1/token", "http:///token", "token"])
def test_only_a_server_is_asked_for_a_token(realm: str, served: RegistryServer, tmp_path: Path) -> None:
    served.forever("/v2/site/cache/manifests/index.spack", status(401, www_authenticate=f'Bearer realm="{realm}"'))
    with pytest.raises(SourceError, match="to name an http server that gives tokens"):
        cs.build_dataset(served.cache, out=tmp_path / "dataset")


def test_a_registry_without_tls_has_its_own_scheme(served: RegistryServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no connection by TLS") as caught:
        cs.build_dataset(served.cache.replace("oci+http", "oci"), out=tmp_path / "dataset", network=ANYTHING)
    assert "oci+http://" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("oci://registry.example.org/spack/cache/", "https://registry.example.org/v2/spack/cache"),
        ("OCI+HTTP://LocalHost/Cache", "http://localhost/v2/cache"),
        ("oci://docker.io/site/cache", "https://registry-1.docker.io/v2/site/cache"),
        ("oci://site/cache", "https://registry-1.docker.io/v2/site/cache"),
    ],
)
def test_urls_are_spelled_as_spack_spells_them(url: str, expected: str) -> None:
    assert api_url(url) == expected


@pytest.mark.parametrize(
    "url", ["oci://registry.example.org", "oci:///x", "oci://h.io/x:tag", "oci://h.io/x?y=z", "oci://h.io/../x"]
)
def test_urls_of_no_cache_are_errors(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected the URL of an OCI cache"):
        cs.build_dataset(url, out=tmp_path / "dataset")
    with pytest.raises(SourceError, match=r"a URL without credentials, found some in oci://h\.io/x\n"):
        api_url("oci://me:secret@h.io/x")
