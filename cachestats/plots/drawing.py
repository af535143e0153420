"""Helpers for all charts: checked frames, printable names, titles and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_kind
from cachestats.plots.themes import current
from cachestats.text import counted

FONT = 8.0  # points
TITLE = FONT + 2
ROW_HEIGHT = 0.25  # inches
LINE_HEIGHT = 0.2

_MAX_NAME, _MAX_WORDS = 40, 80
_UNKNOWN = "\ufffd"


def checked(
    frame: object,
    *,
    names: Iterable[str] = (),
    numbers: Iterable[str] = (),
    dates: Iterable[str] = (),
    maker: str,
    may_be_empty: bool = False,
) -> pl.DataFrame:
    """Check that a frame has rows and these columns, and return it.

    Counts become whole numbers, and timestamps dates, which engines other than Polars turn them into.

    Raises
    ------
    ArgumentError
        If it is not a frame, is empty but may not be, lacks a column, or has anything other than numbers in one of
        `numbers`.
    """
    names, numbers, dates = tuple(names), tuple(numbers), tuple(dates)
    found = type(frame).__name__
    if isinstance(frame, pl.DataFrame):
        schema = frame.schema
        has_numbers = all(name in schema and (schema[name].is_numeric() or _is_null(frame[name])) for name in numbers)
        if (frame.height or may_be_empty) and has_numbers and all(name in schema for name in (*names, *dates)):
            whole = [name for name in numbers if (frame[name].drop_nulls().cast(pl.Float64) % 1 == 0).all()]
            return frame.with_columns(pl.col(whole).cast(pl.Int64), pl.col(dates).cast(pl.Date))
        found = f"{counted(frame.height, 'row')} and the columns {', '.join(frame.columns) or 'none'}"
    least = "a frame" if may_be_empty else "at least one row"
    raise ArgumentError(
        f"expected {least} with the columns {', '.join((*names, *dates, *numbers))}, found {found}",
        hint=f"pass the result of {maker}; if it is empty, choose other snapshots or remove a filter",
    )


def _is_null(values: pl.Series) -> bool:
    """Return whether a column holds only nulls: such a column may have any type."""
    return values.null_count() == len(values) > 0


def check_top(top: int) -> None:
    """Check the number of rows, series, ... that a chart may show.

    Raises
    ------
    ArgumentError
        If it is not a number from 1 up.
    """
    if not isinstance(top, int) or top < 1:
        raise ArgumentError(f"expected a whole number from 1 up as top, found {top!r}", hint="leave it out, or try 20")


def column(frame: Any, position: int, otherwise: str) -> str:
    """Return the name of the column at a position, which depends on the question, or `otherwise` if there is none."""
    return frame.columns[position] if isinstance(frame, pl.DataFrame) and frame.width > position else otherwise


def short(name: str | None, length: int = _MAX_NAME) -> str:
    """Return a name in printable form, of at most 40 characters by default; a missing name becomes `none`."""
    name = name or "none"
    return _drawable(name if len(name) <= length else f"{name[: length - 3]}...")


def snapshot_labels(snapshots: Sequence[str]) -> list[str]:
    """Return the dates of snapshots that have one, as long as no two are of the same day, and the names of others."""
    days = {name: snapshot_kind(name)[1] for name in snapshots}
    known = [day for day in days.values() if day is not None]
    is_clear = len(known) == len(set(known))
    return [str(days[name]) if is_clear and days[name] else short(name) for name in snapshots]


def _drawable(text: str) -> str:
    """Return a text in which characters that are not printable or not in the font are replaced."""
    # There may be several families if the user has configured fallbacks.
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in FontProperties().get_family()]
    return "".join(
        character
        if character.isprintable() and any(font.get_char_index(ord(character)) for font in fonts)
        else _UNKNOWN
        for character in text
    )


def width_of(texts: Iterable[str], size: float = FONT) -> float:
    """Return the width of the widest of some texts, in inches."""
    font = FontProperties(size=size)
    points = (text_to_path.get_text_width_height_descent(text, font, False)[0] for text in texts)
    return max(points, default=0.0) / 72


def new_axes(width: float, height: float, *, title: Sequence[str], names: Iterable[str] = ()) -> Axes:
    """Return Axes of a new figure, wide enough for a title to the right of the names, which no layout ensures."""
    needed = width_of(names) + width_of(title, TITLE) + 0.4
    return plt.subplots(figsize=(max(width, needed), height), layout="constrained")[1]


def draw_nothing(words: str, *, title: Sequence[str], ax: Axes | None = None) -> Axes:
    """Write some words where a chart would be, because there is nothing to draw."""
    if ax is None:
        ax = new_axes(width_of([words]) + 1, 1 + len(title) * LINE_HEIGHT, title=title)
    ax.set_axis_off()
    ax.text(0.5, 0.5, words, ha="center", va="center", fontsize=FONT, transform=ax.transAxes, parse_math=False)
    set_title(ax, title)
    return ax


def set_title(ax: Axes, lines: Iterable[str]) -> None:
    """Write the lines of a title. Text between two $ is a name here, not a formula."""
    ax.set_title("\n".join(lines), loc="left", fontsize=TITLE, parse_math=False)


def in_words(subtitle: str | None) -> list[str]:
    """Return the line of a title that describes the data, if there is a subtitle."""
    return [short(subtitle, _MAX_WORDS)] if subtitle else []


def plural(axis: str) -> str:
    """Return the plural of a column's name."""
    return axis.replace("_", " ") + ("" if axis == "os" else "s")


def some(names: Sequence[str | None]) -> str:
    """Return the first few names, and how many others there are."""
    texts = [short(name, 24) for name in names]
    return ", ".join(texts if len(texts) <= 3 else [*texts[:2], f"{len(texts) - 2:,} more"])


def count_along(axis: Axis, unit: str, *, is_share: bool = False) -> None:
    """Give an axis whole numbers or percentages, their unit, and grid lines."""
    if is_share:
        axis.set_major_formatter(PercentFormatter(1))
    else:
        axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))  # losses are below zero
    axis.set_label_text(unit, fontsize=FONT, parse_math=False)
    axis.set_tick_params(labelsize=FONT, length=0)
    axis.grid(color=current().grid, linewidth=0.6)
    axis.axes.set_axisbelow(True)
    axis.axes.spines[:].set_visible(False)
