"""What fell: the share of the packages of each stack that the next snapshot lacks, and the exit code for it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given

import cachestats as cs
from cachestats.analysis.losses import check_losses
from cachestats.errors import ArgumentError
from tests.support.cli import run
from tests.support.frames import specs_of
from tests.support.site import page, spec, write

ORDINARY = "package NOT IN ('compiler-wrapper', 'gcc-runtime', 'llvm')"


def in_sql(old: pl.DataFrame, new: pl.DataFrame) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB, of packages that are no matter of representation."""
    return duckdb.sql(
        """
        SELECT o.stack, count(DISTINCT o.package) AS had,
            (SELECT count(DISTINCT package) FROM new n WHERE n.stack IS NOT DISTINCT FROM o.stack),
            count(DISTINCT o.package) FILTER (WHERE NOT EXISTS (
                FROM new n WHERE n.stack IS NOT DISTINCT FROM o.stack AND n.package = o.package)) AS lost,
            lost / had AS fell
        FROM old o WHERE o.stack IS DISTINCT FROM 'root' GROUP BY o.stack ORDER BY fell DESC, o.stack NULLS LAST
        """
    ).fetchall()


@pytest.mark.slow
def test_two_snapshots_are_as_in_sql(sample: cs.Dataset) -> None:
    old, new = (sample.specs.filter(snapshot=f"develop-2025-0{day}").collect() for day in ("3-09", "5-25"))
    found = cs.losses(old, new)
    assert found.columns == ["stack", "old_packages", "new_packages", "lost", "drop"]
    # Nothing is lost by representation here: the new side is that of Spack 1.0.
    assert found.rows() == in_sql(old, new)


@given(specs_of(["old", "new"]))
def test_any_two_sides_are_as_in_sql(specs: pl.DataFrame) -> None:
    ordinary = duckdb.sql(f"FROM specs WHERE {ORDINARY}").pl()
    old, new = (ordinary.filter(snapshot=name) for name in ("old", "new"))
    assert cs.losses(old, new).rows() == in_sql(old, new)
    assert cs.losses(old, old)["lost"].sum() == 0


def test_what_came_does_not_make_up_and_representation_is_no_loss() -> None:
    old = pl.DataFrame({"package": ["a", "b", "gcc-runtime", "compiler-wrapper", "gcc"]})
    new = pl.DataFrame({"package": ["a", "c", "d"]})
    same = {"version": pl.lit("1"), "stack": pl.lit("e4s"), "compiler_name": pl.lit("gcc")}
    old, new = (side.with_columns(**same, hash="package") for side in (old, new))
    assert cs.losses(old, new).rows() == [("e4s", 5, 3, 1, 0.2)]
    assert cs.losses(old, new, by=None).rows() == [(5, 3, 1, 0.2)]
    # Where not every spec has a compiler, Spack made packages of them: they are lost.
    newer = new.with_columns(pl.col("compiler_name").replace("gcc", None))
    assert cs.losses(old, newer, by=None).rows() == [(5, 3, 4, 0.8)]
    assert cs.losses(old.clear(), new, by=None).is_empty()
    with pytest.raises(ArgumentError, match="as by, found 'package'"):
        cs.losses(old, new, by="package")


def test_a_check_tells_what_was_lost_and_what_was_too_much() -> None:
    rows = [("e4s", "a"), ("e4s", "b"), ("ml", "a"), ("ml", "c"), ("ml", "d"), ("ml", "e"), ("hep", "a")]
    old = pl.DataFrame(rows, schema=["stack", "package"], orient="row")
    old = old.with_columns(version=pl.lit("1"), hash="package")
    new = old.filter(~((pl.col("stack") == "e4s") & (pl.col("package") == "b")), pl.col("package") != "c")
    found = check_losses(old, new, allowed=0.25)
    assert found.lost.rows() == [("e4s", 2, 1, 1, 0.5), ("ml", 4, 3, 1, 0.25)]
    assert found.excessive.rows() == [("e4s", 2, 1, 1, 0.5)]  # exactly what is allowed is not too much
    assert found.whole.rows() == [(5, 3, 2, 0.4)]
    assert check_losses(old, new, allowed=1).excessive.is_empty()
    assert check_losses(old, new, allowed=0).excessive["stack"].to_list() == ["e4s", "ml"]
    assert check_losses(old, new, allowed=1.0, by=None).whole.equals(found.whole)
    assert check_losses(old.clear(), new, allowed=0).whole.is_empty()


