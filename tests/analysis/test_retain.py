"""What stays and goes under policies, against plain loops, and against a dataset built after what goes was deleted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cachestats as cs
from cachestats.axes import RETAIN_ROWS
from cachestats.errors import ArgumentError
from conftest import ROOT
from tests.support.cli import run
from tests.support.indices import index
from tests.support.mirrors import layout_3, sized_binary
from tests.support.nodes import edge, node
from tests.support.site import page, spec, write

LOCKFILE = ROOT / "data" / "developer-tools.spack.lock.gz"
LETTERS = "abcdefg"
SNAPSHOTS = ("develop", "develop-2025-03-09", "develop-2025-03-02", "develop-2025-02-02", "v1.0")
"""The newest first."""
DATES = {name: date.fromisoformat(name[-10:]) for name in SNAPSHOTS[1:4]}

Policy = dict[str, Any]


class Cache(NamedTuple):
    """A made-up cache. Specs are letters, of which hashes are made; a spec is the same in every snapshot."""

    packages: Mapping[str, str]
    sizes: Mapping[str, int]
    needs: Mapping[str, Mapping[str, tuple[str, ...]]]
    """What each spec depends on, with the types."""
    cached: Mapping[str, frozenset[str]]
    """The specs in each snapshot; the other ones are only dependencies there."""
    stacked: Mapping[str, frozenset[str]]
    """Those that the stack `e4s` of the snapshot lists."""
    wanted: Mapping[str, frozenset[str]]
    """The roots of two environments."""

    def below(self, spec: str, *types: str) -> set[str]:
        """Return a spec and all that it needs through dependencies of some types."""
        needed = [one for one, kinds in self.needs[spec].items() if {*kinds} & {*types}]
        return {spec}.union(*(self.below(one, *types) for one in needed))


@st.composite
def caches(draw: st.DrawFn) -> Cache:
    kinds = st.sampled_from([("link",), ("run",), ("build",), ("build", "link"), ("build", "run")])
    names = draw(st.sets(st.sampled_from(SNAPSHOTS), min_size=1))
    cached = {name: draw(st.frozensets(st.sampled_from(LETTERS), min_size=1)) for name in SNAPSHOTS if name in names}
    return Cache(
        packages={one: draw(st.sampled_from("pqr")) for one in LETTERS},
        sizes={one: draw(st.integers(1, 9)) for one in LETTERS},
        needs={
            one: draw(st.dictionaries(st.sampled_from(LETTERS[place + 1 :]), kinds, max_size=2))
            if place + 1 < len(LETTERS)
            else {}
            for place, one in enumerate(LETTERS)
        },
        cached=cached,
        stacked={name: frozenset(draw(st.sets(st.sampled_from(sorted(there))))) for name, there in cached.items()},
        wanted={name: draw(st.frozensets(st.sampled_from(LETTERS), min_size=1)) for name in ("kept", "watched")},
    )


OPTIONAL = st.fixed_dictionaries(
    {},
    optional={
        "newest": st.integers(0, 3),
        "days": st.integers(0, 40),
        "rolling": st.booleans(),
        "environments": st.just(True),
        "with_build": st.booleans(),
        "stacks": st.just("e4s"),
        "packages": st.just("p"),
        "one_build": st.just(True),
        "break_dependencies": st.booleans(),
    },
)
# A budget matters only where others do not keep nearly everything.
FEW = st.fixed_dictionaries(
    {"budget": st.integers(1, 25)}, optional={"newest": st.integers(0, 1), "packages": st.just("p")}
)
policies: st.SearchStrategy[Policy] = st.one_of(OPTIONAL, FEW)
KEEPING = {"newest", "days", "environments", "stacks", "packages", "one_build", "budget"}


def hash_of(spec: str) -> str:
    return spec * 32


def nodes_of(cache: Cache, specs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the nodes of specs by their hashes, as indices and lockfiles have them."""
    return {
        hash_of(one): node(
            cache.packages[one],
            hash_of(one),
            dependencies=[
                edge(cache.packages[end], hash_of(end), [*types], []) for end, types in cache.needs[one].items()
            ],
        )
        for one in specs
    }


def make(folder: Path, cache: Cache, without: AbstractSet[str] = frozenset()) -> cs.Dataset:
    """Return the dataset of the mirrors of a cache, from which some specs were deleted."""
    nodes = nodes_of(cache, LETTERS)
    for name, there in cache.cached.items():
        mirror = folder / "mirrors" / name
        for place, specs in ((mirror, there), (mirror / "e4s", cache.stacked[name])):
            layout_3(place, (8, index(nodes, cached={hash_of(one) for one in specs - without})))
        for one in there - without:
            sized_binary(mirror, cache.packages[one], "1.0", hash_of(one), cache.sizes[one])
    return cs.build_dataset(folder / "mirrors", out=folder / "dataset", sizes=True)


