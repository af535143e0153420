"""Specs that satisfy expressions: the same from a dataset and from frames, each once, in order, and with its facts."""

from __future__ import annotations

import polars as pl
import pytest

import cachestats as cs
from cachestats.analysis.find import count_by
from cachestats.analysis.reuse import REUSED
from cachestats.errors import ArgumentError, ExpressionError
from cachestats.naming import UNION_STACK, version_key

EXPRESSIONS = (
    "hdf5@1.14:+mpi %gcc",
    "^mpich",
    "hdf5 ^mpi",
    "%gcc@11:",
    "target=x86_64_v3: ~shared",
    "py-numpy %c,cxx=gcc",
    "not hdf5",
    "mpi",
)


@pytest.fixture(params=["develop-2024-06-02", "develop-2025-05-25"])
def snapshot(request: pytest.FixtureRequest, sample: cs.Dataset) -> cs.Subset:
    """Return a snapshot written by Spack before 1.0, and one written since."""
    return sample.at(request.param)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_dataset_and_its_tables_as_frames_give_the_same(snapshot: cs.Subset, expression: str) -> None:
    frames = (snapshot.specs, snapshot.dependencies)
    found = cs.find(snapshot, expression, with_dependencies=True)
    assert found.height
    assert found.equals(cs.find(frames[0], expression, dependencies=frames[1], with_dependencies=True))


def test_each_spec_comes_once_with_all_its_stacks_and_the_newest_version_first(snapshot: cs.Subset) -> None:
    found = cs.find(snapshot)
    rows = snapshot.specs.collect()
    stacks: dict[str, set[str]] = {}
    for dag_hash, stack in rows.select("hash", "stack").iter_rows():
        stacks.setdefault(dag_hash, set()).add(stack)
    assert dict(found.select("hash", "stacks").iter_rows()) == {
        dag_hash: ",".join(sorted(names - {UNION_STACK})) or UNION_STACK for dag_hash, names in stacks.items()
    }
    facts = [name for name in rows.columns if name != "stack"]
    assert found.select(facts).sort("hash").equals(rows.select(facts).unique().sort("hash"))
    for (before, old), (after, new) in zip(
        found.select("package", "version").rows(), found.select("package", "version").rows()[1:], strict=False
    ):
        assert (before < after) or (before == after and version_key(old) >= version_key(new))


def test_filters_choose_specs_but_do_not_hide_their_stacks(sample: cs.Dataset) -> None:
    whole = cs.find(sample.at("develop-2024-06-02"), "hdf5+mpi")
    one = cs.find(sample.at("develop-2024-06-02").where(stack="e4s"), "hdf5+mpi")
    assert 0 < one.height < whole.height
    assert one.equals(whole.filter(pl.col("stacks").str.split(",").list.contains("e4s")))


def test_a_host_keeps_what_it_can_reuse(snapshot: cs.Subset) -> None:
    host = "x86_64_v4:glibc@2.35"
    kept = cs.find(snapshot, "target=x86_64:", host=host)
    judged = cs.reusable(snapshot, host=host).filter(pl.col("status").is_in(REUSED))
    assert kept.height
    assert dict(kept.select("hash", "status").iter_rows()) == dict(judged.select("hash", "status").iter_rows())


def test_dependencies_are_listed_as_the_table_has_them(snapshot: cs.Subset) -> None:
    edges: dict[str, list[str]] = {}
    for owner, name, version in (
        snapshot.dependencies.select("hash", "dependency_package", "dependency_version").collect().iter_rows()
    ):
        edges.setdefault(owner, []).append(f"{name}@{version}")
    found = cs.find(snapshot, "hdf5", with_dependencies=True)
    assert {hash_: text.split(" ") for hash_, text in found.select("hash", "dependencies").iter_rows()} == {
        hash_: sorted(edges[hash_]) for hash_ in found["hash"]
    }


def test_counts_by_stack_count_a_spec_in_each_of_its_stacks(snapshot: cs.Subset) -> None:
    found = cs.find(snapshot, "cmake")
    expected: dict[tuple[str, str], int] = {}
    for version, stacks in found.select("version", "stacks").iter_rows():
        for stack in stacks.split(","):
            expected[version, stack] = expected.get((version, stack), 0) + 1
    counts = count_by(found, ["version", "stack"])
    assert {(version, stack): specs for version, stack, specs, _ in counts.iter_rows()} == expected


def test_what_cannot_be_asked_is_refused(sample: cs.Dataset, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=r"expected a package .* found 'hdf6'\nhint: try hdf5"):
        cs.find(sample, "hdf6")
    with pytest.raises(ArgumentError, match=r"expected a variant of hdf5 .* found 'mpj'\nhint: try mpi"):
        cs.find(sample, "hdf5+mpj")
    with pytest.raises(ArgumentError, match=r"expected dependencies for .*, found none in develop: pages do not"):
        cs.find(demo, "py-filelock ^python")
    with pytest.raises(ExpressionError, match="at character 5:\n  hdf5@@\n      \\^"):
        cs.find(sample, "hdf5@@")
    with pytest.raises(ArgumentError, match="expected a spec as text, found 3"):
        cs.find(sample, [3])  # type: ignore[list-item]
