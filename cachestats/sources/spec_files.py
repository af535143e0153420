"""Spec files, and the index that Spack would make of those of a cache.

A spec file has a spec and everything that it depends on, so that common dependencies stand in nearly all of them. Each
node is kept once: that of a cached spec from its own file, and any other from the first file that has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from cachestats.decode import BYTE_ORDER_MARK, Decoder, JsonError, Record, decode
from cachestats.sources.signature import is_signed, signed_text

MAX_SPEC_FILE_BYTES = 16 << 20
"""Larger spec files are refused. One with a thousand nodes has two megabytes or so."""

_DATABASE_AFTER_FORMAT = 3
"""Since format 3, Spack's databases are numbered three ahead of the formats of the specs in them."""
_FIRST_FORMAT = 3


class _Meta(msgspec.Struct):
    version: int = _FIRST_FORMAT


class _Dag(msgspec.Struct):
    nodes: list[msgspec.Raw]
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


class _File(msgspec.Struct):
    spec: _Dag | None = None
    name: str = ""
    hash: str = ""


class _Node(msgspec.Struct):
    name: str
    hash: str
    annotations: msgspec.Raw = msgspec.Raw()


class SpecFile(msgspec.Struct, frozen=True):
    """A spec file that was read: what is kept of it, and what the manifest beside it tells."""

    hash: str
    """The hash of the spec itself."""
    name: str
    """The name of its package."""
    digest: str
    """The sha256 checksum of the file as stored."""
    format: int
    """The version of its format."""
    hashes: list[str]
    """The hashes of its nodes."""
    nodes: dict[str, msgspec.Raw]
    """Its nodes, by hash; of some of them another spec file has the node."""
    size: int | None = None
    """The size of the binary, if that is known."""
    is_signed: bool = False


class NoSpecError(Exception):
    """A file is JSON, and not of a spec."""


def read_spec_file(data: bytes | bytearray, *, version: int = _FIRST_FORMAT) -> SpecFile:
    """Read a spec file, which may be signed; its signature is not verified. It may also be the node of a spec alone.

    Parameters
    ----------
    data
        The file.
    version
        The version of its format, if the file does not tell.

    Raises
    ------
    NoSpecError
        If it has no spec.
    JsonError
        If it is not a spec file.
    """
    digest = hashlib.sha256(data).hexdigest()
    has_signature = is_signed(bytes(data[:80]))
    text = signed_text(bytes(data)) if has_signature else data
    file = decode(text, _File)
    if file.spec is None and not (file.name and file.hash):
        raise NoSpecError
    dag = file.spec or _Dag([msgspec.Raw(bytes(text).removeprefix(BYTE_ORDER_MARK).strip())], _Meta(version))
    if not dag.nodes:
        raise JsonError("a spec without nodes")
    read = [(raw, decode(bytes(raw), _Node)) for raw in dag.nodes]
    if not all(node.hash and node.name for _, node in read):
        raise JsonError("a node without a hash or a name")
    nodes = {node.hash: _with_format(raw, node, dag.meta.version) for raw, node in read}
    own = read[0][1]
    return SpecFile(own.hash, own.name, digest, dag.meta.version, [*nodes], nodes, is_signed=has_signature)


def _with_format(raw: msgspec.Raw, node: _Node, version: int) -> msgspec.Raw:
    """Return a node that says in which format it was written, as an index may have nodes of several formats."""
    if bytes(node.annotations):
        return raw.copy()  # of the node only: a Raw keeps all of the file in memory
    text = bytes(raw).rstrip()
    return msgspec.Raw(b'%b,"annotations":{"original_specfile_version":%d}}' % (text[:-1], version))


class SpecFiles:
    """The spec files of a cache."""

    def __init__(self) -> None:
        self.specs: dict[str, SpecFile] = {}
        """Those that were read, by hash, without their nodes."""
        self._nodes: dict[str, msgspec.Raw] = {}
        self._own: dict[str, msgspec.Raw] = {}

    def add(self, found: SpecFile) -> dict[str, msgspec.Raw]:
        """Add a spec file, unless there is one of the same spec; return the nodes that are new."""
        if found.hash in self.specs:
            return {}
        new = {key: node for key, node in found.nodes.items() if key not in self._nodes or key == found.hash}
        self.specs[found.hash] = msgspec.structs.replace(found, nodes={})
        if found.hash in new:
            self._own[found.hash] = new[found.hash]
        self._nodes |= {key: node for key, node in new.items() if key not in self._nodes}
        return new

    def add_nodes(self, nodes: dict[str, msgspec.Raw]) -> None:
        """Add nodes of a spec file that is not in the cache any more: others may lack them."""
        self._nodes = nodes | self._nodes

    def has_nodes(self, keys: Iterable[str]) -> bool:
        """Whether all nodes with these hashes are known."""
        return all(key in self._nodes for key in keys)

    def node(self, key: str) -> msgspec.Raw:
        """Return a node by its hash."""
        return self._own.get(key) or self._nodes[key]

    def index(self) -> bytearray:
        """Return the index of the specs, in which their dependencies are not in the cache unless they are specs too."""
        formats = [_FIRST_FORMAT, *(one.format for one in self.specs.values())]
        # Piece by piece, since it may have hundreds of megabytes.
        data = bytearray(b'{"database":{"version":"%d","installs":{' % (max(formats) + _DATABASE_AFTER_FORMAT))
        needed = {key for one in self.specs.values() for key in one.hashes}
        for number, key in enumerate(sorted(needed)):
            data += b"," if number else b""
            data += msgspec.json.encode(key) + b':{"spec":'
            data += self.node(key)
            data += b',"in_buildcache":%b}' % (b"true" if key in self.specs else b"false")
        data += b"}}}"
        return data

    def digest(self, more: Iterable[str]) -> str:
        """Return a checksum of the specs and of something more."""
        lines = [f"{key} {one.digest}" for key, one in sorted(self.specs.items())]
        return hashlib.sha256("\n".join([*lines, *more]).encode()).hexdigest()


class _Record(Record):
    spec: msgspec.Raw = msgspec.Raw()
    in_buildcache: bool = False


class _Database(msgspec.Struct):
    installs: dict[str, _Record]


class _Index(msgspec.Struct):
    database: _Database


class _Name(msgspec.Struct):
    name: str = ""


def cached_specs(data: bytes | bytearray, most: int) -> dict[str, str]:
    """Return the names of the packages of the specs that an index lists as cached, by hash.

    Raises
    ------
    JsonError
        If it is not an index, or has more than so many records.
    """
    records = Decoder(_Index).decode(data, most_records=most).database.installs
    return {key: _package(one.spec) for key, one in records.items() if one.in_buildcache}


def _package(spec: msgspec.Raw) -> str:
    try:
        return decode(bytes(spec), _Name).name
    except JsonError:
        return ""
