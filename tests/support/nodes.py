"""Spec nodes, and the lockfiles that hold them, for the tests."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import polars as pl

from cachestats.schema import DEPENDENCIES, SPECS

FLAGS = ("cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs")
ZEN4 = {"name": "zen4", "vendor": "AuthenticAMD", "features": ["avx512f"], "generation": 0, "parents": ["zen3"]}


def node(name: str, hash_: str, **fields: Any) -> dict[str, Any]:
    """Return a node of version 5 and later."""
    return {
        "name": name,
        "version": "1.0",
        "arch": {"platform": "linux", "platform_os": "rhel9", "target": ZEN4},
        "namespace": "builtin",
        "parameters": {"build_system": "cmake", "shared": True, "cflags": ["-O3"], "patches": ["0b8a3b8c1d2e3f"]},
        "dependencies": [],
        "hash": hash_,
    } | fields


def edge(name: str, hash_: str, types: list[str], virtuals: list[str]) -> dict[str, Any]:
    """Return an edge of version 4 and later."""
    return {"name": name, "hash": hash_, "parameters": {"deptypes": types, "virtuals": virtuals}}


def lockfile(specs: dict[str, Any], roots: list[str], version: int = 6, **more: Any) -> dict[str, Any]:
    """Return a lockfile."""
    return {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": version},
        "roots": [{"hash": root, "spec": "x"} for root in roots],
        "concrete_specs": specs,
        **more,
    }


GCC = node("gcc", "g" * 32, version="14.2.0")
NO_COMPILER = {"compiler": {"name": "oneapi", "version": "2024.2.1"}}
OLD = {name: value for name, value in node("a", "a" * 32).items() if name not in ("name", "dependencies")}


def hashed(node: dict[str, Any]) -> str:
    """Return the DAG hash of a node, written down a second time."""
    text = json.dumps({key: value for key, value in node.items() if key != "hash"}, separators=(",", ":"))
    return base64.b32encode(hashlib.sha1(text.encode()).digest()).decode().lower()


def changed_dag(nodes: dict[str, dict[str, Any]], changes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return nodes by hash in which some, named by their old hash, have other fields; all hashes fit."""
    new_hash: dict[str, str] = {}
    result: dict[str, dict[str, Any]] = {}

    def visit(old: str) -> str:
        if old not in new_hash:
            node = {key: value for key, value in (nodes[old] | changes.get(old, {})).items() if key != "hash"}
            if "dependencies" in node:
                node["dependencies"] = [one | {"hash": visit(one["hash"])} for one in node["dependencies"]]
            new_hash[old] = hashed(node)
            result[new_hash[old]] = node | {"hash": new_hash[old]}
        return new_hash[old]

    for old in nodes:
        visit(old)
    return result


def tables(nodes: dict[str, dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `specs` and `dependencies` of an index with these nodes of version 4 or later."""
    specs: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for digest, node in nodes.items():
        if node.get("external"):
            continue
        target, settings = node["arch"]["target"], node["parameters"]
        needs = node.get("dependencies", [])
        compiler = node.get("compiler")
        for one in needs if compiler is None else []:
            if {"c", "cxx", "fortran"} & set(one["parameters"]["virtuals"]):
                compiler = nodes[one["hash"]]
                break
        specs.append(
            {
                "snapshot": "develop",
                "hash": digest,
                "package": node["name"],
                "version": node["version"],
                "platform": node["arch"]["platform"],
                "os": node["arch"]["platform_os"],
                "target": target if isinstance(target, str) else target["name"],
                "compiler": f"{compiler['name']}@{compiler['version']}" if compiler else None,
                "variants": variants_text(settings),
                "flags": " ".join(f"{name}='{' '.join(settings[name])}'" for name in FLAGS if settings.get(name)),
                "namespace": node["namespace"],
                "package_hash": node["package_hash"],
                "spec_format": node.get("annotations", {}).get("original_specfile_version", 4),
            }
        )
        for one in needs:
            other, kinds = nodes[one["hash"]], one["parameters"]["deptypes"]
            place = f"{other['name']}@{other['version']} {variants_text(other['parameters'])} prefix="
            edges.append(
                {
                    "snapshot": "develop",
                    "hash": digest,
                    "dependency_hash": one["hash"],
                    "dependency_package": one["name"],
                    "dependency_version": other["version"],
                    **{f"is_{kind}": kind in kinds for kind in ("build", "link", "run", "test")},
                    "virtuals": ",".join(one["parameters"]["virtuals"]) or None,
                    "is_external": bool(other.get("external")),
                    "external": place + other["external"]["path"] if other.get("external") else None,
                }
            )
    return pl.DataFrame(specs, schema=SPECS.polars()), pl.DataFrame(edges, schema=DEPENDENCIES.polars())


def variants_text(settings: dict[str, Any]) -> str:
    """Return the variants among the parameters of a node as the table `specs` has them."""
    words = []
    for name, value in settings.items():
        if name in FLAGS:
            continue
        if isinstance(value, bool):
            words.append(f"{'+' if value else '~'}{name}")
        elif isinstance(value, list):
            words.append(f"{name}={','.join(one[:7] if name == 'patches' else one for one in value)}")
        else:
            words.append(f"{name}={value}")
    return " ".join(words)
