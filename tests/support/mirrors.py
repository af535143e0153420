"""Mirrors of made-up specs, in the layouts that there have been."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cachestats as cs
from tests.support.indices import index
from tests.support.nodes import GCC, edge, node

A, G = "a" * 32, "g" * 32
PACKAGE = node("a", A, dependencies=[edge("gcc", G, ["build"], ["c"])])
DEFAULT = index({A: PACKAGE, G: GCC}, cached={A, G})


def layout_2(mirror: Path, data: bytes, *, checksum: str | None = None) -> None:
    folder = mirror / "build_cache"
    folder.mkdir(parents=True)
    (folder / "index.json").write_bytes(data)
    (folder / "index.json.hash").write_text(checksum or hashlib.sha256(data).hexdigest())


def layout_3(mirror: Path, *blobs: tuple[int, bytes], compression: str = "none", **wrong: Any) -> None:
    entries = []
    for version, data in blobs:
        packed = gzip.compress(data) if compression == "gzip" else data
        checksum = hashlib.sha256(packed).hexdigest()
        place = mirror / "blobs/sha256" / checksum[:2] / checksum
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(packed)
        entries.append(
            {
                "contentLength": len(packed),
                "mediaType": f"application/vnd.spack.db.v{version}+json",
                "compression": compression,
                "checksumAlgorithm": "sha256",
                "checksum": checksum,
            }
            | wrong
        )
    manifest = mirror / "v3/manifests/index/index.manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"version": 3, "data": entries}))


def sized_binary(mirror: Path, name: str, version: str, digest: str, size: int) -> None:
    """Write the manifest of a binary, which says how large it is."""
    manifest = mirror / f"v3/manifests/spec/{name}/{name}-{version}-{digest}.spec.manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "contentLength": size,
        "mediaType": "application/vnd.spack.install.v2.tar+gzip",
        "compression": "gzip",
        "checksumAlgorithm": "sha256",
        "checksum": "0" * 64,
    }
    manifest.write_text(json.dumps({"version": 3, "data": [entry]}))


def build(folder: Path, **options: Any) -> cs.Dataset:
    return cs.build_dataset(folder / "mirrors", out=folder / "dataset", **options)


def layout_3_again(mirror: Path, data: bytes) -> None:
    shutil.rmtree(mirror)
    layout_3(mirror, (8, data))
