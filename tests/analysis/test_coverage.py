"""Coverage against the same question in plain SQL, over every pair of axes, and its invariants."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.axes import AXES, DENOMINATORS, MEASURES
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.schema import DEPENDENCIES, SPECS

Kinds = Callable[[pl.DataFrame], dict[str, Any]]
PAIRS = list(itertools.permutations(AXES, 2))


def in_sql(
    specs: pl.DataFrame, rows: str, columns: str, measure: str, of: str, *, union: bool
) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB."""
    source = "SELECT * FROM specs"
    if "stack" in (rows, columns) and not union:
        source += " WHERE stack IS DISTINCT FROM 'root'"
    counted = "count(DISTINCT (snapshot, hash))" if measure == "specs" else "count(DISTINCT package)"
    cells = f'SELECT "{rows}", "{columns}", {counted} AS value FROM ({source}) GROUP BY ALL'
    if measure == "share":
        key = {"row": f'"{rows}"', "column": f'"{columns}"', "all": "1"}[of]
        whole = f"SELECT {key} AS key, count(DISTINCT package) AS whole FROM ({source}) GROUP BY ALL"
        cells = (
            f'SELECT "{rows}", "{columns}", value / whole FROM ({cells}) AS cells JOIN ({whole}) AS wholes '
            f"ON {'cells.' + key if of != 'all' else '1'} IS NOT DISTINCT FROM wholes.key"
        )
    return duckdb.sql(f"{cells} ORDER BY 1 NULLS LAST, 2 NULLS LAST").fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), PAIRS, ids=map("-".join, PAIRS))
def test_every_pair_of_axes_is_as_in_sql(rows: str, columns: str, many: pl.DataFrame) -> None:
    for measure in MEASURES:
        found = cs.coverage(many, rows=rows, columns=columns, measure=measure)
        assert found.columns == [rows, columns, "value"]
        assert found.schema["value"] == (pl.Float64 if measure == "share" else pl.Int64)
        assert found.rows() == in_sql(many, rows, columns, measure, "row", union=False)


names = st.sampled_from("abc")
some_specs = st.lists(
    st.fixed_dictionaries(
        {
            "package": names,
            "version": st.sampled_from(["1.9", "1.10"]),
            "snapshot": st.sampled_from(["develop", "v1.0"]),
            "hash": st.sampled_from("uvwxyz"),
            "target": st.sampled_from(["x86_64", "zen4", "unheard"]),
            "compiler": st.none() | names,
            "stack": st.none() | st.sampled_from(["root", "e4s"]),
        }
    ),
    max_size=15,
).map(lambda rows: pl.DataFrame(rows, schema=SPECS.polars()))


@given(some_specs, st.sampled_from(PAIRS), st.sampled_from(MEASURES), st.sampled_from(DENOMINATORS), st.booleans())
def test_any_specs_are_counted_as_in_sql(
    specs: pl.DataFrame, axes: tuple[str, str], measure: str, of: str, union: bool
) -> None:
    rows, columns = axes
    found = cs.coverage(specs, rows=rows, columns=columns, measure=measure, denominator=of, union=union)
    assert found.rows() == in_sql(specs, rows, columns, measure, of, union=union)


