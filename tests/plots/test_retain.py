"""Lines of a retention curve: where they are drawn, and what the title says."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
import pytest
from click.testing import CliRunner

import cachestats as cs
from cachestats.cli import cli
from cachestats.errors import ArgumentError
from conftest import ROOT
from tests.support.pictures import retention

LOCKFILE = ROOT / "data" / "developer-tools.spack.lock.gz"


def title(curve: pl.DataFrame, **options: object) -> list[str]:
    return cs.plot_retain(curve, **options).get_title(loc="left").split("\n")  # type: ignore[arg-type]


def test_bytes_and_specs_grow_with_the_snapshots() -> None:
    curve = retention(["e4s", "ml"], ["develop", "v1.1", "v1.0"])
    for measure, step in (("bytes", 10**11), ("specs", 700)):
        ax = cs.plot_retain(curve, measure=measure)  # type: ignore[arg-type]
        (line,) = ax.lines
        assert [*line.get_xdata()] == [1, 2, 3]
        assert [*line.get_ydata()] == [step, 2 * step, 3 * step]
        assert ax.get_ylim()[0] == 0
    assert title(curve) == ["Bytes that the newest snapshots keep", "all 3 snapshots keep 300 GB"]
    assert title(curve.filter(newest=1), measure="specs")[1] == "the only snapshot keeps 700 specs"
    partly = curve.with_columns(unknown_sizes=pl.lit(5))
    assert title(partly, subtitle="our cache")[1:] == [
        "our cache",
        "all 3 snapshots keep 300 GB",
        "without 5 specs of unknown size",
    ]


def test_hits_are_drawn_against_bytes_as_far_as_sizes_are_known() -> None:
    curve = retention(["e4s", "$x$"], ["develop", "v1.0"])
    ax = cs.plot_retain(curve, measure="hits")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["e4s", "$x$"]
    assert [*ax.lines[1].get_xdata()] == [10**11, 2 * 10**11]
    assert [*ax.lines[1].get_ydata()] == [1 / 3, 2 / 3]
    unknown = curve.with_columns(bytes=pl.lit(None, pl.Int64))
    assert [*cs.plot_retain(unknown, measure="hits").lines[0].get_xdata()] == [700, 1400]
    assert title(retention([f"env-{number}" for number in range(9)], ["develop"]), measure="hits")[1] == (
        "the 8 of 9 environments that hit most"
    )


def test_what_the_curve_does_not_tell_is_not_drawn() -> None:
    curve = retention([None], ["develop"]).with_columns(pl.lit(None, pl.Int64).alias("bytes"), hits=None, rate=None)
    with pytest.raises(ArgumentError, match="expected the sizes of specs, found none\nhint: draw the measure specs"):
        cs.plot_retain(curve, measure="bytes")
    with pytest.raises(ArgumentError, match="expected environments, found none"):
        cs.plot_retain(curve, measure="hits")
    with pytest.raises(ArgumentError, match="expected one of bytes, specs, hits as measure, found 'size'"):
        cs.plot_retain(curve, measure="size")  # type: ignore[arg-type]


def test_without_sizes_specs_are_drawn_and_the_title_says_why() -> None:
    curve = retention(["e4s"], ["develop"]).with_columns(pl.lit(None, pl.Int64).alias("bytes"))
    ax = cs.plot_retain(curve)
    assert ax.get_title(loc="left").split("\n") == [
        "Specs that the newest snapshots keep",
        "the only snapshot keeps 700 specs",
        "in specs, because their sizes are unknown",
    ]
    ax.figure.canvas.draw()
    least, most = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if least <= tick <= most] == [1]


def test_the_verb_draws_what_the_function_does(sample: cs.Dataset, tmp_path: Path) -> None:
    curve = cs.retention_curve(sample, environments={LOCKFILE.name: cs.read_environment(LOCKFILE)})
    for measure, *options in (("specs",), ("hits", "--watch", str(LOCKFILE))):
        out = tmp_path / "drawn.svg"
        verb = ["plot", "retain", str(sample.path), "--measure", measure, *options, "--out", str(out)]
        done = CliRunner().invoke(cli, verb)
        assert done.exit_code == 0, (done.output, done.exception)
        cs.save_plot(cs.plot_retain(curve, measure=measure), tmp_path / "expected.svg")  # type: ignore[arg-type]
        plt.close("all")
        assert out.read_text() == (tmp_path / "expected.svg").read_text()
    assert CliRunner().invoke(cli, ["plot", "retain", str(sample.path), "--out", str(out)]).exit_code == 0
    assert "in specs, because their sizes are unknown" in out.read_text()
    done = CliRunner().invoke(cli, ["plot", "retain", str(sample.path), "--measure", "hits", "--out", "x.svg"])
    assert "add --watch ENVIRONMENT" in str(done.exception)
