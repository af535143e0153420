"""Gaps as an interactive matrix of dots."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl

from cachestats.analysis.frames import as_polars
from cachestats.plots.drawing import checked, column, in_words, plural, some
from cachestats.plots.gaps import matrix_of_gaps
from cachestats.plots.interactive.chart import at_most, field, load_altair, named, search_box, styled
from cachestats.plots.themes import colours_of

if TYPE_CHECKING:
    import altair
    from narwhals.typing import IntoFrame

_ROW, _COLUMN = 16, 28  # pixels


def chart_gaps(gaps: IntoFrame, *, subtitle: str | None = None) -> altair.Chart:
    """Draw the packages that some stacks lack as an interactive matrix of dots, with a box to search for packages.

    A dot is a package that a stack lacks, and a ring one in a stack that is small by nature, as in `plot_gaps`. The
    packages that most others need come first. A click on a stack in the legend shows only what it lacks.

    Parameters
    ----------
    gaps
        The result of `gaps`. If there are more than 5,000 gaps, those of the packages that most others need are shown,
        and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.

    Returns
    -------
    altair.Chart
        The chart, which a notebook shows and `save_chart` writes to a file.

    Raises
    ------
    ArgumentError
        If `gaps` is not a frame, lacks a column, or is empty.
    MissingExtraError
        If the extra `interactive` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> chart = cs.chart_gaps(cs.gaps(ds, by="target", dependencies=ds))
    >>> chart.to_dict()["title"]["text"]
    'Packages missing in some targets'
    """
    alt = load_altair()
    frame = as_polars(gaps)
    by = column(frame, 0, "stack")
    weights = ("num_columns", "num_dependents")
    frame = checked(frame, names=(by, "package"), numbers=weights, maker="gaps")
    weight = "num_columns" if frame["num_dependents"].is_null().all() else "num_dependents"
    matrix, _ = matrix_of_gaps(frame, by, weight, frame["package"].n_unique())
    frame = frame.filter(pl.col("package").is_in(matrix.packages), pl.col(by).is_in(matrix.columns, nulls_equal=True))
    frame = frame.with_columns(is_small=pl.col(by).is_in(matrix.small, nulls_equal=True))
    shown, cut = at_most(named(frame, by), "package", weight)
    names = [name or "none" for name in matrix.columns]
    chosen = alt.selection_point(fields=[field(by)], bind="legend")
    chart = (
        alt.Chart(shown.select(by, "package", *weights, "is_small"))
        .mark_point(size=60, opacity=1)
        .encode(
            x=alt.X(f"{field(by)}:N", sort=names, title=None, axis=alt.Axis(labelAngle=-45, orient="top")),
            y=alt.Y("package:N", sort=matrix.packages, title=None),
            color=alt.Color(f"{field(by)}:N", scale=alt.Scale(domain=names, range=colours_of(matrix.columns, by))),
            fillOpacity=alt.condition("datum.is_small", alt.value(0), alt.value(1)),
            fill=alt.Fill(f"{field(by)}:N", scale=alt.Scale(domain=names, range=colours_of(matrix.columns, by))),
            tooltip=[
                "package:N",
                alt.Tooltip(f"{field(by)}:N", title="missing in"),
                alt.Tooltip("num_dependents:Q", title="packages that depend on it"),
                alt.Tooltip("num_columns:Q", title=f"{plural(by)} that have it"),
            ],
        )
        .properties(width=alt.Step(_COLUMN), height=alt.Step(_ROW))
        .add_params(chosen)
        .transform_filter(chosen)
    )
    title = [f"Packages missing in some {plural(by)}", *in_words(subtitle), *cut]
    title += [f"ring: missing in {some(matrix.small)}, small by nature"] if matrix.small else []
    return cast("altair.Chart", styled(search_box(chart, "package"), title))
