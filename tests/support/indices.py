"""Literal build-cache indices of a few nodes, for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cachestats as cs
from tests.support.nodes import FLAGS, edge, node

Record = tuple[str, dict[str, Any]]
"""A hash, and what an index says of the spec with it."""


def node_record(name: str, digest: str = "", *edges: dict[str, Any], cached: bool = True, **fields: Any) -> Record:
    """Return the record of a node, whose hash is that digest with the letter `a` up to its length, or the name.

    Beside keys of the node, `os`, `target` and `parameters` may be given, and `external`, the prefix of one.
    """
    key = (digest or name).ljust(32, "a")
    prefix = fields.pop("external", None)
    arch = {
        "platform": fields.pop("platform", "linux"),
        "platform_os": fields.pop("os", "ubuntu22.04"),
        "target": fields.pop("target", "x86_64_v3"),
    }
    parameters = {"build_system": "generic", **{flag: [] for flag in FLAGS}, **fields.pop("parameters", {})}
    if prefix is not None:
        fields["external"] = {"path": prefix, "module": None, "extra_attributes": {}}
    spec = node(
        name, key, arch=arch, parameters=parameters, dependencies=[*edges], **{"package_hash": "p===="} | fields
    )
    return key, {"spec": spec, "ref_count": 0, "in_buildcache": cached and prefix is None}


def edge_to(end: Record, *deptypes: str, virtuals: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an edge to the node of a record, by default of the type `link`."""
    key, found = end
    return edge(found["spec"]["name"], key, [*deptypes] or ["link"], [*virtuals])


def glibc(version: str, **fields: Any) -> Record:
    return node_record("glibc", f"glibc{version}", version=version, external="/usr", **fields)


def needs_libc(libc: Record) -> dict[str, Any]:
    return edge_to(libc, virtuals=("libc",))


def index(specs: dict[str, Any], *, cached: set[str], version: Any = "8") -> bytes:
    """Return an index of nodes by their hashes."""
    return index_of(
        {key: {"spec": spec, "ref_count": 1, "in_buildcache": key in cached} for key, spec in specs.items()}, version
    )


def index_of(records: dict[str, Any], version: Any) -> bytes:
    return json.dumps({"database": {"version": version, "installs": records}}).encode()


def build_index(
    folder: Path, *records: Record, database: str = "8", snapshot: str = "develop", stack: str = "root"
) -> cs.Dataset:
    """Return the dataset in a folder, with a snapshot of an index of these records."""
    path = folder / f"{snapshot}.index.json"
    path.write_bytes(index_of(dict(records), database))
    return cs.build_dataset(path, out=folder / "dataset", snapshots=[snapshot], stacks=[stack])
