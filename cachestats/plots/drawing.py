"""What the pictures share: names that can be drawn, titles, sizes and colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cachestats.errors import ArgumentError

FONT = 8.0  # points
TITLE = FONT + 2
ROW_HEIGHT = 0.25  # inches
LINE_HEIGHT = 0.2

# Colours that people with any kind of colour vision tell apart: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/.
# Without the yellow of that set, which is too light for a line on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
GREY, PALE = "#999999", "#dddddd"

_MAX_NAME, _MAX_WORDS = 40, 80
_UNKNOWN = "\ufffd"


def checked(frame: object, *, names: Iterable[str] = (), numbers: Iterable[str] = (), maker: str) -> pl.DataFrame:
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
        # A column of which nothing is known has no type.
        has_numbers = all(name in schema and (schema[name].is_numeric() or schema[name] == pl.Null) for name in numbers)
        if frame.height and has_numbers and all(name in schema for name in names):
            return frame
        found = f"{frame.height} rows and the columns {', '.join(frame.columns) or 'none'}"
    raise ArgumentError(
        f"expected at least one row with the columns {', '.join((*names, *numbers))}, found {found}",
        hint=f"give the result of {maker}; if it is empty, look for other snapshots or drop a filter",
    )


def column(frame: object, place: int, otherwise: str) -> str:
    """Return what a column is called by its place, which differs with what was asked, or another name if it is not."""
    return frame.columns[place] if isinstance(frame, pl.DataFrame) and frame.width > place else otherwise


def short(name: str | None, length: int = _MAX_NAME) -> str:
    """Return a name as it can be drawn, in no more than 40 characters; where there is none it is `none`."""
    name = name or "none"
    return _drawable(name if len(name) <= length else f"{name[: length - 3]}...")


def _drawable(text: str) -> str:
    """Return a text with a sign for the unknown where a character cannot be printed, or the font does not have it."""
    # More than one family where somebody has set others to fall back to.
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in FontProperties().get_family()]
    return "".join(
        character
        if character.isprintable() and any(font.get_char_index(ord(character)) for font in fonts)
        else _UNKNOWN
        for character in text
    )


def width_of(texts: Iterable[str], size: float = FONT) -> float:
    """Return how many inches wide the widest of some texts is drawn."""
    font = FontProperties(size=size)
    points = (text_to_path.get_text_width_height_descent(text, font, False)[0] for text in texts)
    return max(points, default=0.0) / 72


def new_axes(width: float, height: float, *, title: Sequence[str], names: Iterable[str] = ()) -> Axes:
    """Return Axes of a new figure, wide enough for a title that begins right of the names: no layout sees to that."""
    needed = width_of(names) + width_of(title, TITLE) + 0.4
    return plt.subplots(figsize=(max(width, needed), height), layout="constrained")[1]


def set_title(ax: Axes, lines: Iterable[str]) -> None:
    """Write the lines of a title. What stands between two $ is a name here, not a formula."""
    ax.set_title("\n".join(lines), loc="left", fontsize=TITLE, parse_math=False)


def in_words(subtitle: str | None) -> list[str]:
    """Return the line of a title that says what the data is, if somebody did."""
    return [short(subtitle, _MAX_WORDS)] if subtitle else []


def plural(axis: str) -> str:
    """Return the name of a column as a person calls many of what it holds."""
    return axis.replace("_", " ") + ("" if axis == "os" else "s")


def count_along(axis: Axis, unit: str, *, is_share: bool = False) -> None:
    """Give an axis whole numbers, or percent, their unit, and lines to read them by."""
    if is_share:
        axis.set_major_formatter(PercentFormatter(1))
    else:
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))  # losses are below zero
    axis.set_label_text(unit, fontsize=FONT, parse_math=False)
    axis.set_tick_params(labelsize=FONT, length=0)
    axis.grid(color=PALE, linewidth=0.6)
    axis.axes.set_axisbelow(True)
    axis.axes.spines[:].set_visible(False)
