"""Dates along an axis."""

from __future__ import annotations

from datetime import date

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from cachestats.plots.drawing import FONT


def position(day: date) -> float:
    """Return where a date is on an axis."""
    return float(date2num(day))  # type: ignore[no-untyped-call]


def date_along(ax: Axes, first: date, last: date) -> None:
    """Let the horizontal axis run from one date to another, with a margin."""
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    start, end = position(first), position(last)
    margin = max((end - start) * 0.04, 4)
    ax.set_xlim(start - margin, end + margin)
    ax.tick_params(axis="x", labelsize=FONT)
    ax.xaxis.get_offset_text().set_fontsize(FONT)
