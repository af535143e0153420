"""Spec nodes, and the lockfiles that hold them, for the tests."""

from __future__ import annotations

from typing import Any

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
