"""A matrix drawn as cells with colours and numbers, names on two sides, and a scale."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cachestats.plots.drawing import FONT
from cachestats.plots.themes import current

CELL_WIDTH = 0.62  # inches

_TEXT_WIDTH = 0.62  # width of a digit divided by the font size, in DejaVu Sans

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)  # where a scale of shares may end
_SKEWED = 8  # times the median: otherwise a few packages with hundreds of specs make the rest look alike

Values = npt.NDArray[np.float64]


class Shown(NamedTuple):
    """The part of a matrix that is drawn."""

    values: Values
    rows: list[str]
    columns: list[str]


def largest(sums: Values, count: int) -> list[int]:
    """Return the positions of the `count` largest sums, in ascending order; the first of equal sums is taken."""
    return sorted(np.argsort(-sums, kind="stable")[:count].tolist())


def draw_cells(ax: Axes, shown: Shown, *, is_share: bool) -> QuadMesh:
    """Draw the numbers as colours, the largest with the most contrast; zero and unknown are left blank."""
    theme = current()
    mesh = ax.pcolormesh(
        *edges(shown.values),
        np.ma.masked_equal(np.ma.masked_invalid(shown.values), 0),
        cmap=theme.colours,
        norm=_norm(shown.values, is_share=is_share),
        edgecolors=theme.paper,
        linewidth=1,
    )
    ax.set_facecolor(theme.empty)
    as_table(ax)
    return mesh


def _norm(values: Values, *, is_share: bool) -> Normalize:
    """Return a linear scale that fits the values or, if most of them are far below the largest, one of square roots."""
    known = values[np.isfinite(values) & (values > 0)]
    most = known.max(initial=0)
    if is_share:
        return Normalize(0, next(end for end in _SHARES if end >= min(most, 1)))
    is_skewed = known.size > 0 and most > _SKEWED * np.median(known)
    return PowerNorm(0.5, 0, most) if is_skewed else Normalize(0, max(1.0, most))


def edges(values: Values) -> tuple[Values, Values]:
    """Return the edges of the cells, across and down.

    The cells are a mesh of rectangles, not the pixels of an image, which some SVG and PDF viewers would blur.
    """
    down, across = (np.arange(size + 1) - 0.5 for size in values.shape)
    return across, down


def as_table(ax: Axes) -> None:
    """Make Axes look like a table: rows run downwards, and there is no frame."""
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)


def draw_labels(ax: Axes, rows: list[str], columns: list[str]) -> None:
    """Write the names of rows and columns."""
    # parse_math: text between two $ is a name here, not a formula.
    ax.set_yticks(range(len(rows)), rows, fontsize=FONT, parse_math=False)
    ax.set_xticks(range(len(columns)), columns, fontsize=FONT, parse_math=False)
    if max(map(len, columns)) > 7:
        plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)


def write_numbers(ax: Axes, mesh: QuadMesh, values: Values, *, is_share: bool) -> None:
    """Write the numbers into the cells, unless they do not all fit: a partial set would be misleading."""
    texts = [[_number(value, is_share) for value in row] for row in values]
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    width, height = box.width * points / values.shape[1], box.height * points / values.shape[0]
    longest = max(len(text) for row in texts for text in row)
    size = min(FONT, 0.8 * height, 0.9 * width / (longest * _TEXT_WIDTH) if longest else FONT)
    if size < 5:
        return
    colours = mesh.to_rgba(values)
    for (row, column), text in np.ndenumerate(texts):
        if text:
            colour = "white" if luminance(colours[row, column]) < 0.18 else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _number(value: float, is_share: bool) -> str:
    if not value or np.isnan(value):
        return ""
    if is_share:
        return f"{value:.0%}" if value >= 0.005 else "<1%"
    return f"{value:,.0f}"


def luminance(colour: Values) -> float:
    """Return the relative luminance of a colour as WCAG 2 defines it; at 0.18 black and white contrast alike."""
    parts = colour[:3]
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def draw_scale(ax: Axes, mesh: QuadMesh, unit: str, *, is_share: bool) -> None:
    """Draw the scale of the colours."""
    most = mesh.get_clim()[1] or 1
    if (most == 1 and not is_share) or not np.ma.asarray(mesh.get_array()).any():
        return  # every cell is one or empty, so no scale is needed
    if isinstance(mesh.norm, PowerNorm):
        unit = f"{unit} (scale of square roots)"
    rows = ax.get_ylim()[0] - ax.get_ylim()[1]
    bar = ax.figure.colorbar(
        mesh,
        ax=ax,
        format=PercentFormatter(1, decimals=0 if most >= 0.1 else 1)
        if is_share
        else FuncFormatter(lambda value, _: f"{value:,.0f}"),
        ticks=None if is_share else MaxNLocator(5, integer=True),
        shrink=min(1.0, 10 / rows),
        anchor=(0, 1),
        pad=0.02,
    )
    bar.ax.tick_params(labelsize=FONT)
    bar.set_label(unit, fontsize=FONT)
    bar.outline.set_visible(False)