def test_the_verb_fails_where_a_stack_fell(sample: cs.Dataset) -> None:
    done = run("check", sample.path, code=1)
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert rows[0] == ["stack", "old", "new", "lost", "drop"]
    assert rows[2:] == [
        ["ml-darwin-aarch64-mps", "260", "0", "260", "100.0%"],
        ["e4s", "554", "468", "90", "16.2%"],
        ["ml-linux-x86_64-cpu", "304", "301", "10", "3.3%"],
        ["radiuss", "229", "227", "3", "1.3%"],
    ]
    assert done.stderr.decode().splitlines() == [
        "develop-2025-03-09 to develop-2025-05-25: 83 of 713 packages lost, 11.6%",
        "error: expected no stack to lose more than 5.0% of its packages, "
        "found ml-darwin-aarch64-mps 100.0%, e4s 16.2%",
        f"hint: list them with: cachestats compare {sample.path} develop-2025-03-09 develop-2025-05-25 "
        "--by stack --change removed",
    ]


def test_the_hint_of_a_failed_check_asks_the_same_question(sample: cs.Dataset) -> None:
    options = ("--where", "stack=e4s", "--where", "stack=root", "--by", "os", "--union")
    said = run("check", sample.path, *options, "--fail-over", "1%", code=1).stderr.decode()
    command = said.rpartition("list them with: cachestats ")[2].split()
    lost = json.loads(run(*command, "--format", "json").stdout)
    assert {row["change"] for row in lost} == {"removed"}
    assert " ".join(command[4:-2]) == "--by os --where stack=e4s --where stack=root --union"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--snapshot", "develop-2025-05-25", "--snapshot", "develop-2025-03-09"), 2),
        (("--where", "stack=e4s", "--fail-over", "16%"), 1),
        (("--where", "stack=e4s", "--fail-over", "17%"), 0),
        (("--by", "none", "--fail-over", "12%"), 0),
        (("--by", "none", "--fail-over", "11%"), 1),
        (("--fail-over", "100%"), 0),
        (("--snapshot", "develop-2024-04-14", "--where", "stack=radiuss", "--fail-over", "0"), 0),
        (("--snapshot", "develop-2024-03-17"), 2),
        (("--snapshot", "all"), 2),
        (("--where", "stack=e5s"), 2),
        (("--where", "snapshot=develop-2024-04-14"), 2),
        (("--by", "package"), 2),
        (("--fail-over", "259"), 1),
        (("--fail-over", "260"), 0),
        (("--fail-over", "5.0"), 2),
        (("--fail-over", "-1"), 2),
    ],
)
def test_the_exit_code_says_what_happened(options: tuple[str, ...], code: int, sample: cs.Dataset) -> None:
    run("check", sample.path, *options, code=code)


def test_a_drop_of_just_what_is_allowed_passes(tmp_path: Path) -> None:
    pages = {
        (snapshot, f"p{number}"): page(f"p{number}", snapshot, [spec(f"{number:032}")])
        for snapshot, count in (("develop-2025-03-09", 20), ("develop-2025-03-16", 19))
        for number in range(count)
    }
    cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    run("check", tmp_path / "dataset", "--fail-over", "5%")
    run("check", tmp_path / "dataset", "--fail-over", "4.99%", code=1)


def test_machines_get_the_tidy_table(sample: cs.Dataset) -> None:
    done = run("check", sample.path, "--fail-over", "100%", "--format", "csv").stdout.decode()
    header, *rows = csv.reader(io.StringIO(done))
    assert header == ["stack", "old_packages", "new_packages", "lost", "drop"]
    assert rows[0] == ["ml-darwin-aarch64-mps", "260", "0", "260", "1.0"]


def test_nothing_to_compare_is_said_and_is_no_failure(demo: cs.Dataset) -> None:
    done = run("check", demo.path)
    assert done.stdout == b""
    assert done.stderr == b"nothing to compare: there are neither two dated snapshots nor two releases\n"
    assert run("check", demo.path, "--format", "json").stdout == b"[]\n"
    assert run("check", demo.path, "--format", "csv").stdout == b"stack,old_packages,new_packages,lost,drop\n"
    once = run("check", demo.path, "--once", "--format", "csv").stdout
    assert once.startswith(b"stack,old_packages,new_packages,lost,drop,")
    assert once.count(b"\n") == 1
