"""Build-cache indices (`index.json`), database versions 5 to 9: from bytes to the records of one stack.

An index holds every spec that its own know of; those with `in_buildcache` are cached. What is not needed stays bytes:
a node is read when it is its turn, or when another one has it for a compiler, and only its record is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa

from cachestats import naming
from cachestats.parse.nodes import Node, compiler, dependencies, parse_node, variants
from cachestats.parse.records import DEPENDENCY_RECORDS, RECORDS, PageInfo, Piece
from cachestats.rejection import Rejection

NEWEST_VERSION = 9
_NODES_KEPT = 4096
_ROWS_AT_ONCE = 10_000


class _Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()  # empty where there is none
    in_buildcache: bool | None = None  # not there in the database of an installation, which has instead
    installed: bool = False


class _Database(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _Index(msgspec.Struct):
    database: _Database


_decode_index = msgspec.json.Decoder(_Index).decode
_decode_node = msgspec.json.Decoder(Node).decode


def read_index(data: bytes | bytearray, *, origin: str, snapshot: str, stack: str) -> Piece | Rejection:
    """Read one index; return its cached specs as records of one stack, or why there are none to be had.

    Externals, and specs that the index only knows of as dependencies, are left out.
    """
    try:
        database = _decode_index(data).database
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        return Rejection(
            origin,
            "file",
            "index",
            f"expected the index of a build cache, found: {error}",
            "fetch it again: it may be cut off",
            num_specs=None,
            snapshot=snapshot,
        )
    return _Reader(database, origin, snapshot, stack).piece()


class _Reader:
    def __init__(self, database: _Database, origin: str, snapshot: str, stack: str) -> None:
        self.database, self.origin, self.snapshot, self.stack = database, origin, snapshot, stack
        self.generation = f"db{database.version}"
        self.list_sign: naming.ListSign = ":=" if naming.is_spelled_as_spack_1(self.generation) else "="
        self.findings: list[Rejection] = []
        # Thousands of specs have the same few compilers and build tools.
        self.look_up = lru_cache(_NODES_KEPT)(self._look_up)

    def piece(self) -> Piece:
        version = self.database.version
        if not str(version).isdecimal() or not 1 <= int(version) <= NEWEST_VERSION:
            self._find(
                "database.version",
                "version",
                f"expected a database of version 1 to {NEWEST_VERSION}, found {version!r}",
                "what can be read was; look for a newer cachestats",
                severity="warning",
            )
        records, edges = _Rows(RECORDS), _Rows(DEPENDENCY_RECORDS)
        packages: dict[str, int] = {}
        counts: list[int] = []
        is_buildcache = any(record.in_buildcache is not None for record in self.database.installs.values())
        for position, (key, record) in enumerate(self.database.installs.items()):
            is_there = record.in_buildcache if is_buildcache else record.installed
            if is_there and (node := self._node(key, record)) and not node.external:
                page = packages.setdefault(node.name, len(packages))
                if page == len(counts):
                    counts.append(0)
                counts[page] += 1
                records.add(self._row(page, position, key, node))
                for edge in self._edges(key, node):
                    edges.add(edge)
        pages = [PageInfo(self.origin, name, self.generation, counts[page]) for name, page in packages.items()]
        return Piece(
            self.snapshot, pages, records.table(), self.findings, dependencies=edges.table(), is_part_of_stacks=True
        )

    def _row(self, page: int, position: int, key: str, node: Node) -> dict[str, Any]:
        return {
            "page": page,
            "position": position,
            "hash": key,
            "os": node.arch.platform_os,
            "platform": node.arch.platform,
            "target": node.target,
            "version": node.version,
            "compiler": compiler(node, self.look_up),
            "size_bytes": None,
            "stacks": [self.stack],
            "variants": variants(node, list_sign=self.list_sign),
        }

    def _edges(self, key: str, node: Node) -> Iterator[dict[str, Any]]:
        """Yield a row for each spec that a node depends on; for one that it needs twice the reasons add up."""
        types: dict[str, set[str]] = {}
        virtuals: dict[str, set[str]] = {}
        packages: dict[str, str | None] = {}
        for edge in dependencies(node):
            types.setdefault(edge.hash, set()).update(edge.types)
            virtuals.setdefault(edge.hash, set()).update(edge.virtuals)
            packages[edge.hash] = edge.package
        for other, needed_for in types.items():
            found = self.look_up(other)
            yield {
                "hash": key,
                "dependency_hash": other,
                "dependency_package": packages[other] or (found.name if found else None),
                "is_build": "build" in needed_for,
                "is_link": "link" in needed_for,
                "is_run": "run" in needed_for,
                "is_test": "test" in needed_for,
                "virtuals": ",".join(sorted(virtuals[other])) or None,
                "is_external": bool(found.external) if found else None,
            }

    def _node(self, key: str, record: _Record) -> Node | None:
        """Return the node of a record, or None once what is wrong with it was noted."""
        try:
            if not bytes(record.spec):
                raise msgspec.ValidationError("no spec")
            return _parse(record.spec)
        except (msgspec.DecodeError, RecursionError) as error:
            self._find(
                f"database.installs[{key!r}]",
                "record",
                f"expected a spec, found: {error}",
                "rebuild the index with `spack buildcache update-index`",
                num_specs=1,
            )
            return None

    def _look_up(self, key: str) -> Node | None:
        record = self.database.installs.get(key)
        try:
            return _parse(record.spec) if record else None
        except (msgspec.DecodeError, RecursionError):
            return None  # its own record says what is wrong with it

    def _find(self, place: str, rule: str, message: str, hint: str, **fields: Any) -> None:
        self.findings.append(Rejection(self.origin, place, rule, message, hint, snapshot=self.snapshot, **fields))


class _Rows:
    """Rows on their way into a table; of Python's own objects there are only so many at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.tables: list[pa.Table] = []
        self.columns: list[list[Any]] = [[] for _ in schema]

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, its keys in the order of the schema."""
        for column, value in zip(self.columns, row.values(), strict=True):
            column.append(value)
        if len(self.columns[0]) >= _ROWS_AT_ONCE:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self.tables).unify_dictionaries()

    def _flush(self) -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(self.columns, self.schema, strict=True)]
        self.tables.append(pa.table(arrays, schema=self.schema))
        self.columns = [[] for _ in self.schema]


def _parse(spec: msgspec.Raw) -> Node:
    try:
        return _decode_node(spec)
    except msgspec.ValidationError:
        return parse_node(msgspec.json.decode(spec))  # of version 1, or what is wrong with it
