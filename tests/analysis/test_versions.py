"""The newest versions against plain SQL over an order by an independent comparison, and Spack's rules of that order."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.axes import GROUP_AXES
from cachestats.errors import ArgumentError
from cachestats.naming import version_key, version_sort_key
from cachestats.schema import SPECS
from tests.support.cli import run

FOREVER = ["stable", "nightly", "trunk", "head", "master", "main", "develop"]

words = st.sampled_from([*FOREVER, "alpha", "beta", "rc", "final", "a", "b", "p", "post", "system", "mydevelop"])
pieces = st.integers(0, 12).map(str) | st.sampled_from(["007", "2024", "20240722"]) | words
names = st.lists(st.tuples(pieces, st.sampled_from([".", "-", "_", "", ".."])), min_size=1, max_size=5).map(
    lambda parts: "".join(itertools.chain(*parts))
)
commits = st.tuples(
    st.sampled_from(["git.abc", "git.v1.0", "f" * 40, "ref"]), st.sampled_from(["=1.0", "=1_0", "=2rc1", "=1:2", ""])
).map("".join)
versions = names | commits
odd_versions = versions | st.text(max_size=6) | st.text(max_size=3).map("git.{}=1.0".format)


def sign(left: Any, right: Any) -> int:
    return (left > right) - (left < right)


def compared(left: str, right: str) -> int:
    """Compare two versions part by part, as Spack's documentation and tests tell it."""
    (left_base, left_ref), (right_base, right_ref) = stands_for(left), stands_for(right)
    if left_base is None or right_base is None:
        return sign(left_base is None, right_base is None) or sign(left_ref, right_ref)
    return compared_plain(left_base, right_base) or sign(left_ref or "", right_ref or "")


def stands_for(version: str) -> tuple[str | None, str | None]:
    """Return the version that a commit stands for, None where it does not say, and the commit."""
    is_commit = "=" in version[1:] or version[:4] == "git." or (len(version) == 40 and set(version) <= {*"f"})
    if not is_commit:
        return version, None
    commit = version[4:] if version[:4] == "git." else version
    reference, *base = commit.split("=")
    return (base[0], reference) if base and ":" not in base[0] else (None, commit)


def compared_plain(left: str, right: str) -> int:
    (left_parts, *left_stage), (right_parts, *right_stage) = stages(left), stages(right)
    for one, other in zip(left_parts, right_parts, strict=False):
        kinds = [2 if part in FOREVER else 1 if part.isdecimal() else 0 for part in (one, other)]
        if kinds[0] != kinds[1]:
            return sign(*kinds)
        by_kind: Callable[[str], Any] = (str, int, FOREVER.index)[kinds[0]]
        if by_kind(one) != by_kind(other):
            return sign(by_kind(one), by_kind(other))
    return sign(len(left_parts), len(right_parts)) or sign(left_stage, right_stage)


def stages(version: str) -> tuple[list[str], int, int]:
    """Return the parts without those of a prerelease, its stage and its number, -1 where it has none."""
    parts = re.sub("[^0-9a-zA-Z]", " ", re.sub("(?<=[0-9])(?=[a-zA-Z])|(?<=[a-zA-Z])(?=[0-9])", " ", version)).split()
    order = {"alpha": 0, "beta": 1, "rc": 2, "final": 3}
    if len(parts) > 2 and parts[-1].isdecimal() and parts[-2] in order:
        return parts[:-2], order[parts[-2]], int(parts[-1])
    if len(parts) > 1 and parts[-1] in order:
        return parts[:-1], order[parts[-1]], -1
    return parts, 3, -1


def dependencies_first(texts: list[str]) -> pl.DataFrame:
    """Return versions with their rank, which equal ones share, and their place, which none share."""
    texts = sorted(sorted(set(texts)), key=cmp_to_key(compared))
    ranks = list(itertools.accumulate((0, *(sign(compared(*pair), 0) < 0 for pair in itertools.pairwise(texts)))))
    return pl.DataFrame(
        {"version": texts, "rank": ranks[: len(texts)], "place": range(len(texts))},
        schema={"version": pl.String, "rank": pl.Int64, "place": pl.Int64},
    )


