"""Caches of two specs whose hashes fit, which tests then damage: hdf5, which is linked to zlib."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

import cachestats as cs
from tests.support import mirrors, spec_files
from tests.support.indices import index
from tests.support.nodes import changed_dag, edge, node
from tests.support.spec_files import stem

Nodes = dict[str, dict[str, Any]]

ZLIB, HDF5 = "z" * 32, "h" * 32
NODES: Nodes = changed_dag(
    {
        ZLIB: node("zlib", ZLIB, package_hash="p===="),
        HDF5: node("hdf5", HDF5, package_hash="q====", dependencies=[edge("zlib", ZLIB, ["link"], [])]),
    },
    {},
)
KEYS = {found["name"]: key for key, found in NODES.items()}


def compact(nodes: Nodes, *, cached: set[str] | None = None, version: str = "8") -> bytes:
    """Return an index as Spack writes it, without white space."""
    data = index(nodes, cached=nodes.keys() if cached is None else cached, version=version)  # type: ignore[arg-type]
    return json.dumps(json.loads(data), separators=(",", ":")).encode()


def changed(name: str, nodes: Nodes = NODES, **fields: Any) -> Nodes:
    """Return nodes of which one has other fields, but its old hash."""
    return nodes | {KEYS[name]: nodes[KEYS[name]] | fields}


def write_index(folder: Path, nodes: Nodes = NODES, **options: Any) -> Path:
    """Write a mirror of layout 2 with nothing but an index."""
    mirrors.layout_2(folder, compact(nodes, **options))
    return folder


def write_layout_2(mirror: Path, nodes: Nodes = NODES) -> Path:
    """Write a whole mirror of layout 2, in which binaries have as many bytes as their packages have letters."""
    data = compact(nodes)
    spec_files.layout_2(mirror, data)
    folder = mirror / "build_cache"
    for path in [*folder.iterdir()]:
        found = next(one for one in nodes.values() if stem(one) in path.name)
        binary = folder / "linux-rhel9-zen4/none-none" / f"{found['name']}-1.0" / f"linux-{stem(found)}.spack"
        binary.parent.mkdir(parents=True)
        binary.write_bytes(found["name"].encode())
        checksum = {"hash_algorithm": "sha256", "hash": hashlib.sha256(binary.read_bytes()).hexdigest()}
        text = spec_files.spec_file(found)
        spec = json.dumps(json.loads(text) | {"binary_cache_checksum": checksum}).encode()
        path.write_bytes(spec_files.SIGNED % spec if path.name.endswith(".sig") else spec)
    (folder / "index.json").write_bytes(data)
    return mirror


def write_layout_3(mirror: Path, nodes: Nodes = NODES) -> Path:
    """Write a whole mirror of layout 3."""
    spec_files.layout_3(mirror, compact(nodes))
    mirrors.layout_3(mirror, (8, compact(nodes)))
    return mirror


def found(verification: cs.Verification) -> list[tuple[str, str | None]]:
    """Return the checks that failed, and the packages."""
    return [*verification.findings.select("check", "package").iter_rows()]


def counts(verification: cs.Verification, check: str) -> tuple[Any, ...]:
    """Return how much was checked, what was found, and what was not checked and why not."""
    return verification.checks.filter(check=check).drop("check").row(0)


def messages(verification: cs.Verification) -> str:
    return "\n".join(verification.findings.select(pl.concat_str("message", "hint", separator="\n"))["message"])
