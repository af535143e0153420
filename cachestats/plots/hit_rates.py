"""The share of an environment in each snapshot, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import BLUE, PALE, checked, in_words, plural, short


def plot_hit_rates(rates: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the number of specs of an environment that each snapshot has, and the number that it lacks.

    Parameters
    ----------
    rates
        The result of `hit_rates`: `snapshot`, by stack also `stack`, `hits`, `specs` and `rate`. If there are more than
        40 snapshots or stacks, the best are shown, and the title says so.
    subtitle
        A description of the match, such as the environment; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each snapshot or stack in the order of the frame, the best first.

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
    ['10 of 42, 23.8%', '0 of 42, 0.0%']
    """
    checked(rates, names=("snapshot",), numbers=("hits", "specs", "rate"), maker="hit_rates")
    places = [name for name in ("snapshot", "stack") if name in rates.columns]
    shown = rates.head(MAX_BARS)
    title = [f"Specs of the environment that are cached, by {places[-1]}", *in_words(subtitle)]
    if shown.height < rates.height:
        title.append(f"the {shown.height} best of {rates.height:,} {plural(places[-1])}")
    return draw_bars(
        [" ".join(map(short, names)) for names in shown.select(places).rows()],
        [
            Part("cached", shown["hits"].to_list(), BLUE),
            Part("not cached", (shown["specs"] - shown["hits"]).to_list(), PALE),
        ],
        unit="specs of the environment",
        notes=[
            f"{hits:,} of {specs:,}" + ("" if rate is None else f", {rate:.1%}")
            for hits, specs, rate in shown.select("hits", "specs", "rate").rows()
        ],
        title=title,
        ax=ax,
    )
