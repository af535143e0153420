"""The verb `plot`: each picture is that of the verb's own answer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
from click.testing import CliRunner, Result

import cachestats as cs
from cachestats.cli import cli
from conftest import in_corpus
from tests.support.site import page, spec, write


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return a dataset of two dated snapshots of two stacks."""
    folder = tmp_path_factory.mktemp("weeks")
    pages = {
        ("develop-2025-03-02", "a"): page(
            "a", "develop-2025-03-02", [spec(digit * 32, stacks=["e4s", "ml"][:n]) for n, digit in ((1, "b"), (2, "c"))]
        ),
        ("develop-2025-03-09", "a"): page("a", "develop-2025-03-09", [spec("c" * 32, stacks=["e4s"])]),
        ("develop-2025-03-09", "z"): page("z", "develop-2025-03-09", [spec("d" * 32, stacks=["ml"])]),
    }
    return cs.build_dataset(write(folder / "site", pages), out=folder / "dataset")


def plot(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["plot", *map(str, arguments)])


@pytest.mark.slow
def test_each_verb_draws_what_the_functions_do(weeks: cs.Dataset, tmp_path: Path) -> None:
    new, old = (weeks.specs.filter(snapshot=f"develop-2025-03-0{day}") for day in (9, 2))
    words = "develop-2025-03-09"
    both = "develop-2025-03-02 to develop-2025-03-09"
    only = weeks.specs.filter(stack="e4s")
    usable = cs.coverage_matrix(new, rows="package", columns="target", usable=True)
    expected = {
        "coverage --rows package --columns target --usable": lambda: cs.plot_coverage(usable),
        "history --by stack --measure specs": lambda: cs.plot_history(
            cs.history(weeks.specs, by="stack"), measure="specs"
        ),
        "history --where stack=e4s": lambda: cs.plot_history(cs.history(only), subtitle="stack=e4s"),
        "churn --where stack=e4s": lambda: cs.plot_churn(cs.history(only), subtitle="stack=e4s"),
        "changes develop-2025-03-02 develop-2025-03-09": lambda: cs.plot_changes(
            cs.compare_counts(old, new), subtitle=both
        ),
        "losses develop-2025-03-02 develop-2025-03-09": lambda: cs.plot_losses(cs.losses(old, new), subtitle=both),
        "overlap --measure common_packages": lambda: cs.plot_overlap(
            cs.overlap(new), measure="common_packages", subtitle=words
        ),
        "overlap-sets": lambda: cs.plot_overlap_sets(cs.overlap_sets(new), subtitle=words),
        f"changes develop-2025-03-02 develop-2025-03-09 --against {weeks.path} --where stack=e4s": lambda: (
            cs.plot_changes(
                cs.compare_counts(*(side.filter(stack="e4s") for side in (old, new)), among=(old, new)),
                subtitle=f"{both}, stack=e4s",
            )
        ),
        "gaps --by stack": lambda: cs.plot_gaps(cs.gaps(new, by="stack"), subtitle=words),
        "gaps --by stack --where package=z": lambda: cs.plot_gaps(
            cs.gaps(new, by="stack", packages=["z"]), subtitle=f"{words}, package=z"
        ),
        "versions --by os": lambda: cs.plot_versions(cs.versions(new, by="os"), subtitle=words),
        "duplicates --snapshot develop-2025-03-02": lambda: cs.plot_duplicates(
            cs.duplicates(old), subtitle="develop-2025-03-02"
        ),
    }
    for command, draw in expected.items():
        verb, *options = command.split()
        out = tmp_path / f"{verb}.svg"
        done = plot(verb, weeks.path, *options, "--out", out)
        assert done.exit_code == 0, (command, done.output, done.exception)
        assert (done.stdout, done.stderr) == ("", f"wrote {out}\n")
        cs.save_plot(draw(), tmp_path / "expected.svg")
        plt.close("all")
        assert out.read_text() == (tmp_path / "expected.svg").read_text(), command


@pytest.mark.slow
def test_pictures_of_dependencies_and_lockfiles(sample: cs.Dataset, tmp_path: Path) -> None:
    specs = sample.specs.filter(snapshot="develop-2025-05-25")
    lockfile = in_corpus("mirrors/develop-2025-05-25/e4s/spack.lock")
    words = "develop-2025-05-25"
    expected = {
        f"hit-rates {lockfile} --by stack": cs.plot_hit_rates(
            cs.hit_rates(cs.read_environment(lockfile), sample.specs, by="stack"), subtitle="5 snapshots"
        ),
        "gaps --by stack": cs.plot_gaps(cs.gaps(specs, by="stack", dependencies=sample.dependencies), subtitle=words),
        "duplicates --by cause": cs.plot_duplicates(
            cs.duplicates(specs, dependencies=sample.dependencies, by="cause"), subtitle=words
        ),
    }
    for command, ax in expected.items():
        verb, *options = command.split()
        done = plot(verb, sample.path, *options, "--out", tmp_path / "drawn.svg")
        assert done.exit_code == 0, (command, done.output, done.exception)
        cs.save_plot(ax, tmp_path / "expected.svg")
        assert (tmp_path / "drawn.svg").read_text() == (tmp_path / "expected.svg").read_text(), command
    done = plot("holes", sample.path, "--out", tmp_path / "drawn.svg")
    assert "no holes in develop-2025-05-25\n" in done.stderr
    cs.save_plot(cs.plot_holes(cs.holes(sample, by="missing"), subtitle="develop-2025-05-25"), tmp_path / "none.svg")
    assert (tmp_path / "drawn.svg").read_text() == (tmp_path / "none.svg").read_text()


