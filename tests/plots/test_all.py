"""What holds for every picture: its words can be read, its bytes are the same, and what is no frame is an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.testing.compare import compare_images

import cachestats as cs
from cachestats.axes import THEMES, ThemeName
from cachestats.errors import ArgumentError
from cachestats.plots.themes import current
from conftest import ROOT
from tests.support.pictures import Name, cut_off, drawn_texts, faint, luminances, overlapping, pictures

LONG = "a-very-long-name-of-a-package-that-goes-on-and-on-for-eighty-characters-and-so-{}"
ODD: list[Name] = [None, "", "a\nb\x00\ufffe", "\u202ertl", "né", "名前", "_hidden", "<img src=x>", "$x^2$", "$\\frac$"]
INPUTS: dict[str, list[Name]] = {
    "one": ["zlib-ng"],
    "three": ["zlib-ng", "hdf5", "py-numpy"],
    "many": [f"package-{number}" for number in range(200)],
    "odd": ["W" * 80, "i" * 80, *(LONG.format(number) for number in range(9)), *ODD],
}
PICTURES = sorted(pictures(["one", "two"]))
PLOTS = sorted(name for name in cs.__all__ if name.startswith("plot_"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("kind", INPUTS)
def test_no_text_is_cut_off_or_overlaps_in_a_saved_picture(kind: str, name: str, tmp_path: Path) -> None:
    picture = pictures(INPUTS[kind]).get(name)
    if picture is None:  # one has nothing in common with others
        return
    ax = picture.draw()
    with drawn_texts() as boxes:
        cs.save_plot(ax, tmp_path / "picture.png")
    assert boxes
    assert cut_off([*boxes.values()]) == []
    assert overlapping([*boxes.values()]) == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_every_text_is_readable_on_what_is_behind_it(name: str, theme: ThemeName) -> None:
    with cs.theme(theme):
        ax = pictures(INPUTS["three"])[name].draw()
    with drawn_texts() as boxes:
        ax.figure.canvas.draw()
        ax.figure.canvas.draw()  # the layout settles with the second
    assert boxes
    assert faint(ax, boxes) == []


@pytest.mark.parametrize("name", THEMES)
def test_lines_contrast_with_the_page_and_print_has_no_colours(name: ThemeName) -> None:
    with cs.theme(name):
        theme = current()
    paper, *lines = luminances(np.array([to_rgb(colour) for colour in (theme.paper, *theme.series)]))
    assert min((max(line, paper) + 0.05) / (min(line, paper) + 0.05) for line in lines) > 3
    if name == "print":
        every = [
            *theme.series,
            *theme.scale,
            *theme.states.values(),
            *(part for part in theme if isinstance(part, str)),
        ]
        assert all(len(set(to_rgb(colour))) == 1 for colour in every)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_frames_of_other_kinds_give_the_same_picture(name: str, tmp_path: Path) -> None:
    picture = pictures(["hdf5", "zlib-ng", "py-numpy"])[name]
    assert isinstance(picture.frame, pl.DataFrame)
    files = []
    for kind, frame in (
        ("polars", picture.frame), ("lazy", picture.frame.lazy()), ("pandas", picture.frame.to_pandas()),
        ("pyarrow", picture.frame.to_arrow()),
    ):  # fmt: skip
        files.append(tmp_path / f"{kind}.svg")
        cs.save_plot(picture._replace(frame=frame).draw(), files[-1])
        plt.close("all")
    first, *others = (file.read_text() for file in files)
    assert all(other == first for other in others)


def test_every_plot_is_among_these() -> None:
    missing = set(PLOTS) - {picture.plot.__name__ for picture in pictures(["one", "two"]).values()}
    assert not missing, f"add pictures of {', '.join(sorted(missing))} to `pictures` in tests/support/pictures.py"


def save_all(folder: Path, *, backwards: bool = False) -> None:
    """Save every picture, in an order on which nothing may depend."""
    found = sorted(pictures(["hdf5", "$x^2$", "<img src=x>"]).items(), reverse=backwards)
    for name, picture in found:
        cs.save_plot(picture.draw(), folder / f"{name}.svg")
        plt.close("all")


@pytest.mark.slow
def test_the_same_frame_gives_the_same_svg_also_in_another_process(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    save_all(here)
    code = f"from tests.plots.test_all import *; save_all(Path({str(there)!r}), backwards=True)"
    environment = os.environ | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=environment, check=True)
    files = sorted(here.iterdir())
    assert len(files) == len(PICTURES)
    for file in files:
        assert file.read_bytes() == (there / file.name).read_bytes(), file.name
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", PLOTS)
def test_what_is_not_the_answer_of_the_analysis_is_an_error(name: str) -> None:
    plot = getattr(cs, name)
    for wrong in (None, pl.LazyFrame({"package": ["a"]}), pl.DataFrame(), pl.DataFrame({"package": ["a"], "b": ["c"]})):
        with pytest.raises(ArgumentError, match=r"(?s)expected .* found .*hint: pass the result of "):
            plot(wrong)
    assert not plt.get_fignums(), "no figure is left behind"


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_set_for_other_figures(name: str) -> None:
    before = dict(mpl.rcParams)
    pictures(INPUTS["three"])[name].draw()
    assert dict(mpl.rcParams) == before
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_the_axes_it_is_given(name: str) -> None:
    _, (left, right) = plt.subplots(1, 2, figsize=(16, 8), layout="constrained")
    assert pictures(INPUTS["three"])[name].draw(right) is right
    assert not left.has_data()
    assert not left.get_title(loc="left")
    assert len(plt.get_fignums()) == 1


def test_a_character_that_the_font_lacks_is_drawn_as_unknown() -> None:
    ax = cs.plot_holes(pl.DataFrame({"package": ["a名\nb"], "hash": ["abc"], "breaks": [1]}))
    assert ax.get_yticklabels()[0].get_text() == "a\ufffd\ufffdb/abc"


BASELINES = ROOT / "tests" / "plots" / "baselines"


@pytest.mark.skipif(not mpl.__version__.startswith("3.11."), reason="the baselines are of Matplotlib 3.11")
@pytest.mark.parametrize(
    "name", ["usable", "history around a change", "overlap sets", "changes", "gaps", "usable host"]
)
def test_a_picture_looks_as_it_did(name: str, tmp_path: Path) -> None:
    """Compare with a picture that a person has looked at.

    CACHESTATS_NEW_BASELINES=1 makes new ones, to be looked at before they are committed.
    """
    file = f"{name.replace(' ', '_')}.png"
    pictures(INPUTS["three"])[name].draw().figure.savefig(tmp_path / file, dpi=80)
    if os.environ.get("CACHESTATS_NEW_BASELINES"):
        shutil.copy(tmp_path / file, BASELINES / file)
    # Of 255; the tolerance is for another way to smooth the edges of letters.
    assert compare_images(str(BASELINES / file), str(tmp_path / file), tol=1) is None
