"""Coverage as an interactive heatmap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl

from cachestats.analysis.frames import as_polars, check_choice, sort_names
from cachestats.axes import MEASURES, STATES, Measure
from cachestats.plots.coverage import UNITS
from cachestats.plots.drawing import checked, column, in_words
from cachestats.plots.interactive.chart import at_most, field, load_altair, named, search_box, styled
from cachestats.plots.themes import current

if TYPE_CHECKING:
    import altair
    from narwhals.typing import IntoFrame

_CELL = 16  # pixels


def chart_coverage(coverage: IntoFrame, *, measure: Measure | None = None, subtitle: str | None = None) -> altair.Chart:
    """Draw coverage as an interactive heatmap: the number under the pointer, and a box to search for rows.

    Parameters
    ----------
    coverage
        The result of `coverage`: the names of the row and the column in the first two columns, and `value`, a number or
        a state. If there are more than 5,000 cells, the rows with the most are shown, and the title says so.
    measure
        What `coverage` was asked to count, which the legend says; the cells do not tell.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.

    Returns
    -------
    altair.Chart
        The chart, which a notebook shows and `save_chart` writes to a file. A click on a state in the legend shows only
        the cells that have it.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, or `coverage` is not a frame, lacks a column, or is empty.
    MissingExtraError
        If the extra `interactive` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> cells = cs.coverage(cs.example_dataset(), rows="package", columns="target")
    >>> chart = cs.chart_coverage(cells, subtitle="the newest snapshot")
    >>> chart.to_dict()["title"]["text"]
    'Coverage, by package and target'
    """
    alt = load_altair()
    if measure is not None:
        check_choice(measure, MEASURES, "measure")
    cells = as_polars(coverage)
    rows, columns = column(cells, 0, "package"), column(cells, 1, "target")
    cells = named(checked(cells, names=(rows, columns, "value"), maker="coverage"), rows, columns)
    has_states = not cells.schema["value"].is_numeric()
    weight = "usable cells" if has_states else "value"
    if has_states:
        cells = cells.with_columns((pl.col("value") != "missing").cast(pl.Int64).alias(weight))
    shown, cut = at_most(cells, rows, weight)
    title = [f"{UNITS['usable'].capitalize() if has_states else 'Coverage'}, by {rows} and {columns}".replace("_", " ")]
    theme = current()
    if has_states:
        scale = alt.Scale(domain=[*STATES], range=[*theme.states.values()])
        colour = alt.Color("value:N", scale=scale, title=None)
    else:
        is_share = shown.schema["value"].is_float()
        scale = alt.Scale(range=[*theme.scale], domainMin=0)
        colour = alt.Color("value:Q", scale=scale, title=UNITS[measure or "share"] if measure or is_share else "number")
        if is_share:
            colour = colour.legend(format="%")
    chart = (
        alt.Chart(shown.select(rows, columns, "value"))
        .mark_rect(stroke=theme.paper)
        .encode(
            x=alt.X(
                f"{field(columns)}:N",
                sort=sort_names(shown[columns].unique(), columns),
                title=columns,
                axis=alt.Axis(labelAngle=-45, orient="top"),
            ),
            y=alt.Y(f"{field(rows)}:N", sort=sort_names(shown[rows].unique(), rows), title=rows),
            color=colour,
            tooltip=[
                f"{field(rows)}:N",
                f"{field(columns)}:N",
                alt.Tooltip("value", type="nominal" if has_states else "quantitative"),
            ],
        )
        .properties(width=alt.Step(2 * _CELL), height=alt.Step(_CELL))
    )
    if has_states:
        chosen = alt.selection_point(fields=["value"], bind="legend")
        chart = chart.add_params(chosen).transform_filter(chosen)
    return cast("altair.Chart", styled(search_box(chart, rows), [*title, *in_words(subtitle), *cut]))
