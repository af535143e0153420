"""Environment lockfiles (`spack.lock`), versions 1 to 8: from bytes to specs and what they depend on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec
import pyarrow as pa

from cachestats import naming
from cachestats.decode import JsonError, decode
from cachestats.errors import SourceError
from cachestats.parse.nodes import Dependency, Node, compiler, dependency, parameters, parse_node
from cachestats.schema import DEPENDENCIES, SPECS

NEWEST_VERSION = 8

_ANOTHER = "give the spack.lock that `spack concretize` wrote into the environment's folder"


class _Meta(msgspec.Struct):
    file_type: str | None = msgspec.field(name="file-type", default=None)
    lockfile_version: int | None = msgspec.field(name="lockfile-version", default=None)


class _Root(msgspec.Struct):
    hash: str


class _Included(msgspec.Struct):
    """The part of a lockfile that an environment it includes has as well."""

    roots: list[_Root] = []
    concrete_specs: dict[str, msgspec.Raw] = {}
    include_concrete: dict[str, _Included] = {}


class _Lockfile(_Included):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


def parse_lockfile(data: bytes, *, origin: str) -> pa.Table:
    """Return the specs of an environment: the columns of `specs`, and `is_root`; sorted by (package, hash).

    Specs of included environments are among them. Externals are left out: they are not installed from a cache.

    Raises
    ------
    SourceError
        If the data is no lockfile, is cut off, or names a root that it does not hold.
    """
    return _specs(*_nodes(data, origin), origin)


def parse_lockfile_dependencies(data: bytes, *, origin: str) -> pa.Table:
    """Return what the specs of an environment depend on: the columns of `dependencies`, sorted by its two hashes.

    Raises
    ------
    SourceError
        As `parse_lockfile`, or if they depend on each other in a circle.
    """
    nodes, _ = _nodes(data, origin)
    return _dependencies(nodes, origin)


def parse_environment(data: bytes, *, origin: str) -> tuple[pa.Table, pa.Table]:
    """Return both of an environment, for which the data is read once.

    Raises
    ------
    SourceError
        As `parse_lockfile_dependencies`.
    """
    nodes, roots = _nodes(data, origin)
    return _specs(nodes, roots, origin), _dependencies(nodes, origin)


def _specs(nodes: dict[str, Node], roots: set[str], origin: str) -> pa.Table:
    by_hash = _by_hash(nodes)
    rows = []
    for key, node in _installed(nodes):
        with _naming(key, origin):
            rows.append(_row(key, node, by_hash) | {"is_root": key in roots})
    rows.sort(key=lambda row: (row["package"], row["hash"]))
    return pa.Table.from_pylist(rows, schema=environment_schema())


def _dependencies(nodes: dict[str, Node], origin: str) -> pa.Table:
    by_hash = _by_hash(nodes)
    edges: dict[tuple[str, str], Dependency] = {}
    for key, node in _installed(nodes):
        with _naming(key, origin):
            for edge in map(dependency, node.dependencies):
                pair = node.hash or key, edge.hash
                edges[pair] = edges[pair].joined(edge) if pair in edges else edge
    _refuse_circle(edges, origin)
    rows = [_edge(owner, edge, by_hash.get(edge.hash)) for (owner, _), edge in sorted(edges.items())]
    return pa.Table.from_pylist(rows, schema=environment_dependencies_schema())


def _refuse_circle(pairs: Iterable[tuple[str, str]], origin: str) -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for owner, needed in pairs:
        sorter.add(owner, needed)
    try:
        sorter.prepare()
    except CycleError as error:
        raise SourceError(
            f"expected dependencies without a circle in {origin}, found {' > '.join(reversed(error.args[1]))}",
            hint="concretize the environment again: its lockfile was edited",
        ) from None


def environment_schema() -> pa.Schema:
    """Return the schema of an environment: the columns of `specs`, of which some stay null, and `is_root`."""
    columns = [field.with_nullable(True) for field in SPECS.arrow()]
    return pa.schema([*columns, pa.field("is_root", pa.bool_(), nullable=False)])


def environment_dependencies_schema() -> pa.Schema:
    """Return the schema of an environment's dependencies: the columns of `dependencies`, `snapshot` being null."""
    schema = DEPENDENCIES.arrow()
    return schema.set(0, schema.field(0).with_nullable(True))


