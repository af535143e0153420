"""What the newest snapshots cost and what they are worth, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cachestats.analysis.frames import as_polars, check_choice
from cachestats.axes import RETAIN_MEASURES, RetainMeasure
from cachestats.errors import ArgumentError
from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    check_top,
    checked,
    count_along,
    in_words,
    new_axes,
    set_title,
    short,
    width_of,
)
from cachestats.plots.themes import colours_of, current
from cachestats.text import byte_size, counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_LINES = 8
_WIDTH, _HEIGHT = 7.0, 3.0  # inches
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def plot_retain(
    curve: IntoFrame,
    *,
    measure: RetainMeasure | None = None,
    top: int = MAX_LINES,
    subtitle: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how much the newest snapshots take, or how much of environments hits for the bytes that they take.

    Parameters
    ----------
    curve
        The result of `retention_curve`.
    measure
        `bytes`: the bytes of the newest snapshots, for each number of them. `specs`: the same in specs, which are
        always known. `hits`: the share of each environment that hits, against bytes, or against specs if no size is
        known. By default bytes or, if no size is known, specs; then the title says so.
    top
        The largest number of environments to show. If there are more, those that hit most in all are shown, and the
        title says so.
    subtitle
        A description of the dataset; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these; if `curve` is not a frame, lacks a column, or is empty; or if it has no sizes
        for `bytes`, or no environments for `hits`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_retain(cs.retention_curve(cs.example_dataset()), measure="specs")
    >>> print(ax.get_title(loc="left"))
    Specs that the newest snapshots keep
    both snapshots keep 68 specs
    """
    if measure is not None:
        check_choice(measure, RETAIN_MEASURES, "measure")
    check_top(top)
    curve = checked(
        as_polars(curve),
        names=("snapshot", "environment"),
        numbers=("newest", "specs", "bytes", "unknown_sizes", "hits", "rate"),
        maker="retention_curve",
    )
    has_sizes = curve["bytes"].null_count() == 0
    if measure == "bytes" and not has_sizes:
        raise ArgumentError(
            "expected the sizes of specs, found none", hint="draw the measure specs, or build the dataset with --sizes"
        )
    if measure == "hits":
        return _draw_hits(curve, "bytes" if has_sizes else "specs", top, in_words(subtitle), ax)
    drawn = measure or ("bytes" if has_sizes else "specs")
    steps = curve.unique("newest", keep="first").sort("newest")
    last = steps.row(-1, named=True)
    title = [f"{drawn.capitalize()} that the newest snapshots keep", *in_words(subtitle)]
    title.append(f"{_snapshots(last['newest'])} keep{'s' * (last['newest'] == 1)} {_amount(last[drawn], drawn)}")
    title += _unknown(last, drawn)
    if measure is None and not has_sizes:
        title.append("in specs, because their sizes are unknown")
    ax = ax or new_axes(_WIDTH, _HEIGHT + len(title) * LINE_HEIGHT, title=title, names=["000 MB"])
    at, amounts = steps["newest"].to_list(), steps[drawn].to_list()
    ax.fill_between(at, amounts, color=current().main, alpha=0.15, linewidth=0)
    ax.plot(at, amounts, marker="o", markersize=4.5, linewidth=1.5, color=current().main, clip_on=False)
    count_along(ax.xaxis, "newest snapshots kept")
    _amounts_along(ax.yaxis, f"{drawn} kept", drawn)
    ax.set_ylim(0, (max(amounts) or 1) * 1.1)
    ax.set_xlim(min(at) - 0.5, max(at) + 0.5)
    set_title(ax, title)
    return ax


def _draw_hits(curve: pl.DataFrame, measure: str, top: int, subtitle: list[str], ax: Axes | None) -> Axes:
    """Draw a line for each environment: its hits against what is kept."""
    if curve["environment"].null_count() == curve.height and curve["hits"].null_count():
        raise ArgumentError("expected environments, found none", hint="pass some to retention_curve")
    whole = curve.filter(pl.col("newest") == pl.col("newest").max()).sort(
        "rate", descending=True, nulls_last=True, maintain_order=True
    )
    names = whole["environment"].to_list()
    shown = names[:top]
    title = [f"Specs of environments that hit, by the {measure} kept", *subtitle]
    if len(shown) < len(names):
        title.append(f"the {len(shown)} of {len(names):,} environments that hit most")
    title += _unknown(whole.row(0, named=True), measure)
    if ax is None:
        labels = [short(name) for name in shown]
        ax = new_axes(_WIDTH + width_of(labels) + 0.8, _HEIGHT + len(title) * LINE_HEIGHT, title=title, names=["100%"])
    lines = []
    for place, (name, colour) in enumerate(zip(shown, colours_of(shown, "environment"), strict=True)):
        points = curve.filter(pl.col("environment").eq_missing(name)).sort("newest")
        (line,) = ax.plot(
            points[measure].to_list(),
            points["rate"].to_list(),
            # Nothing hits more until the next snapshot is kept as a whole.
            drawstyle="steps-post",
            marker=_MARKERS[place % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.5,
            color=colour,
            clip_on=False,
        )
        lines.append(line)
    # A legend omits names that begin with _ and treats those with $ as formulas, so the names are set afterwards.
    numbers = [str(place) for place in range(len(lines))]
    legend = ax.legend(lines, numbers, loc="upper left", bbox_to_anchor=(1, 1), fontsize=FONT, frameon=False)
    for text, name in zip(legend.get_texts(), shown, strict=True):
        text.set(text=short(name), parse_math=False)
    _amounts_along(ax.xaxis, f"{measure} that the newest 1, 2, ... snapshots keep", measure)
    count_along(ax.yaxis, "specs of the environment", is_share=True)
    ax.set_xlim(0, (max(curve[measure]) or 1) * 1.05)
    ax.set_ylim(-0.06, 1.06)  # so that 0% is not beside the 0 of the other axis
    set_title(ax, title)
    return ax


def _amounts_along(axis: Axis, words: str, measure: str) -> None:
    """Give an axis bytes in units, or specs."""
    count_along(axis, words)
    if measure == "bytes":
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: byte_size(round(max(value, 0)))))


def _snapshots(number: int) -> str:
    return {1: "the only snapshot", 2: "both snapshots"}.get(number, f"all {number:,} snapshots")


def _amount(value: int, measure: str) -> str:
    return byte_size(value) if measure == "bytes" else counted(value, "spec")


def _unknown(last: dict[str, int], measure: str) -> list[str]:
    """Return the line of a title that says which sizes are missing from bytes, if any are."""
    return (
        [f"without {counted(last['unknown_sizes'], 'spec')} of unknown size"]
        if measure == "bytes" and last["unknown_sizes"]
        else []
    )
