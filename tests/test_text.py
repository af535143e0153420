"""Text for people: whatever a source wrote, a terminal shows it and does not obey it."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from cachestats.text import visible

HIDDEN = {
    *map(chr, range(32)), *map(chr, range(0x7F, 0xA1)), "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4",
    *map(chr, range(0x200B, 0x2010)), *map(chr, range(0x2028, 0x2030)), *map(chr, range(0x2060, 0x2070)), "\u2800",
    "\u3164", *map(chr, range(0xFE00, 0xFE10)), "\ufeff", "\uffa0", *map(chr, range(0xE0000, 0xE0200)), "\ud800",
}  # fmt: skip


def test_each_character_that_is_obeyed_or_not_seen_is_escaped() -> None:
    for character in HIDDEN:
        shown = visible(f"a{character}b")
        assert shown.isascii(), hex(ord(character))
        assert (shown[:2], shown[-1]) == ("a\\", "b")


@given(st.text())
@example("e\u0301" * 3)
@example("a" + "\u0301" * 1000)
def test_no_flood_of_marks_and_nothing_hidden_is_left(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown, "nothing is escaped twice"
    assert not HIDDEN & {*shown}
    marks = "".join("m" if unicodedata.category(one) in {"Mn", "Me"} else " " for one in shown)
    assert "mmmm" not in marks
    assert not marks.startswith("m"), "it would combine with what is printed before"


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("", "zlib@1.3 +shared", "Straße", "łódź", "日本語", "עברית", "e\u0301", "😀", "a\\x1b"):
        assert visible(text) == text
