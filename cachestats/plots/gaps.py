"""Missing packages as a matrix of dots, a row for each package and a column for each stack that lacks some."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import Part, draw_bars
from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    ROW_HEIGHT,
    check_top,
    checked,
    column,
    draw_nothing,
    in_words,
    new_axes,
    plural,
    set_title,
    short,
    snapshot_labels,
    some,
    width_of,
)
from cachestats.plots.heatmap import CELL_WIDTH, draw_labels
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_PACKAGES = 30
MAX_COLUMNS = 20

_SMALL = 0.2
"""A stack with a smaller share of the packages that some stack lacks is small by nature, and not full of gaps."""

_BARS, _SPACE = 1.1, 0.15  # inches: width of the bars, and the space before them


class GapMatrix(NamedTuple):
    """The gaps of the packages and columns that are drawn."""

    packages: list[str]
    columns: list[str | None]
    small: list[str | None]
    weights: list[int]
    missing: set[tuple[str, str | None]]


def plot_gaps(gaps: IntoFrame, *, top: int = MAX_PACKAGES, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the packages that some stacks lack as a matrix of dots, those that most others need first.

    A large dot is a package that a stack lacks, a small one a package that it has. A stack is small by nature if it has
    less than a fifth of the packages that some stack lacks: it comes last, what it lacks is a ring, and a package is
    not shown for its sake. The bars beside the dots show how many packages depend on each package or, if that is not
    known, how many stacks have it. Gaps of a single stack are drawn as bars alone.

    Parameters
    ----------
    gaps
        The result of `gaps`: a stack, or another axis, in the first column, `package`, `num_columns` and
        `num_dependents`. Of more than 20 stacks, those that lack the fewest packages are shown, and the title says so.
    top
        The largest number of packages to show. If there are more, the first are shown, and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The divided Axes, which carry the title. Their `child_axes` are the dots, with a row for each package and a
        column for each stack, and the bars. If there is no gap, the chart says so.

    Raises
    ------
    ArgumentError
        If `gaps` is not a frame, or lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> ax = cs.plot_gaps(cs.gaps(ds, by="target", dependencies=ds), subtitle="the newest snapshot")
    >>> dots, bars = ax.child_axes
    >>> [label.get_text() for label in dots.get_yticklabels()]
    ['gcc-runtime', 'ncurses', 'hwloc', 'libpciaccess']
    >>> [text.get_text() for text in bars.texts]
    ['10', '3', '2', '2']
    """
    check_top(top)
    gaps = as_polars(gaps)
    by = column(gaps, 0, "stack")
    numbers = ("num_columns", "num_dependents")
    gaps = checked(gaps, names=(by, "package"), numbers=numbers, maker="gaps", may_be_empty=True)
    many, places = plural(by), gaps[by].unique()
    where = f"{by.replace('_', ' ')} {short(places[0])}" if len(places) == 1 else f"some {many}"
    if gaps.is_empty():
        return draw_nothing(
            "none: nothing is missing", title=[f"Packages missing in {where}", *in_words(subtitle)], ax=ax
        )
    weight = "num_columns" if gaps["num_dependents"].is_null().all() else "num_dependents"
    unit = f"{many} that have it" if weight == "num_columns" else "packages that depend on it"
    title = [f"Packages missing in {where}, by how many {many if weight == 'num_columns' else 'others'} "]
    title[0] += f"{'have' if weight == 'num_columns' else 'need'} them"
    title += in_words(subtitle)
    matrix, packages = matrix_of_gaps(gaps, by, weight, top)
    if len(matrix.packages) < packages:
        title.append(f"the first {len(matrix.packages):,} of {packages:,} packages")
    if len(places) == 1:
        part = Part("missing", matrix.weights, current().loss)
        return draw_bars([*map(short, matrix.packages)], [part], unit=unit, title=title, ax=ax)
    if len(matrix.columns) < len(places):
        title.append(f"the {len(matrix.columns)} of {len(places):,} {many} that lack the fewest")
    title.append("large dot: missing, small dot: there")
    if matrix.small:
        title.append(f"ring: missing in {some(matrix.small)}, small by nature")
    return _draw_dots(matrix, by, unit, title, ax)


