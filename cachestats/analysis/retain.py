"""Retain: which specs of a cache stay under a policy, which go, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from cachestats.analysis.budget import within_budget
from cachestats.analysis.duplicates import VISIBLE
from cachestats.analysis.explain import specs_of
from cachestats.analysis.retention import Retention, codes_of
from cachestats.analysis.spec_graph import SpecGraph
from cachestats.analysis.spec_rows import chosen
from cachestats.codes import code_of
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.levels import levels
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_kind, snapshot_order
from cachestats.text import counted

LOOK = tuple(column for column in VISIBLE if column != "snapshot")
"""The columns in which builds that look alike are equal, in whatever snapshots they are."""


def retain(
    dataset: Dataset | Subset,
    *,
    newest: int | None = None,
    days: int | None = None,
    rolling: bool = True,
    snapshots: str | Iterable[str] = (),
    environments: Mapping[str, Environment] | None = None,
    with_build: bool = False,
    stacks: str | Iterable[str] = (),
    packages: str | Iterable[str] = (),
    spec: str | Iterable[str] = (),
    one_build: bool = False,
    budget: int | None = None,
    break_dependencies: bool = False,
    watched: Mapping[str, Environment] | None = None,
) -> Retention:
    """Say which specs of a cache stay under some policies, which go, and what that costs. Nothing is deleted.

    Policies add up: a spec stays if any of them keeps it, in any of its snapshots. Whatever a kept spec is linked to or
    runs with stays, too, directly or indirectly, so that no kept spec becomes a hole.

    Parameters
    ----------
    dataset
        A dataset, of which all snapshots count, or a subset of some snapshots.
    newest
        Keep this number of the newest snapshots: `develop`, then the dated ones by their dates, then releases, which
        have none, by their versions.
    days
        Keep `develop`, and the snapshots that are less than this number of days older than the newest dated one.
    rolling
        Whether `develop` counts as the newest snapshot in `newest` and `days`. If not, these two pass it over.
    snapshots
        Keep these snapshots: names and patterns, as in `Dataset.at`.
    environments
        Keep all that these environments need, by name: their roots and what these are linked to or run with.
    with_build
        Also keep what is needed to build the environments.
    stacks, packages
        Keep the specs of these: names and patterns, as in `Dataset.where`.
    spec
        Keep the specs that satisfy these expressions, as in `Dataset.where`.
    one_build
        Keep one build of those that look alike, as in `duplicates` but in whatever snapshots they are, unless one stays
        anyway: the one that most environments need, then the one that most specs depend on directly, then the one in
        the newest snapshot, then the smallest one, then the one with the smallest hash.
    budget
        Keep more, as long as the specs that stay have no more than this number of bytes in all. Specs are added in the
        order of `one_build`, each with what it is linked to or runs with; one that does not fit is passed over. If the
        other policies keep more, nothing is added.
    break_dependencies
        Do not keep what kept specs are linked to or run with.
    watched
        Environments that keep nothing: the answer says which hits they lose, and they count in `one_build` and
        `budget`.

    Returns
    -------
    Retention
        What stays and what goes.

    Raises
    ------
    ExpressionError
        If `spec` is not a spec expression.
    ArgumentError
        If there is no policy; if a number is negative; if a name stands for nothing in the dataset; if the subset has
        filters, as whatever it leaves out would go; if an environment has no name, or is kept and watched; if there is
        no dated snapshot from which to count `days`; or if there is a budget but the size of a spec is unknown.

    Notes
    -----
    A hash is one binary: it counts once, and stays in all of its snapshots or in none. Dependencies are known from
    indices only. What specs from pages need cannot be kept on their account: `Retention.counts` says how many stay
    whose dependencies are unknown.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> retention = cs.retain(ds, newest=1)
    >>> retention
    <Retention: 39 specs stay, 29 go; sizes unknown>
    >>> retention.by("package").select("package", "kept", "dropped").rows()[:2]
    [('hdf5', 7, 6), ('mpich', 6, 4)]
    """
    subset = whole_subset(dataset)
    given = {
        "newest": newest,
        "days": days,
        "snapshots": snapshots,
        "environments": environments,
        "stacks": stacks,
        "packages": packages,
        "spec": spec,
        "one_build": one_build,
        "budget": budget,
    }
    _check(given)
    named = _by_name(environments or {}, watched or {})
    needs = {name: codes_of(_needed(one, with_build)) for name, one in named.items()}
    marks = _marks(subset, given, rolling, [needs[name] for name in environments or ()])
    graph = SpecGraph.of(subset, *(LOOK if one_build else ()), **{f"by_{name}": mark for name, mark in marks.items()})
    num_environments = _num_environments(graph, needs)
    reasons = {name: graph.specs[f"by_{name}"] for name in marks}
    keeps = _any(reasons, graph)
    if not break_dependencies:
        keeps = graph.closed(keeps)
    if one_build:
        reasons["one_build"] = _one_of_each(graph, keeps, num_environments)
        keeps = keeps | reasons["one_build"]
        if not break_dependencies:
            keeps = graph.closed(keeps)
    if budget is not None:
        _check_sizes(graph)
        added = within_budget(graph, keeps, budget, num_environments, with_dependencies=not break_dependencies)
        reasons["budget"] = added
        keeps = keeps | added
    reasons["dependency"] = keeps & ~_any(reasons, graph)
    return Retention(subset, named, graph, keeps, reasons)


def whole_subset(dataset: Dataset | Subset) -> Subset:
    """Return the snapshots to ask about, all of a dataset.

    Raises
    ------
    ArgumentError
        If it is no dataset, or has filters.
    """
    if not isinstance(dataset, Dataset | Subset):
        raise ArgumentError(
            f"expected a dataset or some of its snapshots, found {type(dataset).__name__}",
            hint="such as cs.open_dataset('cache')",
        )
    subset = chosen(dataset, every_snapshot=True)
    if not subset.is_whole:
        raise ArgumentError(
            "expected all specs of the snapshots, found filters: whatever they leave out would go",
            hint="say what to keep with packages, stacks and spec instead",
        )
    return subset


def _check(given: Mapping[str, Any]) -> None:
    """Raise if there is no policy, or a number is negative."""
    asked = {name: value for name, value in given.items() if value is not None and value is not False}
    if not any(isinstance(value, int) or value for value in asked.values()):
        raise ArgumentError(
            "expected a policy that says what to keep, found none, so that everything would go",
            hint=f"give one or more of {', '.join(given)}",
        )
    for name in ("newest", "days", "budget"):
        if isinstance(given[name], int) and given[name] < 0:
            raise ArgumentError(f"expected 0 or more as {name}, found {given[name]:,}")


def _by_name(environments: Mapping[str, Environment], watched: Mapping[str, Environment]) -> dict[str, Environment]:
    """Return all environments by their names."""
    if not (isinstance(environments, Mapping) and isinstance(watched, Mapping)):
        raise ArgumentError(
            "expected environments by name, found them without names", hint="such as {'mine': environment}"
        )
    if both := sorted(environments.keys() & watched.keys()):
        raise ArgumentError(
            f"expected an environment either to be kept or to be watched, found {both[0]!r} in both",
            hint="leave it out of the watched ones: the answer has the hits of all",
        )
    return {**environments, **watched}


def _marks(subset: Subset, given: Mapping[str, Any], rolling: bool, needs: list[pl.Series]) -> dict[str, pl.Expr]:
    """Return for each policy that looks at single specs which rows of the table `encoded_specs` it keeps."""
    found: dict[str, pl.Expr] = {}
    every = sorted(subset.names, key=snapshot_order, reverse=True)
    counted_names = [name for name in every if rolling or snapshot_kind(name)[0] != "rolling"]
    if given["newest"] is not None:
        found["newest"] = _in_snapshots(counted_names[: given["newest"]])
    if given["days"] is not None:
        found["days"] = _in_snapshots(_younger(counted_names, given["days"]))
    if given["snapshots"]:
        found["snapshots"] = _in_snapshots(subset.at(given["snapshots"]).names)
    if given["environments"]:
        found["environments"] = pl.col("spec").is_in(pl.concat(needs).unique().implode())
    for policy, column in (("stacks", "stack"), ("packages", "package"), ("spec", "spec")):
        if given[policy]:
            kept = subset.where(**{column: given[policy]}).encoded("spec").unique().collect(engine="streaming")
            found[policy] = pl.col("spec").is_in(kept["spec"].implode())
    return found


def _in_snapshots(names: Iterable[str]) -> pl.Expr:
    return pl.col("snapshot").is_in([code_of(name) for name in names])


def _younger(names: list[str], days: int) -> list[str]:
    """Return the rolling snapshots, and the dated ones that are less than some days older than the newest of them."""
    kinds = {name: snapshot_kind(name) for name in names}
    dates = {name: date for name, (_, date) in kinds.items() if date is not None}
    if not dates:
        raise ArgumentError(
            f"expected a dated snapshot from which to count {counted(days, 'day')}, found none",
            hint="only dated snapshots, such as develop-2025-03-09, have dates: keep others by newest, or by name",
        )
    last = max(dates.values())
    young = {name for name, date in dates.items() if last - date < timedelta(days)}
    return [name for name in names if name in young or kinds[name][0] == "rolling"]


def _needed(environment: Environment, with_build: bool) -> pl.Series:
    """Return the hashes that an environment needs in a cache: of its roots and what these are linked to or run with."""
    specs = specs_of(environment)
    if with_build:
        return specs["asked"]
    edges = environment.dependencies.filter(pl.col("is_link") | pl.col("is_run"))
    roots = specs.filter("is_root")["hash"]
    if roots.is_empty():  # a selection of specs, or a file that does not tell
        roots = specs["hash"]
    below = [level["dependency_hash"] for level in levels(roots, edges, at="hash", to="dependency_hash")]
    return specs.filter(pl.col("hash").is_in(pl.concat([roots, *below]).implode()))["asked"]


def _num_environments(graph: SpecGraph, needs: Mapping[str, pl.Series]) -> pl.Series:
    """Return by how many environments each spec is needed."""
    return sum(
        (graph.specs["spec"].is_in(one.implode()).cast(pl.Int64) for one in needs.values()),
        start=pl.zeros(graph.specs.height, pl.Int64, eager=True),
    )


def _any(reasons: Mapping[str, pl.Series], graph: SpecGraph) -> pl.Series:
    nothing = pl.repeat(False, graph.specs.height, dtype=pl.Boolean, eager=True)
    return reduce(or_, reasons.values(), nothing)


def _one_of_each(graph: SpecGraph, keeps: pl.Series, num_environments: pl.Series) -> pl.Series:
    """Return the builds to keep of those that look alike, where none of them stays anyway."""
    order = graph.by_need(num_environments)
    places = pl.zeros(order.len(), pl.Int64, eager=True).scatter(order, pl.int_range(order.len(), eager=True))
    # On 1.1 million specs, the least place in each group takes half the time of `unique` on sorted rows.
    groups = graph.specs.lazy().select(LOOK).with_columns(keeps=keeps, place=places).group_by(LOOK)
    best = groups.agg(pl.col("keeps").any(), pl.col("place").min()).filter(~pl.col("keeps"))
    rows = order.gather(best.select("place").collect(engine="streaming").to_series())
    return pl.repeat(False, order.len(), dtype=pl.Boolean, eager=True).scatter(rows, True)


def _check_sizes(graph: SpecGraph) -> None:
    unknown = graph.specs["size_bytes"].null_count()
    if unknown:
        raise ArgumentError(
            f"expected the size of every spec for a budget, found {unknown:,} of {counted(graph.specs.height, 'spec')} "
            "without one",
            hint="build the dataset with --sizes, which reads them from mirrors of layout 3 and OCI caches",
        )
