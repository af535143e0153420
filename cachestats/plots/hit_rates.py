"""The share of an environment in each snapshot, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import check_top, checked, draw_nothing, in_words, plural, short, snapshot_labels
from cachestats.plots.themes import current
from cachestats.text import counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


def plot_hit_rates(
    rates: IntoFrame, *, top: int = MAX_BARS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how many specs of an environment each snapshot has, of how many it has another build, and the rest.

    Parameters
    ----------
    rates
        The result of `hit_rates`: `snapshot`, by stack also `stack`, `hits`, `near`, `specs` and `rate`. Snapshots
        without a hit are left out, and the title says how many, unless there is no hit at all: then the nearest are
        shown.
    top
        The largest number of snapshots or stacks to show. If there are more, the best are shown, and the title says so.
    subtitle
        A description of the match, such as the environment; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each snapshot or stack in the order of the frame, the best first. If none has a spec of
        a package in the environment, the chart says so.

    Raises
    ------
    ArgumentError
        If `rates` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> ax = cs.plot_hit_rates(cs.hit_rates(environment, ds), subtitle="an environment with hdf5")
    >>> [text.get_text() for text in ax.texts]
    ['10 of 42, 23.8%']
    >>> print(ax.get_title(loc="left").splitlines()[-1])
    1 other without a hit
    """
    check_top(top)
    numbers = ("hits", "near", "specs", "rate")
    rates = checked(as_polars(rates), names=("snapshot",), numbers=numbers, maker="hit_rates")
    places = [name for name in ("snapshot", "stack") if name in rates.columns]
    title = [f"Specs of the environment in the cache, by {places[-1]}", *in_words(subtitle)]
    hitting = rates.filter(pl.col("hits") > 0)
    near = rates.filter(pl.col("near") > 0).sort("near", descending=True, maintain_order=True)
    some = near if hitting.is_empty() else hitting
    shown = some.head(top)
    if shown.is_empty():
        return draw_nothing("none: no package of the environment is in the cache", title=title, ax=ax)
    if shown.height < some.height:
        title.append(f"the {shown.height} best of {some.height:,} {plural(places[-1])} that have some")
    if some.height < rates.height:
        title.append(
            f"{counted(rates.height - some.height, 'other')} without {'anything' if some is near else 'a hit'}"
        )
    labels = snapshot_labels(shown["snapshot"].to_list()) if len(places) == 1 else _labels(shown)
    colours = current()
    return draw_bars(
        labels,
        [
            Part("hit", shown["hits"].to_list(), colours.main),
            Part("near: another build of the package", shown["near"].to_list(), colours.near, "...."),
            Part("miss", (shown["specs"] - shown["hits"] - shown["near"]).to_list(), colours.rest),
        ],
        unit="specs of the environment",
        notes=[
            f"{hits:,} of {specs:,}" + ("" if rate is None else f", {rate:.1%}")
            for hits, specs, rate in shown.select("hits", "specs", "rate").rows()
        ],
        title=title,
        ax=ax,
    )


def _labels(rates: pl.DataFrame) -> list[str]:
    """Return labels such as `2025-03-09 e4s`."""
    names = rates["snapshot"].unique().to_list()
    days = dict(zip(names, snapshot_labels(names), strict=True))
    return [f"{days[snapshot]} {short(stack)}" for snapshot, stack in rates.select("snapshot", "stack").iter_rows()]
