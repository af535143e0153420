"""The matrix of gaps: where its dots are, and which stacks are small by nature."""

from __future__ import annotations

from itertools import product

import polars as pl
from matplotlib.axes import Axes

import cachestats as cs

HAS = {"e4s": "abcdefgh", "ml": "abcdefij", "tiny": "a", "none": "abcxyzij"}


def gaps(has: dict[str, str]) -> pl.DataFrame:
    """Return the gaps of stacks that have these packages; the later ones in the alphabet have more dependents."""
    packages = sorted({*"".join(has.values())})
    rows = [
        (stack, package, sum(package in others for others in has.values()), ord(package))
        for stack, package in product(has, packages)
        if package not in has[stack]
    ]
    return pl.DataFrame(rows, schema=["stack", "package", "num_columns", "num_dependents"], orient="row")


def drawn(ax: Axes) -> list[set[tuple[str, str]]]:
    """Return the stacks and packages of the dots: there, missing, and missing in a stack that is small."""
    dots, _ = ax.child_axes
    rows, columns = (
        [text.get_text() for text in labels] for labels in (dots.get_yticklabels(), dots.get_xticklabels())
    )
    return [
        {(columns[round(across)], rows[round(down)]) for across, down in kind.get_offsets()}
        for kind in dots.collections
    ]


def test_each_cell_has_the_dot_of_its_stack_and_package() -> None:
    there, missing, small = drawn(cs.plot_gaps(gaps(HAS)))
    packages = {*"defghijxyz"}  # only the small stack lacks b and c
    assert there == {(stack, package) for stack, package in product(HAS, packages) if package in HAS[stack]}
    assert small == {("tiny", package) for package in packages}
    assert missing == {*product(HAS, packages)} - there - small


def test_packages_that_only_a_small_stack_lacks_are_no_gaps() -> None:
    lacking = gaps({"e4s": "abcdefgh", "ml": "abcdefgi", "tiny": "a"})
    ax = cs.plot_gaps(lacking)
    dots, bars = ax.child_axes
    assert [text.get_text() for text in dots.get_yticklabels()] == ["i", "h"]
    assert [text.get_text() for text in dots.get_xticklabels()] == ["e4s", "ml", "tiny"]
    assert [text.get_text() for text in bars.texts] == [str(ord("i")), str(ord("h"))]
    assert ax.get_title(loc="left").splitlines() == [
        "Packages missing in some stacks, by how many others need them",
        "large dot: missing, small dot: there",
        "ring: missing in tiny, small by nature",
    ]
    unweighed = cs.plot_gaps(lacking.with_columns(num_dependents=pl.lit(None, pl.Int64)), top=1)
    assert [text.get_text() for text in unweighed.child_axes[1].texts] == ["1"]
    assert unweighed.get_title(loc="left").splitlines()[:2] == [
        "Packages missing in some stacks, by how many stacks have them",
        "the first 1 of 2 packages",
    ]
