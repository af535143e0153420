"""Series over the snapshots as an interactive chart."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from cachestats.analysis.frames import as_polars, check_choice
from cachestats.axes import HISTORY_MEASURES, HistoryMeasure
from cachestats.errors import ArgumentError
from cachestats.plots.drawing import checked, column, in_words
from cachestats.plots.history import FEW_PACKAGES, REPRESENTATIONS, UNITS, breaks_between
from cachestats.plots.interactive.chart import at_most, field, load_altair, named, styled
from cachestats.plots.themes import colours_of, current

if TYPE_CHECKING:
    import altair
    from narwhals.typing import IntoFrame

_WIDTH, _HEIGHT = 700, 360  # pixels
_ALL = "all"


def chart_history(
    history: IntoFrame, *, measure: HistoryMeasure | None = None, subtitle: str | None = None
) -> altair.LayerChart:
    """Draw a series over the dated snapshots as an interactive chart, or a line for each stack, target, ...

    The numbers of a snapshot are under the pointer; the wheel zooms and dragging moves; a click on a name in the legend
    shows only its line, and with the shift key further ones. Lines are dotted where snapshots are missing, as in
    `plot_history`.

    Parameters
    ----------
    history
        The result of `history`. Releases and `develop` have no date and are left out. If there are more than 5,000
        points, the series with the most are shown, and the title says so.
    measure
        The quantity to draw, as in `plot_history`.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.

    Returns
    -------
    altair.LayerChart
        The chart, which a notebook shows and `save_chart` writes to a file.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, `history` is not a frame, lacks a column, or has no snapshot with a date, or
        the extra `interactive` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> chart = cs.chart_history(cs.history(cs.example_dataset(), by="stack"), measure="specs")
    >>> chart.to_dict()["title"]["text"]
    'Specs, by stack'
    """
    alt = load_altair()
    frame = as_polars(history)
    first = column(frame, 0, "snapshot")
    measure = measure or ("specs" if first in FEW_PACKAGES else "packages")
    check_choice(measure, HISTORY_MEASURES, "measure")
    numbers = ("packages", "specs", "share", "kept", "new", "gone")
    frame = checked(frame, names=("snapshot",), dates=("snapshot_date",), numbers=numbers, maker="history")
    frame = frame.drop_nulls("snapshot_date")
    if frame.is_empty():
        raise ArgumentError(
            "expected snapshots with a date, found none", hint="releases and develop have no date: include others"
        )
    by = "series" if first == "snapshot" else first
    frame = frame.with_columns(pl.lit(_ALL).alias(by)) if first == "snapshot" else named(frame, by)
    shown, cut = at_most(frame, by, measure)
    dates = sorted(shown["snapshot_date"].unique())
    breaks = breaks_between(dates)
    names = shown[by].unique(maintain_order=True).to_list()
    colours = alt.Color(
        f"{field(by)}:N",
        scale=alt.Scale(domain=names, range=colours_of([None if name == "none" else name for name in names], by)),
        legend=None if first == "snapshot" else alt.Legend(title=by.replace("_", " ")),
    )
    chosen = alt.selection_point(fields=[field(by)], bind="legend")
    shown = _in_runs(shown, by, measure, dates, breaks)
    # The usual labels name a year only in January, which may be between two of them.
    x = alt.X("snapshot_date:T", title=None, scale=alt.Scale(padding=12), axis=alt.Axis(format="%Y-%m-%d"))
    y = alt.Y(f"{measure}:Q", title=UNITS[measure], axis=alt.Axis(format="%" if measure == "share" else ",.0f"))
    base = alt.Chart(shown.drop("previous", strict=False)).encode(x=x, y=y, color=colours)
    tooltip = [
        *([] if first == "snapshot" else [f"{field(by)}:N"]),
        alt.Tooltip("snapshot_date:T", title="snapshot", format="%Y-%m-%d"),
        *(f"{name}:Q" for name in numbers if name != "share"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    layers = [
        base.mark_line().encode(detail="run:N"),
        alt.Chart(_across(shown, by, measure, dates, breaks))
        .mark_line(strokeDash=[2, 4])
        .encode(x=x, y=y, color=colours, detail="run:N"),
        base.mark_point(filled=True, size=40, opacity=1)
        .encode(tooltip=tooltip)
        .transform_filter(f"datum.{measure} > 0"),
    ]
    layers = [layer.transform_filter(chosen) for layer in layers]
    layers[-1] = layers[-1].add_params(chosen)
    for day, words in REPRESENTATIONS.items():
        if dates[0] < day <= dates[-1]:
            layers += _marked(day, words, x, is_left=day - dates[0] < dates[-1] - day)
    title = [f"{UNITS[measure].capitalize()}{'' if first == 'snapshot' else f', by {by}'}".replace("_", " ")]
    title += [*in_words(subtitle), *cut, *(["dotted where snapshots are missing"] if breaks else [])]
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT).interactive(bind_y=False)
    return cast("altair.LayerChart", styled(chart, title))


def _marked(day: date, words: str, x: Any, *, is_left: bool) -> list[Any]:
    """Return a dashed line at a day, and the words beside it, on the side where there is more room."""
    alt = load_altair()
    rule = alt.Chart(pl.DataFrame({"snapshot_date": [day], "what": [words]})).encode(x=x)
    align, dx = ("left", 4) if is_left else ("right", -4)
    return [
        rule.mark_rule(color=current().ink, strokeDash=[6, 4]),
        rule.mark_text(color=current().ink, align=align, dx=dx, baseline="top").encode(y=alt.value(0), text="what:N"),
    ]


def _in_runs(shown: pl.DataFrame, by: str, measure: str, dates: list[date], breaks: set[date]) -> pl.DataFrame:
    """Number the runs of snapshots through which a line is drawn: it ends at a break, and where there is nothing."""
    day, before = pl.col("snapshot_date"), pl.col("snapshot_date").shift().over(by)
    previous = day.replace_strict(dates[1:], dates[:-1], default=None, return_dtype=pl.Date)
    is_joined = (before == previous) & (pl.col(measure).shift().over(by) > 0) & ~day.is_in(breaks)
    return shown.sort(by, "snapshot_date").with_columns(run=(~is_joined.fill_null(False)).cum_sum())


def _across(shown: pl.DataFrame, by: str, measure: str, dates: list[date], breaks: set[date]) -> pl.DataFrame:
    """Return the two ends of each dotted line."""
    ends = {day: before for before, day in pairwise(dates) if day in breaks}
    after = shown.filter(pl.col("snapshot_date").is_in([*ends]), pl.col(measure) > 0).select(
        by, measure, "snapshot_date", before=pl.col("snapshot_date").replace_strict(ends, return_dtype=pl.Date)
    )
    before = shown.filter(pl.col(measure) > 0).select(by, measure, before="snapshot_date")
    both = after.join(before, on=[by, "before"], how="inner", suffix="_before").with_row_index("run")
    return pl.concat(
        [
            both.select(by, "run", "snapshot_date", measure),
            both.select(by, "run", snapshot_date="before", **{measure: f"{measure}_before"}),
        ]
    ).sort("run", "snapshot_date")
