"""Which specs of an index satisfy an expression, in plain loops over its JSON; nothing of cachestats is imported.

An expression is a dictionary: `name`, `versions`, `variants` (name, sign and values), `flags`, `platform`, `os`,
`target`, `namespace`, `hash` and `dependencies`, each with `sigil`, `virtuals`, `deptypes`, `when` and `node`.
Versions are numbers with dots. `text_of` writes it in Spack's syntax.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import archspec.cpu

Wanted = dict[str, Any]
LANGUAGES = {"c", "cxx", "fortran"}


class Installs(dict[str, dict[str, Any]]):
    """The records of an index by their hashes."""

    @cached_property
    def providers(self) -> set[tuple[str, str]]:
        """The packages that provide virtual packages to some cached spec, with these."""
        return {
            (edge["name"], virtual)
            for key, record in self.items()
            if is_cached(self, key)
            for edge in record["spec"].get("dependencies", [])
            for virtual in edge["parameters"]["virtuals"]
        }


def text_of(wanted: Wanted) -> str:
    """Return an expression in Spack's syntax."""
    words = [wanted.get("name", "*") + (f"@{wanted['versions']}" if "versions" in wanted else "")]
    for name, sign, values in wanted.get("variants", []):
        words.append(f"{sign}{name}" if sign in {"+", "~", "++", "~~"} else f"{name}{sign}'{','.join(values)}'")
    words += [f"{name}='{value}'" for name, value in wanted.get("flags", {}).items()]
    words += [f"{key}={wanted[key]}" for key in ("platform", "os", "target", "namespace") if key in wanted]
    words += [f"/{wanted['hash']}"] if "hash" in wanted else []
    for one in sorted(wanted.get("dependencies", []), key=lambda one: one["sigil"] == "^"):
        pairs = [f"{key}={','.join(one[key])}" for key in ("virtuals", "deptypes") if one.get(key)]
        pairs += [f'when="{text_of(one["when"])}"'] if "when" in one else []
        words.append(f"{one['sigil']}{'[' + ' '.join(pairs) + '] ' if pairs else ''}{text_of(one['node'])}")
    return " ".join(words)


def satisfying(installs: Installs, wanted: Wanted, *, is_spack_1: bool) -> set[str]:
    """Return the hashes of the cached specs that satisfy an expression."""
    return {key for key in installs if is_cached(installs, key) and _satisfies(installs, key, wanted, is_spack_1)}


def is_cached(installs: Installs, key: str) -> bool:
    """Return whether a hash is that of a cached spec."""
    return key in installs and installs[key]["in_buildcache"] and "external" not in installs[key]["spec"]


def _satisfies(installs: Installs, key: str, wanted: Wanted, is_spack_1: bool) -> bool:
    node = installs[key]["spec"]
    is_named = wanted.get("name", node["name"]) == node["name"]
    if not is_named and (node["name"], wanted["name"]) not in installs.providers:
        return False
    parts = [wanted]
    for one in wanted.get("dependencies", []):
        if "when" in one and not _satisfies(installs, key, one["when"], is_spack_1):
            continue
        if not is_spack_1 and _is_compiler(one):
            parts.append({name: value for name, value in one["node"].items() if name not in {"name", "versions"}})
            if not _has_compiler(node, one["node"]):
                return False
        elif not _depends(installs, key, one, is_spack_1):
            return False
    return all(_node_fits(installs, key, part) for part in parts)


def _is_compiler(dependency: Wanted) -> bool:
    return (
        dependency["sigil"] == "%" and not dependency.get("deptypes") and {*dependency.get("virtuals", [])} <= LANGUAGES
    )


def _has_compiler(node: dict[str, Any], wanted: Wanted) -> bool:
    compiler = node.get("compiler")
    if compiler is None and "compiler" in node.get("annotations", {}):
        name, _, version = node["annotations"]["compiler"].partition("@")
        compiler = {"name": name, "version": version}
    return (
        compiler is not None
        and wanted.get("name", compiler["name"]) == compiler["name"]
        and _is_version(compiler["version"], wanted.get("versions"))
    )


def _node_fits(installs: Installs, key: str, wanted: Wanted) -> bool:
    node = installs[key]["spec"]
    values = values_of(node)
    for name, sign, asked in wanted.get("variants", []):
        if sign in {"++", "~~"}:
            below = {key} | {end for end, _, _ in _below(installs, key, passes_all=True)}
            known = [values_of(installs[end]["spec"]) for end in below if _is_known(installs, end)]
            if any(name in one and one[name] != {"true" if sign == "++" else "false"} for one in known):
                return False
        elif name not in values or not _has_values(values[name], sign, {*asked}):
            return False
    for name, flags in wanted.get("flags", {}).items():
        if not {*flags.split(" ")} <= {*node["parameters"].get(name, [])}:
            return False
    target = target_of(node)
    return (
        _is_version(node["version"], wanted.get("versions"))
        and wanted.get("platform", node["arch"]["platform"]) == node["arch"]["platform"]
        and wanted.get("os", node["arch"]["platform_os"]) == node["arch"]["platform_os"]
        and wanted.get("namespace", node["namespace"]) == node["namespace"]
        and ("target" not in wanted or any(_is_target(target, one) for one in wanted["target"].split(",")))
        and key.startswith(wanted.get("hash", ""))
    )


