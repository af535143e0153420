"""Names as users write them: exact names, patterns such as `py-*`, and, with a leading `!`, names to leave out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cachestats.naming import LEAVES_OUT


def matching(
    asked: Iterable[str | None],
    there: Sequence[str],
    *,
    words: Mapping[str, Sequence[str | None]],
    whole: Sequence[str | None],
    refuse: Callable[[str], Exception],
) -> set[str | None]:
    """Return what some texts stand for among the existing names.

    A text is a name, one of the words, or a pattern, in which `*` is any text and `?` any character. Names win.
    What is named with a leading `!` is taken away from the others or, if there are no others, from the whole.

    Parameters
    ----------
    asked
        The texts; None stands for itself.
    there
        The existing names.
    words
        Words with a meaning, and the names that they stand for.
    whole
        The names from which exclusions alone are taken away.
    refuse
        Return the error for a text, given without its `!`, that stands for nothing.

    Examples
    --------
    >>> from cachestats.dataset.patterns import matching
    >>> def among(*asked: str) -> list[str | None]:
    ...     there = ["py-numpy", "py-scipy", "zlib"]
    ...     return sorted(matching(asked, there, words={}, whole=there, refuse=KeyError))
    >>> among("py-*", "!py-num??"), among("!zlib")
    (['py-scipy'], ['py-numpy', 'py-scipy'])
    """
    taken: set[str | None] = set()
    left_out: set[str | None] = set()
    names, has_taken = frozenset(there), False
    for text in asked:
        is_left_out = text is not None and text not in names and text.startswith(LEAVES_OUT)
        has_taken |= not is_left_out
        found = _stands_for(text[1:] if text and is_left_out else text, there, names, words)
        if not found and text is not None:
            raise refuse(text[1:] if is_left_out else text)
        (left_out if is_left_out else taken).update(found)
    return (taken if has_taken else set(whole)) - left_out


def is_pattern(text: str) -> bool:
    """Whether a text that is no name can stand for several."""
    return "*" in text or "?" in text


def _stands_for(
    text: str | None, there: Sequence[str], names: frozenset[str], words: Mapping[str, Sequence[str | None]]
) -> Iterable[str | None]:
    if text is None or text in names:
        return (text,)
    if text in words:
        return words[text]
    if not is_pattern(text):
        return ()
    # Not fnmatch, to which brackets are special, too.
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
    matches = re.compile("".join(parts), re.DOTALL).fullmatch
    return [name for name in there if matches(name)]
