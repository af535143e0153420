"""What the pictures share: names that can be drawn, titles, sizes and colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from cachestats.errors import ArgumentError

FONT = 8.0  # points
TITLE = FONT + 2
ROW_HEIGHT = 0.25  # inches
LINE_HEIGHT = TITLE * 1.4 / 72

# Colours that people with any kind of colour vision tell apart: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/.
# The yellow of the set is left out, which is too light for lines on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#999999"

_MAX_NAME = 40
_UNKNOWN = "\ufffd"


def checked(frame: object, *, names: Iterable[str] = (), numbers: Iterable[str], maker: str) -> pl.DataFrame:
    """Return a frame, once it is known to have rows and these columns.

    Raises
    ------
    ArgumentError
        If it is no frame, is empty, lacks a column, or has something else than numbers in one of `numbers`.
    """
    names, numbers = tuple(names), tuple(numbers)
    found = type(frame).__name__
    if isinstance(frame, pl.DataFrame):
        schema = frame.schema
        has_numbers = all(schema.get(name, pl.Null()).is_numeric() for name in numbers)
        if frame.height and has_numbers and all(name in schema for name in names):
            return frame
        found = f"{frame.height} rows and the columns {', '.join(frame.columns) or 'none'}"
    raise ArgumentError(
        f"expected at least one row with the columns {', '.join((*names, *numbers))}, found {found}",
        hint=f"give the result of {maker}; if it is empty, look for other snapshots or drop a filter",
    )


def short(name: str | None) -> str:
    """Return a name as it can be drawn: in 40 characters, each of them one that the font has."""
    name = name or "none"
    return drawable(name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}...")


def drawable(text: str) -> str:
    """Return a text with a question mark in a box where it cannot be printed or the font has no such character."""
    # More than one family where somebody has set others to fall back to.
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in FontProperties().get_family()]
    return "".join(
        character
        if character.isprintable() and any(font.get_char_index(ord(character)) for font in fonts)
        else _UNKNOWN
        for character in text
    )


def text_width(text: str, size: float = FONT) -> float:
    """Return how many inches wide a text is drawn."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width) / 72


def widest(texts: Iterable[str], size: float = FONT) -> float:
    """Return how many inches wide the widest of some texts is drawn."""
    return max((text_width(text, size) for text in texts), default=0.0)


def new_axes(width: float, height: float, *, title: Sequence[str], labels: Iterable[str] = ()) -> Axes:
    """Return Axes of a new figure, with room for a title that stands right of the labels, which no layout makes."""
    needed = widest(labels) + widest(title, TITLE) + 0.4
    return plt.subplots(figsize=(max(width, needed), height), layout="constrained")[1]


def set_title(ax: Axes, lines: Iterable[str]) -> None:
    """Write the lines of a title. What stands between two $ is a name here, not a formula."""
    ax.set_title("\n".join(lines), loc="left", fontsize=TITLE, parse_math=False)


def plural(axis: str) -> str:
    """Return the name of a column as a person calls many of what it holds."""
    return axis.replace("_", " ") + ("" if axis == "os" else "s")