@given(some_specs, st.sampled_from(PAIRS), st.sampled_from(MEASURES), st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_nor_the_kind_of_frame_matter(
    specs: pl.DataFrame, axes: tuple[str, str], measure: str, draw: random.Random
) -> None:
    question = {"rows": axes[0], "columns": axes[1], "measure": measure}
    expected = cs.coverage(specs, **question)
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    again = pl.concat([shuffled, shuffled])
    for frame in (again, again.lazy(), duckdb.sql("SELECT * FROM again"), again.to_arrow()):
        assert cs.coverage(frame, **question).equals(expected)


@given(some_specs)
def test_disjoint_filters_add_up(specs: pl.DataFrame) -> None:
    parts = [cs.coverage(specs.filter(snapshot=name), rows="target", columns="package") for name in ("develop", "v1.0")]
    total = pl.concat(parts).group_by("target", "package").agg(pl.col("value").sum()).sort("target", "package")
    assert total.equals(cs.coverage(specs, rows="target", columns="package"))


@given(some_specs, st.sampled_from(PAIRS), st.sampled_from(MEASURES))
def test_the_matrix_is_the_pivot(specs: pl.DataFrame, axes: tuple[str, str], measure: str) -> None:
    rows, columns = axes
    long = cs.coverage(specs, rows=rows, columns=columns, measure=measure)
    matrix = cs.coverage_matrix(specs, rows=rows, columns=columns, measure=measure)
    assert matrix.columns[0] == rows
    assert matrix.height == long[rows].n_unique()
    assert matrix.width - 1 == long[columns].n_unique()
    values = matrix.drop(rows)
    assert not values.to_numpy().size or not np.isnan(values.to_numpy()).any()
    assert sum(values.to_numpy().flatten().tolist()) == pytest.approx(long["value"].sum())
    assert (values.to_numpy() > 0).sum() == long.height


def test_columns_stand_in_the_order_that_a_person_expects() -> None:
    targets = ["zen4", "m1", "x86_64_v4", "unheard", "x86_64", "neoverse_v1", "aarch64", "x86_64_v3"]
    snapshots = ["develop", "v0.23.1", "v2025.07.0", "develop-2025-03-09", "develop-2024-12-29", "v0.9.0"]
    compilers = ["gcc@11.4.0", "gcc@7.5.0", None, "llvm@19"]

    def order(axis: str, values: list[str | None]) -> list[str]:
        rows = [{"snapshot": "s", "hash": str(n), axis: value, "os": "o"} for n, value in enumerate(values)]
        return cs.coverage_matrix(pl.DataFrame(rows), rows="os", columns=axis).columns[1:]

    assert order("target", targets) == [
        "aarch64", "m1", "neoverse_v1", "x86_64", "x86_64_v3", "x86_64_v4", "zen4", "unheard",
    ]  # fmt: skip
    assert order("snapshot", snapshots) == [
        "v0.9.0", "v0.23.1", "v2025.07.0", "develop-2024-12-29", "develop-2025-03-09", "develop",
    ]  # fmt: skip
    assert order("compiler", compilers) == ["gcc@7.5.0", "gcc@11.4.0", "llvm@19", "none"]


def test_root_is_left_out_unless_asked_for(demo: cs.Dataset) -> None:
    question = {"rows": "package", "columns": "stack"}
    assert "root" not in cs.coverage_matrix(demo.specs, **question).columns
    with_root = cs.coverage_matrix(demo.specs, **question, union=True)
    assert with_root["root"].to_list() == [142, 68]
    assert with_root.drop("root").equals(cs.coverage_matrix(demo.specs, **question))


def test_a_name_that_is_also_the_name_of_the_other_axis_keeps_its_column() -> None:
    specs = pl.DataFrame({"snapshot": ["s"], "hash": ["h"], "package": ["stack"], "stack": ["e4s"]})
    matrix = cs.coverage_matrix(specs, rows="stack", columns="package")
    assert matrix.rows(named=True) == [{"stack": "e4s", "stack (package)": 1}]


def test_a_missing_name_is_not_taken_for_one_that_is_called_so() -> None:
    specs = pl.DataFrame(
        {
            "snapshot": "s",
            "hash": ["h", "i", "j"],
            "compiler_name": [None, "none", "stack"],
            "stack": ["stack (os)"] * 3,
        }
    ).with_columns(package=pl.Series(["stack", "stack (package)", "z"]))
    matrix = cs.coverage_matrix(specs, rows="compiler_name", columns="stack")
    assert matrix["compiler_name"].to_list() == ["(none)", "none", "stack"]
    matrix = cs.coverage_matrix(specs, rows="stack", columns="package")
    assert matrix.columns == ["stack", "(stack (package))", "stack (package)", "z"]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"rows": "tarket", "columns": "os"}, "as rows, found 'tarket'\nhint: try target"),
        ({"rows": "os", "columns": "hash"}, "as columns, found 'hash'"),
        ({"rows": "os", "columns": "os"}, "two different axes"),
        ({"rows": "os", "columns": "target", "measure": "spec"}, "try specs"),
        ({"rows": "os", "columns": "target", "denominator": "rows"}, "try row"),
    ],
)
def test_a_wrong_question_says_what_there_is(question: dict[str, str], message: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError) as error:
        cs.coverage(demo.specs, **question)
    assert message in str(error.value)


