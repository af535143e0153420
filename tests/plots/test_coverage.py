"""The heatmap: what it draws, what it says, and that nothing is cut off or overlaps."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

import cachestats as cs
from cachestats import axes
from cachestats.errors import ArgumentError, DatasetError


def matrix(
    rows: int, columns: int, *, name: str = "package-{}", column: str = "target-{}", big: int = 40
) -> pl.DataFrame:
    values = np.random.default_rng(1).integers(0, big, (rows, columns))
    return pl.DataFrame(
        {"package": [name.format(n) for n in range(rows)]} | {column.format(n): values[:, n] for n in range(columns)}
    )


def drawn(ax: Axes) -> np.ndarray:
    return ax.collections[0].get_array().filled(0)


def texts(ax: Axes) -> list[Text]:
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels(), *ax.texts, ax.title, ax._left_title]
    return [text for text in labels if text.get_text() and text.get_visible()]


def test_it_draws_the_matrix(demo: cs.Dataset) -> None:
    counts = cs.coverage_matrix(demo.specs, rows="package", columns="target")
    ax = cs.plot_coverage(counts)
    assert np.array_equal(drawn(ax), counts.drop("package").to_numpy())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["py-filelock", "py-propcache"]
    assert [label.get_text() for label in ax.get_xticklabels()] == counts.columns[1:]
    numbers = [str(value) for value in counts.drop("package").to_numpy().flatten() if value]
    assert [text.get_text() for text in ax.texts] == numbers


def test_the_title_says_snapshot_and_measure(demo: cs.Dataset) -> None:
    develop = demo.specs.filter(pl.col("snapshot") == "develop")
    for measure, words in (
        ("specs", "Specs, by"),
        ("share", "Share of each stack's packages, by"),
        ("packages", "Packages with a binary, by"),
    ):
        counts = cs.coverage_matrix(develop, rows="stack", columns="compiler_name", measure=measure)
        title = cs.plot_coverage(counts).get_title(loc="left")
        assert title.startswith(words)
        assert "stack and compiler name" in title
        assert "snapshot develop" in title
    assert cs.plot_coverage(matrix(2, 2)).get_title(loc="left") == "Coverage, by package"


def test_what_is_left_out_is_said_and_is_the_least() -> None:
    big = matrix(500, 40)
    ax = cs.plot_coverage(big)
    assert drawn(ax).shape == (60, 15)
    title = ax.get_title(loc="left")
    assert "in these, the 60 of 500 packages" in title
    assert "the 15 of 40 columns with the most" in title
    columns = [label.get_text() for label in ax.get_xticklabels()]
    sums = dict(zip(big["package"], big.select(columns).sum_horizontal(), strict=True))
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert min(sums[name] for name in shown) >= max(sums[name] for name in sums if name not in shown)
    assert shown == sorted(shown, key=big["package"].to_list().index)


STATES = ("native", "usable", "missing", None)


def states(rows: int, columns: int) -> pl.DataFrame:
    names = {f"target-{n}": [STATES[(row + n) % 4] for row in range(rows)] for n in range(columns)}
    return pl.DataFrame({"package": [f"package-{n}" for n in range(rows)]} | names)


def luminance(colour: tuple[float, ...]) -> float:
    """Return the relative luminance of WCAG 2: what is left of a colour in greyscale."""
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_can_be_used_is_drawn_in_four_states() -> None:
    ax = cs.plot_coverage(states(4, 3))
    for state, drawn_as in zip(STATES, ax.collections, strict=True):
        cells = ~np.ma.getmaskarray(drawn_as.get_array())
        assert cells.tolist() == [[value == state for value in row[1:]] for row in states(4, 3).iter_rows()]
    legend = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
    assert legend == [*(f"{state}: {meaning}" for state, meaning in axes.STATES.items()), "no data"]
    assert not ax.texts
    assert ax.get_title(loc="left") == "What a machine can use, by package and target"
    whole = cs.plot_coverage(states(4, 3).select("package", pl.exclude("package").fill_null("native")))
    assert len(whole.get_legend().get_texts()) == 3, "no data is in the legend where there is some"


def test_the_four_states_are_told_apart_in_greyscale_and_by_their_marks() -> None:
    drawn_as = cs.plot_coverage(states(4, 4)).collections
    shades = [luminance(cells.cmap(0)) for cells in drawn_as]
    for darker, lighter in itertools.pairwise(shades):
        assert (lighter + 0.05) / (darker + 0.05) > 1.25
    assert [bool(cells.get_hatch()) for cells in drawn_as] == [False, True, False, True]


def test_the_title_of_what_can_be_used_says_of_which_snapshot_and_what_is_left_out(demo: cs.Dataset) -> None:
    develop = demo.specs.filter(snapshot="develop")
    ax = cs.plot_coverage(cs.coverage_matrix(develop, rows="package", columns="target", usable=True))
    assert ax.get_title(loc="left") == "What a machine can use, by package and target\nsnapshot develop"


def test_of_many_rows_of_states_those_that_differ_are_shown() -> None:
    same = pl.DataFrame({"package": [f"same-{n}" for n in range(100)], "zen4": "native", "zen5": "native"})
    differ = pl.DataFrame({"package": ["x", "y"], "zen4": ["native", "missing"], "zen5": ["usable", "native"]})
    ax = cs.plot_coverage(pl.concat([same[:50], differ, same[50:]]), top=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y"]
    assert ax.get_title(loc="left").splitlines()[-1] == "the 2 of 102 packages whose cells differ most"


def test_one_column_is_drawn_as_bars() -> None:
    ax = cs.plot_coverage(pl.DataFrame({"package": ["a", "b", "c"], "x": [1, 3, 0]}), top=2)
    assert [
        (bar.get_width(), label.get_text()) for bar, label in zip(ax.patches, ax.get_yticklabels(), strict=True)
    ] == [
        (3, "b"),
        (1, "a"),
    ]
    assert ax.get_title(loc="left").splitlines()[1:] == ["column x", "the 2 of 3 packages with the most"]
    ax = cs.plot_coverage(pl.DataFrame({"package": ["a", "b", "c"], "zen4": ["native", "missing", "native"]}))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["native", "usable", "missing"]
    assert [text.get_text() for text in ax.texts] == ["2: a, c", "0", "1: b"]


def test_the_scale_is_linear_or_says_that_it_is_not() -> None:
    def scale(*values: int) -> tuple[float, str]:
        ax = cs.plot_coverage(pl.DataFrame({"os": ["a", "b"], "x": values[:2], "y": values[2:]}))
        colours = ax.collections[0].norm
        return round(float(colours(values[3] / 2)), 2), ax.figure.axes[1].get_ylabel()

    assert scale(1, 2, 3, 4) == (0.5, "")
    assert scale(1, 2, 3, 400) == (0.71, " (scale of square roots)")


ODD = {
    "1 x 1": matrix(1, 1),
    "3 x 3": matrix(3, 3),
    "1 x 15": matrix(1, 15),
    "60 x 1": matrix(60, 1),
    "60 x 15": matrix(60, 15),
    "500 x 40": matrix(500, 40),
    "large numbers": matrix(5, 15, big=10**9),
    "long names": matrix(
        4, 4, name="a-very-long-name-of-a-package-that-goes-on-and-on-{}", column="so-is-this-target-{}"
    ),
    "odd names": matrix(4, 2, name="$x_{}$\n<b>^\\frac\x01\ufffe", column="$\\frac${}%&"),
    "all zero": matrix(3, 3, big=1),
    "shares": matrix(3, 3).with_columns(pl.exclude("package") / 40),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_no_text_is_cut_off_or_overlaps(name: str) -> None:
    ax = cs.plot_coverage(ODD[name])
    figure = ax.figure
    figure.canvas.draw()
    figure.canvas.draw()  # the layout settles with the second
    whole = figure.bbox
    boxes = [(text, text.get_window_extent()) for text in texts(ax)]
    for text, box in boxes:
        assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, text
        assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, text
    straight = [(text, box) for text, box in boxes if not text.get_rotation()]
    for (one, a), (two, b) in itertools.combinations(straight, 2):
        apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one, two)


def test_numbers_are_readable_on_their_cells_in_colour_and_grey() -> None:
    ax = cs.plot_coverage(matrix(20, 10, big=100))
    image = ax.collections[0]
    cells = image.cmap(image.norm(drawn(ax)))
    from matplotlib.colors import to_rgb

    for text in ax.texts:
        column, row = (round(at) for at in text.get_position())
        one, two = sorted((luminance(cells[row, column]), luminance(to_rgb(text.get_color()))))
        assert (two + 0.05) / (one + 0.05) > 4.5, "the contrast that WCAG 2 asks for"
    shades = [luminance(colour) for colour in image.cmap(np.linspace(0, 1, 50))]
    assert shades == sorted(shades, reverse=True), "more is darker, in greyscale too"
    assert luminance(ax.get_facecolor()) > shades[0] + 0.05, "an empty cell is told from the least"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_picture_gives_the_same_bytes(kind: str, demo: cs.Dataset, tmp_path: Path) -> None:
    counts = cs.coverage_matrix(demo.specs, rows="package", columns="target")
    for name in ("one", "two"):
        cs.save_plot(cs.plot_coverage(counts), tmp_path / f"{name}.{kind}")
        plt.close("all")
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    if kind == "svg":
        assert not re.search(r"\d{4}-\d\d-\d\dT", (tmp_path / "one.svg").read_text()), "no date of the day"


def test_the_scale_has_whole_numbers_and_is_left_out_where_all_is_one() -> None:
    ax = cs.plot_coverage(pl.DataFrame({"os": ["a", "b"], "x": [1, 3], "y": [0, 2]}))
    bar = ax.figure.axes[1]
    ax.figure.canvas.draw()
    ticks = [label.get_text() for label in bar.get_yticklabels()]
    assert len(set(ticks)) == len(ticks) > 1
    assert len(cs.plot_coverage(pl.DataFrame({"os": ["a"], "x": [1], "y": [0]})).figure.axes) == 1


def test_a_row_is_never_shown_for_columns_that_are_left_out() -> None:
    numbers = np.eye(100, dtype=int) * np.arange(1, 101)
    assert (
        drawn(
            cs.plot_coverage(pl.DataFrame({"os": map(str, range(100))} | {f"c{n}": numbers[n] for n in range(100)}))
        ).sum(axis=0)
        > 0
    ).all()


def test_odd_names_make_no_odd_files(tmp_path: Path) -> None:
    specs = pl.DataFrame({"snapshot": ["$\\frac$"], "hash": ["h"], "package": ["\x01\ufffe"], "os": ["$a"]})
    cs.save_plot(cs.plot_coverage(cs.coverage_matrix(specs, rows="package", columns="os")), tmp_path / "odd.svg")
    assert ElementTree.parse(tmp_path / "odd.svg").getroot().tag.endswith("svg")
    assert cs.plot_coverage(pl.DataFrame({"package": [None], "x": [1]})).get_yticklabels()[0].get_text() == "none"


def test_it_draws_on_the_axes_it_is_given(demo: cs.Dataset) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3))
    assert cs.plot_coverage(matrix(3, 3), ax=right) is right
    assert not left.collections
    assert len(plt.get_fignums()) == 1
    assert right.figure is figure


def test_what_cannot_be_drawn_or_saved_is_an_error(tmp_path: Path) -> None:
    for nothing in (pl.LazyFrame(), pl.DataFrame(), matrix(0, 3), matrix(3, 0), pl.DataFrame({"a": ["x"], "b": ["y"]})):
        with pytest.raises(ArgumentError, match="at least one row and column of numbers"):
            cs.plot_coverage(nothing)
    ax = cs.plot_coverage(matrix(2, 2))
    with pytest.raises(ArgumentError, match=r"ends in \.svg, \.pdf, \.png"):
        cs.save_plot(ax, tmp_path / "chart.bmp")
    with pytest.raises(DatasetError, match="cannot write"):
        cs.save_plot(ax, tmp_path / "nowhere" / "chart.png")
