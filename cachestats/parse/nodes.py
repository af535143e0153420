"""Spec nodes, as Spack writes them into lockfiles, build-cache indices and spec files, versions 1 to 6.

A node is one spec with its dependencies by hash. Over the years the form of dependencies changed, vendor
microarchitectures became objects, and since version 5 the compiler is a dependency like any other.

Nearly everything in a node repeats: thousands of specs need the same `gmake`, or differ only in the target. So its
parts can stay bytes (`Parts`), which allows readers of many nodes to parse equal ones only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from cachestats import naming
from cachestats.decode import FAULTS, JsonError
from cachestats.requirement import External

# Flags are among the parameters of a node, but the site's pages do not show them: zlib-ng with cflags=-O3, in the stack
# `tutorial` of develop-2024-06-02, is shown without.
FLAGS = frozenset({"cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"})

LANGUAGES = ("c", "cxx", "fortran")
"""The virtual packages that a compiler provides; the first that a spec needs decides which one is its compiler."""
PATCH_LENGTH = 7  # the number of characters of a patch's checksum that Spack shows
COMPILERS_ARE_DEPENDENCIES = 5  # since this version of spec files
FormatVersion = Annotated[int, msgspec.Meta(ge=1, le=999)]
"""The version of a spec format; larger numbers are none."""
_REASONS_KEPT = 1024  # a whole index has some dozens

NOT_EXTERNAL = msgspec.Raw(b"null")

T = TypeVar("T")


class Reasons(NamedTuple):
    """The reasons why a spec needs another: the types of the dependency, and the virtual packages that it provides."""

    types: frozenset[str]
    virtuals: frozenset[str]


class Dependency(msgspec.Struct, gc=False, frozen=True):
    """An edge to another spec: its hash, its package if the node names it, and the reasons why it is needed."""

    hash: str
    package: str | None
    types: frozenset[str]
    virtuals: frozenset[str]

    def joined(self, other: Dependency) -> Dependency:
        """Return the edge with the reasons of both."""
        types, virtuals = self.types | other.types, self.virtuals | other.virtuals
        return Dependency(self.hash, self.package or other.package, types, virtuals)


class _Target(msgspec.Struct, gc=False):
    name: str


class _Arch(msgspec.Struct, gc=False):
    platform: str
    platform_os: str
    target: str | _Target

    @property
    def name_of_target(self) -> str:
        """The microarchitecture: a generic one is written as text, that of a vendor as an object."""
        return self.target if isinstance(self.target, str) else self.target.name


class _Compiler(msgspec.Struct, gc=False):
    name: str
    version: str


class _Annotations(msgspec.Struct, gc=False, frozen=True):
    original_specfile_version: FormatVersion | None = None
    compiler: str | None = None


class _External(msgspec.Struct, gc=False):
    path: str | None = None
    module: str | list[str] | None = None


class _BuildSpec(msgspec.Struct, gc=False):
    hash: str


class Platform(NamedTuple):
    """Where a spec runs."""

    platform: str
    os: str
    target: str


class Origin(NamedTuple):
    """The compiler that a node names, and the format in which it was first written; None where it does not say."""

    compiler: str | None
    spec_format: int | None


class Parameters(NamedTuple):
    """The parameters of a node: its variants in canonical order, and its compiler flags as Spack prints them."""

    variants: list[str]
    flags: str


class Node(msgspec.Struct, gc=False):
    """One concrete spec; fields that cachestats does not use are left out."""

    name: str
    version: str
    arch: _Arch
    hash: str | None = None
    compiler: _Compiler | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    """Parsed by `parameters`."""
    dependencies: list[msgspec.Raw] = []
    """Parsed by `dependency`."""
    annotations: _Annotations = _Annotations()
    external: msgspec.Raw = NOT_EXTERNAL
    """Parsed by `external`; databases of Spack 0.13 and lockfiles of that time have `false` if it is not external."""
    namespace: str | None = None
    package_hash: str | None = None
    build_spec: _BuildSpec | None = None
    build_hash: str | None = None
    full_hash: str | None = None
    """Alternative hashes by which other nodes may name it, in some files of Spack 0.14 to 0.17."""

    @property
    def is_external(self) -> bool:
        """Whether it is an external, which is part of the system."""
        return bytes(self.external) not in _NO_EXTERNAL

    @property
    def target(self) -> str:
        """The microarchitecture."""
        return self.arch.name_of_target


class Parts(msgspec.Struct, gc=False):
    """A node of version 2 or later whose repeating parts stay bytes; it has the same fields as a `Node`."""

    name: str
    version: str
    arch: msgspec.Raw
    """Parsed by `platform_of`."""
    hash: str | None = None
    compiler: msgspec.Raw = msgspec.Raw(b"null")
    """Parsed by `origin_of`, with the annotations."""
    annotations: msgspec.Raw = msgspec.Raw(b"{}")
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    """Parsed by `parameters`."""
    dependencies: msgspec.Raw = msgspec.Raw(b"[]")
    """Cut apart by `cut_edges`."""
    external: msgspec.Raw = NOT_EXTERNAL
    """Parsed by `external`."""
    namespace: str | None = None
    package_hash: str | None = None
    build_spec: _BuildSpec | None = None
    build_hash: str | None = None
    full_hash: str | None = None

    @property
    def is_external(self) -> bool:
        """Whether it is an external, which is part of the system."""
        return self.external is not NOT_EXTERNAL and bytes(self.external) not in _NO_EXTERNAL


class Edge(msgspec.Struct, gc=False):
    """An edge as a node has it, in one of two forms."""

    hash: str | None = None
    build_hash: str | None = None  # replaces `hash` in lockfiles of version 3 and some spec files of version 1
    full_hash: str | None = None
    name: str | None = None
    type: frozenset[str] = frozenset()
    parameters: msgspec.Raw = msgspec.Raw(b"{}")  # since version 4, including the types

    @property
    def key(self) -> str:
        """The hash by which the other spec is named; empty if there is none."""
        return self.hash or self.build_hash or self.full_hash or ""


class _Reasons(msgspec.Struct):
    deptypes: frozenset[str] | msgspec.UnsetType = msgspec.UNSET
    virtuals: frozenset[str] = frozenset()


_NO_EXTERNAL = (b"null", b"false", b"{}", b'""')

_decode_node = msgspec.json.Decoder(Node).decode
decode_parts = msgspec.json.Decoder(Parts).decode
"""Returns a node as its parts, for code that turns `FAULTS` into a `JsonError` itself."""
decode_edge = msgspec.json.Decoder(Edge).decode
"""Returns an edge, for such code, too."""
_decode_arch = msgspec.json.Decoder(_Arch).decode
_decode_compiler = msgspec.json.Decoder(_Compiler | None).decode
_decode_annotations = msgspec.json.Decoder(_Annotations).decode
_decode_reasons = msgspec.json.Decoder(_Reasons).decode
_decode_parameters = msgspec.json.Decoder(dict[str, Any]).decode
_decode_external = msgspec.json.Decoder(_External).decode


def parse_node(data: bytes | msgspec.Raw) -> Node:
    """Return a node from its JSON.

    Raises
    ------
    JsonError
        If it is not a node; the message says what was expected where.
    """
    try:
        try:
            return _decode_node(data)
        except msgspec.ValidationError:
            return _decode_node(msgspec.json.encode(_as_version_2(msgspec.json.decode(data))))
    except FAULTS as fault:
        raise JsonError.of(fault) from fault


def _as_version_2(value: Any) -> Any:
    """Return a node of version 1 in the form of version 2, and any other value as it is."""
    if isinstance(value, dict) and "name" not in value and len(value) == 1:
        # The name is the only key, with the rest below it; dependencies also have their names as keys.
        ((name, rest),) = value.items()
        value = {"name": name, **_as_of_spack_0_10(rest)} if isinstance(rest, dict) else rest
    if isinstance(value, dict) and isinstance(edges := value.get("dependencies"), dict):
        value = value | {"dependencies": [{"name": name, **_edge_of_version_1(edge)} for name, edge in edges.items()]}
    return value


def _edge_of_version_1(edge: Any) -> dict[str, Any]:
    """Return an edge, of which Spack up to 0.9 wrote only the hash; it meant one to build and link."""
    return edge if isinstance(edge, dict) else {"hash": edge, "type": ["build", "link"]}


def _as_of_spack_0_10(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node of Spack 0.9 in the form of its successor, with the names that Spack has for what it lacks."""
    if isinstance(target := node.get("arch"), str):
        node = node | {"arch": {"platform": "spack09", "platform_os": "unknown", "target": target}}
    if "parameters" not in node and "variants" in node:
        node = node | {"parameters": node["variants"]}
    return node


