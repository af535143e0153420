"""What a host can reuse of an index, in plain loops: one spec after the other, and everything below it each time.

Written from the rules as they stand in Spack's solver, and independently of the package's own code: nothing of
cachestats is imported here.
"""

from __future__ import annotations

from typing import Any

import archspec.cpu

MACOS = ["catalina", "bigsur", "monterey", "ventura", "sonoma", "sequoia"]
FORMATS = {"5": 1, "6": 3, "7": 4, "8": 5, "9": 6}

Index = dict[str, Any]


def reused(
    index: Index, *, target: str, os: str, libc: tuple[str, str] | None, rules: str, declared: set[str] | None = None
) -> set[str]:
    """Return the hashes that a host can reuse; `declared` are the names of its externals, None for any."""
    database = index["database"]
    installs = database["installs"]
    fits = {key: _node_fits(database, record["spec"], target, os, libc, rules) for key, record in installs.items()}
    circles: dict[str, bool] = {}
    return {
        key
        for key, record in installs.items()
        if record.get("in_buildcache")
        and "external" not in record["spec"]
        and _closure_fits(installs, key, fits, os, declared)
        and not _has_circle(installs, key, (), circles)
    }


def _closure_fits(installs: Index, key: str, fits: dict[str, bool], os: str, declared: set[str] | None) -> bool:
    waiting, seen = [key], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one not in installs:
            return False
        node = installs[one]["spec"]
        if one != key and node["name"] == "gcc-runtime":
            continue
        if "external" in node:
            is_libc = any(
                end["hash"] == one and "libc" in end["parameters"]["virtuals"]
                for other in seen
                for end in installs.get(other, {"spec": {}})["spec"].get("dependencies", [])
            )
            by_spack = os in MACOS and node["name"] == "apple-libuuid"
            if not is_libc and declared is not None and node["name"] not in declared and not by_spack:
                return False
            continue
        if not installs[one]["in_buildcache"] or not fits[one]:
            return False
        waiting += [end["hash"] for end in node.get("dependencies", []) if {"link", "run"} & _types(end)]
    return True


def _has_circle(installs: Index, key: str, path: tuple[str, ...], known: dict[str, bool]) -> bool:
    """Return whether a spec, or one that it needs, needs itself."""
    node = installs.get(key, {"spec": {}})["spec"]
    if "external" in node or (path and node.get("name") == "gcc-runtime"):
        return False
    if key in path:
        return True
    if key not in known:
        ends = [end["hash"] for end in node.get("dependencies", []) if {"link", "run"} & _types(end)]
        known[key] = any(_has_circle(installs, end, (*path, key), known) for end in ends)
    return known[key]


def _types(end: Index) -> set[str]:
    return set(end["parameters"]["deptypes"])


def _node_fits(database: Index, node: Index, target: str, os: str, libc: tuple[str, str] | None, rules: str) -> bool:
    platform = "darwin" if os in MACOS else "linux"
    arch = node["arch"]
    built_for = arch["target"] if isinstance(arch["target"], str) else arch["target"]["name"]
    known = archspec.cpu.TARGETS.get(target)
    if built_for != target and (known is None or built_for not in {str(one) for one in known.ancestors}):
        return False
    if arch["platform"] != platform:
        return False
    if platform == "darwin":
        if arch["platform_os"] not in MACOS or MACOS.index(arch["platform_os"]) > MACOS.index(os):
            return False
    elif rules == "0.21":
        if arch["platform_os"] != os:
            return False
    else:
        ends = [end["hash"] for end in node.get("dependencies", []) if "libc" in end["parameters"]["virtuals"]]
        if not ends and rules == "0.23":
            return False
        for end in ends:
            other = database["installs"][end]["spec"]
            if libc is None or other["name"] != libc[0] or _numbers(other["version"]) > _numbers(libc[1]):
                return False
            if other["external"]["path"] != "/usr":
                return False
    if rules == "1.1":
        written = node.get("annotations", {}).get("original_specfile_version", FORMATS[database["version"]])
        if written < 5 or node["name"] == "compiler-wrapper" or "dev_path" in node["parameters"]:
            return False
    return True


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]
