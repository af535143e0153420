"""Interactive charts in a real browser, opened from disk without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from tests.support.site import HOSTILE

pytestmark = pytest.mark.browser
pytest.importorskip("altair", reason="the extra `interactive` is not installed")

Show = Callable[[Any], Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Show]:
    """Return how to open the page of a chart; what it complains about, or asks the network for, fails the test."""
    complaints: list[str] = []
    context = browser.new_context()
    context.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())

    def shown(chart: Any) -> Any:
        cs.save_chart(chart, tmp_path / "chart.html")
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
        page.goto((tmp_path / "chart.html").as_uri())
        page.wait_for_selector("#chart svg .marks, #chart svg.marks")
        return page

    yield shown
    context.close()
    assert complaints == []


def marks(page: Any, kind: str) -> int:
    """Return how many marks of a kind are drawn, without those of the legend."""
    page.wait_for_timeout(200)  # a change is drawn in the next frame
    return int(page.locator(f"#chart .mark-{kind}.role-mark:not([class*=legend]) > path").count())


def test_coverage_has_a_cell_for_each_number_and_a_box_that_searches(show: Show, sample: cs.Dataset) -> None:
    cells = cs.coverage(sample, rows="package", columns="stack")
    page = show(cs.chart_coverage(cells))
    assert marks(page, "rect") == cells.height
    search = page.get_by_label("Search package")
    assert search.bounding_box()["y"] < page.locator("#chart svg.marks").bounding_box()["y"]
    search.fill("hdf5")
    assert marks(page, "rect") == cells.filter(pl.col("package").str.contains("hdf5")).height > 0


def test_a_click_on_the_legend_filters_gaps(show: Show, sample: cs.Dataset) -> None:
    gaps = cs.gaps(sample, by="stack", dependencies=sample).filter(pl.col("package").str.starts_with("py-a"))
    chart = cs.chart_gaps(gaps)
    page = show(chart)
    (drawn,) = chart.to_dict()["datasets"].values()
    assert marks(page, "symbol") == len(drawn) > 0
    page.locator("#chart .role-legend-label text", has_text="radiuss").click()
    assert marks(page, "symbol") == sum(row["stack"] == "radiuss" for row in drawn) > 0


def test_history_has_a_point_for_each_number_and_says_it(show: Show, sample: cs.Dataset) -> None:
    history = cs.history(sample, by="stack")
    page = show(cs.chart_history(history))
    assert marks(page, "symbol") == history.filter(pl.col("packages") > 0).height
    page.locator("#chart .mark-symbol.role-mark path").first.hover()
    assert "snapshot" in page.locator("#vg-tooltip-element").inner_text()


def test_overlap_has_a_cell_for_each_pair_and_hostile_names_do_nothing(show: Show, sample: cs.Dataset) -> None:
    pairs = cs.overlap(sample).with_columns(pl.col("stack").replace("e4s", HOSTILE))
    assert marks(show(cs.chart_overlap(pairs)), "rect") == pairs.height