def matrix_of_gaps(gaps: pl.DataFrame, by: str, weight: str, top: int) -> tuple[GapMatrix, int]:
    """Return the first packages and the columns with the fewest gaps, and how many packages there are in all."""
    total = gaps["package"].n_unique()
    sizes = gaps.group_by(by, maintain_order=True).agg(has=1 - pl.len() / total)
    is_small = (pl.col("has") < _SMALL) & (pl.col("has").max() >= _SMALL)
    shown = sizes.with_columns(is_small=is_small).sort("has", descending=True, maintain_order=True).head(MAX_COLUMNS)
    large = shown.filter(~pl.col("is_small"))[by].to_list()
    small = shown.filter("is_small")[by].to_list()
    packages = (
        gaps.filter(pl.col(by).is_in(large, nulls_equal=True))
        .group_by("package")
        .agg(pl.col("num_columns", "num_dependents").max().fill_null(0), gaps=pl.len())
        .sort(["num_dependents", "num_columns", "gaps", "package"], descending=[True, True, True, False])
    )
    names = packages.head(top)["package"].to_list()
    missing = set(gaps.filter(pl.col("package").is_in(names)).select("package", by).iter_rows())
    return GapMatrix(names, [*large, *small], small, packages.head(top)[weight].to_list(), missing), packages.height


def _draw_dots(matrix: GapMatrix, by: str, unit: str, title: list[str], ax: Axes | None) -> Axes:
    packages = [*map(short, matrix.packages)]
    if by == "snapshot":
        columns = snapshot_labels([name or "none" for name in matrix.columns])
    else:
        columns = [*map(short, matrix.columns)]
    across, down = max(len(columns), 2) * CELL_WIDTH / 2, max(len(packages), 2) * ROW_HEIGHT
    if ax is None:
        width = width_of(packages) + max(across, width_of(columns) * 0.71) + _SPACE + _BARS + 0.8
        height = down + width_of(columns) * 0.71 + len(title) * LINE_HEIGHT + 0.6
        ax = new_axes(width, height, title=title, names=packages)
    ax.set_axis_off()
    whole = across + _SPACE + _BARS
    _draw_cells(ax.inset_axes((0, 0, across / whole, 1)), matrix, packages, columns)
    _draw_weights(ax.inset_axes((1 - _BARS / whole, 0, _BARS / whole, 1)), matrix.weights, unit)
    set_title(ax, title)
    return ax


def _draw_cells(ax: Axes, matrix: GapMatrix, packages: list[str], columns: list[str]) -> None:
    """Draw a dot for each package and column."""
    theme = current()
    kinds: dict[str, list[tuple[int, int]]] = {"there": [], "missing": [], "small": []}
    for row, package in enumerate(matrix.packages):
        for place, name in enumerate(matrix.columns):
            is_missing = (package, name) in matrix.missing
            kinds["there" if not is_missing else "small" if name in matrix.small else "missing"].append((place, row))
    _scatter(ax, kinds["there"], 8, theme.rest, theme.rest)
    _scatter(ax, kinds["missing"], 44, theme.loss, theme.loss)
    _scatter(ax, kinds["small"], 30, "none", theme.loss)
    for row in range(0, len(packages), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=theme.empty, zorder=0)
    draw_labels(ax, packages, columns)
    ax.set_xlim(-0.5, max(len(columns), 2) - 0.5)
    ax.set_ylim(max(len(packages), 2) - 0.5, -0.5)
    ax.spines[:].set_visible(False)


def _scatter(ax: Axes, places: list[tuple[int, int]], size: float, inside: str, edge: str) -> None:
    across, down = ([place[part] for place in places] for part in (0, 1))
    ax.scatter(across, down, s=size, facecolor=inside, edgecolor=edge, linewidth=0.8, zorder=2)


def _draw_weights(ax: Axes, weights: list[int], unit: str) -> None:
    """Draw the weights of the packages as bars."""
    ax.barh(range(len(weights)), weights, 0.7, color=current().main)
    for row, weight in enumerate(weights):
        ax.annotate(f"{weight:,}", (weight, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT)
    ax.set_ylim(max(len(weights), 2) - 0.5, -0.5)
    ax.set_xlim(0, (max(weights) or 1) * 1.4)  # leave room for the numbers
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("\n".join(wrap(unit, 18)), fontsize=FONT, parse_math=False)
    ax.spines[:].set_visible(False)
