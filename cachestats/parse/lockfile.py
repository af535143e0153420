"""Parse the concrete specs of an environment: lockfiles, spec files, lists of specs, databases of installations.

All four contain a graph of nodes, in which each node names its dependencies. They differ in the location of the nodes,
in the hash that names a node, and in which nodes are specs of the environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, TypeVar

import msgspec

from cachestats import naming
from cachestats.decode import FAULTS, JsonError, decode
from cachestats.errors import SourceError
from cachestats.parse.nodes import (
    Dependency,
    FormatVersion,
    Node,
    compiler,
    dependency,
    external,
    parameters,
    parse_node,
)
from cachestats.schema import DEPTYPES
from cachestats.spack_releases import (
    FORMAT_OF_DATABASE,
    FORMAT_OF_LOCKFILE,
    SPACK_OF_FORMAT,
    canonical_compiler,
    is_known_database,
    spec_format_of_database,
)

_ANOTHER = "give a spack.lock, a spec.json, what `spack spec --json` prints, or the .spack-db of an installation"
_WRITE_AGAIN = "it is cut off or was edited: let Spack write it again"
_LIBC = "libc"
_KEYED_BY_BUILD_HASH = (2, 3)
"""Versions of lockfiles in which several keys may have the same DAG hash, which left out build dependencies."""


T = TypeVar("T")


class Parsed(NamedTuple):
    """The environment in a file, or in one of several JSON documents in it."""

    specs: list[dict[str, Any]]
    """Rows of `specs`, without the columns that environments lack, and with `is_root`; sorted."""
    dependencies: list[dict[str, Any]]
    """Rows of `dependencies`, without `snapshot`; sorted."""
    nodes: dict[str, bytes]
    """By DAG hash, the JSON of every node, including externals and build specs."""
    kind: str
    spack: str | None
    """The version of Spack that wrote it, or the versions that may have written it."""
    warning: str | None
    """A warning about a file that could be read, if any."""
    root_texts: list[str]
    """What the roots were concretized from, as a lockfile has it; other files do not tell."""


class _Meta(msgspec.Struct):
    file_type: str | None = msgspec.field(name="file-type", default=None)
    lockfile_version: int | None = msgspec.field(name="lockfile-version", default=None)
    specfile_version: FormatVersion | None = msgspec.field(name="specfile-version", default=None)
    version: FormatVersion | None = None


class _Root(msgspec.Struct):
    hash: str
    spec: str | None = None


class _Spack(msgspec.Struct):
    version: str | None = None


class _Included(msgspec.Struct):
    """The part of a lockfile that included environments also have."""

    roots: list[_Root] = []
    concrete_specs: dict[str, msgspec.Raw] = {}
    include_concrete: dict[str, _Included] = {}


class _Lockfile(_Included):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)
    spack: _Spack = msgspec.field(default_factory=_Spack)


class _Nodes(msgspec.Struct):
    nodes: list[msgspec.Raw]
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


class _SpecFile(msgspec.Struct):
    spec: _Nodes | list[msgspec.Raw]  # a list up to version 1


class _Record(msgspec.Struct):
    spec: msgspec.Raw
    installed: bool = False
    explicit: bool = False
    in_buildcache: bool | None = None


class _Records(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _Database(msgspec.Struct):
    database: _Records


@dataclass(frozen=True)
class _Graph:
    """The nodes of an environment by key, and which of them are its specs."""

    kind: str
    path: str
    """The location of a node in the file, with a placeholder for its key."""
    nodes: dict[str, msgspec.Raw]
    roots: list[str] | None
    """None if the roots are the nodes that no other node needs."""
    specs: list[str] | None = None
    """None if the specs are the roots and all nodes that they need."""
    spec_format: int | None = None
    spack: str | None = None
    warning: str | None = None
    root_texts: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether it must have every node that another one needs, as Spack requires of its own files."""
    is_keyed_by_hash: bool = True
    """Whether no two keys may have the same DAG hash."""


