"""Read spec expressions as Spack reads them.

The grammar is that of Spack since 1.1: its documentation ("Spec Syntax") and the tokens and parsers of
lib/spack/spack/spec_parser.py. Older versions of Spack differ in one point: what follows a `%compiler` describes the
package rather than the compiler; whoever evaluates an expression for them takes care of that.

It differs from Spack where Spack would drop a condition without a word, or asks something of its own installation:

- A second `namespace` is refused, where Spack takes the last one, and so is a dependency without any condition.
- `when` keeps its commas, where Spack cuts it at the first one.
- Spaces around the commas between values of a variant do not count, as in Spack before 1.0.
- Names of files and toolchains are not known. Conditions that contradict each other, such as `%gcc@12 %gcc@13`, are
  no fault; nothing satisfies them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from cachestats.errors import ArgumentError, ExpressionError
from cachestats.expressions.syntax import (
    ANONYMOUS,
    ANY_VALUE,
    BARE_CHARACTERS,
    Dependency,
    Expression,
    Flags,
    Variant,
    split_flags,
)  # fmt: skip
from cachestats.naming import NOT
from cachestats.schema import DEPTYPES
from cachestats.text import alternatives, nearest
from cachestats.version_ranges import VersionList

MAX_CHARACTERS = 10_000

FLAGS = frozenset({"cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"})
"""Keys that are compiler flags rather than variants (`_valid_compiler_flags` in Spack's spec.py)."""

_ARCHITECTURE = {
    "arch": "arch", "architecture": "arch", "platform": "platform", "os": "os", "operating_system": "os",
    "target": "target",
}  # fmt: skip
_NOT_PROPAGATED = {*_ARCHITECTURE, "branch", "commit", "dev_path", "namespace", "patches", "tag"}
_WITH_VALUE = {*_ARCHITECTURE, *FLAGS, "namespace"}
_NOT = NOT.strip()  # which no package is called
_EDGE_PROPERTIES = ("virtuals", "deptypes", "when")
_COMMA = re.compile(r"\s*,\s*")
_SHOWN = 60  # characters of a token in a message


class _Kind(StrEnum):
    EDGE = "edge"
    EDGE_END = "edge_end"
    DEPENDENCY = "dependency"
    VERSION = "version"
    SWITCH = "switch"
    PAIR = "pair"
    FILE = "file"
    FULL_NAME = "full_name"
    NAME = "name"
    HASH = "hash"
    SPACE = "space"
    UNEXPECTED = "unexpected"


_WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_DOTTED = rf"{_WORD}(?:\.{_WORD})+"
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_VIRTUALS = rf"\s*(?P<{{0}}virtuals>{_WORD}(?:,{_WORD})*)=(?P<{{0}}provider>{_DOTTED}|{_WORD})"
_SINGLE = r"=?[A-Za-z0-9_][A-Za-z0-9_.-]*\b"
_RANGE = rf"(?:{_SINGLE})?:(?:{_SINGLE}(?!\s*=))?"
_GIT = r"(?:git\.[A-Za-z0-9_][A-Za-z0-9_./-]*|[A-Fa-f0-9]{40})"
_VALUE = rf"{BARE_CHARACTERS}+|'(?:[^']|(?<=\\)')*'|\"(?:[^\"]|(?<=\\)\")*\""
# The first kind that fits is taken, so that their order matters: a key is no name, and `ns.name` is one name.
_PATTERNS = {
    _Kind.EDGE: r"(?P<edge_sigil>\^|%%|%)\[",
    _Kind.EDGE_END: rf"\](?:{_VIRTUALS.format('end_')})?",
    _Kind.DEPENDENCY: rf"(?P<sigil>\^|%%|%)(?:{_VIRTUALS.format('')})?",
    _Kind.VERSION: rf"@(?:{_GIT}(?:={_SINGLE})?|\s*(?:{_RANGE}|{_SINGLE})(?:\s*,\s*(?:{_RANGE}|{_SINGLE}))*)",
    _Kind.SWITCH: rf"(?P<sign>\+\+|~~|--|[+~-])\s*(?P<switch_name>{_KEY})",
    _Kind.PAIR: rf"(?P<key>{_KEY})(?P<equals>:?==?)(?P<value>{_VALUE})",
    # Possessive, so that a text of slashes is not read again from each of them.
    _Kind.FILE: r"(?:\.|/|[A-Za-z0-9_-]*/)[A-Za-z0-9_./-]*+(?<=\.json|\.yaml)",
    _Kind.FULL_NAME: _DOTTED,
    _Kind.NAME: rf"{_WORD}|\*",
    _Kind.HASH: r"/(?P<prefix>[A-Za-z0-9_]+)",
    _Kind.SPACE: r"\s+",
    _Kind.UNEXPECTED: r".",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()), re.DOTALL)


