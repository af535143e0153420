"""Pictures of a size that was asked for, and titles that fit into them."""

from __future__ import annotations

import warnings
from itertools import pairwise

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from cachestats.errors import ArgumentError
from cachestats.plots.drawing import ROW_HEIGHT, TITLE, set_title, short, width_of

_MARGIN = 0.1  # inches beside a title


def sized_axes(size: tuple[float, float]) -> Axes:
    """Return Axes of a new figure of this width and height, in inches."""
    return plt.subplots(figsize=size, layout="constrained")[1]


def fit_title(ax: Axes, title: str | None = None) -> None:
    """Break the lines of a title where the picture ends; a title that is given replaces the first line.

    Raises
    ------
    ArgumentError
        If the picture has no room for what it shows.
    """
    first, *lines = ax.get_title(loc="left").split("\n")
    every = [short(title, 200) if title else first, *lines]
    set_title(ax, every)
    _lay_out(ax)
    left, right = ax.get_window_extent().x0, ax.figure.bbox.x1
    set_title(ax, [part for line in every for part in _broken(line, (right - left) / ax.figure.dpi - _MARGIN)])
    _lay_out(ax)
    _check_rows(ax)


def _lay_out(ax: Axes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            ax.figure.draw_without_rendering()  # type: ignore[union-attr]
        except UserWarning:
            raise _too_small(ax, "its labels and title", "choose a larger one") from None


def _check_rows(ax: Axes) -> None:
    """Check that the labels of the rows do not lie on each other."""
    for part in (ax, *ax.child_axes):
        labels = (label for label in part.get_yticklabels() if label.get_text() and part.axison)
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
        if any(above.y0 < below.y1 - 1 for below, above in pairwise(boxes)):
            fitting = max(1, int(part.get_window_extent().height / part.figure.dpi / ROW_HEIGHT))
            raise _too_small(ax, f"{len(boxes)} rows", f"choose a higher one, or --top {fitting}")


def _too_small(ax: Axes, what: str, hint: str) -> ArgumentError:
    width, height = ax.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    return ArgumentError(f"expected a picture with room for {what}, found {width:g}x{height:g} inches", hint=hint)


def _broken(line: str, width: float) -> list[str]:
    """Return a line broken between words, so that no part is wider than this, in inches, if words allow it."""
    parts: list[str] = []
    for word in line.split(" "):
        if parts and width_of([f"{parts[-1]} {word}"], TITLE) <= width:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts
