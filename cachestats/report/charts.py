"""The charts of a report, and the files they are saved as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.coverage import coverage_matrix
from cachestats.axes import Axis, ThemeName
from cachestats.dataset.subset import Subset
from cachestats.plots.churn import plot_churn
from cachestats.plots.coverage import plot_coverage
from cachestats.plots.gaps import plot_gaps
from cachestats.plots.history import plot_history
from cachestats.plots.overlap import plot_overlap
from cachestats.plots.saving import save_plot
from cachestats.plots.themes import theme
from cachestats.report.facts import Facts
from cachestats.report.paths import path_of

_MOST_GAPS = 20


class Chart(NamedTuple):
    """A chart in a file, with its caption and a description for readers who cannot see it."""

    path: str
    dark_path: str
    """The same for dark pages."""
    title: str
    alternative: str


def draw_overview(subset: Subset, facts: Facts, folder: Path) -> dict[str, Chart]:
    """Draw the charts of the overview and return them by name; charts without data are left out."""
    rows: Axis = "os" if facts.stacks.is_empty() else "stack"
    label = "OS" if rows == "os" else rows
    matrix = coverage_matrix(subset.at(facts.current), rows=rows, columns="target", measure="packages")
    # A private mirror may have no stacks.
    series = facts.history if facts.stack_history.is_empty() else facts.stack_history
    has_series = series["snapshot_date"].drop_nulls().n_unique() > 1
    charts: dict[str, tuple[bool, str, str, Callable[[], Axes]]] = {
        "coverage": (
            matrix.height > 0,
            f"Packages by {label} and target",
            f"The packages with a binary, a row for each {label} and, if there are several, a column for each target.",
            lambda: plot_coverage(matrix),
        ),
        "history": (
            has_series,
            "Packages over time",
            "A line for each stack: its packages in each dated snapshot.",
            lambda: plot_history(series),
        ),
        "churn": (
            facts.history["previous"].drop_nulls().len() > 0,
            "Specs kept, new and gone",
            "Stacked bars: the specs that each snapshot kept from the previous one, the new ones, and those gone.",
            lambda: plot_churn(facts.history),
        ),
        "overlap": (
            facts.overlap.height > 0,
            "Overlap of stacks",
            "A triangle of the share of hashes that each pair of stacks has in common.",
            lambda: plot_overlap(facts.overlap),
        ),
        "gaps": (
            facts.gaps.height > 0,
            "Most needed missing packages",
            "Dots: which stacks lack the packages that most others need, and bars of how many need them.",
            lambda: plot_gaps(facts.gaps, top=_MOST_GAPS),
        ),
    }
    return {
        name: _saved(draw, folder, f"charts/{name}.svg", title, alternative)
        for name, (is_there, title, alternative, draw) in charts.items()
        if is_there
    }


def draw_stack(facts: Facts, stack: str | None, folder: Path) -> Chart | None:
    """Draw the history of one stack, if there is any."""
    series = facts.stack_history.filter(pl.col("stack").eq_missing(stack))
    if series["snapshot_date"].drop_nulls().len() < 2:
        return None
    path = path_of("badges", stack).replace("badges/", "charts/stack-")
    words = f"A line: the packages of {stack or 'no stack'} in each dated snapshot; the table below has the numbers."
    return _saved(lambda: plot_history(series), folder, path, "Packages over time", words)


def _saved(draw: Callable[[], Axes], folder: Path, path: str, title: str, alternative: str) -> Chart:
    dark_path = path.replace("charts/", "charts/dark/", 1)
    themes: dict[ThemeName, str] = {"light": path, "dark": dark_path}
    for name, file in themes.items():
        with theme(name):
            save_plot(draw(), folder / file)
        plt.close("all")
    return Chart(path, dark_path, title, alternative)
