"""Labelled bars, each made of parts laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    ROW_HEIGHT,
    count_along,
    new_axes,
    set_title,
    width_of,
)
from cachestats.plots.themes import current

MAX_BARS = 40

_THICKNESS = 0.72
_LENGTH = 3.6  # the minimum length of the longest bar, in inches


class Part(NamedTuple):
    """The values of one kind, one for each bar, and their looks; losses are drawn on the other side of zero."""

    label: str
    values: Sequence[float]
    colour: str
    marks: str | None = None
    is_loss: bool = False


def draw_bars(
    names: Sequence[str],
    parts: Sequence[Part],
    *,
    unit: str,
    title: Sequence[str],
    notes: Sequence[str] | None = None,
    is_share: bool = False,
    with_legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a horizontal bar for each name, the first at the top, with a note at its end; by default its length."""
    lengths = np.sum([part.values for part in parts if not part.is_loss], axis=0)
    if notes is None:
        notes = [f"{length:,.0f}" for length in lengths]
    if ax is None:
        width = width_of(names) + _LENGTH + width_of(notes) + 0.5
        height = len(names) * ROW_HEIGHT + len(title) * LINE_HEIGHT + (1.2 if len(parts) > 1 and with_legend else 0.8)
        ax = new_axes(width, height, title=title, names=names)
        inches = ax.figure.bbox.width / ax.figure.dpi - width_of(names) - 0.4
    else:
        inches = ax.get_window_extent().width / ax.figure.dpi
    for part, starts in _laid_out(parts):
        sign = -1 if part.is_loss else 1
        ax.barh(range(len(names)), sign * np.asarray(part.values), _THICKNESS, starts, **_looks(part))
    for row, (length, note) in enumerate(zip(lengths, notes, strict=True)):
        ax.annotate(
            note, (length, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT, parse_math=False
        )
    ax.set_yticks(range(len(names)), names, fontsize=FONT, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.axvline(0, color=current().ink, linewidth=0.8)
    count_along(ax.xaxis, unit, is_share=is_share)
    start = -max((max(part.values) for part in parts if part.is_loss), default=0)
    ax.set_xlim(start * 1.03, _end(start, lengths, [width_of([note]) + 0.1 for note in notes], inches))
    ax.set_xticks([tick for tick in ax.get_xticks() if start <= tick <= max(lengths)] or [0])
    ax.tick_params(length=0)
    if len(parts) > 1 and with_legend:
        # Place it below the numbers and the unit, which take 30 points.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4, ncols=3, fontsize=FONT, frameon=False)
    set_title(ax, title)
    return ax


def draw_columns(
    names: Sequence[str], parts: Sequence[Part], *, unit: str, title: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw a vertical bar for each name, from left to right, with losses below zero."""
    if ax is None:
        width = max(len(names) * 0.3, 2.4) + width_of(part.label for part in parts) + 1.4
        height = 2.4 + width_of(names) * 0.71 + len(title) * LINE_HEIGHT
        ax = new_axes(width, height, title=title, names=["00,000", "00"])
    for part, starts in _laid_out(parts):
        sign = -1 if part.is_loss else 1
        ax.bar(range(len(names)), sign * np.asarray(part.values), _THICKNESS, starts, **_looks(part))
    ax.set_xticks(range(len(names)), names, fontsize=FONT, parse_math=False)
    for label in ax.get_xticklabels():
        label.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, max(len(names), 3) - 0.5)
    count_along(ax.yaxis, unit)
    ax.axhline(0, color=current().ink, linewidth=0.8)
    ax.tick_params(length=0)
    drawn = list(zip(parts, ax.containers, strict=True))
    gains, losses = ([bars for part, bars in drawn if part.is_loss is is_loss] for is_loss in (False, True))
    # List the parts from top to bottom, as they are stacked.
    ax.legend(
        handles=[*reversed(gains), *losses], loc="upper left", bbox_to_anchor=(1, 1), fontsize=FONT, frameon=False
    )
    set_title(ax, title)
    return ax


def _laid_out(parts: Sequence[Part]) -> list[tuple[Part, npt.NDArray[np.float64]]]:
    """Return the start of each part in each bar: the end of the previous parts on the same side of zero."""
    ends = {is_loss: np.zeros(len(parts[0].values)) for is_loss in (False, True)}
    laid = []
    for part in parts:
        start = ends[part.is_loss]
        laid.append((part, -start if part.is_loss else start))
        ends[part.is_loss] = start + np.asarray(part.values)
    return laid


def _end(start: float, lengths: Sequence[float], notes: Sequence[float], inches: float) -> float:
    """Return the end of an axis of the given length in inches, such that every note fits behind its bar.

    A layout makes room for artists that extend beyond the edge, but how far notes extend depends on the layout.
    """
    shares = [min(note / inches, 0.6) for note in notes]
    ends = ((length - share * start) / (1 - share) for length, share in zip(lengths, shares, strict=True))
    return max(ends) or 1


def _looks(part: Part) -> dict[str, Any]:
    return {
        "label": part.label,
        "color": part.colour,
        "hatch": part.marks,
        "edgecolor": current().paper,
        "linewidth": 0.5,
    }
