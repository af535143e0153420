"""Text for people: counts, similar names, file names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import quote

_MAX_STEM = 200
_MARKS = frozenset({"Mn", "Me"})
_MOST_MARKS = 3  # on one character
# Printable to Python, and without a shape: fillers of Hangul, selectors of variants, and others that Unicode lets
# programs ignore.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def storable(path: str) -> str:
    """Return a path as text that can be stored, even if a file name is not UTF-8."""
    return path if path.isascii() else path.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def visible(text: str) -> str:
    r"""Return text in which what a terminal would obey, or a reader would not see, is escaped.

    Escaped are control characters, marks that change the direction of text, and characters without a width. Of marks
    that combine with the character before them, some are kept, as languages need them.

    Examples
    --------
    >>> from cachestats.text import visible
    >>> print(visible("zlib\x1b[31m@1.3\u202e"))
    zlib\x1b[31m@1.3\u202e
    """
    if text.isascii():
        return text if text.isprintable() else "".join(map(_visible, text))
    shown: list[str] = []
    marks = _MOST_MARKS  # one at the start would combine with what comes before the text
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        shown.append(_escaped(character) if marks > _MOST_MARKS else _visible(character))
    return "".join(shown)


def _visible(character: str) -> str:
    is_hidden = not character.isprintable() or _HIDDEN.fullmatch(character)
    return _escaped(character) if is_hidden else character


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def nearest(names: Iterable[str], there: Iterable[str], most: int = 3) -> list[str]:
    """Return the existing names that are most similar to one of `names`, ignoring case.

    Examples
    --------
    >>> from cachestats.text import nearest
    >>> nearest(["ZEN44"], ["zen4", "zen3", "icelake"])
    ['zen4', 'zen3']
    """
    folded = {name.casefold(): name for name in there}
    return [folded[near] for name in names for near in get_close_matches(name.casefold(), folded, most)]


def alternatives(names: Iterable[str]) -> str:
    """Return names as a choice of one of them.

    Examples
    --------
    >>> from cachestats.text import alternatives
    >>> alternatives(["os", "target", "stack"]), alternatives(["stack"])
    ('os, target or stack', 'stack')
    """
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def counted(number: int, noun: str) -> str:
    """Return a number followed by a noun, in the singular if the number is one.

    Examples
    --------
    >>> from cachestats.text import counted
    >>> counted(1, "spec"), counted(1200, "spec")
    ('1 spec', '1,200 specs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def byte_size(num_bytes: int) -> str:
    """Return a number of bytes in the largest unit of which there is at least one, with two digits at least.

    Examples
    --------
    >>> from cachestats.text import byte_size
    >>> [byte_size(number) for number in (0, 999, 1_000, 9_940_000, 38_910_047, 7 * 10**21)]
    ['0 B', '999 B', '1.0 kB', '9.9 MB', '39 MB', '7,000 EB']
    """
    # No humanize: it would be a dependency for a few lines, and writes `500 Bytes`.
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    power = min((len(str(num_bytes)) - 1) // 3, len(units) - 1)
    size = num_bytes / 1000**power
    return f"{size:,.{1 if power and size < 10 else 0}f} {units[power]}"


def file_stem(snapshot: str) -> str:
    """Return a file name for a snapshot that is safe for every file system, glob and Hadoop reader.

    Letters, digits, `.`, `-` and `_` are kept, and all other characters are percent-encoded. Readers of Parquet folders
    ignore names that start with `.` or `_`, so these are encoded at the start, too. If a name is too long for a file,
    its end is replaced by a checksum of the name.

    Examples
    --------
    >>> from cachestats.text import file_stem
    >>> file_stem("develop-2025-03-09"), file_stem("../x")
    ('develop-2025-03-09', '%2E.%2Fx')
    """
    encoded = quote(snapshot, safe="").replace("~", "%7E")
    if len(encoded) > _MAX_STEM:
        encoded = f"{encoded[: _MAX_STEM - 17]}-{hashlib.sha256(snapshot.encode()).hexdigest()[:16]}"
    return f"%{ord(encoded[0]):02X}{encoded[1:]}" if encoded[:1] in {".", "_"} else encoded