def target_of(node: dict[str, Any]) -> str:
    """Return the target of a node, which is an object if it is of a vendor."""
    target = node["arch"]["target"]
    return str(target if isinstance(target, str) else target["name"])


def _is_known(installs: Installs, key: str) -> bool:
    return is_cached(installs, key) or (key in installs and "external" in installs[key]["spec"])


def values_of(node: dict[str, Any]) -> dict[str, set[str]]:
    """Return the variants of a node with their values."""
    return {
        name: {str(value).lower()} if isinstance(value, bool) else {*value} if isinstance(value, list) else {value}
        for name, value in node["parameters"].items()
        if not name.endswith("flags") and name != "ldlibs"
    }


def _has_values(values: set[str], sign: str, asked: set[str]) -> bool:
    if sign in {"+", "~"}:
        return values == {"true" if sign == "+" else "false"}
    if asked == {"*"}:
        return True
    return values == asked if sign == ":=" else asked <= values


def _is_version(version: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    found = [int(part) for part in version.split(".")]
    for one in wanted.split(","):
        if one.startswith("="):
            if one[1:] == version:
                return True
            continue
        low, colon, high = one.partition(":")
        ends = [[int(part) for part in end.split(".")] if end else None for end in (low, high if colon else low)]
        if (ends[0] is None or found >= ends[0]) and (ends[1] is None or found[: len(ends[1])] <= ends[1]):
            return True
    return False


def _is_target(target: str, wanted: str) -> bool:
    known = archspec.cpu.TARGETS
    low, colon, high = wanted.partition(":")
    if not colon:
        return target == wanted
    return (not low or known[target] >= known[low]) and (not high or known[target] <= known[high])


def _below(installs: Installs, key: str, *, passes_all: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the edges below a cached spec, with the node above each; only cached specs are seen through."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    seen, waiting = {key}, [key]
    while waiting:
        owner = waiting.pop()
        for edge in installs[owner]["spec"].get("dependencies", []):
            found.append((edge["hash"], owner, edge))
            passes = passes_all or {*edge["parameters"]["deptypes"]} & {"link", "run"}
            if edge["hash"] not in seen and passes and is_cached(installs, edge["hash"]):
                seen.add(edge["hash"])
                waiting.append(edge["hash"])
    return found


def _depends(installs: Installs, key: str, one: Wanted, is_spack_1: bool) -> bool:
    if is_spack_1 and _is_older_compiler(installs[key]["spec"], one):
        return True
    if one["sigil"] == "%":
        edges = [edge for _, owner, edge in _below(installs, key, passes_all=True) if owner == key]
    else:
        edges = [
            edge
            for _, owner, edge in _below(installs, key, passes_all=not is_spack_1)
            if owner == key or not is_spack_1 or {*edge["parameters"]["deptypes"]} & {"link", "run"}
        ]
    return any(_leads_to(installs, edge, one, is_spack_1) for edge in edges)


def _is_older_compiler(node: dict[str, Any], one: Wanted) -> bool:
    """Return whether a condition on dependencies means the compiler of a spec from before Spack 1.0.

    That is a direct build dependency, which provides all languages, and has nothing but a name and a version.
    """
    wanted = one["node"]
    if not {*one.get("virtuals", [])} <= LANGUAGES or not {*one.get("deptypes", [])} <= {"build"}:
        return False
    if not {*wanted} <= {"name", "versions"}:
        return False
    is_language = wanted.get("name") in LANGUAGES and "versions" not in wanted
    return _has_compiler(node, {} if is_language else wanted) and node["annotations"]["original_specfile_version"] < 5


def _leads_to(installs: Installs, edge: dict[str, Any], one: Wanted, is_spack_1: bool) -> bool:
    wanted = one["node"]
    if not {*one.get("virtuals", [])} <= {*edge["parameters"]["virtuals"]}:
        return False
    if not {*one.get("deptypes", [])} <= {*edge["parameters"]["deptypes"]}:
        return False
    if "name" in wanted and wanted["name"] not in {edge["name"], *edge["parameters"]["virtuals"]}:
        return False
    rest = {name: value for name, value in wanted.items() if name != "name"}
    if edge["hash"] not in installs:
        return {*rest} <= {"hash"} and edge["hash"].startswith(rest.get("hash", ""))
    if is_cached(installs, edge["hash"]):
        return _satisfies(installs, edge["hash"], rest, is_spack_1)
    # Of an external the version, hash and variants are known, of another spec that is not cached the first two.
    known = {"versions", "hash"} | ({"variants"} if "external" in installs[edge["hash"]]["spec"] else set())
    return {*rest} <= known and _node_fits(installs, edge["hash"], rest)