def test_a_picture_has_the_title_size_theme_and_rows_that_were_asked_for(weeks: cs.Dataset, tmp_path: Path) -> None:
    out, listed = tmp_path / "x.svg", tmp_path / "packages.txt"
    listed.write_text("a\nnowhere\n")
    options = (
        "--title",
        "Our $own$ title, which is so long that it takes two lines",
        "--size",
        "4x3",
        "--theme",
        "dark",
    )
    coverage = ("coverage", weeks.path, "--rows", "package", "--columns", "snapshot", "--out", out)
    done = plot(*coverage, *options, "--packages", listed, "--top", 1)
    assert (done.exit_code, done.stderr) == (0, f"not in these snapshots: nowhere\nwrote {out}\n")
    drawn = ElementTree.parse(out).getroot()
    texts = [part.text for part in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert (drawn.get("width"), drawn.get("height")) == ("288pt", "216pt")
    assert any(" ".join(pair) == options[1] for pair in pairwise(texts)), texts
    assert "only 1 of 2 packages" in texts
    assert "Specs, by package and snapshot" not in texts
    assert {"a", "2025-03-02"} <= {*texts}
    assert "z" not in texts
    assert "fill: #15191f" in out.read_text()
    done = plot(*coverage, "--size", "30")
    assert "expected a width and a height of 1 to 100 inches, such as 8x4.5, found '30'" in done.stderr


def test_a_picture_without_room_is_an_error(sample: cs.Dataset, tmp_path: Path) -> None:
    for question in ("coverage --rows package --columns snapshot", "gaps --by stack"):
        verb, *options = question.split()
        done = plot(verb, sample.path, *options, "--size", "8x4", "--out", tmp_path / "x.svg")
        assert "expected a picture with room for" in str(done.exception)
        assert "--top" in done.exception.hint
    done = plot("churn", sample.path, "--size", "1x1", "--out", tmp_path / "x.svg")
    assert "expected a picture with room for its labels and title, found 1x1 inches" in str(done.exception)
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.parametrize(
    ("name", "hint"), [("-", "picture.png"), ("", "picture.png"), ("h2.jpg", "h2.png"), ("h2", "h2.png")]
)
def test_a_file_of_another_kind_is_an_error_that_names_them_all(name: str, hint: str, weeks: cs.Dataset) -> None:
    error = plot("history", weeks.path, "--out", name).exception
    assert f"expected a file that ends in .png, .svg, .pdf, .html, found '{name}'" in str(error)
    assert error.hint == f"try --out {hint}"  # type: ignore[union-attr]


def test_holes_are_those_of_the_snapshots_that_the_chart_names(mixed: cs.Dataset, tmp_path: Path) -> None:
    assert plot("holes", mixed.path, "--snapshot", "all", "--out", tmp_path / "drawn.svg").exit_code == 0
    name = "develop-2025-07-13"  # the others were read from pages
    found = cs.holes(mixed.specs.filter(snapshot=name), mixed.dependencies, by="missing")
    cs.save_plot(cs.plot_holes(found, subtitle=name), tmp_path / "expected.svg")
    assert (tmp_path / "drawn.svg").read_text() == (tmp_path / "expected.svg").read_text()


@pytest.mark.parametrize("ending", ["svg", "html"])
@pytest.mark.parametrize("question", ["coverage --rows stack --columns os", "gaps --by stack", "history --by stack"])
def test_where_the_only_stack_is_root_a_hint_says_how_to_see_it(question: str, ending: str, tmp_path: Path) -> None:
    name = "develop-2025-03-02"
    pages = {(name, "a"): page("a", name, [spec("b" * 32, stacks=["root"])])}
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    hint = "hint: the only stack is root, the union of the stacks; --union shows it\n"
    verb, *options = question.split()
    out = tmp_path / f"x.{ending}"
    done = plot(verb, dataset.path, *options, "--out", out)
    assert done.stderr == f"no specs in {name}\n{hint}wrote {out}\n"
    assert verb.capitalize() in out.read_text()
    assert "no specs" in out.read_text()
    assert hint not in plot(verb, dataset.path, *options, "--union", "--out", out).stderr
    compared = ["compare-counts", str(dataset.path), name, name]
    assert CliRunner().invoke(cli, compared).stderr.endswith(hint)
    assert hint not in CliRunner().invoke(cli, [*compared, "--union"]).stderr


@pytest.mark.parametrize("question", ["history", "versions --by stack", "duplicates", "gaps --by stack", "overlap"])
def test_where_there_is_nothing_the_picture_says_so(question: str, weeks: cs.Dataset, tmp_path: Path) -> None:
    verb, *options = question.split()
    filters = ("--where", "package=a", "--where", "stack=ml", "--snapshot", "develop-2025-03-09")
    if verb == "gaps":  # its packages are no filter: here the stack has all in question
        filters = filters[2:]
    done = plot(verb, weeks.path, *options, *filters, "--out", tmp_path / "x.svg")
    assert done.exit_code == 0, done.exception
    what = "gaps" if verb == "gaps" else "specs"
    assert f"no {what} in develop-2025-03-09, " in done.stderr
    shown = (tmp_path / "x.svg").read_text()
    assert ("none: nothing is missing" if what == "gaps" else f"no {what}") in shown