def parse_expression(text: str) -> Expression:
    """Return what a spec expression says.

    Parameters
    ----------
    text
        One expression in Spack's syntax, such as `hdf5@1.14:+mpi target=x86_64_v3 %gcc@12 ^mpich`.

    Raises
    ------
    ExpressionError
        If it is not one; the message points at the character.

    Examples
    --------
    >>> from cachestats.expressions.parse import parse_expression
    >>> expression = parse_expression("py-numpy@1.26: target=x86_64_v2: ^[virtuals=blas] openblas")
    >>> expression.targets, expression.dependencies[0].virtuals
    (('x86_64_v2:',), ('blas',))
    """
    found = parse_expressions(text, most=1)
    if not found:
        raise ExpressionError("expected a spec, found nothing", text=text, position=0, hint="such as hdf5@1.14+mpi")
    return found[0]


def parse_expressions(text: str, *, most: int | None = None) -> list[Expression]:
    """Return what each of several spec expressions says that stand one after another, as in `hdf5+mpi zlib@1.3`.

    Raises
    ------
    ExpressionError
        If the text is not like this, or has more than `most` expressions.

    Examples
    --------
    >>> from cachestats.expressions.parse import parse_expressions
    >>> [str(expression) for expression in parse_expressions("hdf5 +mpi ^mpich zlib@1.3")]
    ['hdf5+mpi ^mpich', 'zlib@1.3']
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"expected at most {MAX_CHARACTERS:,} characters, found {len(text):,}",
            text=text, position=MAX_CHARACTERS, hint="leave some conditions out",
        )  # fmt: skip
    tokens = _Tokens(text)
    found: list[Expression] = []
    while tokens.next is not None:
        if most is not None and len(found) == most:
            raise tokens.error_after_the_end(tokens.next)
        start = tokens.next
        expression = _spec(tokens)
        if tokens.next is start:
            hint = "such as 'hdf5@1.14:+mpi target=x86_64_v3 %gcc ^mpich'"
            raise tokens.error("expected a spec", _shown(start.match[0]), at=start, hint=hint)
        found.append(expression)
        if (star := tokens.next) is not None and star.match[0] == ANONYMOUS and not text[star.position - 1].isspace():
            hint = "for a pattern, use --where 'package=py-*', or where(package='py-*') in Python"
            raise tokens.error("expected no pattern in a spec", "'*'", at=star, hint=hint)
    return found


@dataclass(frozen=True)
class _Token:
    kind: _Kind
    match: re.Match[str]

    @property
    def position(self) -> int:
        return self.match.start()


class _Tokens:
    """The tokens of a text, white space left out, of which one is looked at in advance."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.last: _Token | None = None
        self._stream = self._read()
        self.next = next(self._stream, None)

    def _read(self) -> Iterator[_Token]:
        for match in _TOKEN.finditer(self.text):
            token = _Token(_Kind(str(match.lastgroup)), match)
            if token.kind is _Kind.UNEXPECTED:
                raise self._unexpected(match)
            if token.kind is not _Kind.SPACE:
                yield token

    def take(self, *kinds: _Kind) -> _Token | None:
        """Return the next token and move on, if it is of one of these kinds."""
        if self.next is None or self.next.kind not in kinds:
            return None
        self.last, self.next = self.next, next(self._stream, None)
        return self.last

    def error(self, expected: str, found: str, *, at: _Token, hint: str) -> ExpressionError:
        """Return the error that points at a token."""
        return ExpressionError(f"{expected}, found {found}", text=self.text, position=at.position, hint=hint)

    def error_after_the_end(self, token: _Token) -> ExpressionError:
        """Return the error that a text goes on after its only spec, with this token."""
        end = token.match.end()
        if self.text[end : end + 1] != "=":
            return self.error("expected the end", "a second spec", at=token, hint="give each spec on its own")
        found = repr(self.text[end + 1]) if end + 1 < len(self.text) else "nothing"
        hint = "such as build_type=Release or cflags='-O3 -g': close quotes, and leave no spaces around '='"
        return self.error(f"expected a value after {_shown(f'{token.match[0]}=')}", found, at=token, hint=hint)

    def _unexpected(self, match: re.Match[str]) -> ExpressionError:
        character = match[0]
        after = self.text[match.end() : match.end() + 1]
        if character == "=" and after in {"'", '"'}:
            return ExpressionError(
                f"expected {after} at the end of the value too, found none",
                text=self.text, position=match.end(), hint="close the quotes",
            )  # fmt: skip
        expected, hint = {
            "@": ("a version after '@'", "such as @1.14, @=1.14.3 or @1.8:1.14"),
            "'": ("a quote at the end of the value too", "close the quotes"),
            '"': ("a quote at the end of the value too", "close the quotes"),
            "=": ("a key, '=' and a value", "such as target=x86_64_v3 or cflags='-O3 -g', without spaces around '='"),
            "+": ("the name of a variant after '+'", "such as +mpi"),
            "~": ("the name of a variant after '~'", "such as ~mpi"),
            "-": ("the name of a variant after '-'", "such as -mpi"),
            "/": ("the first characters of a hash after '/'", "such as /3a6d7i4"),
        }.get(character, ("a spec", "such as 'hdf5@1.14:+mpi target=x86_64_v3 %gcc ^mpich'"))
        if character in "@+~-/":
            character = after
        shown = repr(character) if character.isprintable() else f"the character {character!a}"
        shown = shown if character else "nothing"
        return ExpressionError(f"expected {expected}, found {shown}", text=self.text, position=match.start(), hint=hint)