def environments(folder: Path, cache: Cache) -> dict[str, cs.Environment]:
    """Return the environments of a cache, read from lockfiles."""
    found = {}
    for name, roots in cache.wanted.items():
        every = set().union(*(cache.below(one, "build", "link", "run") for one in roots))
        lock = {
            "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6, "specfile-version": 5},
            "roots": [{"hash": hash_of(one), "spec": cache.packages[one]} for one in sorted(roots)],
            "concrete_specs": nodes_of(cache, sorted(every)),
        }
        path = folder / f"{name}.lock"
        path.write_text(json.dumps(lock))
        found[name] = cs.read_environment(path)
    return found


def stays(cache: Cache, policy: Policy) -> set[str]:
    """Return what stays, by plain loops."""
    every = set().union(*cache.cached.values())
    names = [name for name in cache.cached if name != "develop" or policy.get("rolling", True)]
    kept: set[str] = set()
    if "newest" in policy:
        kept.update(*(cache.cached[name] for name in names[: policy["newest"]]))
    if "days" in policy:
        last = max(DATES[name] for name in names if name in DATES)
        for name in names:
            if name == "develop" or (name in DATES and (last - DATES[name]).days < policy["days"]):
                kept |= cache.cached[name]
    needed = {
        name: every & set().union(*(cache.below(one, "link", "run", *with_build(policy)) for one in roots))
        for name, roots in cache.wanted.items()
    }
    if "environments" in policy:
        kept |= needed["kept"]
    if "stacks" in policy:
        kept.update(*cache.stacked.values())
    if "packages" in policy:
        kept |= {one for one in every if cache.packages[one] == "p"}

    def closed(specs: set[str]) -> set[str]:
        if policy.get("break_dependencies"):
            return specs
        found = {*specs}
        for one in sorted(every):  # a spec depends on later letters only
            if one in found:
                found |= {end for end, types in cache.needs[one].items() if {*types} & {"link", "run"}} & every
        return found

    def rank(one: str) -> tuple[int, int, int, int, str]:
        above = [of for of in every if {*cache.needs[of].get(one, ())} & {"link", "run"}]
        age = min(place for place, there in enumerate(cache.cached.values()) if one in there)
        asking = [name for name in needed if name == "watched" or "environments" in policy]
        return -sum(one in needed[name] for name in asking), -len(above), age, cache.sizes[one], one

    kept = closed(kept)
    if policy.get("one_build"):
        chosen = set()
        for package in "pqr":
            alike = [one for one in sorted(every) if cache.packages[one] == package]
            if alike and not kept.intersection(alike):
                chosen.add(min(alike, key=rank))
        kept = closed(kept | chosen)
    if "budget" in policy:
        for one in sorted(every - kept, key=rank):
            more = kept | closed({one})
            if sum(cache.sizes[each] for each in more) <= policy["budget"]:
                kept = more
    return kept


def with_build(policy: Policy) -> tuple[str, ...]:
    return ("build",) if policy.get("with_build") else ()


def ask(dataset: cs.Dataset, policy: Policy, wanted: Mapping[str, cs.Environment]) -> cs.Retention:
    kept = {"environments": {"kept": wanted["kept"]}} if "environments" in policy else {}
    return cs.retain(dataset, **{**policy, **kept}, watched={"watched": wanted["watched"]})