def parse_environments(data: bytes, *, origin: str) -> list[Parsed]:
    """Return the environments in a file: one for each JSON document in it.

    These files are read: lockfiles of version 1 to 8, with all environments that they include; spec files; lists of
    nodes, as printed by `spack find --json`; and databases of installations. Newer versions are read with a warning.
    `spack spec --json` prints a spec file for each of its arguments, one after the other.

    Raises
    ------
    SourceError
        If the data is none of these or is cut off, if it lacks a root or a dependency, or if its dependencies have a
        cycle.
    """
    return [_Reader(graph, origin).parsed() for graph in _graphs(_utf_8(data, origin), origin)]


def spec_row(node: Node, edges: Iterable[Dependency], nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Return the row of `specs` for a node; `nodes` are those that its edges lead to.

    `spec_format` is None unless the node itself has it.

    Raises
    ------
    msgspec.DecodeError
        If the parameters of the node are invalid.
    """
    edges = list(edges)
    name, compiler_name, compiler_version = canonical_compiler(compiler(node, edges, nodes.get))
    libc = next((nodes[edge.hash] for edge in edges if _LIBC in edge.virtuals and edge.hash in nodes), None)
    settings = parameters(node.parameters)
    return {
        "package": node.name,
        "version": node.version,
        "version_key": naming.version_sort_key(node.version),
        "hash": node.hash,
        "platform": node.arch.platform,
        "os": node.arch.platform_os,
        "target": node.target,
        "compiler": name,
        "compiler_name": compiler_name,
        "compiler_version": compiler_version,
        "variants": " ".join(naming.quote_variant(naming.canonical_variant(text)) for text in settings.variants),
        "flags": settings.flags,
        "namespace": node.namespace,
        "package_hash": node.package_hash,
        "libc": libc.name if libc else None,
        "libc_version": libc.version if libc else None,
        "spec_format": node.annotations.original_specfile_version,
        "build_spec_hash": node.build_spec.hash if node.build_spec else None,
    }


def _utf_8(data: bytes, origin: str) -> bytes:
    """Return text in UTF-8 without the byte order mark that some editors add."""
    encoding = None
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "UTF-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:  # JSON begins with ASCII
        encoding = "UTF-16"
    if encoding:
        raise SourceError(
            f"expected UTF-8, found {encoding} in {origin}",
            hint="write it again as UTF-8, in PowerShell with `| Out-File -Encoding utf8`",
        )
    text = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"expected UTF-8, found the byte 0x{text[error.start]:02x} at offset {error.start:,} of {origin}",
            hint=_WRITE_AGAIN,
        ) from error
    return text


def _graphs(text: bytes, origin: str) -> Iterator[_Graph]:
    for input_ in _documents(text, origin):
        if not input_.lstrip().startswith(b"["):
            yield _graph(input_, origin)
            continue
        elements = _decode(input_, list[msgspec.Raw], origin)
        if any("spec" in _keys(element) for element in elements):
            yield from (_graph(bytes(element), origin) for element in elements)
        else:
            yield _graph_of_list(elements, origin)


def _documents(text: bytes, origin: str) -> list[bytes]:
    """Return the consecutive JSON documents in a text: nearly always one."""
    try:
        decode(text, msgspec.Raw)
    except JsonError as error:
        # Only the decoder of the standard library reports the end of a document.
        decode_first, rest = json.JSONDecoder().raw_decode, text.decode().lstrip()
        inputs = []
        while rest:
            try:
                _, end = decode_first(rest)
            except (ValueError, RecursionError):
                raise _unknown(str(error), origin) from error
            inputs.append(rest[:end].encode())
            rest = rest[end:].lstrip()
        if not inputs:
            raise _unknown("nothing", origin) from error
        return inputs
    return [text]


def _graph(input_: bytes, origin: str) -> _Graph:
    keys = _keys(input_)
    if "database" in keys:
        return _graph_of_database(_decode(input_, _Database, origin).database, origin)
    if "spec" in keys:
        return _graph_of_spec_file(_decode(input_, _SpecFile, origin).spec, origin)
    if keys & {"_meta", "roots", "concrete_specs"}:
        return _graph_of_lockfile(_decode(input_, _Lockfile, origin), origin)
    if "arch" in keys:
        return _graph_of_list([msgspec.Raw(input_)], origin)
    raise _unknown(f"an object with the keys {', '.join(sorted(keys)[:5])}" if keys else "no object with keys", origin)


def _keys(input_: bytes | msgspec.Raw) -> set[str]:
    """Return the keys of an object; an empty set if it is not an object."""
    try:
        return set(decode(bytes(input_), dict[str, msgspec.Raw]))
    except JsonError:
        return set()


def _graph_of_lockfile(lockfile: _Lockfile, origin: str) -> _Graph:
    if lockfile.meta.file_type != "spack-lockfile":
        raise SourceError(
            f"expected the file type 'spack-lockfile', found {lockfile.meta.file_type!r} in {origin}", hint=_ANOTHER
        )
    version = lockfile.meta.lockfile_version
    nodes: dict[str, msgspec.Raw] = {}
    roots: list[_Root] = []
    for part in _parts(lockfile):
        nodes |= part.concrete_specs
        roots += part.roots
    spec_format = FORMAT_OF_LOCKFILE.get(version or 0)
    return _Graph(
        kind="lockfile",
        path="concrete_specs[{!r}]",
        nodes=nodes,
        roots=[root.hash for root in roots],
        root_texts=tuple(dict.fromkeys(root.spec for root in roots if root.spec)),
        spec_format=lockfile.meta.specfile_version or spec_format,
        spack=lockfile.spack.version or SPACK_OF_FORMAT.get(spec_format or 0),
        warning=_newer("lockfile", version, FORMAT_OF_LOCKFILE, origin),
        is_keyed_by_hash=version not in _KEYED_BY_BUILD_HASH,
    )


def _parts(lockfile: _Included) -> Iterator[_Included]:
    """Yield a lockfile and the environments that it includes, at any depth."""
    yield lockfile
    for part in lockfile.include_concrete.values():
        yield from _parts(part)


def _graph_of_spec_file(spec: _Nodes | list[msgspec.Raw], origin: str) -> _Graph:
    """Return the graph of one spec, which is first, with all specs that it needs."""
    elements, version = (spec, 1) if isinstance(spec, list) else (spec.nodes, spec.meta.version)
    nodes = _by_key(elements, "spec.nodes[{}]", origin)
    return _Graph(
        kind="spec file",
        path="spec.nodes[{!r}]",
        nodes=nodes,
        roots=[*nodes][:1],
        spec_format=version,
        spack=SPACK_OF_FORMAT.get(version or 0),
        warning=_newer("spec file", version, SPACK_OF_FORMAT, origin),
    )


def _graph_of_list(elements: list[msgspec.Raw], origin: str) -> _Graph:
    """Return the graph of the specs in a list, without their dependencies unless these are in the list, too."""
    nodes = _by_key(elements, "[{}]", origin)
    return _Graph(kind="list of specs", path="[{!r}]", nodes=nodes, roots=None, specs=[*nodes], is_whole=False)


def _by_key(elements: list[msgspec.Raw], path: str, origin: str) -> dict[str, msgspec.Raw]:
    """Return nodes by the hash that edges name: in some files of version 1, the build hash or the full hash."""
    nodes: dict[str, msgspec.Raw] = {}
    for position, element in enumerate(elements):
        with _naming(path.format(position), origin):
            node = parse_node(element)
            key = node.build_hash or node.full_hash or node.hash
            if not key:
                raise msgspec.ValidationError("Object missing required field `hash`")
        nodes.setdefault(key, element)
    return nodes


def _graph_of_database(database: _Records, origin: str) -> _Graph:
    """Return the graph of the installed specs; their build dependencies may be gone from the database."""
    records = database.installs
    if any(record.in_buildcache is not None for record in records.values()):
        raise SourceError(
            f"expected the database of an installation, found the index of a build cache: {origin}",
            hint="make a dataset of it with `cachestats build`",
        )
    version = str(database.version)
    is_known = is_known_database(version)
    spec_format = spec_format_of_database(version) if is_known else None
    return _Graph(
        kind="database",
        path="database.installs[{!r}]",
        nodes={key: record.spec for key, record in records.items()},
        roots=[key for key, record in records.items() if record.explicit],
        specs=[key for key, record in records.items() if record.installed],
        spec_format=spec_format,
        spack=SPACK_OF_FORMAT.get(spec_format or 0),
        warning=None if is_known else _newer("database", version, FORMAT_OF_DATABASE, origin),
        is_whole=False,
    )


def _newer(kind: str, version: int | str | None, known: Mapping[int, object], origin: str) -> str | None:
    if version in known:
        return None
    return (
        f"{origin}: expected a {kind} of version {min(known)} to {max(known)}, found {version}; "
        "it was read as far as possible"
    )


class _Reader:
    """The nodes of a graph and their edges; here the edges name the other end by its DAG hash."""

    def __init__(self, graph: _Graph, origin: str) -> None:
        self.graph, self.origin = graph, origin
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, list[tuple[Dependency, str | None]]] = {}
        for key, data in graph.nodes.items():
            with self._naming(key):
                self.nodes[key] = parse_node(data)
        self.key_of: dict[str, str] = {}
        for key in self.nodes:
            first = self.key_of.setdefault(self._hash(key), key)
            if first != key and graph.is_keyed_by_hash:
                raise SourceError(
                    f"expected one key for each hash in {origin}, found {first} and {key} for {self._hash(key)}",
                    hint=_WRITE_AGAIN,
                )
        self.roots = self._roots()
        keys = self._reached() if graph.specs is None else graph.specs
        # If several keys have the same DAG hash, Spack keeps the one that it reaches first from the roots.
        self.specs = {self._hash(key): key for key in reversed(keys)}
        self.key_of |= self.specs
        self.by_hash = {digest: self.nodes[key] for digest, key in self.key_of.items()}

    def parsed(self) -> Parsed:
        """Return what was parsed."""
        self._refuse_cycles_of_build_specs()
        roots = {self._hash(key) for key in self.roots}
        installed = sorted(
            (node.name, digest) for digest, key in self.specs.items() if not (node := self.nodes[key]).is_external
        )
        rows: list[dict[str, Any]] = []
        pairs: dict[tuple[str, str], Dependency] = {}
        for _, digest in installed:
            key = self.specs[digest]
            edges = [edge for edge, _ in self._edges(key)]
            with self._naming(key):
                row = spec_row(self.nodes[key], edges, self.by_hash)
            row["spec_format"] = row["spec_format"] or self.graph.spec_format
            rows.append(row | {"hash": digest, "is_root": digest in roots})
            for edge in edges:
                pair = digest, edge.hash
                pairs[pair] = pairs[pair].joined(edge) if pair in pairs else edge
        _refuse_cycle(pairs, self.origin)
        return Parsed(
            specs=rows,
            dependencies=[self._dependency_row(owner, pairs[owner, needed]) for owner, needed in sorted(pairs)],
            nodes={digest: bytes(self.graph.nodes[key]) for digest, key in self.key_of.items()},
            kind=self.graph.kind,
            spack=self.graph.spack,
            warning=self.graph.warning,
            root_texts=[*self.graph.root_texts],
        )

    def _hash(self, key: str) -> str:
        """Return the hash of a spec in a cache; in version 1 only the key has it."""
        return self.nodes[key].hash or key

    def _key(self, name: str) -> str | None:
        """Return the key of the node that an edge or a root names, by its key or else by its DAG hash."""
        return name if name in self.nodes else self.key_of.get(name)

    def _edges(self, key: str) -> list[tuple[Dependency, str | None]]:
        """Return the edges of a node with the keys they lead to, or None if the other end is not in the file."""
        if key not in self.edges:
            node = self.nodes[key]
            with self._naming(key):
                edges = [dependency(data) for data in node.dependencies]
            found = [(edge, self._key(edge.hash)) for edge in edges]
            if self.graph.is_whole and (lost := next((edge for edge, other in found if other is None), None)):
                name = f"{lost.package or 'a spec'}/{lost.hash}"
                raise SourceError(
                    f"expected every dependency in {self.origin}, found none for {name}, which "
                    f"{node.name}/{self._hash(key)} depends on",
                    hint=_WRITE_AGAIN,
                )
            self.edges[key] = [
                (edge if other is None else msgspec.structs.replace(edge, hash=self._hash(other)), other)
                for edge, other in found
            ]
        return self.edges[key]

    def _roots(self) -> list[str]:
        if self.graph.roots is None:
            needed = {other for key in self.nodes for _, other in self._edges(key)}
            return [key for key in self.nodes if key not in needed]
        roots = [(root, self._key(root)) for root in self.graph.roots]
        if missing := sorted({root for root, key in roots if key is None}):
            raise SourceError(
                f"expected the spec of every root in {self.origin}, found none for {', '.join(missing)}",
                hint=_WRITE_AGAIN,
            )
        return [key for _, key in roots if key is not None]

    def _reached(self) -> list[str]:
        """Return the keys of the roots and of all that they need, in Spack's order: depth first, then by name.

        The build spec of a spliced spec is not reached, nor are nodes that only the build spec needs.
        """
        reached: dict[str, None] = {}
        waiting = [*reversed(self.roots)]
        while waiting:
            key = waiting.pop()
            if key not in reached:
                reached[key] = None
                others = [other for _, other in self._edges(key) if other is not None]
                waiting += sorted(others, key=lambda other: self.nodes[other].name, reverse=True)
        return [*reached]

    def _refuse_cycles_of_build_specs(self) -> None:
        """Refuse build specs in a cycle; their nodes may be missing, since only their hashes are needed."""
        for digest, key in self.specs.items():
            chain, node = [digest], self.nodes[key]
            while node.build_spec:
                chain.append(node.build_spec.hash)
                if chain[-1] in chain[:-1]:
                    raise SourceError(
                        f"expected build specs without a cycle in {self.origin}, found {' > '.join(chain)}",
                        hint=_WRITE_AGAIN,
                    )
                if (found := self._key(chain[-1])) is None:
                    break
                node = self.nodes[found]

    def _dependency_row(self, owner: str, edge: Dependency) -> dict[str, Any]:
        node = self.by_hash.get(edge.hash)
        row = {
            "hash": owner,
            "dependency_hash": edge.hash,
            "dependency_package": edge.package,
            **{f"is_{kind}": kind in edge.types for kind in DEPTYPES},
            "virtuals": ",".join(sorted(edge.virtuals)) or None,
        }
        if node is None:
            return row
        with self._naming(self.key_of[edge.hash]):
            text = str(external(node)) if node.is_external else None
        return row | {
            "dependency_package": edge.package or node.name,
            "dependency_version": node.version,
            "is_external": node.is_external,
            "external": text,
        }

    def _naming(self, key: str) -> AbstractContextManager[None]:
        return _naming(self.graph.path.format(key), self.origin)


def _refuse_cycle(pairs: Iterable[tuple[str, str]], origin: str) -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for owner, needed in pairs:
        sorter.add(owner, needed)
    try:
        sorter.prepare()
    except CycleError as error:
        raise SourceError(
            f"expected dependencies without a cycle in {origin}, found {' > '.join(reversed(error.args[1]))}",
            hint=_WRITE_AGAIN,
        ) from None


@contextmanager
def _naming(path: str, origin: str) -> Iterator[None]:
    """Turn a fault in a spec into an error that names the spec."""
    try:
        yield
    except FAULTS as error:
        raise SourceError(f"expected a spec at {path} in {origin}, found: {error}", hint=_WRITE_AGAIN) from error


def _decode(input_: bytes, kind: type[T], origin: str) -> T:
    try:
        return decode(input_, kind)
    except JsonError as error:
        raise _unknown(str(error), origin) from error


def _unknown(found: str, origin: str) -> SourceError:
    return SourceError(f"expected the specs of an environment in {origin}, found: {found}", hint=_ANOTHER)