def _spec(tokens: _Tokens) -> Expression:
    """Read a spec and its dependencies: `%` describes the node before it, `^` the whole spec."""
    root = _node(tokens)
    below: list[Dependency] = []
    direct: list[list[Dependency]] = [[]]  # of the root, and of each in `below`
    while token := tokens.take(_Kind.EDGE, _Kind.DEPENDENCY):
        edge = _edge(token, tokens)
        if edge.is_direct:
            direct[-1].append(edge)
        else:
            below.append(edge)
            direct.append([])
    of_root, *others = direct
    inner = (
        replace(edge, expression=replace(edge.expression, dependencies=tuple(own)))
        for edge, own in zip(below, others, strict=True)
    )
    return replace(root, dependencies=(*of_root, *inner))


def _edge(token: _Token, tokens: _Tokens) -> Dependency:
    """Read a dependency, given its sigil."""
    sigil, end, virtuals = token.match["sigil"], token, token.match["virtuals"]
    provider, properties = token.match["provider"], dict[str, Any]()
    if token.kind is _Kind.EDGE:
        properties, end = _edge_properties(token, tokens)
        sigil, virtuals, provider = token.match["edge_sigil"], end.match["end_virtuals"], end.match["end_provider"]
    names = {*properties.pop("virtuals", ()), *(virtuals.split(",") if virtuals else ())}
    node = _node(tokens, name=provider)
    if tokens.last is end and not provider:
        found = "nothing" if tokens.next is None else _shown(tokens.next.match[0])
        expected = f"expected a spec after {_shown(end.match[0].strip())}"
        raise tokens.error(expected, found, at=end, hint="such as ^mpich or %gcc@12")
    return Dependency(node, sigil != "^", sigil == "%%", tuple(sorted(names)), **properties)


