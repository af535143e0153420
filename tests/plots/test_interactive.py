"""Interactive charts: the marks that they have, what they leave out, and pages that hold everything."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import cachestats as cs
from cachestats.cli import cli
from cachestats.errors import ArgumentError, MissingExtraError
from tests.support.pictures import history, overlap, weekly

pytest.importorskip("altair", reason="the extra `interactive` is not installed")

HOSTILE = "</script><script>alert(1)</script>"
CELLS = pl.DataFrame({"package": ["a.b", HOSTILE, "c"], "target": ["zen4", "zen4", None], "value": [1, 2, 3]})
GAPS = pl.DataFrame(
    {"stack": ["e4s", "ml", None], "package": ["x", "y", "x"], "num_columns": [1, 2, 1], "num_dependents": [5, 6, 5]}
)
DATES = weekly(4)
CHARTS: dict[str, Any] = {
    "coverage": lambda: cs.chart_coverage(CELLS),
    "history": lambda: cs.chart_history(history(DATES, names=["e4s", "ml"])),
    "overlap": lambda: cs.chart_overlap(overlap(["a", "b", None])),
    "gaps": lambda: cs.chart_gaps(GAPS),
}


def data(chart: Any) -> list[list[dict[str, Any]]]:
    return [*chart.to_dict()["datasets"].values()]


@pytest.mark.parametrize(("name", "rows"), [("coverage", 3), ("overlap", 3), ("gaps", 3)])
def test_every_row_is_a_mark(name: str, rows: int) -> None:
    (found,) = data(CHARTS[name]())
    assert len(found) == rows
    assert all(value is not None for row in found for value in row.values()), "a missing name is `none`"


def test_lines_end_where_snapshots_are_missing() -> None:
    dates = [*DATES, *(DATES[-1] + timedelta(weeks=week) for week in (3, 4))]
    counts = history(dates, names=["e4s"]).with_columns(packages=pl.Series([1, 2, 0, 3, 4, 5]))
    points, across = data(cs.chart_history(counts))[:2]
    assert [row["run"] for row in points] == [1, 1, 1, 2, 3, 3], "after nothing, and after a break"
    assert [(row["snapshot_date"][:10], row["packages"]) for row in across] == [
        (str(dates[3]), 3),
        (str(dates[4]), 4),
    ]


def test_the_axis_of_time_has_years_and_a_change_of_spack_has_its_name() -> None:
    dates = [date(2024, 3, 10), date(2025, 3, 9), date(2025, 6, 1)]
    layers = cs.chart_history(history(dates, names=["e4s"])).to_dict()["layer"]
    assert layers[0]["encoding"]["x"]["axis"] == {"format": "%Y-%m-%d"}
    (words,) = [layer for layer in layers if layer["mark"]["type"] == "text"]
    assert (words["encoding"]["text"]["field"], words["mark"]["align"]) == ("what", "right")
    assert "Spack 1.0: compilers are packages" in str(data(cs.chart_history(history(dates, names=["e4s"]))))


def test_names_of_columns_are_at_the_top_and_marks_are_explained() -> None:
    for chart in (cs.chart_coverage(CELLS), cs.chart_gaps(GAPS)):
        assert chart.to_dict()["encoding"]["x"]["axis"]["orient"] == "top"
    units = [
        cs.chart_coverage(CELLS, measure=measure).to_dict()["encoding"]["color"]["title"]
        for measure in (None, "specs", "packages")
    ]
    assert units == ["number", "specs", "packages with a binary"]
    lacking = pl.DataFrame({"stack": ["e4s"] + ["ml"] * 9, "package": list("abcdefghij"), "num_columns": 1})
    chart = cs.chart_gaps(lacking.with_columns(num_dependents=pl.lit(None, pl.Int64)))
    assert chart.to_dict()["title"]["subtitle"] == ["ring: missing in ml, small by nature"]


def test_of_too_many_marks_the_title_says_which_are_left_out() -> None:
    many = pl.DataFrame(
        [(f"p{package}", f"t{target}", package) for package, target in product(range(600), range(10))],
        schema=["package", "target", "value"],
        orient="row",
    )
    chart = cs.chart_coverage(many, subtitle="develop")
    assert len(data(chart)[0]) == 5_000
    assert {row["value"] for row in data(chart)[0]} == {*range(100, 600)}
    assert chart.to_dict()["title"]["subtitle"] == [
        "develop",
        "package: the 500 of 600 with the most: more than 5,000 marks would be slow",
    ]


@pytest.mark.parametrize("kind", ["to_pandas", "to_arrow", "lazy"])
def test_frames_of_other_kinds_give_the_same_chart(kind: str) -> None:
    for draw, frame in ((cs.chart_coverage, CELLS), (cs.chart_gaps, GAPS), (cs.chart_history, history(DATES))):
        assert draw(getattr(frame, kind)()).to_dict() == draw(frame).to_dict()


def test_a_stack_has_the_colour_that_it_has_in_pictures_and_the_theme_that_of_the_page() -> None:
    with cs.theme("dark"):
        spec = cs.chart_history(history(DATES, names=["radiuss"])).to_dict()
        line = cs.plot_history(history(DATES, names=["radiuss"])).lines[0]
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    assert (scale["domain"], scale["range"]) == (["radiuss"], [line.get_color()])
    assert spec["config"]["background"] == "#15191f"


@pytest.mark.slow
def test_a_page_holds_everything_and_names_do_not_end_its_script(tmp_path: Path) -> None:
    for name in ("one", "two"):
        cs.save_chart(CHARTS["coverage"](), tmp_path / f"{name}.html")
    page = (tmp_path / "one.html").read_text()
    assert page == (tmp_path / "two.html").read_text()
    assert HOSTILE not in page
    assert page.count("</script>") == 2
    with pytest.raises(ArgumentError, match=r"expected a file that ends in \.html, found 'x\.svg'"):
        cs.save_chart(CHARTS["coverage"](), tmp_path / "x.svg")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    for chart in CHARTS.values():
        with pytest.raises(MissingExtraError, match="expected altair for an interactive chart") as caught:
            chart()
        assert caught.value.hint == "pip install 'cachestats[interactive]'"


@pytest.mark.parametrize("name", sorted(CHARTS))
def test_what_is_not_the_answer_of_the_analysis_is_an_error(name: str) -> None:
    for wrong in (None, pl.DataFrame(), pl.DataFrame({"package": ["a"], "b": ["c"]})):
        with pytest.raises(ArgumentError, match=r"(?s)expected .* found .*hint: pass the result of "):
            getattr(cs, f"chart_{name}")(wrong)


@pytest.mark.slow
def test_the_verb_writes_pages(sample: cs.Dataset, tmp_path: Path) -> None:
    def plot(*arguments: object) -> Any:
        return CliRunner().invoke(cli, ["plot", *map(str, arguments), "--out", str(tmp_path / "x.html")])

    subset = sample.specs.filter(snapshot="develop-2025-05-25")
    expected = {
        "coverage --rows package --columns stack": cs.chart_coverage(
            cs.coverage(subset, rows="package", columns="stack"), measure="specs", subtitle="develop-2025-05-25"
        ),
        "history --by stack": cs.chart_history(cs.history(sample, by="stack"), subtitle=""),
        "overlap": cs.chart_overlap(cs.overlap(subset), subtitle="develop-2025-05-25"),
        "gaps --by stack": cs.chart_gaps(
            cs.gaps(subset, by="stack", dependencies=sample.dependencies), subtitle="develop-2025-05-25"
        ),
    }
    for command, chart in expected.items():
        verb, *options = command.split()
        assert plot(verb, sample.path, *options).exit_code == 0
        cs.save_chart(chart, tmp_path / "expected.html")
        assert (tmp_path / "x.html").read_text() == (tmp_path / "expected.html").read_text(), command
    assert plot("gaps", sample.path, "--by", "os", "--title", "Ours & theirs").exit_code == 0
    assert "<title>Ours &amp; theirs</title>" in (tmp_path / "x.html").read_text()
    assert "only coverage, history, overlap and gaps" in plot("churn", sample.path).exception.hint
    assert "expected --top with .png" in str(plot("overlap", sample.path, "--top", "3").exception)
