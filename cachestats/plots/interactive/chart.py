"""What interactive charts share: Altair, titles, themes, a box to search in, and the most marks that they have."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import polars as pl

from cachestats.errors import require_extra
from cachestats.plots.themes import current

if TYPE_CHECKING:
    import altair

MAX_MARKS = 5_000
"""More marks are slow to draw in a browser."""


def load_altair() -> Any:
    """Import Altair.

    Raises
    ------
    MissingExtraError
        If the extra `interactive` is not installed.
    """
    require_extra("interactive", "altair", "vl_convert", purpose="an interactive chart")
    return import_module("altair")


def styled(chart: altair.LayerChart | altair.Chart, title: list[str]) -> Any:
    """Return a chart with a title and the colours of the theme."""
    theme = current()
    text = {"labelColor": theme.ink, "titleColor": theme.ink}
    first, *lines = title
    return (
        chart.properties(title={"text": first, "subtitle": lines, "anchor": "start"})
        .configure(background=theme.paper)
        .configure_view(stroke=None)
        .configure_axis(**text, gridColor=theme.grid, domainColor=theme.grid, tickColor=theme.grid, labelLimit=300)
        .configure_legend(**text, labelLimit=300, symbolLimit=0)
        .configure_title(color=theme.ink, subtitleColor=theme.ink)
    )


def retitled(chart: Any, title: str) -> Any:
    """Return a chart with another first line of the title."""
    return chart.properties(title=chart.to_dict()["title"] | {"text": title})


def chart_of_nothing(words: str, title: list[str]) -> Any:
    """Return a chart of some words, because there is nothing to draw."""
    alt = load_altair()
    words_mark = alt.Chart(pl.DataFrame({"words": [words]})).mark_text(color=current().ink).encode(text="words:N")
    return styled(words_mark, title or [words])


def named(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return a frame in which names that are missing are `none`."""
    return frame.with_columns(pl.col(columns).cast(pl.String).fill_null("none"))


def at_most(frame: pl.DataFrame, axis: str, weight: str, limit: int = MAX_MARKS) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of the names with the largest weights, as many as may be drawn, and a line that says so."""
    if frame.height <= limit:
        return frame, []
    sizes = frame.group_by(axis, maintain_order=True).agg(pl.len().alias("rows"), pl.col(weight).sum().alias("weight"))
    fitting = sizes.sort("weight", descending=True, maintain_order=True).filter(pl.col("rows").cum_sum() <= limit)
    words = f"the {fitting.height:,} of {sizes.height:,} with the most: more than {limit:,} marks would be slow"
    return frame.join(fitting.select(axis), on=axis, how="semi", maintain_order="left"), [f"{axis}: {words}"]


def search_box(chart: Any, column: str) -> Any:
    """Give a chart a box that leaves only the rows whose name contains what is typed."""
    alt = load_altair()
    typed = alt.param(name="search", value="", bind=alt.binding(input="search", name=f"Search {column}: "))
    is_found = f"indexof(lower(datum[{_quoted(column)}]), lower(search)) >= 0"
    return chart.add_params(typed).transform_filter(is_found)


def field(name: str) -> str:
    """Return the name of a column as Altair reads it, which takes `.`, `[` and `:` for more than letters."""
    return "".join(f"\\{letter}" if letter in ".[]:\\" else letter for letter in name)


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
