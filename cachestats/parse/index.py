"""Parse build-cache indices (`index.json`), database versions 5 to 9, into the records of one stack.

An index has the cached specs, those with `in_buildcache`, and all specs that they refer to. Nodes stay bytes until they
are needed: a node is parsed in its turn, or when another node has it as its compiler. Nearly all values of a node
repeat those of earlier nodes, so they are kept as numbers, and the same bytes are not parsed twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from cachestats import naming
from cachestats.decode import Decoder, JsonError
from cachestats.findings import Finding
from cachestats.parse.arrays import Codes
from cachestats.parse.nodes import Dependency, Node, compiler, dependency, external, parameters, parse_node
from cachestats.parse.records import DEPENDENCY_RECORDS, NAME, RECORDS, Fragment, PageInfo
from cachestats.schema import DEPTYPES
from cachestats.spack_releases import is_spelled_as_spack_1, spec_format_of_database

NEWEST_VERSION = 9
_KNOWN_VERSIONS = frozenset(map(str, range(1, NEWEST_VERSION + 1)))
_NODES_KEPT = 4096
_LIBC = "libc"
_FIRST_FORMAT = 1  # the format in databases from before versions were whole numbers
_NO_SPEC = msgspec.Raw()

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Record(msgspec.Struct, gc=False):
    spec: msgspec.Raw = _NO_SPEC
    in_buildcache: bool | None = None  # missing in the database of an installation, which has the next field instead
    installed: bool = False


class _Database(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _Index(msgspec.Struct):
    database: _Database


_decode_index = Decoder(_Index).decode


def read_index(data: bytes | bytearray, *, origin: str, snapshot: str, stack: str) -> Fragment | Finding:
    """Read one index; return its cached specs as records of one stack, or the reason why it cannot be read.

    Externals, and specs that the index has only as dependencies, are left out.
    """
    try:
        database = _decode_index(data).database
    except JsonError as error:
        return Finding(
            origin,
            "file",
            "index",
            f"expected the index of a build cache, found: {error}",
            "fetch it again: it may be cut off",
            num_specs=None,
            snapshot=snapshot,
        )
    return _Reader(database, origin, snapshot, stack).fragment()


class _Distinct(dict[K, int], Generic[K, T]):
    """Numbers, from 0, for names or for values parsed from bytes; the same bytes are parsed once."""

    def __init__(self, read: Callable[[K], T]) -> None:
        super().__init__()
        self.read = read
        self.found: list[T] = []

    def __missing__(self, key: K) -> int:
        self.found.append(self.read(key))
        number = self[key] = len(self.found) - 1
        return number


class _Reader:
    def __init__(self, database: _Database, origin: str, snapshot: str, stack: str) -> None:
        self.database, self.origin, self.snapshot, self.stack = database, origin, snapshot, stack
        self.findings: list[Finding] = []
        # Thousands of specs have the same few compilers. (Not a method: in a cycle the index would outlive its reader.)
        self.look_up = lru_cache(_NODES_KEPT)(partial(_look_up, database.installs))
        self.names = _Distinct[str | None, str | None](lambda name: name)
        self.generation = f"db{database.version}"
        list_sign: naming.ListSign = ":=" if is_spelled_as_spack_1(self.generation) else "="
        self.spec_format = spec_format_of_database(str(database.version)) or _FIRST_FORMAT
        self.parameters = _Distinct(partial(parameters, list_sign=list_sign))
        self.edges = _Distinct(dependency)
        # By hash, the facts about every node that specs depending on it need.
        self.packages: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.externals: dict[str, str] = {}
        # For every cached spec: its hash, the numbers of its record, and the count and numbers of its edges.
        self.hashes: list[str] = []
        self.numbers = array("i")
        self.num_edges = array("i")
        self.edge_numbers = array("i")

    def fragment(self) -> Fragment:
        version = self.database.version
        if str(version) not in _KNOWN_VERSIONS:
            self._find(
                "database.version",
                "version",
                f"expected a database of version 1 to {NEWEST_VERSION}, found {version!r}",
                "it was read as far as possible; "
                + ("it is of Spack 0.12 or older" if str(version).startswith("0.") else "look for a newer cachestats"),
            )
        is_buildcache = any(record.in_buildcache is not None for record in self.database.installs.values())
        for position, (key, record) in enumerate(self.database.installs.items()):
            is_there = bool(record.in_buildcache if is_buildcache else record.installed)
            try:
                self._read(position, key, record, is_there)
            except (msgspec.DecodeError, RecursionError) as error:
                if is_there:
                    self._find(
                        f"database.installs[{key!r}]",
                        "record",
                        f"expected a spec, found: {error}",
                        "rebuild the index with `spack buildcache update-index`",
                        num_specs=1,
                    )
        pages, records = self._records()
        return Fragment(
            self.snapshot, pages, records, self.findings, dependencies=self._dependencies(), is_part_of_stacks=True
        )

    def _read(self, position: int, key: str, record: _Record, is_there: bool) -> None:
        """Store the values of a record; for a spec that is not in the cache, only those that other specs need."""
        if record.spec is _NO_SPEC:
            raise msgspec.ValidationError("no spec")
        node = parse_node(record.spec)
        if not (key and node.name and node.version and node.arch.platform and node.arch.platform_os and node.target):
            raise msgspec.ValidationError("an empty name")
        self.packages[key] = node.name
        self.versions[key] = node.version
        if node.is_external:
            self.externals[key] = str(external(node))
            return
        if not is_there:
            return
        names, edges = self.names, [self.edges[bytes(edge)] for edge in node.dependencies]
        written_as = node.annotations.original_specfile_version
        row = (
            position,
            names[node.name],
            names[node.version],
            names[node.arch.platform],
            names[node.arch.platform_os],
            names[node.target],
            names[compiler(node, map(self.edges.found.__getitem__, edges), self.look_up)],
            self.parameters[bytes(node.parameters)],
            names[node.namespace],
            names[node.package_hash],
            names[node.build_spec.hash if node.build_spec else None],
            self.spec_format if written_as is None else written_as,
        )
        self.hashes.append(key)
        self.numbers.extend(row)
        self.num_edges.append(len(edges))
        self.edge_numbers.extend(edges)

    def _records(self) -> tuple[list[PageInfo], pa.Table]:
        """Return the information about each package, and a record for each cached spec."""
        numbers = np.array(self.numbers).reshape(-1, 12).T
        position, package, version, platform, os, target, compiler, settings = numbers[:8]
        namespace, recipe, build_spec, written_as = numbers[8:]
        libcs = self._libcs()
        packages, page, num_specs = np.unique(package, return_inverse=True, return_counts=True)
        pages = [
            PageInfo(self.origin, str(self.names.found[number]), self.generation, count)
            for number, count in zip(packages.tolist(), num_specs.tolist(), strict=True)
        ]
        names = pa.array(self.names.found, NAME)
        columns = {
            "page": page,
            "position": position,
            "hash": self.hashes,
            "os": names.take(os),
            "platform": names.take(platform),
            "target": names.take(target),
            "version": names.take(version),
            "compiler": names.take(compiler),
            "size_bytes": pa.nulls(len(page)),
            "flags": pa.array([found.flags for found in self.parameters.found], NAME).take(settings),
            "namespace": names.take(namespace),
            "package_hash": names.take(recipe),
            "libc": pa.array(map(self.packages.get, libcs), NAME),
            "libc_version": pa.array(map(self.versions.get, libcs), NAME),
            "spec_format": written_as,
            "build_spec_hash": names.take(build_spec),
            "stacks": pa.array([[self.stack]], pa.list_(NAME)).take(np.zeros(len(page), np.int32)),
            "variants": pa.array([found.variants for found in self.parameters.found], pa.list_(NAME)).take(settings),
        }
        return pages, pa.table(columns, schema=RECORDS)

    def _libcs(self) -> list[str]:
        """Return, for each cached spec, the hash of the libc that it is built against, or an empty string."""
        is_libc = np.array([_LIBC in edge.virtuals for edge in self.edges.found], bool)
        positions = np.flatnonzero(is_libc[np.array(self.edge_numbers, np.int64)])
        owners = np.repeat(np.arange(len(self.hashes)), self.num_edges)
        found = [""] * len(self.hashes)
        for owner, position in zip(owners[positions].tolist(), positions.tolist(), strict=True):
            # Spack writes one; if there are several, the first hash is used, whatever their order.
            other = self.edges.found[self.edge_numbers[position]].hash
            found[owner] = min(found[owner] or other, other)
        return found

    def _dependencies(self) -> pa.Table:
        """Return a row for each spec that a cached spec depends on."""
        owners, numbers, edges = self._edges()
        packages = self.packages
        columns = {
            "dependency_hash": [edge.hash for edge in edges],
            "dependency_package": [edge.package or packages.get(edge.hash) for edge in edges],
            "dependency_version": [self.versions.get(edge.hash) for edge in edges],
            **{f"is_{kind}": [kind in edge.types for edge in edges] for kind in DEPTYPES},
            "virtuals": [",".join(sorted(edge.virtuals)) or None for edge in edges],
            "is_external": [edge.hash in self.externals if edge.hash in packages else None for edge in edges],
            "external": [self.externals.get(edge.hash) for edge in edges],
        }
        rows = pa.table(columns, schema=DEPENDENCY_RECORDS.remove(0)).take(numbers)
        return rows.add_column(0, "hash", pa.array(self.hashes, NAME).take(owners))

    def _edges(self) -> tuple[Codes, Codes, list[Dependency]]:
        """Return the owner and the number of each edge, and the edges; two edges to the same spec are joined."""
        owners = np.repeat(np.arange(len(self.hashes)), self.num_edges)
        numbers = np.array(self.edge_numbers, np.int64)
        others = pa.array([edge.hash for edge in self.edges.found], NAME).indices.to_numpy()
        pairs = np.sort(owners * len(others) + others[numbers], kind="stable")  # fast if already sorted
        if (pairs[1:] > pairs[:-1]).all():
            return owners, numbers, self.edges.found
        joined: dict[tuple[int, str], Dependency] = {}
        for owner, number in zip(owners.tolist(), numbers.tolist(), strict=True):
            edge = self.edges.found[number]
            pair = owner, edge.hash
            joined[pair] = joined[pair].joined(edge) if pair in joined else edge
        return np.array([owner for owner, _ in joined]), np.arange(len(joined)), list(joined.values())

    def _find(self, location: str, rule: str, message: str, hint: str, **fields: Any) -> None:
        self.findings.append(Finding(self.origin, location, rule, message, hint, snapshot=self.snapshot, **fields))


def _look_up(installs: dict[str, _Record], key: str) -> Node | None:
    record = installs.get(key)
    try:
        return parse_node(record.spec) if record else None
    except (msgspec.DecodeError, RecursionError):
        return None  # the fault is reported for its own record