@pytest.mark.slow
@settings(max_examples=60)
@given(caches(), policies)
def test_what_is_promised_is_what_a_dataset_built_after_deleting_shows(cache: Cache, policy: Policy) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before, wanted = make(folder / "before", cache), environments(folder, cache)
        if not policy.keys() & KEEPING:
            with pytest.raises(ArgumentError, match="expected a policy"):
                ask(before, policy, wanted)
            return
        if "days" in policy and not DATES.keys() & cache.cached.keys():
            with pytest.raises(ArgumentError, match="expected a dated snapshot"):
                ask(before, policy, wanted)
            return
        if "stacks" in policy and not any(cache.stacked.values()):
            return
        if "packages" in policy and not any(cache.packages[one] == "p" for one in set().union(*cache.cached.values())):
            return
        found = ask(before, policy, wanted)
        every, kept = set().union(*cache.cached.values()), stays(cache, policy)
        assert found.hashes(keep=True) == sorted(map(hash_of, kept))
        assert found.hashes(keep=False) == sorted(map(hash_of, every - kept))
        assert_adds_up(found)

        after = make(folder / "after", cache, every - kept)
        specs = after.specs.select("hash", "size_bytes").unique().collect()
        assert sorted(specs["hash"]) == found.hashes(keep=True)
        assert found.counts.kept_bytes == specs["size_bytes"].sum()
        assert found.counts.dropped_bytes == sum(cache.sizes[one] for one in every - kept)
        for label, hits in found.hits.select("environment", "kept_hits").iter_rows():
            matches = cs.match(wanted[label], after.at("all")) if specs.height else None
            assert hits == (0 if matches is None else int((matches["status"] == "hit").sum()))
        new = holes(after) - holes(before) if specs.height else set()
        assert {digest for _, digest in new} == {*found.holes["hash"]}
        assert bool(new) == bool(found.num_broken)
        if not policy.get("break_dependencies"):
            assert not new


def holes(dataset: cs.Dataset) -> set[tuple[str, str]]:
    return {*cs.holes(dataset.at("all"), by="missing").select("snapshot", "hash").iter_rows()}


def assert_adds_up(found: cs.Retention) -> None:
    """Check that every view of an answer counts the same."""
    specs, counts = found.specs, found.counts
    assert specs.filter("keeps").height == counts.kept
    assert specs.height == counts.kept + counts.dropped
    assert specs.filter("keeps")["size_bytes"].sum() == counts.kept_bytes
    assert (specs["keeps"] == (specs["reasons"] != "")).all()
    packages = found.by("package")
    assert packages["kept"].sum() == counts.kept
    assert packages["dropped_bytes"].sum() == counts.dropped_bytes
    for reason, kept, only in found.by("reason").select("reason", "kept", "only").iter_rows():
        of_it = specs.filter(pl.col("reasons").str.split(",").list.contains(reason))
        assert kept == of_it.height
        assert only == of_it.filter(reasons=reason).height
    rows = found.subset.specs.collect().join(specs.select("hash", "keeps"), on="hash")
    for axis in ("stack", "snapshot"):
        expected = (
            rows.filter((pl.col("stack") != "root") | (axis == "snapshot"))
            .group_by(axis)
            .agg(
                kept=pl.col("hash").filter("keeps").n_unique().cast(pl.Int64),
                dropped=pl.col("hash").filter(~pl.col("keeps")).n_unique().cast(pl.Int64),
            )
        )
        assert found.by(axis).select(axis, "kept", "dropped").sort(axis).equals(expected.sort(axis))  # type: ignore[arg-type]


@pytest.mark.slow
@settings(max_examples=25)
@given(caches())
def test_the_curve_is_what_retain_says_for_each_number_of_snapshots(cache: Cache) -> None:
    with tempfile.TemporaryDirectory() as name:
        dataset, wanted = make(Path(name), cache), environments(Path(name), cache)
        curve = cs.retention_curve(dataset, environments=wanted)
        assert curve["newest"].unique().to_list() == [*range(1, len(cache.cached) + 1)]
        for row in curve.rows(named=True):
            found = cs.retain(dataset, newest=row["newest"], watched=wanted)
            assert (row["specs"], row["bytes"]) == (found.counts.kept, found.counts.kept_bytes)
            ((hits, specs),) = (
                found.hits.filter(environment=row["environment"]).select("kept_hits", "specs").iter_rows()
            )
            assert (row["hits"], row["rate"]) == (hits, hits / specs)
        assert [*dict.fromkeys(curve["snapshot"])] == [*cache.cached]