def _nodes(data: bytes, origin: str) -> tuple[dict[str, Node], set[str]]:
    """Return the nodes of a lockfile and of what it includes, by the keys they have there, and those of its roots."""
    try:
        lockfile = decode(data, _Lockfile)
    except JsonError as error:
        raise SourceError(f"expected a lockfile, found {origin}: {error}", hint=_ANOTHER) from error
    if lockfile.meta.file_type != "spack-lockfile":
        raise SourceError(
            f"expected the file type 'spack-lockfile', found {lockfile.meta.file_type!r} in {origin}", hint=_ANOTHER
        )
    version = lockfile.meta.lockfile_version
    if version is None or not 1 <= version <= NEWEST_VERSION:
        warnings.warn(
            f"{origin}: expected a lockfile of version 1 to {NEWEST_VERSION}, found {version}; what can be read was",
            stacklevel=4,  # who called `read_lockfile`
        )
    nodes: dict[str, Node] = {}
    roots: set[str] = set()
    for part in _parts(lockfile):
        for key, value in part.concrete_specs.items():
            with _naming(key, origin):
                nodes[key] = parse_node(value)
        roots |= {root.hash for root in part.roots}
    if missing := sorted(roots - nodes.keys()):
        raise SourceError(
            f"expected the spec of every root in {origin}, found none for {', '.join(missing)}",
            hint="concretize the environment again: its lockfile is cut off or was edited",
        )
    return nodes, roots


def _by_hash(nodes: dict[str, Node]) -> dict[str, Node]:
    """Return the nodes by the hash that a cache, and a dependency, knows them by: in versions 2 and 3 another one."""
    return nodes | {node.hash: node for node in nodes.values() if node.hash}


def _installed(nodes: dict[str, Node]) -> Iterator[tuple[str, Node]]:
    """Yield the nodes that are not a part of the system already."""
    return ((key, node) for key, node in nodes.items() if not node.is_external)


def _parts(lockfile: _Included) -> Iterator[_Included]:
    """Yield a lockfile and, at any depth, what it includes."""
    yield lockfile
    for part in lockfile.include_concrete.values():
        yield from _parts(part)


@contextmanager
def _naming(key: str, origin: str) -> Iterator[None]:
    """Turn what is wrong with a spec into an error that says which one it is."""
    try:
        yield
    except (JsonError, RecursionError) as error:
        raise SourceError(f"expected a spec at concrete_specs[{key!r}] in {origin}: {error}", hint=_ANOTHER) from error


def _row(key: str, node: Node, nodes: dict[str, Node]) -> dict[str, Any]:
    edges = map(dependency, node.dependencies)
    name, compiler_name, compiler_version = naming.canonical_compiler(compiler(node, edges, nodes.get))
    return {
        "package": node.name,
        "version": node.version,
        "hash": node.hash or key,
        "platform": node.arch.platform,
        "os": node.arch.platform_os,
        "target": node.target,
        "compiler": name,
        "compiler_name": compiler_name,
        "compiler_version": compiler_version,
        "variants": " ".join(naming.quote_variant(text) for text in parameters(node.parameters).variants),
    }


def _edge(owner: str, edge: Dependency, node: Node | None) -> dict[str, Any]:
    return {
        "hash": owner,
        "dependency_hash": edge.hash,
        "dependency_package": edge.package or (node.name if node else None),
        **{f"is_{kind}": kind in edge.types for kind in ("build", "link", "run", "test")},
        "virtuals": ",".join(sorted(edge.virtuals)) or None,
        "is_external": bool(node.is_external) if node else None,
    }
