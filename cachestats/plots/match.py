"""How much of an environment is in a cache, and why the rest is not, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import Part, draw_bars
from cachestats.plots.drawing import check_top, checked, in_words, short
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_CAUSES = 12

_STATUS = {"hit": "hit", "near": "near: another build of the package", "miss": "miss: no build of the package"}
_MAX_CAUSE = 60


def plot_match(
    matches: IntoFrame, *, top: int = MAX_CAUSES, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how many specs of an environment hit, are near or miss, and the most frequent causes of near ones.

    Parameters
    ----------
    matches
        The result of `match`: `status` and `causes`.
    top
        The largest number of causes to show. If there are more, the most frequent are shown, and the title says so.
    subtitle
        A description of the environment and the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each status, and below them a bar for each cause: the number of near specs that it
        keeps from hitting, alone or together with others.

    Raises
    ------
    ArgumentError
        If `matches` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> ax = cs.plot_match(cs.match(environment, ds.at("previous")), subtitle="an environment with hdf5")
    >>> [text.get_text() for text in ax.texts]
    ['10, 23.8%', '0, 0.0%', '32, 76.2%']
    """
    check_top(top)
    matches = checked(as_polars(matches), names=("status", "causes"), maker="match")
    number = {status: int((matches["status"] == status).sum()) for status in _STATUS}
    causes = (
        matches.select(pl.col("causes").cast(pl.String).str.split("; ").alias("cause"))
        .explode("cause")
        .drop_nulls()
        .group_by("cause")
        .len("specs")
        .sort("specs", "cause", descending=[True, False])
    )
    shown = causes.head(top)
    title = [f"{number['hit']:,} of {matches.height:,} specs of the environment hit", *in_words(subtitle)]
    if shown.height:
        few = "the causes" if shown.height == causes.height else f"the {shown.height} of {causes.height:,} causes"
        title.append(f"below: {few} that keep most near specs from hitting")
    colours = current()
    looks = {"hit": (colours.main, None), "near": (colours.near, "...."), "miss": (colours.rest, None)}
    none = [0] * shown.height
    return draw_bars(
        [*_STATUS.values(), *(short(cause, _MAX_CAUSE) for cause in shown["cause"])],
        [
            *(
                Part(status, [number[status] * (status == one) for one in _STATUS] + none, *looks[status])
                for status in _STATUS
            ),
            Part("cause", [0] * len(_STATUS) + shown["specs"].to_list(), colours.lag, "////"),
        ],
        unit="specs of the environment",
        notes=[
            *(f"{count:,}, {count / matches.height:.1%}" for count in number.values()),
            *(f"{count:,}" for count in shown["specs"]),
        ],
        title=title,
        with_legend=False,
        ax=ax,
    )
