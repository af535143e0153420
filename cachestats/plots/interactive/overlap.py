"""The overlap of pairs of stacks as an interactive heatmap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cachestats.analysis.frames import as_polars, check_choice
from cachestats.axes import OVERLAP_MEASURES, OverlapMeasure
from cachestats.plots.drawing import checked, column, in_words
from cachestats.plots.interactive.chart import at_most, field, load_altair, named, styled
from cachestats.plots.overlap import UNITS
from cachestats.plots.themes import current

if TYPE_CHECKING:
    import altair
    from narwhals.typing import IntoFrame

_CELL = 24  # pixels


def chart_overlap(
    overlap: IntoFrame, *, measure: OverlapMeasure = "jaccard_hashes", subtitle: str | None = None
) -> altair.Chart:
    """Draw the overlap of each pair of stacks as an interactive triangle of cells, with all numbers under the pointer.

    Parameters
    ----------
    overlap
        The result of `overlap`. If there are more than 5,000 pairs, those of the stacks with the most in common are
        shown, and the title says so.
    measure
        The quantity that the colours show, as in `plot_overlap`.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.

    Returns
    -------
    altair.Chart
        The chart, which a notebook shows and `save_chart` writes to a file.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, `overlap` is not a frame, lacks a column, or has no pair.
    MissingExtraError
        If the extra `interactive` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> chart = cs.chart_overlap(cs.overlap(cs.example_dataset()), measure="common_packages")
    >>> chart.to_dict()["title"]["text"]
    'Packages in common, by stack'
    """
    alt = load_altair()
    check_choice(measure, OVERLAP_MEASURES, "measure")
    pairs = as_polars(overlap)
    by = column(pairs, 0, "stack")
    other = f"other_{by}"
    pairs = named(checked(pairs, names=(by, other), numbers=OVERLAP_MEASURES, maker="overlap"), by, other)
    shown, cut = at_most(pairs, by, measure)
    is_share = measure.startswith("jaccard")
    theme = current()
    scale = alt.Scale(range=[*theme.scale], domainMin=0)
    legend = alt.Legend(title=UNITS[measure], format="%" if is_share else ",.0f")
    colour = alt.Color(f"{measure}:Q", scale=scale, legend=legend)
    numbers = [
        alt.Tooltip(f"{name}:Q", title=words, format=".1%" if name.startswith("jaccard") else ",")
        for name, words in UNITS.items()
    ]
    chart = (
        alt.Chart(shown)
        .mark_rect(stroke=theme.paper)
        .encode(
            # The pairs are in the order of the names.
            x=alt.X(f"{field(by)}:N", sort=None, title=None, axis=alt.Axis(labelAngle=-45)),
            y=alt.Y(f"{field(other)}:N", sort=None, title=None),
            color=alt.condition(f"datum.{measure} > 0", colour, alt.value(theme.empty)),
            tooltip=[f"{field(by)}:N", f"{field(other)}:N", *numbers],
        )
        .properties(width=alt.Step(2 * _CELL), height=alt.Step(_CELL))
    )
    title = [f"{UNITS[measure].capitalize()}, by {by.replace('_', ' ')}", *in_words(subtitle), *cut]
    return cast("altair.Chart", styled(chart, title))
