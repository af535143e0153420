"""Literal build-cache indices of a few nodes, for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cachestats as cs

FLAGS = ("cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs")
Record = tuple[str, dict[str, Any]]


def node(name: str, digest: str = "", *edges: dict[str, Any], cached: bool = True, **fields: Any) -> Record:
    """Return a node with its hash, which is that digest with the letter `a` up to its length, or the name.

    Beside keys of the node, `os`, `target` and `parameters` may be given, and `external`, the prefix of one.
    """
    key = (digest or name).ljust(32, "a")
    prefix = fields.pop("external", None)
    described: dict[str, Any] = {
        "name": name,
        "version": fields.pop("version", "1.0"),
        "arch": {
            "platform": fields.pop("platform", "linux"),
            "platform_os": fields.pop("os", "ubuntu22.04"),
            "target": fields.pop("target", "x86_64_v3"),
        },
        "namespace": "builtin",
        "parameters": {"build_system": "generic", **{flag: [] for flag in FLAGS}, **fields.pop("parameters", {})},
        "package_hash": "p====",
        "dependencies": [*edges],
        "hash": key,
    }
    if prefix is not None:
        described["external"] = {"path": prefix, "module": None, "extra_attributes": {}}
    return key, {"spec": described | fields, "ref_count": 0, "in_buildcache": cached and prefix is None}


def edge(end: Record, *deptypes: str, virtuals: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an edge to a node, by default of the type `link`."""
    key, record = end
    types = [*deptypes] or ["link"]
    return {
        "name": record["spec"]["name"],
        "hash": key,
        "parameters": {"deptypes": types, "virtuals": [*virtuals]},
    }


def glibc(version: str, **fields: Any) -> Record:
    return node("glibc", f"glibc{version}", version=version, external="/usr", **fields)


def needs_libc(libc: Record) -> dict[str, Any]:
    return edge(libc, virtuals=("libc",))


def build_index(
    folder: Path, *nodes: Record, database: str = "8", snapshot: str = "develop", stack: str = "root"
) -> cs.Dataset:
    """Return the dataset in a folder, with a snapshot of an index of these nodes."""
    index = folder / f"{snapshot}.index.json"
    index.write_text(json.dumps({"database": {"version": database, "installs": dict(nodes)}}))
    return cs.build_dataset(index, out=folder / "dataset", snapshots=[snapshot], stacks=[stack])