def usual_parts(node: Node) -> Parts:
    """Return a node that was read in any form as its parts, in the form of version 4, but without its dependencies."""
    return Parts(
        name=node.name,
        version=node.version,
        arch=_encoded(node.arch),
        compiler=_encoded(node.compiler),
        annotations=_encoded(node.annotations),
        parameters=node.parameters,
        external=node.external,
        namespace=node.namespace,
        package_hash=node.package_hash,
        build_spec=node.build_spec,
    )


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def dependency(data: bytes | msgspec.Raw) -> Dependency:
    """Return one of a node's dependencies from its JSON, which has one of two forms.

    Raises
    ------
    JsonError
        If it has neither.
    """
    edge = _decoded(decode_edge, data, "dependencies[...]")
    if not edge.key:
        raise msgspec.ValidationError("Object missing required field `hash` - at `$.dependencies[...]`")
    return Dependency(edge.key, edge.name, *reasons_of((edge.type, bytes(edge.parameters))))


def reasons_of(said: tuple[frozenset[str], bytes]) -> Reasons:
    """Return the reasons for an edge, given its types and its parameters, of which the latter take precedence.

    Raises
    ------
    JsonError
        If the parameters are not those of an edge.
    """
    types, parameters = said
    reasons = _reasons(parameters)
    return Reasons(types if isinstance(reasons.deptypes, msgspec.UnsetType) else reasons.deptypes, reasons.virtuals)