def test_a_wrong_question_says_what_is_expected(sample: cs.Dataset) -> None:
    for policy, words in (
        ({}, "expected a policy that says what to keep, found none, so that everything would go\nhint: give one or mo"),
        ({"newest": -1}, "expected 0 or more as newest, found -1"),
        ({"packages": "hdf6"}, "expected a package of the specs in .*, found 'hdf6'"),
        ({"snapshots": "v9.9"}, "expected one of the 5 snapshots of .*, found 'v9.9'"),
        ({"budget": 5}, "expected the size of every spec for a budget, found 8,197 of 8,197 specs without one"),
    ):
        with pytest.raises(ArgumentError, match=words):
            cs.retain(sample, **policy)  # type: ignore[arg-type]
    environment = cs.read_environment(LOCKFILE)
    with pytest.raises(ArgumentError, match="expected environments by name, found them without names"):
        cs.retain(sample, environments=[environment])  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="either to be kept or to be watched, found 'a' in both"):
        cs.retain(sample, environments={"a": environment}, watched={"a": environment})
    with pytest.raises(ArgumentError, match="expected all specs of the snapshots, found filters"):
        cs.retain(sample.where(package="hdf5"), newest=1)
    with pytest.raises(ArgumentError, match="expected a dataset or some of its snapshots, found LazyFrame"):
        cs.retain(sample.specs, newest=1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected one of stack, package, snapshot, reason as axis, found 'os'"):
        cs.retain(sample, newest=1).by("os")  # type: ignore[arg-type]


def test_pages_tell_sizes_but_no_dependencies(tmp_path: Path) -> None:
    pages = {
        ("develop", "a"): page("a", "develop", [spec("b" * 32, size="12"), spec("c" * 32)]),
        ("v1.0", "a"): page("a", "v1.0", [spec("d" * 32, size="30"), spec("b" * 32, size="12")]),
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    counts = cs.retain(dataset, snapshots="v*").counts
    assert counts == (2, 1, 42, 0, 1, 2)
    done = run("retain", dataset.path, "--snapshot", "v*").stderr.decode().splitlines()
    assert done == [
        "2 snapshots: 2 of 3 specs stay, 66.7%; 1 go",
        "42 B stay, 0 B go, without 1 spec of unknown size",
        "what 2 kept specs need is unknown, and may go: pages do not list dependencies, only indices do",
    ]


def test_the_verb_counts_lists_and_says_what_is_lost(sample: cs.Dataset, tmp_path: Path) -> None:
    environment = cs.read_environment(LOCKFILE)
    expected = cs.retain(sample, newest=2, packages="py-*", watched={LOCKFILE.name: environment})
    options = ("retain", sample.path, "--newest", 2, "--package", "py-*", "--watch", LOCKFILE)
    for axis in RETAIN_ROWS:
        done = run(*options, "--by", axis, "--format", "json")
        assert json.loads(done.stdout) == expected.by(axis).to_dicts()
    said = done.stderr.decode().splitlines()
    hits, kept, lost = expected.hits.select("hits", "kept_hits", "lost_hits").row(0)
    assert said[-3].startswith(f"5 snapshots: {expected.counts.kept:,} of 8,197 specs stay")
    assert said[-2] == "sizes are unknown: `build --sizes` reads them from mirrors of layout 3 and OCI caches"
    assert said[-1] == f"{LOCKFILE.name}: {hits} of 145 specs hit, {kept} afterwards; {lost} lost"
    assert expected.lost_hits.height == lost > 0
    for which in ("keep", "drop"):
        run(*options, "--list", which, "--out", tmp_path / f"{which}.txt")
        assert (tmp_path / f"{which}.txt").read_text().splitlines() == expected.hashes(keep=which == "keep")
    assert not expected.holes.height
    wrong = run(*options, "--list", "keep", "--format", "csv", code=2).stderr.decode()
    assert "expected plain text for --list, found csv" in wrong
    assert "give one or more of --newest, --days" in run("retain", sample.path, code=2).stderr.decode()


def test_dependencies_break_only_if_asked_to(sample: cs.Dataset) -> None:
    broken = cs.retain(sample, packages="hdf5", break_dependencies=True)
    assert broken.num_broken == broken.counts.kept
    top = broken.holes.row(0, named=True)
    assert top["direct"] == top["breaks"] > 1
    done = run("retain", sample.path, "--package", "hdf5", "--break-dependencies").stderr.decode().splitlines()
    assert done[-1] == (
        f"{broken.num_broken} kept specs would be broken: {broken.holes.height} specs that they are linked to or run "
        "with would go"
    )
    whole = cs.retain(sample, packages="hdf5")
    assert whole.num_broken == 0
    assert {*broken.hashes(keep=True)} < {*whole.hashes(keep=True)}


@pytest.mark.parametrize(
    ("text", "size"), [("40", 40), ("1.5kB", 1500), ("2 TB", 2 * 10**12), ("0.1gb", 10**8), ("7B", 7)]
)
def test_a_budget_is_a_number_of_bytes(text: str, size: int) -> None:
    from cachestats.cli.parameters import Size

    assert Size().convert(text, None, None) == size


def test_what_is_no_budget_is_refused(sample: cs.Dataset) -> None:
    for text in ("much", "-5", "5 TiB", "1e3"):
        done = run("retain", sample.path, f"--budget={text}", code=2).stderr.decode()
        assert f"expected a number of bytes such as 500GB or 1.5TB, found {text!r}" in done