def test_a_frame_that_lacks_columns_or_is_none_is_named() -> None:
    with pytest.raises(ArgumentError, match="expected the columns hash, os, snapshot, target, found os"):
        cs.coverage(pl.DataFrame({"os": ["a"]}), rows="os", columns="target")
    with pytest.raises(ArgumentError, match="a frame that narwhals supports, found list"):
        cs.coverage([1, 2], rows="os", columns="target")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="axes"):
        cs.coverage(nw.from_native(pl.DataFrame()), rows="os", columns="os")


def test_no_specs_give_an_empty_answer() -> None:
    empty = pl.LazyFrame(schema=SPECS.polars())
    assert cs.coverage(empty, rows="os", columns="target", measure="share").shape == (0, 3)
    assert cs.coverage_matrix(empty, rows="os", columns="target").shape == (0, 1)
    for host in (None, cs.Host("zen4", os="rhel9")):
        assert cs.coverage(empty, rows="os", columns="target", usable=True, host=host).shape == (0, 3)


def test_frames_of_every_kind_give_equal_answers(
    demo: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    expected = cs.coverage(demo.specs, rows="stack", columns="target", measure="share")
    for name, frame in kinds(demo.specs.collect()).items():
        assert cs.coverage(frame, rows="stack", columns="target", measure="share").equals(expected), name


ENVIRONMENT = Environment(
    pl.DataFrame([{"hash": "a", "package": "a", "is_root": True}], {**SPECS.polars(), "is_root": pl.Boolean}),
    pl.DataFrame(schema=DEPENDENCIES.polars()),
)
ASKING: dict[str, Callable[[Any], pl.DataFrame]] = {
    "coverage": lambda specs: cs.coverage(specs, rows="package", columns="target"),
    "matrix": lambda specs: cs.coverage_matrix(specs, rows="os", columns="target", usable=True),
    "compare": lambda specs: cs.compare(specs, specs, by="os"),
    "duplicates": cs.duplicates,
    "gaps": lambda specs: cs.gaps(specs, by="target"),
    "gaps of a host": lambda specs: cs.gaps(specs, by="os", host="zen4:ubuntu22.04"),
    "history": lambda specs: cs.history(specs, by="stack"),
    "overlap": cs.overlap,
    "rates": lambda specs: cs.hit_rates(ENVIRONMENT, specs),
    "reusable": lambda specs: cs.reusable(specs, host="zen4:ubuntu22.04"),
    "lifespans": cs.lifespans,
    "usable": lambda specs: cs.usable(specs, host="zen4:ubuntu22.04"),
    "usable by system": lambda specs: cs.usable_by_system(specs, host="zen4"),
    "versions": cs.versions,
}


@pytest.mark.parametrize("question", ASKING)
def test_eager_frames_of_other_kinds_and_coded_text_give_the_same_answers(question: str, demo: cs.Dataset) -> None:
    specs = demo.specs.collect()
    categories = (pl.col(name).cast(pl.Enum(specs[name].drop_nulls().unique())) for name in ("os", "stack", "target"))
    coded = specs.with_columns(pl.col(pl.String).cast(pl.Categorical)).with_columns(*categories)
    expected = ASKING[question](specs)
    for frame in (specs.to_arrow(), specs.to_pandas(), coded, coded.lazy(), coded.to_arrow()):
        assert ASKING[question](frame).equals(expected), type(frame)


@pytest.mark.parametrize("question", sorted(ASKING.keys() - {"matrix", "rates"}))
def test_names_are_text(question: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="expected string as the type of the column package, found Int32"):
        ASKING[question](demo.specs.with_columns(package=pl.lit(1)))


@pytest.mark.parametrize("question", ["coverage", "compare", "gaps", "lifespans", "reusable", "usable", "versions"])
def test_a_spec_without_a_package_is_none(question: str, demo: cs.Dataset) -> None:
    for package in (pl.lit(None), pl.col("package").replace("py-filelock", None)):
        with pytest.raises(ArgumentError, match="expected the package of every spec, found some without"):
            ASKING[question](demo.specs.with_columns(package=package))


def test_an_environment_is_in_no_snapshot_and_has_coverage_all_the_same(demo: cs.Dataset) -> None:
    environment = demo.specs.with_columns(snapshot=pl.lit(None, pl.String))
    assert cs.coverage_matrix(environment, rows="package", columns="os").snapshots == ()
    with pytest.raises(ArgumentError, match="expected the snapshot of every spec"):
        cs.history(environment)
