"""Spec nodes, as Spack writes them into lockfiles, build-cache indices and spec files, versions 1 to 6.

A node is one spec with its dependencies by hash. What of it changed over the years: how dependencies are written, that
vendor microarchitectures are objects, and that since version 5 the compiler is a dependency like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from cachestats import naming

# They stand among the parameters of a node, but the site's pages have none of them: zlib-ng with cflags=-O3, in the
# stack `tutorial` of develop-2024-06-02, is shown without.
_FLAGS = frozenset({"cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"})

_LANGUAGES = ("c", "cxx", "fortran")
_PATCH_LENGTH = 7  # of a patch's checksum, what Spack shows
_COMPILERS_ARE_DEPENDENCIES = 5  # since this version of spec files


class Dependency(NamedTuple):
    """An edge to another spec: its hash, its package where the node says it, and what it is needed for."""

    hash: str
    package: str | None
    types: tuple[str, ...]
    virtuals: tuple[str, ...]


class _Arch(msgspec.Struct):
    platform: str
    platform_os: str
    target: str | dict[str, Any]


class _Compiler(msgspec.Struct):
    name: str
    version: str


class _Annotations(msgspec.Struct):
    original_specfile_version: int | None = None
    compiler: str | None = None


class Node(msgspec.Struct):
    """One concrete spec; fields that cachestats has no use for are left out."""

    name: str
    version: str
    arch: _Arch
    hash: str | None = None
    compiler: _Compiler | None = None
    parameters: dict[str, Any] = {}
    dependencies: dict[str, dict[str, Any]] | list[dict[str, Any]] = []
    annotations: _Annotations = msgspec.field(default_factory=_Annotations)
    external: Any = None

    @property
    def target(self) -> str:
        """The microarchitecture: generic ones are text, those of a vendor are objects."""
        target = self.arch.target
        return target if isinstance(target, str) else str(target.get("name"))


def parse_node(value: Any) -> Node:
    """Return a node from what its JSON holds.

    Raises
    ------
    msgspec.ValidationError
        If it is no node; the message says what was expected where.
    """
    if isinstance(value, dict) and "name" not in value and len(value) == 1:
        # Version 1: the name is the one key, and the rest stands below it.
        ((name, rest),) = value.items()
        value = {"name": name, **rest} if isinstance(rest, dict) else rest
    return msgspec.convert(value, Node)


def dependencies(node: Node) -> Iterator[Dependency]:
    """Yield the dependencies of a node, in any of their three shapes."""
    listed = (
        ({"name": name, **edge} for name, edge in node.dependencies.items())
        if isinstance(node.dependencies, dict)
        else node.dependencies
    )
    for edge in listed:
        details = edge.get("parameters", {})
        types = details.get("deptypes", edge.get("type", ()))
        yield Dependency(str(edge.get("hash")), edge.get("name"), tuple(types), tuple(details.get("virtuals", ())))


def compiler(node: Node, look_up: Callable[[str], Node | None]) -> str | None:
    """Return the compiler of a node, such as `gcc@13.2.0`, or None where it has none.

    Up to version 4 the node says it. From 5 on a node that was written before has it in its annotations; of any other
    it is the dependency that provides `c`, else `cxx`, else `fortran`, which `look_up` finds by its hash.
    """
    if node.compiler:
        return f"{node.compiler.name}@{node.compiler.version}"
    written_as = node.annotations.original_specfile_version
    if node.annotations.compiler and (written_as or 0) < _COMPILERS_ARE_DEPENDENCIES:
        return node.annotations.compiler
    edges = list(dependencies(node))
    for language in _LANGUAGES:
        for edge in edges:
            if language in edge.virtuals and (found := look_up(edge.hash)):
                return f"{found.name}@{found.version}"
    return None


def variants(node: Node, *, list_sign: naming.ListSign = "=") -> list[str]:
    """Return the variants of a node as the site's pages spell them, in canonical order.

    `list_sign` stands between the name of a variant and a list of values: `:=` since Spack 1.0.

    Examples
    --------
    >>> arch = {"platform": "linux", "platform_os": "rhel9", "target": "zen4"}
    >>> parameters = {"shared": True, "pic": False, "libs": ["shared", "static"], "cflags": []}
    >>> variants(parse_node({"name": "zlib", "version": "1.3", "arch": arch, "parameters": parameters}))
    ['libs=shared,static', '~pic', '+shared']
    """
    return [_variant(name, value, list_sign) for name, value in sorted(node.parameters.items()) if name not in _FLAGS]


def _variant(name: str, value: Any, list_sign: naming.ListSign) -> str:
    if isinstance(value, bool):
        return f"{'+' if value else '~'}{name}"
    if isinstance(value, list):
        values = (str(part)[:_PATCH_LENGTH] if name == "patches" else str(part) for part in value)
        return f"{name}{list_sign}{','.join(values)}"
    return f"{name}={value}"
