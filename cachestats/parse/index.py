"""Parse build-cache indices (`index.json`), of all versions, into the records of one stack.

An index has the cached specs, those with `in_buildcache`, and all specs that they refer to. Its records are read some
at a time, as columns of numbers: nearly all values of a node repeat those of earlier nodes, and the same bytes are
parsed once. If anything about these records is unusual, each of them is read by itself: the faulty ones become
findings, and the others are then read as columns, too, in the form in which Spack writes nodes now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import partial
from itertools import chain, compress, count, islice
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats import naming
from cachestats.decode import FAULTS, Decoder, JsonError, Record, TooManyError
from cachestats.findings import Finding, Findings
from cachestats.parse.arrays import Codes
from cachestats.parse.edges import cut_edges, edges_of_pieces, piece_of_edge
from cachestats.parse.nodes import (
    LANGUAGES,
    Dependency,
    Parts,
    Reasons,
    decode_parts,
    dependency,
    external,
    origin_of,
    parameters,
    parse_node,
    platform_of,
    reasons_of,
    usual_parts,
)
from cachestats.parse.records import DEPENDENCY_RECORDS, NAME, RECORDS, Fragment, PageInfo
from cachestats.schema import DEPTYPES
from cachestats.sources.storage.input_limits import InputLimits, limit_hint
from cachestats.spack_releases import (
    FORMAT_OF_DATABASE,
    is_known_database,
    is_spelled_as_spack_1,
    spec_format_of_database,
)

_RECORDS_AT_ONCE = 512  # with 128 it takes a third longer, because each call of Arrow has its price; more saves nothing
_UNKNOWN = -1
_COLUMNS = 10
_LIBC = "libc"
_FIRST_FORMAT = 1  # the format in databases without a version that ever was
_NO_SPEC = msgspec.Raw()

_Numbers = npt.NDArray[np.int32]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Record(Record, gc=False):
    spec: msgspec.Raw = _NO_SPEC
    in_buildcache: bool | None = None  # missing in the database of an installation, which has the next field instead
    installed: bool = False


class _Database(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _Index(msgspec.Struct):
    database: _Database


_decode_index = Decoder(_Index).decode


def read_index(
    data: bytes | bytearray, *, origin: str, snapshot: str, stack: str, limits: InputLimits | None = None
) -> Fragment | Finding:
    """Read one index; return its cached specs as records of one stack, or the reason why it cannot be read.

    Externals, and specs that the index has only as dependencies, are left out.
    """
    limits = limits or InputLimits()
    try:
        database = _decode_index(data, most_records=limits.records).database
    except TooManyError:
        message = f"expected an index of at most {limits.records:,} records, found more"
        return Finding(origin, "file", "too-many", message, limit_hint("records"), num_specs=None, snapshot=snapshot)
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


class _Distinct(defaultdict[K, int], Generic[K, T]):
    """Numbers, from 0, for names or for bytes of JSON, and by number what is read from each of them, once."""

    def __init__(self, read: Callable[[list[K]], Iterable[T]]) -> None:
        super().__init__(count().__next__)
        self.read = read
        self.found: list[T] = []

    def codes(self, keys: Collection[K]) -> _Numbers:
        """Return the number of each key; if one cannot be read, none of the new ones is stored."""
        before = len(self)
        codes = np.fromiter(map(self.__getitem__, keys), np.int32, len(keys))
        if len(self) > before:
            new = [*islice(reversed(self), len(self) - before)][::-1]
            try:
                found = [*self.read(new)]
            except FAULTS:
                for key in new:
                    del self[key]
                self.default_factory = count(before).__next__
                raise
            self.found += found
        return codes


class _Edges(NamedTuple):
    """The edges of some specs: how many each spec has, and the hash and the number of the kind of each edge."""

    counts: _Numbers
    hashes: pa.StringArray
    kinds: _Numbers


class _Kind(NamedTuple):
    """What an edge says besides its hash: the numbers of the package that it names, and of its reasons."""

    package: Any
    reasons: Any


class _Row(NamedTuple):
    """A cached spec, as numbers: its position in the index, and those of its values."""

    position: Any
    package: Any
    version: Any
    platform: Any
    origin: Any
    parameters: Any
    namespace: Any
    package_hash: Any
    build_spec: Any
    num_edges: Any


class _Reader:
    """Reads the records of an index into numbers."""

    def __init__(self, database: _Database, origin: str, snapshot: str, stack: str) -> None:
        self.database, self.origin, self.snapshot, self.stack = database, origin, snapshot, stack
        self.findings = Findings()
        self.generation = f"db{database.version}"
        list_sign: naming.ListSign = ":=" if is_spelled_as_spack_1(self.generation) else "="
        self.names = _Distinct[str | None, str | None](_themselves)
        (self.none,) = self.names.codes([None])
        self.platforms = _Distinct(partial(map, platform_of))
        self.origins = _Distinct(partial(map, origin_of))
        self.parameters = _Distinct(partial(map, partial(parameters, list_sign=list_sign)))
        self.reasons = _Distinct(partial(map, reasons_of))
        # (Not a method: in a cycle the index would outlive its reader.)
        self.kinds = _Distinct(partial(_read_kinds, self.names, self.reasons))
        self.keys = [*database.installs]
        records = database.installs.values()
        is_buildcache = any(record.in_buildcache is not None for record in records)
        self.is_cached = [bool(record.in_buildcache if is_buildcache else record.installed) for record in records]
        # What specs that depend on a record need of it: package and version of every node, and whether it is complete.
        self.packages, self.versions = np.full((2, len(records)), _UNKNOWN, np.int32)
        self.is_complete = np.zeros(len(records), bool)
        self.externals: dict[int, str] = {}
        # The cached specs and their edges, those of some records at a time.
        self.rows = [np.empty((len(_Row._fields), 0), np.int32)]
        self.edges = [_Edges(np.empty(0, np.int32), pa.nulls(0, pa.string()), np.empty(0, np.int32))]

    def fragment(self) -> Fragment:
        version = self.database.version
        if not is_known_database(str(version)):
            self._find(
                "database.version",
                "version",
                f"expected a database of version {min(FORMAT_OF_DATABASE)} to {max(FORMAT_OF_DATABASE)}, "
                f"found {version!r}, which was read as far as possible",
                "look for a newer cachestats",
            )
        records = enumerate(self.database.installs.values())
        while some := [*islice(records, _RECORDS_AT_ONCE)]:
            try:
                self._read_together(some)
            except FAULTS:
                self._read_singly(some)
        return _Columns(self).fragment()

    def _read_together(self, records: Sequence[tuple[int, _Record]]) -> None:
        """Store some records, or none of them if anything about them is unusual."""
        positions = [position for position, _ in records]
        nodes = [decode_parts(record.spec) for _, record in records]
        pairs = zip(positions, nodes, strict=True)
        externals = {position: str(external(node)) for position, node in pairs if node.is_external}
        is_row = [self.is_cached[position] and position not in externals for position in positions]
        others = [node for node, is_one in zip(nodes, is_row, strict=True) if not is_one]
        if not all(bytes(node.dependencies).startswith(b"[") for node in others):
            raise msgspec.ValidationError("dependencies that are no list")
        cached = [*compress(range(len(nodes)), is_row)]
        counts, hashes, pieces = cut_edges([nodes[row].dependencies for row in cached])
        kinds = self.kinds.codes(pieces.dictionary.to_pylist())[pieces.indices.to_numpy()]
        self._store(positions, nodes, cached, _Edges(counts, hashes, kinds))
        self.externals |= externals

    def _read_singly(self, records: Iterable[tuple[int, _Record]]) -> None:
        """Store some records, except those with a fault, which is reported if the spec should be in the cache."""
        found: list[tuple[int, Parts, list[Dependency]]] = []
        for position, record in records:
            try:
                found += self._read(position, record)
            except (msgspec.DecodeError, RecursionError) as error:
                if self.is_cached[position]:
                    self._find(
                        f"database.installs[{self.keys[position]!r}]",
                        "record",
                        f"expected a spec, found: {error}",
                        "rebuild the index with `spack buildcache update-index`",
                        num_specs=1,
                    )
        if found:
            positions, nodes, edges_of_nodes = zip(*found, strict=True)
            edges = [*chain.from_iterable(edges_of_nodes)]
            counts = np.fromiter(map(len, edges_of_nodes), np.int32, len(nodes))
            hashes = pa.array([edge.hash for edge in edges], pa.string())
            kinds = self.kinds.codes([*map(piece_of_edge, edges)])
            self._store([*positions], nodes, range(len(nodes)), _Edges(counts, hashes, kinds))

    def _read(self, position: int, record: _Record) -> list[tuple[int, Parts, list[Dependency]]]:
        """Return the parts and edges of a spec if it is cached; note what specs that depend on it need of it."""
        if record.spec is _NO_SPEC:
            raise msgspec.ValidationError("no spec")
        node = parse_node(record.spec)
        self.packages[position], self.versions[position] = self.names.codes([node.name, node.version])
        key, arch = self.keys[position], node.arch
        if not (key and node.name and node.version and arch.platform and arch.platform_os and node.target):
            raise msgspec.ValidationError("an empty name")
        self.is_complete[position] = True
        if node.is_external:
            self.externals[position] = str(external(node))
            return []
        if not self.is_cached[position]:
            return []
        edges = [dependency(edge) for edge in node.dependencies]
        self.parameters.codes([bytes(node.parameters)])
        return [(position, usual_parts(node), edges)]

    def _store(self, positions: Sequence[int], nodes: Sequence[Parts], cached: Sequence[int], edges: _Edges) -> None:
        """Store nodes, some of them cached specs with edges, or none of them if one has a fault."""
        keys = [self.keys[position] for position in positions]
        names, versions_ = [node.name for node in nodes], [node.version for node in nodes]
        if not (all(keys) and all(names) and all(versions_)):
            raise msgspec.ValidationError("an empty name")
        packages, versions = self.names.codes(names), self.names.codes(versions_)
        platforms = self.platforms.codes([bytes(node.arch) for node in nodes])
        origins = self.origins.codes([(bytes(node.compiler), bytes(node.annotations)) for node in nodes])
        nodes = [nodes[row] for row in cached]
        rows = _Row(
            position=np.array(positions, np.int32)[cached],
            package=packages[cached],
            version=versions[cached],
            platform=platforms[cached],
            origin=origins[cached],
            parameters=self.parameters.codes([bytes(node.parameters) for node in nodes]),
            namespace=self.names.codes([node.namespace for node in nodes]),
            package_hash=self.names.codes([node.package_hash for node in nodes]),
            build_spec=self.names.codes([node.build_spec.hash if node.build_spec else None for node in nodes]),
            num_edges=edges.counts,
        )
        self.packages[positions], self.versions[positions], self.is_complete[positions] = packages, versions, True
        self.rows.append(np.array(rows))
        self.edges.append(edges)

    def _find(self, location: str, rule: str, message: str, hint: str, **fields: Any) -> None:
        self.findings.add(Finding(self.origin, location, rule, message, hint, snapshot=self.snapshot, **fields))


class _Columns:
    """Makes the tables of a fragment from the numbers that were read."""

    def __init__(self, read: _Reader) -> None:
        self.read = read
        self.rows = _Row(*np.concatenate(read.rows, axis=1))
        self.owners = np.repeat(np.arange(len(self.rows.position)), self.rows.num_edges)
        hashes = pa.chunked_array([pa.array(read.keys, pa.string()), *(edges.hashes for edges in read.edges)])
        encoded = hashes.dictionary_encode().combine_chunks()
        # Hashes are numbered in their order, so that edges can be sorted by numbers.
        order = pc.sort_indices(encoded.dictionary).to_numpy()
        self.hashes = encoded.dictionary.take(order)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        self.of_records, self.ends = np.split(numbers[encoded.indices.to_numpy()], [len(read.keys)])
        self.numbers = np.concatenate([edges.kinds for edges in read.edges])
        # Of each distinct kind of edge.
        self.kinds = _columns_of(read.kinds.found)
        # Of each hash, which may have no record.
        self.packages, self.versions = np.full((2, len(order)), _UNKNOWN, np.int32)
        self.packages[self.of_records], self.versions[self.of_records] = read.packages, read.versions
        self.is_complete = np.zeros(len(order), bool)
        self.is_complete[self.of_records] = read.is_complete
        self.names = pa.array(read.names.found, NAME)

    def fragment(self) -> Fragment:
        read = self.read
        packages, page, num_specs = np.unique(self.rows.package, return_inverse=True, return_counts=True)
        pages = [
            PageInfo(read.origin, str(read.names.found[number]), read.generation, num)
            for number, num in zip(packages.tolist(), num_specs.tolist(), strict=True)
        ]
        return Fragment(
            read.snapshot,
            pages,
            self._records(page),
            read.findings.all(),
            dependencies=self._dependencies(),
            is_part_of_stacks=True,
            generation=read.generation,
        )

    def _records(self, page: Codes) -> pa.Table:
        """Return a record for each cached spec."""
        read, rows, names = self.read, self.rows, self.names
        platforms, oses, targets = (
            pa.array([one[column] for one in read.platforms.found], NAME).take(rows.platform) for column in range(3)
        )
        default = spec_format_of_database(str(read.database.version)) or _FIRST_FORMAT
        formats = [default if one.spec_format is None else one.spec_format for one in read.origins.found]
        settings = read.parameters.found
        libcs = self._libcs()
        columns = {
            "page": page,
            "position": rows.position,
            "hash": self.hashes.take(self.of_records[rows.position]),
            "os": oses,
            "platform": platforms,
            "target": targets,
            "version": names.take(rows.version),
            "compiler": self._compilers(),
            "size_bytes": pa.nulls(len(page)),
            "flags": pa.array([one.flags for one in settings], NAME).take(rows.parameters),
            "namespace": names.take(rows.namespace),
            "package_hash": names.take(rows.package_hash),
            "libc": names.take(self._if_complete(self.packages, libcs)),
            "libc_version": names.take(self._if_complete(self.versions, libcs)),
            "spec_format": np.array(formats, np.int64)[rows.origin],
            "build_spec_hash": names.take(rows.build_spec),
            "stacks": pa.array([[read.stack]], pa.list_(NAME)).take(np.zeros(len(page), np.int32)),
            "variants": pa.array([one.variants for one in settings], pa.list_(NAME)).take(rows.parameters),
        }
        return pa.table(columns, schema=RECORDS)

    def _compilers(self) -> pa.Array:
        """Return the compiler of each cached spec, as `nodes.compiler` does."""
        origins = self.read.origins.found
        texts = [one.compiler for one in origins]
        provider = np.full(len(self.rows.position), _UNKNOWN)
        for language in reversed(LANGUAGES):  # the first of them decides, so it comes last
            edges = self._providing(language)
            edges = edges[self.packages[self.ends[edges]] != _UNKNOWN][::-1]  # so does the first edge
            provider[self.owners[edges]] = self.ends[edges]
        codes = self.rows.origin.copy()
        named_by_edge = np.flatnonzero(np.array([text is None for text in texts], bool)[codes] & (provider != _UNKNOWN))
        ends, number = np.unique(provider[named_by_edge], return_inverse=True)
        codes[named_by_edge] = len(texts) + number
        names = self.read.names.found
        texts += [f"{names[self.packages[end]]}@{names[self.versions[end]]}" for end in ends.tolist()]
        return pa.array(texts, NAME).take(codes)

    def _libcs(self) -> Codes:
        """Return the number of the libc that each cached spec is built against, or that of no hash."""
        edges = self._providing(_LIBC)
        # Spack writes one; if there are several, the first hash is used, whatever their order.
        edges = edges[np.argsort(self.ends[edges])[::-1]]
        libcs = np.full(len(self.rows.position), _UNKNOWN)
        libcs[self.owners[edges]] = self.ends[edges]
        return libcs

    def _providing(self, virtual: str) -> Codes:
        """Return which edges of cached specs provide a virtual package."""
        provides = np.array([virtual in reasons.virtuals for reasons in self.read.reasons.found], bool)
        return np.flatnonzero(provides[self.kinds.reasons][self.numbers])

    def _if_complete(self, names: _Numbers, hashes: Codes) -> Codes:
        """Return the package or version of each of some hashes, or the number of no name if that is not known."""
        is_complete = (hashes != _UNKNOWN) & self.is_complete[hashes]
        return np.where(is_complete, names[hashes], self.read.none)

    def _dependencies(self) -> pa.Table:
        """Return a row for each spec that a cached spec depends on."""
        self._sort_edges()
        read, ends, names = self.read, self.ends, self.names
        package, reasons = (column[self.numbers] for column in self.kinds)
        found = read.reasons.found
        of_reasons = {
            **{f"is_{kind}": pa.array([kind in one.types for one in found], pa.bool_()) for kind in DEPTYPES},
            "virtuals": pa.array([",".join(sorted(one.virtuals)) or None for one in found], NAME),
        }
        texts = [*read.externals.values(), None]
        external = np.full(len(self.hashes), len(texts) - 1)
        external[self.of_records[[*read.externals]]] = np.arange(len(texts) - 1)
        packages, versions = (
            np.where(self.is_complete, numbers, read.none) for numbers in (self.packages, self.versions)
        )
        of_hashes = {
            "dependency_version": names.take(versions),
            "is_external": pa.array(external < len(texts) - 1, mask=~self.is_complete),
            "external": pa.array(texts, NAME).take(external),
        }
        is_named = np.array([*map(bool, read.names.found)], bool)
        hashes = self.of_records[self.rows.position[self.owners]]
        columns = {
            "hash": pa.DictionaryArray.from_arrays(hashes.astype(np.int32), self.hashes),
            "dependency_hash": pa.DictionaryArray.from_arrays(ends.astype(np.int32), self.hashes),
            "dependency_package": names.take(np.where(is_named[package], package, packages[ends])),
            **{name: column.take(reasons) for name, column in of_reasons.items()},
            **{name: column.take(ends) for name, column in of_hashes.items()},
        }
        return pa.table(columns, schema=DEPENDENCY_RECORDS)

    def _sort_edges(self) -> None:
        """Sort the edges by hashes, and join those of a spec that lead to the same spec: the first gets all reasons."""
        pairs = self.of_records[self.rows.position[self.owners]] * len(self.hashes) + self.ends
        order = np.argsort(pairs)
        repeats = np.flatnonzero(np.diff(pairs[order]) == 0)
        if len(repeats):
            order = np.argsort(pairs, kind="stable")  # takes twice as long
            self._join(zip(order[repeats].tolist(), order[repeats + 1].tolist(), strict=True))
            order = np.delete(order, repeats + 1)
        self.numbers, self.owners, self.ends = self.numbers[order], self.owners[order], self.ends[order]

    def _join(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Give an edge the reasons of another one, which comes right after it or after one that was joined with it."""
        kinds, reasons, names = [*self.read.kinds.found], self.read.reasons.found, self.read.names.found
        first: dict[int, int] = {}
        for before, row in pairs:
            first[row] = first.get(before, before)
            one, other = (_Kind(*kinds[self.numbers[number]]) for number in (first[row], row))
            reasons.append(Reasons(*map(frozenset.union, reasons[one.reasons], reasons[other.reasons])))
            self.numbers[first[row]] = len(kinds)
            kinds.append((one if names[one.package] else other)._replace(reasons=len(reasons) - 1))
        self.kinds = _columns_of(kinds)


def _columns_of(kinds: list[tuple[int, ...]]) -> _Kind:
    """Return the numbers of kinds of edges, one array for each field."""
    flat = np.fromiter(chain.from_iterable(kinds), np.int32, len(_Kind._fields) * len(kinds))
    return _Kind(*np.ascontiguousarray(flat.reshape(-1, len(_Kind._fields)).T))


def _themselves(names: list[T]) -> list[T]:
    return names


def _read_kinds(
    names: _Distinct[str | None, str | None],
    reasons: _Distinct[tuple[frozenset[str], bytes], Reasons],
    pieces: list[bytes],
) -> Iterable[tuple[int, ...]]:
    """Return the kinds of the edges of which pieces of JSON are left, as the numbers of a `_Kind`."""
    edges = edges_of_pieces(pieces)
    columns = (
        names.codes([edge.name for edge in edges]),
        reasons.codes([(edge.type, bytes(edge.parameters)) for edge in edges]),
    )
    return zip(*(column.tolist() for column in columns), strict=True)