def in_sql(specs: pl.DataFrame, by: str, *, union: bool = False) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB."""
    places = dependencies_first(specs["version"].to_list())
    assert places.height == specs["version"].n_unique()
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    return duckdb.sql(f"""
        WITH mine AS (SELECT * FROM specs JOIN places USING (version) {where}),
        newest AS (SELECT package, arg_max(version, place) AS newest, max(rank) AS rank FROM mine GROUP BY ALL)
        SELECT package, "{by}", arg_max(version, place), newest, max(mine.rank) < newest.rank, count(DISTINCT version)
        FROM mine JOIN newest USING (package) GROUP BY package, "{by}", newest, newest.rank
        ORDER BY 1, 2 NULLS LAST
    """).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("by", GROUP_AXES)
def test_every_group_is_as_in_sql(by: str, many: pl.DataFrame, sample: cs.Dataset) -> None:
    for specs in (many, sample.specs.collect()):
        found = cs.versions(specs, by=by)
        assert found.rows() == in_sql(specs, by)
        assert found.columns == ["package", by, "version", "newest", "is_behind", "num_versions"]
        assert found.schema["num_versions"] == pl.Int64
    assert found["is_behind"].any() or by == "platform"


some_specs = st.lists(
    st.fixed_dictionaries(
        {
            "package": st.sampled_from("ab"),
            "version": versions,
            "snapshot": st.sampled_from(["develop", "v1.0"]),
            "stack": st.none() | st.sampled_from(["root", "e4s", "ml"]),
            "compiler": st.none() | st.sampled_from(["gcc@13", "llvm@19"]),
        }
    ),
    max_size=12,
).map(lambda rows: pl.DataFrame(rows, schema=SPECS.polars()))


@given(some_specs, st.sampled_from(["stack", "snapshot", "compiler"]), st.booleans())
def test_any_specs_are_as_in_sql(specs: pl.DataFrame, by: str, union: bool) -> None:
    assert cs.versions(specs, by=by, union=union).rows() == in_sql(specs, by, union=union)


@given(some_specs, st.sampled_from(["stack", "snapshot"]), st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter_and_someone_has_the_newest(
    specs: pl.DataFrame, by: str, draw: random.Random
) -> None:
    found = cs.versions(specs, by=by)
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    assert cs.versions(pl.concat([shuffled, specs]).lazy(), by=by).equals(found)
    assert set(found["package"]) == set(found.filter(~pl.col("is_behind"))["package"])
    assert found.filter("is_behind", version=pl.col("newest")).is_empty()


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["1.0", "2.0"],
        ["2.0", "2.0.1", "2.0.1a"],
        ["5.5p1", "5.5p2", "5.5p10", "5.6p1", "6.5p1"],
        ["1.0a", "1.0aa"],
        ["10a1", "10a2", "10b2", "10xyz", "10.1xyz"],
        ["xyz10", "xyz10.1"],
        ["system", "xyz.4", "2", "8", "9.0"],
        ["xsdk-0.2.0", "xsdk-0.3"],
        ["10.0001", "10.0039"],
        ["4.999.9", "5.0"],
        ["20101121", "20101122"],
        ["1b.fc17", "1.fc17", "1g.fc17"],
        ["9.0", *FOREVER],
        ["develop.1", "develop.2"],
        ["mydevelopmentnightmare", "1.mydevelopmentnightmare", "1.0", "1.1", "1.develop", "1.develop.1", "2.1"],
        ["0.5", "0.5.develop"],
        ["6.0alpha", "6.0alpha0", "6.0alpha1", "6.0alpha2", "6.0beta", "6.0beta0", "6.0rc", "6.0rc0", "6.0rc2", "6.0"],
        ["3.1-rc3", "3.1", "3.1.1"],
        ["1.4.12.3", "2.1.12.5"],
        ["1.2", "1.2.0rc1", "1.2.0"],
        ["1.0", "git.abc=1.0", "git.abd=1.0", "1.0.1", "develop", "git.abc", "f" * 40],
        ["1.0", "git.z=1.0", "1.0final2", "1.0final10", "1.0.Z", "1.0.a", "1.0.0"],
        [f"git.v{end}=1.0" for end in ("", "\n", " ", "'", ",", "-", "/", "0", "A", "z", "~", "\u00e9", "\U0001f600")],
    ],
    ids=lambda order: order[0],
)
def test_versions_stand_in_spacks_order(oldest_first: list[str]) -> None:
    for older, newer in itertools.pairwise(oldest_first):
        assert version_key(older) < version_key(newer)
        assert version_sort_key(older) < version_sort_key(newer)


@pytest.mark.parametrize("equal", [["2_0", "2.0", "2-0"], ["10.0001", "10.1"], ["1.0rc1", "1.0-rc.01"], ["1b", "1.b"]])
def test_separators_and_leading_zeros_do_not_count(equal: list[str]) -> None:
    assert len(set(map(version_key, equal))) == 1
    assert len(set(map(version_sort_key, equal))) == 1


@given(versions | st.text(max_size=6), versions | st.text(max_size=6))
def test_any_two_versions_compare_as_part_by_part(left: str, right: str) -> None:
    assert sign(version_key(left), version_key(right)) == compared(left, right)


@given(names, st.sampled_from("._-"), st.integers(0, 10**30))
def test_a_version_is_older_than_its_patches_and_newer_than_its_prereleases(
    version: str, separator: str, number: int
) -> None:
    assume(not {"alpha", "beta", "rc", "final"} & {*re.findall("[a-z]+", version)})
    assert version_key(version) < version_key(f"{version}{separator}post")
    assert version_key(version) > version_key(f"{version}{separator}rc{number}")
    assert version_key(f"{version}{separator}{number}") < version_key(f"{version}{separator}{number + 1}")
    assert version_key(f"{version}{separator}{number}") < version_key(f"{version}{separator}develop")


def test_numbers_may_be_longer_than_python_takes() -> None:
    assert version_key("9" * 5000) < version_key("1" + "0" * 5000)
    assert version_sort_key("9" * 5000) < version_sort_key("1" + "0" * 5000)


@given(odd_versions, odd_versions)
def test_the_text_of_a_version_sorts_as_the_version(left: str, right: str) -> None:
    texts = [version_sort_key(version).encode() for version in (left, right)]
    assert sign(*texts) == sign(version_key(left), version_key(right))
    for text in texts:
        assert re.fullmatch(rb"v([!-~](?<![\"',]))*", text)


@pytest.mark.parametrize("name", ["demo", "mixed", "sample"])
def test_every_spec_has_the_text_of_its_version(name: str, request: pytest.FixtureRequest) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    found = dataset.specs.select("version", "version_key").unique().collect()
    assert found["version_key"].to_list() == [version_sort_key(version) for version in found["version"]]


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_numbers_of_every_length_sort(left: int, right: int) -> None:
    assert sign(*(version_sort_key(f"1.{number}") for number in (left, right))) == sign(left, right)


@given(names, names)
def test_a_text_without_its_last_dot_comes_before_all_that_begins_like_it(high: str, version: str) -> None:
    assume(not {"alpha", "beta", "rc", "final"} & {*re.findall("[a-z]+", high)})
    bound = version_sort_key(high).removesuffix(".")
    for longer in (high, f"{high}-rc1", f"{high}.a", f"{high}.0"):
        assert bound < version_sort_key(longer)
        assert version_sort_key(longer).startswith(bound)
    assert (bound < version_sort_key(version)) == (version_key(f"{high}-alpha") <= version_key(version))


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="as by, found 'stak'\nhint: try stack"):
        cs.versions(demo.specs, by="stak")
    with pytest.raises(ArgumentError, match="as by, found 'version'"):
        cs.versions(demo.specs, by="version")
    with pytest.raises(ArgumentError, match="keep version in the frame"):
        cs.versions(demo.specs.drop("version"))


def test_frames_of_every_kind_give_equal_answers(
    demo: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    expected = cs.versions(demo.specs, by="stack")
    for name, frame in kinds(demo.specs.collect()).items():
        assert cs.versions(frame, by="stack").equals(expected), name


def test_the_command_shows_first_what_is_behind(sample: cs.Dataset) -> None:
    question = ("versions", sample.path, "--by", "snapshot", "--package", "hdf5", "--package", "zstd")
    rows = [tuple(row.values()) for row in json.loads(run(*question, "--format", "json").stdout)]
    assert rows == cs.versions(sample.specs.filter(pl.col("package").is_in(["hdf5", "zstd"])), by="snapshot").rows()
    done = run(*question, "--format", "markdown")
    shown = [line.split("|")[5].strip() for line in done.stdout.decode().splitlines()[2:]]
    assert shown == sorted(shown, reverse=True)
    assert {*shown} == {"yes", "no"}
    behind = {row[0] for row in rows if row[4]}
    assert f"{len(behind)} of 2 packages lag behind somewhere" in done.stderr.decode()


def test_the_command_says_who_is_behind(demo: cs.Dataset, sample: cs.Dataset) -> None:
    done = run("versions", demo.path, "--by", "stack", "--package", "py-filelock")
    assert done.stderr.decode() == (
        "newest versions by stack in develop, package=py-filelock: 0 of 1 package lag behind somewhere, 0.0%\n"
    )
    said = run("versions", sample.path, "--by", "stack", "--snapshot", "develop-2024-06-02", "--format", "csv").stderr
    behind = cs.versions(sample.specs.filter(snapshot="develop-2024-06-02"), by="stack").filter("is_behind")
    most = behind.group_by("stack").len().sort("len", descending=True).row(0)
    assert f"{behind['package'].n_unique()} of 778 packages lag behind somewhere" in said.decode()
    assert f"; most in {most[0]}, {most[1]}\n" in said.decode()
    failed = run("versions", demo.path, "--by", "stack", "--package", "py-filelok", code=2).stderr.decode()
    assert failed.endswith("found 'py-filelok'\nhint: try py-filelock\n")
    assert "try stack" in run("versions", demo.path, "--by", "stak", code=2).stderr.decode()