def _edge_properties(start: _Token, tokens: _Tokens) -> tuple[dict[str, Any], _Token]:
    """Read what stands after `^[`, and return it with the token that ends it."""
    found: dict[str, Any] = {}
    while token := tokens.take(_Kind.PAIR):
        key, value = token.match["key"], _unquoted(token.match["value"])
        if token.match["equals"].endswith("=="):
            raise tokens.error(f"expected '=' after {key}", "'=='", at=token, hint="edges are not propagated")
        if key not in _EDGE_PROPERTIES:
            near = nearest([key], _EDGE_PROPERTIES, 1) or [*_EDGE_PROPERTIES]
            expected = f"expected {alternatives(_EDGE_PROPERTIES)}"
            raise tokens.error(expected, _shown(key), at=token, hint=f"try {near[0]}=...")
        found[key] = _edge_property(key, value, token, tokens)
    if (end := tokens.take(_Kind.EDGE_END)) is None:
        there = "the end" if tokens.next is None else _shown(tokens.next.match[0])
        raise tokens.error("expected ']'", there, at=tokens.next or start, hint="such as ^[virtuals=mpi] mpich")
    return found, end


def _edge_property(key: str, value: str, token: _Token, tokens: _Tokens) -> Any:
    if key == "when":
        try:
            return parse_expression(value)
        except ExpressionError as error:
            raise tokens.error("expected a spec as 'when'", _shown(value), at=token, hint=error.hint or "") from None
    parts = tuple(part for part in _COMMA.split(value.strip()) if part)
    if key == "deptypes" and (unknown := [part for part in parts if part not in DEPTYPES]):
        expected = f"expected {alternatives(DEPTYPES)} as deptypes"
        raise tokens.error(expected, _shown(unknown[0]), at=token, hint="separate several by commas")
    return parts


@dataclass
class _Node:
    """The conditions on one node that were read so far."""

    name: str | None = None
    namespace: str | None = None
    versions: VersionList | None = None
    hash_prefix: str | None = None
    architecture: dict[str, str] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    flags: dict[str, Flags] = field(default_factory=dict)

    def expression(self) -> Expression:
        return Expression(
            name=self.name,
            namespace=self.namespace,
            versions=self.versions,
            variants=tuple(self.variants[name] for name in sorted(self.variants)),
            flags=tuple(self.flags[name] for name in sorted(self.flags)),
            platform=self.architecture.get("platform"),
            os=self.architecture.get("os"),
            targets=tuple(self.architecture["target"].split(",")) if "target" in self.architecture else (),
            hash_prefix=self.hash_prefix,
        )


def _node(tokens: _Tokens, *, name: str | None = None) -> Expression:
    """Read one node; with `name`, its name was read already."""
    node = _Node()
    token = None if name else tokens.take(_Kind.NAME, _Kind.FULL_NAME, _Kind.FILE)
    if token is not None and token.kind is _Kind.FILE:
        raise tokens.error(
            "expected a spec",
            f"the file {_shown(token.match[0])}",
            at=token,
            hint="give files to `match`: it reads them",
        )
    if token is not None:
        name = token.match[0]
        if name == _NOT:
            hint = "'not EXPR' leaves specs out: give it on its own, to `find` or as --spec"
            raise tokens.error("expected a spec", repr(_NOT), at=token, hint=hint)
    if name and name != ANONYMOUS:
        namespace, _, node.name = name.rpartition(".")
        node.namespace = namespace or None
    while token := tokens.take(_Kind.VERSION, _Kind.SWITCH, _Kind.PAIR, *[_Kind.HASH] * (node.hash_prefix is None)):
        if token.kind is _Kind.VERSION:
            _add_versions(node, token, tokens)
        elif token.kind is _Kind.HASH:
            node.hash_prefix = token.match["prefix"]
        elif token.kind is _Kind.SWITCH:
            sign, key = token.match["sign"], token.match["switch_name"]
            if key in _WITH_VALUE:
                expected = f"expected a value for {key}"
                raise tokens.error(expected, _shown(token.match[0]), at=token, hint=f"such as {key}=...")
            value = "true" if sign[0] == "+" else "false"
            _add_key(node, key, value, token, tokens, is_exact=False, is_propagated=len(sign) > 1)
        else:
            equals = token.match["equals"]
            _add_key(
                node, token.match["key"], _unquoted(token.match["value"]), token, tokens,
                is_exact=equals.startswith(":"), is_propagated=equals.endswith("=="),
            )  # fmt: skip
    return node.expression()


def _add_versions(node: _Node, token: _Token, tokens: _Tokens) -> None:
    text = token.match[0][1:]
    if node.versions is not None:
        raise tokens.error(
            "expected one list of versions", f"a second one, {_shown(token.match[0])}", at=token,
            hint="separate alternatives by commas, such as @1.12,1.14:",
        )  # fmt: skip
    try:
        node.versions = VersionList.parse(text)
    except ArgumentError as error:
        raise ExpressionError(error.message, text=tokens.text, position=token.position, hint=error.hint) from None


def _add_key(
    node: _Node, key: str, value: str, token: _Token, tokens: _Tokens, *, is_exact: bool, is_propagated: bool
) -> None:
    """Add the condition that a switch or a pair of key and value makes."""
    if is_propagated and key in _NOT_PROPAGATED:
        raise tokens.error(
            f"expected '=' after {key}", "'==', which propagates", at=token, hint=f"{key} cannot be propagated"
        )
    if key in _ARCHITECTURE:
        parts = {_ARCHITECTURE[key]: value}
        if "arch" in parts:
            triple = value.split("-")
            parts = (
                dict(zip(("platform", "os", "target"), triple, strict=True)) if len(triple) == 3 else {"target": value}
            )
        parts = {name: part for name, part in parts.items() if part and part != "None"}
        if twice := [name for name in parts if name in node.architecture]:
            raise tokens.error(f"expected {twice[0]} once", "it twice", at=token, hint=f"leave out one {twice[0]}")
        node.architecture |= parts
    elif key == "namespace":
        if node.namespace is not None:
            raise tokens.error("expected namespace once", "it twice", at=token, hint="leave out one namespace")
        node.namespace = value
    elif key in FLAGS:
        before = node.flags.get(key, Flags(key, ()))
        flags = tuple(dict.fromkeys([*before.flags, *split_flags(value)]))
        if flags:
            node.flags[key] = Flags(key, flags, before.is_propagated or is_propagated)
    elif key in node.variants:
        raise tokens.error(f"expected the variant {key} once", "it twice", at=token, hint=f"leave out one {key}")
    else:
        if value.upper() in {"TRUE", "FALSE"}:
            value = value.lower()
        values = tuple(sorted({*_COMMA.split(value)}))
        if ANY_VALUE in values and len(values) > 1:
            raise tokens.error(
                f"expected '{ANY_VALUE}' alone, for any value of {key}", _shown(value), at=token,
                hint=f"leave out '{ANY_VALUE}'",
            )  # fmt: skip
        is_exact = is_exact and values not in {("true",), ("false",), (ANY_VALUE,)}
        node.variants[key] = Variant(key, values, is_exact, is_propagated)


def _shown(text: str) -> str:
    """Return part of an expression for a message, cut if it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _unquoted(value: str) -> str:
    quote = value[0]
    if quote not in "'\"":
        return value
    return value[1:-1].replace(f"\\{quote}", quote)
