"""Mutations that know the structure of JSON and of text: of keys and values, tokens and bytes.

All that is random comes from one `random.Random`, so that its seed makes the same input again. Atheris is not used: it
looks for inputs that reach new code, but most of the parsing here is done by compiled libraries, into which it does not
see, and its wheels are for some versions of Python only.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Tree = Any
"""JSON, with `Pairs` for objects, whose keys may repeat, and `Verbatim` for what no value is written as."""


class Pairs(list[tuple[Any, Any]]):
    """The keys and values of an object, in their order."""


class Verbatim(str):
    """Text that is written as it is, whether or not it is JSON."""

    __slots__ = ()


_ATOMS: tuple[Tree, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308),
    *map(Verbatim, ("NaN", "Infinity", "-Infinity", "1e999", "1e-999", "01", "-", "1" * 5000, "[" * 2000, "nul")),
    *map(
        Verbatim, ('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x"', '"', "{", "}", "'x'", "[" * 500 + "]" * 500)
    ),
    *("", " ", "\n", "\0", "none", "null", "true", "1", "0", "-1", "1.2.3", "a" * 300, "é", "\u202e", "\U0001f600"),
    *("../..", "/etc/passwd", "%00", "~", ":", "=", "@", "@=", "@:", "%", "^", "+", "a@1:2,4", "x86_64", "[]", "{}"),
    *("\ufeff", "x=1,2", "=", "sha256:", "sha256:" + "0" * 64, "0" * 64, "a" * 32, "z" * 31, "A" * 32),
    *([], {}, [[]], [None], [{}], ["a", "a"], Pairs([("", "")]), Pairs([("a", 1), ("a", 2)])),
)
_BYTES = (b"\0", b"\x80", b"\xff", b"\xef\xbb\xbf", b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"\n", b"\r", b"-")
_PIECES = (b"\\ud800", b"\\u0000", b"null", b"---\n", b"...", b"!!int ", b"&a ", b"*a", b"<<: ", b"? ", b"- ", b"1e999")


def parse(data: bytes) -> Tree:
    """Return the tree of some JSON."""
    return json.loads(data, object_pairs_hook=Pairs)


def dump(tree: Tree) -> str:
    """Return a tree as JSON."""
    if isinstance(tree, Verbatim):
        return str(tree)
    if isinstance(tree, dict):
        tree = Pairs(tree.items())
    if isinstance(tree, Pairs):
        return "{" + ", ".join(f"{dump(key)}: {dump(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(dump, tree)) + "]"
    return json.dumps(tree, ensure_ascii=False)


def encode(text: str) -> bytes:
    """Return text in UTF-8; half a surrogate pair is written as its three bytes."""
    return text.encode("utf-8", "surrogatepass")


def mutate_tree(tree: Tree, draw: random.Random, others: Sequence[Tree]) -> Tree:
    """Return a tree with some of its parts changed; `others` give parts to splice in. The tree is changed itself."""
    holder = [tree]
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        places = [*_places(holder)]
        container, at = draw.choice(places)
        draw.choice(_TREE_CHANGES)(container, at, draw, (holder, *others))
    return holder[0]


def mutate_text(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    """Return text with some of its tokens changed, dropped, repeated, exchanged or taken from others."""
    tokens = re.findall(rb"\w+|\s+|[^\w\s]", data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(tokens) + 1)
        found = re.findall(rb"\w+|\s+|[^\w\s]", draw.choice((data, *others)))
        kind = draw.randrange(5)
        if kind == 0:
            del tokens[at : at + draw.choice((1, 2, 5))]
        elif kind == 1:
            tokens[at:at] = tokens[at : at + draw.choice((1, 3, 20))] * draw.choice((1, 2, 200))
        elif kind == 2 and found:
            start = draw.randrange(len(found))
            tokens[at : at + draw.randrange(3)] = found[start : start + draw.choice((1, 2, 10))]
        elif kind == 3:
            tokens[at : at + draw.randrange(2)] = [encode(dump(_atom(draw))).strip(b'"')]
        else:
            tokens[at:at] = [draw.choice((*_BYTES, *_PIECES))]
    return b"".join(tokens)


def mutate_bytes(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    """Return bytes with flipped bits, pieces cut out or put in, or the beginning of one and the end of another."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(found) + 1)
        kind = draw.randrange(7)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del found[at : at + draw.choice((1, 2, 30, 10_000))]
        elif kind == 2:
            found[at:at] = draw.choice((*_BYTES, *_PIECES))
        elif kind == 3:
            del found[at:]
        elif kind == 4 and at < len(found):
            found[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 5:
            other = draw.choice((data, *others))
            found[at:] = other[draw.randrange(len(other) + 1) :]
        else:
            found[at:at] = found[at : at + draw.choice((1, 8, 100))] * draw.choice((1, 2, 20))
    return bytes(found)


def _atom(draw: random.Random) -> Tree:
    return _copy(draw.choice(_ATOMS))


def _places(tree: Tree) -> Iterator[tuple[Any, int]]:
    """Yield each container with each position in it."""
    waiting = [tree]
    for container in waiting:
        for at, item in enumerate(container):
            yield container, at
            value = item[1] if isinstance(container, Pairs) else item
            if isinstance(value, list):
                waiting.append(value)


def _set(container: Any, at: int, value: Tree) -> None:
    container[at] = (container[at][0], value) if isinstance(container, Pairs) else value


def _get(container: Any, at: int) -> Tree:
    return container[at][1] if isinstance(container, Pairs) else container[at]


def _copy(tree: Tree) -> Tree:
    if isinstance(tree, Pairs):
        return Pairs((key, _copy(value)) for key, value in tree)
    return [*map(_copy, tree)] if isinstance(tree, list) else tree


def _any_part(draw: random.Random, trees: Sequence[Tree], is_wanted: Callable[[Tree], bool]) -> Tree:
    parts = [part for container, at in _places(draw.choice(trees)) if is_wanted(part := _get(container, at))]
    return _copy(draw.choice(parts)) if parts else _atom(draw)


def _replace(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    _set(container, at, _atom(draw))


def _drop(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    if container is trees[0]:
        return
    del container[at]


def _repeat(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    if container is not trees[0]:
        container[at:at] = [_copy(container[at]) for _ in range(draw.choice((1, 1, 1, 3, 50)))]


def _exchange(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    other = draw.randrange(len(container))
    one, two = _get(container, at), _get(container, other)
    _set(container, at, two)
    _set(container, other, one)


def _rename(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    if isinstance(container, Pairs):
        keys = [key for pairs, place in _places(trees[0]) if isinstance(pairs, Pairs) for key in (pairs[place][0],)]
        key = draw.choice(keys) if draw.random() < 0.7 else draw.choice([one for one in _ATOMS if isinstance(one, str)])
        container[at] = (key, container[at][1])


def _splice(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    _set(container, at, _any_part(draw, trees, lambda part: True))


def _like(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    """Take another text for a text, and so on: another hash makes a cycle, or a spec twice."""
    kind = type(_get(container, at))
    size = len(_get(container, at)) if kind is str else None
    _set(
        *(container, at),
        _any_part(draw, trees, lambda part: type(part) is kind and (size is None or len(part) == size)),
    )


def _wrap(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    value = _get(container, at)
    _set(container, at, draw.choice(([value], Pairs([("a", value)]), [value, value])))


def _spell(container: Any, at: int, draw: random.Random, trees: Sequence[Tree]) -> None:
    value = _get(container, at)
    if isinstance(value, str) and not isinstance(value, Verbatim):
        cut = draw.randrange(len(value) + 1)
        middle = draw.choice([one for one in _ATOMS if isinstance(one, str) and not isinstance(one, Verbatim)])
        value = value[:cut] + middle + value[cut + draw.randrange(3) :]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        value = draw.choice((value + 1, -value, value * 10**20, str(value), value / 2))
    _set(container, at, value)


_TREE_CHANGES = (_replace, _replace, _drop, _drop, _repeat, _exchange, _rename, _splice, _like, _like, _wrap, _spell)
