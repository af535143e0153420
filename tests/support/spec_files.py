"""Spec files of made-up specs, and caches that have them but no index."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.mirrors import DEFAULT
from tests.support.servers import RegistryServer

SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n%b\n-----BEGIN PGP SIGNATURE-----\n\nabcd\n"


def spec_files(index: bytes = DEFAULT, version: int = 5) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield the node and the spec file of each cached spec in an index."""
    records = json.loads(index)["database"]["installs"]
    for key, record in records.items():
        if record["in_buildcache"]:
            nodes = [records[one]["spec"] for one in closure(records, key)]
            yield nodes[0], spec_file(*nodes, version=version)


def spec_file(*nodes: dict[str, Any], version: int = 5) -> bytes:
    """Return the spec file of the first of some nodes."""
    return json.dumps(
        {"spec": {"_meta": {"version": version}, "nodes": nodes}, "buildcache_layout_version": 2}
    ).encode()


def closure(records: dict[str, Any], key: str) -> list[str]:
    """Return the hash of a spec and those of everything that it depends on."""
    found = [key]
    for one in found:
        found += [edge["hash"] for edge in records[one]["spec"]["dependencies"] if edge["hash"] not in found]
    return found


def stem(node: dict[str, Any]) -> str:
    return f"{node['name']}-{node['version']}-{node['hash']}"


def push(server: RegistryServer, index: bytes = DEFAULT, *, listed: bytes | None = DEFAULT) -> None:
    """Push the specs of an index to a registry, each with a binary of as many bytes as its package has letters.

    The index that the cache has is another one if it is `listed`, and none if that is None.
    """
    for node, data in spec_files(index):
        server.push(f"{stem(node)}.spack", data, b"of a base image", node["name"].encode())
    if listed is not None:
        server.push("index.spack", b"{}", listed)


def layout_2(mirror: Path, index: bytes = DEFAULT) -> None:
    """Write a mirror of layout 2 without an index; the spec files of packages from `b` on are signed."""
    (mirror / "build_cache").mkdir(parents=True)
    for node, data in spec_files(index):
        is_signed = node["name"] >= "b"
        path = mirror / f"build_cache/linux-rhel9-zen4-{stem(node)}.spec.json{'.sig' if is_signed else ''}"
        path.write_bytes(SIGNED % data if is_signed else data)


def layout_3(mirror: Path, index: bytes = DEFAULT) -> None:
    """Write a mirror of layout 3 without an index; binaries have as many bytes as their packages have letters."""
    for node, data in spec_files(index):
        entries = []
        for kind, blob in (
            ("spec.v5+json", gzip.compress(data, mtime=0)),
            ("install.v2.tar+gzip", node["name"].encode()),
        ):
            checksum = hashlib.sha256(blob).hexdigest()
            path = mirror / f"blobs/sha256/{checksum[:2]}/{checksum}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blob)
            entries.append(
                {
                    "contentLength": len(blob),
                    "mediaType": f"application/vnd.spack.{kind}",
                    "compression": "gzip",
                    "checksumAlgorithm": "sha256",
                    "checksum": checksum,
                }
            )
        manifest = mirror / f"v3/manifests/spec/{node['name']}/{stem(node)}.spec.manifest.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_bytes(SIGNED % json.dumps({"version": 3, "data": entries}).encode())
