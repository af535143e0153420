"""The contents of exactly each combination of stacks, as an UpSet chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars, check_choice
from cachestats.axes import SET_MEASURES, SetMeasure
from cachestats.errors import ArgumentError
from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    ROW_HEIGHT,
    check_top,
    checked,
    count_along,
    in_words,
    new_axes,
    set_title,
    short,
    width_of,
)
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_COMBINATIONS = 30
MAX_NAMES = 30

_BARS, _SIZES, _SPACE = (
    1.7,
    1.3,
    0.12,
)  # inches: height of the bars, width of the bars to the right, and the space between parts


class _Combination(NamedTuple):
    names: tuple[str, ...]
    value: int


def plot_overlap_sets(
    sets: IntoFrame,
    *,
    measure: SetMeasure = "hashes",
    top: int = MAX_COMBINATIONS,
    subtitle: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the number of hashes or packages in exactly each combination of stacks, as an UpSet chart.

    Each column is a combination: its dots mark the stacks, and the bar above them shows how many hashes are in all of
    these stacks and in no others. The bars to the right show whole stacks.

    Parameters
    ----------
    sets
        The result of `overlap_sets`: `combination`, `members`, and the measured column. The bars of whole stacks are
        sums over all combinations in the frame.
    measure
        The items to count: hashes or packages.
    top
        The largest number of combinations to show. If there are more, the largest are shown, as long as they involve at
        most 30 stacks, and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes whose area is divided; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The divided Axes, which carry the title. Their `child_axes` are the bars, the dots and the whole stacks.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, or `sets` is not a frame, lacks a column, or has no combination to show.

    Notes
    -----
    UpSet: Lex et al. 2014, https://doi.org/10.1109/TVCG.2014.2346248.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_overlap_sets(cs.overlap_sets(cs.example_dataset()), measure="packages")
    >>> print(ax.get_title(loc="left"))
    Packages in exactly the marked combination
    >>> bars, dots, whole = ax.child_axes
    """
    check_choice(measure, SET_MEASURES, "measure")
    check_top(top)
    sets = checked(as_polars(sets), names=("combination",), numbers=("members", measure), maker="overlap_sets")
    every = _combinations(sets, measure)
    sizes: dict[str, int] = {}
    for combination in every:
        for name in combination.names:
            sizes[name] = sizes.get(name, 0) + combination.value
    shown = _largest(every, top)
    there = {name for combination in shown for name in combination.names}
    names = sorted(there, key=lambda name: (-sizes[name], name))
    title = [f"{measure.capitalize()} in exactly the marked combination", *in_words(subtitle)]
    if len(shown) < len(every):
        title.append(f"the {len(shown)} of {len(every):,} combinations with the most")
    labels = [short(name) for name in names]
    if ax is None:
        width = len(shown) * ROW_HEIGHT + width_of(labels) + _SPACE + _SIZES + 1.2
        height = len(names) * ROW_HEIGHT + _SPACE + _BARS + len(title) * LINE_HEIGHT + 0.6
        ax = new_axes(width, height, title=title, names=[*labels, "specs 00,000"])
    bars, dots, whole = _divided(ax, len(shown), len(names))
    _draw_combinations(bars, shown, measure)
    _draw_dots(dots, shown, names, labels)
    _draw_sizes(whole, [sizes[name] for name in names], measure)
    set_title(ax, title)
    return ax


def _combinations(sets: pl.DataFrame, measure: str) -> list[_Combination]:
    """Return the combinations that are not empty, the largest first."""
    found = []
    for text, members, value in sets.select("combination", "members", measure).iter_rows():
        names = tuple(text.split(", "))
        # A name that contains a comma can be recognized only if it is alone.
        names = (text,) if members == 1 else names
        if len(names) != members:
            raise ArgumentError(
                f"expected {members} names in a combination, found {text!r}",
                hint="use names without commas in the compared column",
            )
        if value:
            found.append(_Combination(names, value))
    return sorted(found, key=lambda combination: -combination.value)


def _largest(every: list[_Combination], top: int) -> list[_Combination]:
    """Return the largest combinations for which there is room."""
    shown: list[_Combination] = []
    names: set[str] = set()
    for combination in every:
        if len(names.union(combination.names)) <= MAX_NAMES and len(shown) < top:
            names.update(combination.names)
            shown.append(combination)
    if not shown:
        raise ArgumentError(
            f"expected a combination of at most {MAX_NAMES} names that is not empty, found none in {len(every):,}",
            hint="choose another measure, or compare fewer names",
        )
    return shown


def _divided(ax: Axes, columns: int, rows: int) -> tuple[Axes, Axes, Axes]:
    """Divide an area into three parts, sized in proportion to their contents."""
    ax.set_axis_off()
    across, down = max(columns, 2) * ROW_HEIGHT, max(rows, 2) * ROW_HEIGHT
    width, height = across + _SPACE + _SIZES, down + _SPACE + _BARS
    across, down = across / width, down / height
    return (
        ax.inset_axes((0, 1 - _BARS / height, across, _BARS / height)),
        ax.inset_axes((0, 0, across, down)),
        ax.inset_axes((1 - _SIZES / width, 0, _SIZES / width, down)),
    )


def _draw_combinations(ax: Axes, shown: Sequence[_Combination], measure: str) -> None:
    values = [combination.value for combination in shown]
    ax.bar(range(len(values)), values, 0.7, color=current().main)
    for position, value in enumerate(values):
        ax.annotate(
            f"{value:,}", (position, value), (0, 3), textcoords="offset points", ha="center", fontsize=FONT, rotation=90
        )
    ax.set_xlim(-0.5, max(len(values), 2) - 0.5)
    ax.set_ylim(0, max(values) * 1.3)  # leave room for the numbers
    ax.set_xticks([])
    count_along(ax.yaxis, measure)


def _draw_dots(ax: Axes, shown: Sequence[_Combination], names: Sequence[str], labels: Sequence[str]) -> None:
    rows = {name: row for row, name in enumerate(names)}
    for row in range(0, len(names), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=current().empty, zorder=0)
    columns, all_rows = np.meshgrid(range(len(shown)), range(len(names)))
    ax.scatter(columns, all_rows, s=22, color=current().grid, zorder=1)
    for position, combination in enumerate(shown):
        own = [rows[name] for name in combination.names]
        ax.plot([position] * len(own), sorted(own), color=current().ink, marker="o", markersize=5, linewidth=1.5)
    ax.set_xlim(-0.5, max(len(shown), 2) - 0.5)
    ax.set_ylim(max(len(names), 2) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks(range(len(names)), labels, fontsize=FONT, parse_math=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _draw_sizes(ax: Axes, sizes: Sequence[int], measure: str) -> None:
    ax.barh(range(len(sizes)), sizes, 0.7, color=current().ink)
    for row, size in enumerate(sizes):
        ax.annotate(f"{size:,}", (size, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT)
    ax.set_ylim(max(len(sizes), 2) - 0.5, -0.5)
    ax.set_xlim(0, max(sizes))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{measure} in all", fontsize=FONT)
    ax.spines[:].set_visible(False)
