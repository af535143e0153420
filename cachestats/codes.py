"""Names as numbers: 64 bits computed from nothing but the name, so that files can be written and compared on their own.

The tables of the engine (`encoded_specs`, `encoded_dependencies`) hold these codes where the flat tables hold text, and
the table `names` holds the text of each code. Grouping and joining numbers takes a fraction of what text takes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

from cachestats.decode import decode

HASH_LENGTH = 32
BASE32 = "234567abcdefghijklmnopqrstuvwxyz"
"""The characters of DAG hashes, in the order of text: so codes sort as hashes do."""

_HASH = re.compile(f"[{BASE32}]{{{HASH_LENGTH}}}")
_TO_DIGITS = str.maketrans(BASE32, "0123456789abcdefghijklmnopqrstuv")
_BYTES = 8


def digest_of(name: str) -> bytes:
    """Return the first 64 bits of the BLAKE2b checksum of a name."""
    # Looking the names of a build up in a cache takes as long as this, and a hundred thousand of them take memory.
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()


def code_of(name: str) -> int:
    """Return the code of a name: its digest as a signed integer.

    Examples
    --------
    >>> from cachestats.codes import code_of
    >>> code_of("zlib-ng")
    2947722089989898414
    """
    return int.from_bytes(digest_of(name), "little", signed=True)


def code_of_hash(dag_hash: str) -> int:
    """Return the code of a DAG hash: its first 64 bits, as a signed integer that sorts as the hash does as text.

    Text that is no DAG hash has the code `code_of`.

    Examples
    --------
    >>> from cachestats.codes import code_of_hash
    >>> code_of_hash("2" * 32) == -(2**63), code_of_hash("z" * 32) == 2**63 - 1
    (True, True)
    """
    if not _HASH.fullmatch(dag_hash):
        return code_of(dag_hash)
    return (int(dag_hash.translate(_TO_DIGITS), 32) >> (5 * HASH_LENGTH - 64)) - (1 << 63)


def name_of_set(stacks: Iterable[str | None]) -> str:
    """Return the name of a set of stacks: the sorted stacks as JSON, without the None of a spec that no stack lists.

    Examples
    --------
    >>> from cachestats.codes import name_of_set
    >>> name_of_set(["root", "e4s"]), name_of_set([None])
    ('["e4s","root"]', '[]')
    """
    return msgspec.json.encode(sorted(stack for stack in stacks if stack is not None)).decode()


def stacks_of_set(name: str) -> list[str | None]:
    """Return the stacks in a set, given its name; None stands for no stack.

    Examples
    --------
    >>> from cachestats.codes import stacks_of_set
    >>> stacks_of_set('["e4s","root"]'), stacks_of_set("[]")
    (['e4s', 'root'], [None])
    """
    stacks = decode(name.encode(), list[str])
    return [*stacks] or [None]