@lru_cache(_REASONS_KEPT)
def _reasons(data: bytes) -> _Reasons:
    return _decoded(_decode_reasons, data, "dependencies[...].parameters")


def _decoded(decode: Callable[[bytes | msgspec.Raw], T], data: bytes | msgspec.Raw, location: str) -> T:
    """Decode a part of a node; errors include its location in the node."""
    try:
        return decode(data)
    except FAULTS as fault:
        problem, _, path = str(JsonError.of(fault)).partition(" - at `$")
        raise JsonError(f"{problem} - at `$.{location}{path or '`'}") from None


def platform_of(data: bytes) -> Platform:
    """Return where a spec runs, from the `arch` of its node, for code that turns `FAULTS` into a `JsonError` itself.

    Raises
    ------
    ValidationError
        If a name is empty.
    """
    arch = _decode_arch(data)
    if not (arch.platform and arch.platform_os and arch.name_of_target):
        raise msgspec.ValidationError("an empty name")
    return Platform(arch.platform, arch.platform_os, arch.name_of_target)


def origin_of(said: tuple[bytes, bytes]) -> Origin:
    """Return what a node says in its `compiler` and in its annotations, for code that handles `FAULTS` itself."""
    compiler, annotations = _decode_compiler(said[0]), _decode_annotations(said[1])
    return Origin(_named_compiler(compiler, annotations), annotations.original_specfile_version)


def _named_compiler(compiler: _Compiler | None, annotations: _Annotations) -> str | None:
    """Return the compiler that a node names itself: up to version 4, or in its annotations if it is that old."""
    if compiler:
        return f"{compiler.name}@{compiler.version}"
    is_old = (annotations.original_specfile_version or 0) < COMPILERS_ARE_DEPENDENCIES
    return (annotations.compiler or None) if is_old else None


def compiler(node: Node, edges: Iterable[Dependency], look_up: Callable[[str], Node | None]) -> str | None:
    """Return the compiler of a node, such as `gcc@13.2.0`, or None if it has none.

    Up to version 4 the node names its compiler. Since version 5, a node that was first written in an older version has
    it in its annotations; for any other node it is the dependency, among `edges`, that provides `c`, else `cxx`, else
    `fortran`, which `look_up` finds by its hash.
    """
    if named := _named_compiler(node.compiler, node.annotations):
        return named
    providers = [edge for edge in edges if edge.virtuals]
    for language in LANGUAGES:
        for edge in providers:
            if language in edge.virtuals and (found := look_up(edge.hash)):
                return f"{found.name}@{found.version}"
    return None


def parameters(data: bytes | msgspec.Raw, *, list_sign: naming.ListSign = "=") -> Parameters:
    """Return a node's variants as the site's pages spell them, in canonical order, and its compiler flags.

    `list_sign` separates the name of a variant from a list of values: `:=` since Spack 1.0.

    Raises
    ------
    JsonError
        If the parameters are not an object.

    Examples
    --------
    >>> from cachestats.parse.nodes import parameters
    >>> parameters(b'{"shared": true, "pic": false, "libs": ["shared", "static"], "cflags": ["-O3", "-g"]}')
    Parameters(variants=['libs=shared,static', '~pic', '+shared'], flags="cflags='-O3 -g'")
    """
    found = sorted(_decoded(_decode_parameters, data, "parameters").items())
    variants = [_variant(name, value, list_sign) for name, value in found if name not in FLAGS]
    flags = [
        naming.quote_variant(f"{name}={' '.join(map(str, value)) if isinstance(value, list) else value}")
        for name, value in found
        if name in FLAGS and value
    ]
    return Parameters(variants, " ".join(flags))


def external(node: Node | Parts) -> External:
    """Return the external described by a node.

    Raises
    ------
    JsonError
        If the node does not give its location in a known form.
    """
    location = _decoded(_decode_external, node.external, "external")
    module = [location.module] if isinstance(location.module, str) else location.module or []
    variants = tuple(map(naming.canonical_variant, parameters(node.parameters).variants))
    return External(node.name, node.version, variants, location.path, tuple(module))


def _variant(name: str, value: Any, list_sign: naming.ListSign) -> str:
    if isinstance(value, bool):
        return f"{'+' if value else '~'}{name}"
    if isinstance(value, list):
        values = (str(part)[:PATCH_LENGTH] if name == "patches" else str(part) for part in value)
        return f"{name}{list_sign}{','.join(values)}"
    return f"{name}={value}"
