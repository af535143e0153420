"""Which specs of an environment are cached, which cached spec is closest to each of the others, and why it differs.

A cache may be in any engine and may have a million specs, so it is queried in steps: first for the hashes of the
environment, then for the distinct specs of its packages, then for the closest specs and their dependencies, and
finally, level by level, for the dependencies that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import polars as pl

from cachestats.analysis.differences import (
    FIELDS,
    NOT_OF_PAGES,
    SETTINGS,
    Cause,
    Difference,
    Edge,
    Spec,
    compare,
)
from cachestats.analysis.frames import LazyFrame, dependencies_first, validated
from cachestats.analysis.proof import Prover
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, spec_and_edge_rows, spec_rows
from cachestats.decode import FAULTS
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.naming import quote_variant
from cachestats.parse.lockfile import spec_row
from cachestats.parse.nodes import Dependency, Node, dependency, external, parse_node
from cachestats.requirement import External
from cachestats.schema import DEPTYPES

_COLUMNS = ("hash", "package", *FIELDS, "spec_format")
_EDGE_COLUMNS = (
    "hash",
    "dependency_hash",
    "dependency_package",
    "dependency_version",
    *(f"is_{kind}" for kind in DEPTYPES),
    "virtuals",
    "external",
)
_AT_ONCE = 100  # specs compared with all candidates at a time, because a popular package has thousands of candidates

_Pair = tuple[str, str]  # the hashes of a wanted and of a cached spec


class Near(NamedTuple):
    """The comparison of a spec that is not cached with the cached spec closest to it."""

    cached: Spec
    difference: Difference
    causes: frozenset[Cause]
    """The causes in the spec itself and in all its dependencies, direct and indirect, that differ."""
    is_proven: bool
    """Whether nothing else differs, either in the spec or in the dependencies that differ."""


class Occurrence(NamedTuple):
    """A spec that differs from the cached one in itself, not only in its dependencies."""

    package: str
    is_proven: bool
    """Whether nothing else differs in it, apart from its dependencies."""


class Explained(NamedTuple):
    """The comparison of an environment's specs with a cache."""

    specs: pl.DataFrame
    """The specs of the environment, each once, sorted by hash; `asked` is the hash to look up in a cache."""
    hits: set[str]
    """Hashes of the specs that are cached."""
    near: dict[str, Near]
    """By hash, the specs that are not cached but whose package is."""
    occurrences: dict[Cause, list[Occurrence]]
    """The specs in which each cause occurs, whether specs of the environment or dependencies."""


def explain(
    environment: Environment,
    specs: SpecsLike,
    *,
    dependencies: SpecsLike | None = None,
    among: SpecsLike | None = None,
) -> Explained:
    """Return the specs of an environment that are cached, and how the others differ from the closest cached specs.

    Dependencies are looked up in `among` if it is given, otherwise in `specs`.

    Raises
    ------
    ArgumentError
        If `environment` is not an environment, or a frame lacks a column.
    """
    wanted = specs_of(environment)
    rows, edges = _cache_rows(specs, dependencies)
    asked = rows.coded(wanted.select("asked"), asked="hash")["asked"]
    cached = rows.filter(rows.api.col("hash").is_in(asked.to_list())).distinct_codes("hash")["hash"]
    is_hit = asked.is_in(cached.implode())
    hits = set(wanted.filter(is_hit)["hash"])
    ours, cache = (
        _EnvironmentSpecs(environment, wanted),
        _CachedSpecs(rows if among is None else _cache_rows(among, dependencies)[0], edges),
    )
    closest = _closest(wanted.filter(~is_hit), rows, cache)
    starts = {wanted: (ours.built(wanted), cached) for wanted, cached in _choose(closest, ours, cache).items()}
    comparisons = _Comparisons(ours, cache, Prover(environment.nodes))
    comparisons.follow(starts.values())
    return comparisons.explained(wanted, hits, starts)


def _cache_rows(specs: SpecsLike, dependencies: SpecsLike | None) -> tuple[SpecRows, LazyFrame | None]:
    """Return the specs of a cache, and the edges between them if there are any."""
    if dependencies is None:
        return spec_rows(specs, _COLUMNS), None
    return spec_and_edge_rows(specs, _COLUMNS, dependencies, _EDGE_COLUMNS)


def specs_of(environment: Environment) -> pl.DataFrame:
    """Return the specs of an environment, each once, sorted by hash, with the hash to look up in a cache.

    Raises
    ------
    ArgumentError
        If it is not an environment, or one of its frames lacks a column.
    """
    if not isinstance(environment, Environment):
        raise ArgumentError(
            f"expected an environment, found {type(environment).__name__}", hint="pass the result of `read_environment`"
        )
    validated(environment.specs, (*_COLUMNS, "build_spec_hash", "is_root"))
    validated(environment.dependencies, _EDGE_COLUMNS, table="dependencies")
    # The binary of a spliced spec is made from that of its build spec.
    return (
        environment.specs.sort("hash", "is_root", descending=[False, True])
        .unique("hash", keep="first", maintain_order=True)
        .with_columns(asked=pl.coalesce("build_spec_hash", "hash"))
    )


def _closest(others: pl.DataFrame, rows: SpecRows, cache: _CachedSpecs) -> pl.DataFrame:
    """Return the specs that differ in the fewest fields from each of `others`, as sorted pairs `wanted` and `hash`."""
    of_packages = rows.filter(rows.is_in("package", others["package"].unique().sort()))
    # Many specs are equal in all fields. More than one of them is queried only if dependencies distinguish them.
    distinct = of_packages.frame.group_by("package", *FIELDS).agg(
        hash=rows.api.col("hash").min(), spec_format=rows.api.col("spec_format").max()
    )
    fields = ["package", *FIELDS]
    wanted = rows.coded(others.select("hash", *fields), **{field: field for field in fields})
    best = rows.named(_fewest(wanted, rows.collect_codes(distinct)))
    cache.add(best.select(_COLUMNS))
    told = best.filter(pl.col("spec_format").is_not_null())
    if not cache.knows_dependencies or told.is_empty():
        return best.select("wanted", "hash").sort("wanted", "hash")
    alike = of_packages
    for field in ("package", "version", "variants"):
        alike = alike.filter(alike.is_in(field, told[field].unique().sort()))
    found = alike.distinct(*_COLUMNS).join(told.unique(fields), on=fields, how="semi", nulls_equal=True)
    cache.add(found)
    pairs = best.drop("hash").join(found.select("hash", *fields), on=fields, nulls_equal=True)
    return pl.concat([best.select("wanted", "hash"), pairs.select("wanted", "hash")]).unique().sort("wanted", "hash")


def _fewest(others: pl.DataFrame, distinct: pl.DataFrame) -> pl.DataFrame:
    """Return the specs that differ in the fewest fields from each of `others`, whose hash is `wanted`."""
    flags = [
        pl.col(field).ne(pl.col(f"wanted_{field}")).fill_null(value=False)
        if field in NOT_OF_PAGES
        else pl.col(field).ne_missing(pl.col(f"wanted_{field}"))
        for field in FIELDS
    ]
    # Earlier fields weigh more, as the digits of a number do; the number of differing fields outweighs them all.
    weights = [2 ** len(FIELDS) + 2**exponent for exponent in reversed(range(len(FIELDS)))]
    distance = pl.sum_horizontal(flag.cast(pl.Int64) * weight for flag, weight in zip(flags, weights, strict=True))
    wanted = others.select("package", wanted="hash", **{f"wanted_{field}": field for field in FIELDS})
    parts = [
        part.join(distinct, on="package")
        .with_columns(distance=distance)
        .filter(pl.col("distance") == pl.col("distance").min().over("wanted"))
        .select("wanted", *_COLUMNS)
        for part in [*wanted.iter_slices(_AT_ONCE)] or [wanted]
    ]
    return pl.concat(parts)


def _choose(closest: pl.DataFrame, ours: _EnvironmentSpecs, cache: _CachedSpecs) -> dict[str, str]:
    """Return, by the hash of each wanted spec, the hash of the closest spec whose dependencies agree best.

    Dependencies are chosen before the specs that need them, so that a spec and its dependencies are compared with specs
    of one tree. If dependencies do not decide, the spec is chosen for the system that has candidates for most of the
    environment.
    """
    candidates: dict[str, list[str]] = {}
    for wanted, cached in closest.iter_rows():
        candidates.setdefault(wanted, []).append(cached)
    cache.load_edges({cached for some in candidates.values() if len(some) > 1 for cached in some})
    settings = Counter(
        setting for some in candidates.values() for setting in {cache.settings(cached) for cached in some}
    )
    chosen: dict[str, str] = {}
    for wanted in dependencies_first(
        {digest: {edge.hash for edge in ours.edges.get(digest, ())} for digest in ours.rows}
    ):
        if wanted in candidates:
            edges = ours.edges.get(wanted, ())
            agrees = _Agreement(
                hashes={edge.hash for edge in edges},
                chosen={chosen[edge.hash] for edge in edges if edge.hash in chosen},
                versions={(edge.package, edge.version) for edge in edges},
            )
            # Ties go to the first candidate, which has the smallest hash.
            chosen[wanted] = max(
                candidates[wanted],
                key=lambda cached: (agrees.with_edges(cache.edges.get(cached, ())), settings[cache.settings(cached)]),
            )
    return chosen


class _Via(NamedTuple):
    """How a pair of specs was reached: the edges to the two specs, and the specs that own these edges."""

    wanted: Edge
    cached: Edge
    wanted_owner: Spec
    cached_owner: Spec


class _Comparisons:
    """Pairs of a wanted and a cached spec, and all pairs of their dependencies that differ."""

    def __init__(self, ours: _EnvironmentSpecs, cache: _CachedSpecs, prover: Prover) -> None:
        self._ours, self._cache, self._prover = ours, cache, prover
        self._specs: dict[_Pair, tuple[Spec, Spec]] = {}
        self._found: dict[_Pair, Difference] = {}
        self._is_whole: dict[_Pair, bool] = {}

    def follow(self, starts: Iterable[_Pair]) -> None:
        """Compare specs and their dependencies, level by level."""
        level: dict[_Pair, _Via | None] = dict.fromkeys(starts)
        externals: dict[_Pair, list[_Via]] = {}
        while level:
            self._cache.load(cached for _, cached in level)
            below: dict[_Pair, _Via | None] = {}
            for pair, via in level.items():
                wanted = self._ours.spec(pair[0], via.wanted if via else None)
                cached = self._cache.spec(pair[1], via.cached if via else None)
                found = self._compare(pair, wanted, cached)
                for mine, other in found.below:
                    next_pair, next_via = (mine.hash, other.hash), _Via(mine, other, wanted, cached)
                    if other.external:
                        externals.setdefault(next_pair, []).append(next_via)
                    else:
                        below.setdefault(next_pair, next_via)
            level = {pair: via for pair, via in below.items() if pair not in self._found}
        for pair, vias in externals.items():
            self._compare_external(pair, vias)

    def explained(self, specs: pl.DataFrame, hits: set[str], starts: Mapping[str, _Pair]) -> Explained:
        """Return the result; `starts` holds the pairs of the specs that do not hit."""
        causes: dict[_Pair, frozenset[Cause]] = {}
        proven: dict[_Pair, bool] = {}
        occurrences: dict[Cause, list[Occurrence]] = {}
        needs = {pair: [(mine.hash, other.hash) for mine, other in one.below] for pair, one in self._found.items()}
        for pair in dependencies_first(needs, hash_of=lambda pair: pair[0]):
            own = self._found[pair].causes
            causes[pair] = frozenset(own).union(*(causes[other] for other in needs[pair]))
            proven[pair] = self._is_whole[pair] and all(proven[other] for other in needs[pair])
            for cause in own:
                occurrences.setdefault(cause, []).append(Occurrence(self._specs[pair][0].package, self._is_whole[pair]))
        near = {
            wanted: Near(self._specs[pair][1], self._found[pair], causes[pair], proven[pair])
            for wanted, pair in starts.items()
        }
        return Explained(specs, hits, near, occurrences)

    def _compare(self, pair: _Pair, wanted: Spec, cached: Spec) -> Difference:
        found = compare(wanted, cached)
        self._specs[pair], self._found[pair] = (wanted, cached), found
        self._is_whole[pair] = self._prover.is_whole(wanted, cached)
        return found

    def _compare_external(self, pair: _Pair, vias: list[_Via]) -> None:
        """Compare a spec with an external, for which a dataset does not record the system.

        The system is assumed to be that of a spec that needs the external, in the settings where this spec differs from
        its wanted counterpart. If several come into question, the hash decides. If it proves none of them, the most
        common one is supposed, provided that nothing is known to differ.
        """
        first = vias[0]
        wanted, cached = self._ours.spec(pair[0], first.wanted), self._cache.spec(pair[1], first.cached)
        # Its format is that of its file, which is also the format of its owner unless the owner was reused.
        wanted = replace(wanted, spec_format=wanted.spec_format or first.wanted_owner.spec_format)
        cached = replace(cached, spec_format=first.cached_owner.spec_format)
        moves = Counter(tuple(_moved(via, wanted).items()) for via in vias)
        supposed = [replace(cached, values={**cached.values, **dict(move)}) for move, _ in moves.most_common() if move]
        for form in (cached, *supposed):
            self._compare(pair, wanted, form)
            if self._is_whole[pair]:
                return
        nothing = not compare(wanted, cached).fields
        self._compare(pair, wanted, supposed[0] if supposed and nothing else cached)


def _moved(via: _Via, wanted: Spec) -> dict[str, str]:
    """Return the settings in which the owners differ and the wanted spec agrees with its owner."""
    mine, other = via.wanted_owner.values, via.cached_owner.values
    return {
        field: value
        for field in SETTINGS
        if (value := other.get(field)) and value != mine.get(field) == wanted.values.get(field)
    }


class _Agreement(NamedTuple):
    """The dependencies of a wanted spec, to score how well those of a candidate agree."""

    hashes: set[str]
    chosen: set[str]
    """The cached specs with which the dependencies of the wanted spec will be compared."""
    versions: set[tuple[str | None, str | None]]

    def with_edges(self, edges: Iterable[Edge]) -> int:
        return sum(
            3
            if edge.hash in self.hashes
            else 2
            if edge.hash in self.chosen
            else (edge.package, edge.version) in self.versions
            for edge in edges
        )


class _EnvironmentSpecs:
    """The specs of an environment, its externals and build specs included."""

    def __init__(self, environment: Environment, wanted: pl.DataFrame) -> None:
        self.nodes = environment.nodes
        self.rows = {row["hash"]: row for row in wanted.to_dicts()}
        self.edges = _edges_by_owner(environment.dependencies)
        self._specs: dict[str, Spec] = {}

    def built(self, digest: str) -> str:
        """Return the hash of the spec that was built: for a spliced spec its build spec, if that spec is known."""
        build_spec: str | None = self.rows[digest]["build_spec_hash"]
        return build_spec if build_spec in self.nodes and build_spec is not None else digest

    def spec(self, digest: str, edge: Edge | None) -> Spec:
        """Return a spec; if it is not in the environment, only what the edge to it records."""
        if digest not in self._specs:
            if digest in self.rows:
                row = self.rows[digest]
                found = Spec(row["package"], digest, _values(row), row["spec_format"], None, self.edges.get(digest, ()))
            elif digest in self.nodes:
                found = self._of_node(digest)
            else:
                found = _of_edge(digest, edge)
            self._specs[digest] = found
        return self._specs[digest]

    def _of_node(self, digest: str) -> Spec:
        try:
            node = parse_node(self.nodes[digest])
            edges = [dependency(data) for data in node.dependencies]
            below = {edge.hash: parse_node(self.nodes[edge.hash]) for edge in edges if edge.hash in self.nodes}
            row = spec_row(node, edges, below)
            own = external(node) if node.is_external else None
            needed = tuple(_edge(edge, below.get(edge.hash)) for edge in edges)
        except FAULTS as error:
            raise ArgumentError(
                f"expected the node of a spec for {digest}, found: {error}", hint="read the environment again"
            ) from error
        return Spec(node.name, digest, _values(row), row["spec_format"], own, None if own else needed)


class _CachedSpecs:
    """The specs of a cache that have been collected, and their dependencies."""

    def __init__(self, specs: SpecRows, dependencies: LazyFrame | None) -> None:
        self._specs, self._dependencies = specs, dependencies
        self._rows: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._asked_edges: set[str] = set()
        self.edges: dict[str, tuple[Edge, ...]] = {}

    @property
    def knows_dependencies(self) -> bool:
        """Whether there is a table of dependencies."""
        return self._dependencies is not None

    def add(self, rows: pl.DataFrame) -> None:
        """Keep specs; for a spec in several snapshots, the row from an index takes precedence."""
        for row in rows.sort("hash", "spec_format", nulls_last=True).unique("hash", keep="first").to_dicts():
            if row["hash"] not in self._rows or row["spec_format"] is not None:
                self._rows[row["hash"]] = row
        told = rows.filter(pl.col("spec_format").is_not_null()) if self.knows_dependencies else rows
        self._asked |= set(told["hash"])

    def settings(self, digest: str) -> tuple[str | None, ...]:
        """Return the system for which a spec was built."""
        return tuple(self._rows[digest][field] for field in SETTINGS)

    def load(self, hashes: Iterable[str]) -> None:
        """Collect specs and their dependencies."""
        needed = sorted({*hashes})
        if missing := [digest for digest in needed if digest not in self._asked]:
            self._asked.update(missing)
            self.add(self._specs.filter(self._specs.is_in("hash", missing)).distinct(*_COLUMNS))
        self.load_edges({*needed})

    def load_edges(self, hashes: set[str]) -> None:
        """Collect the dependencies of specs, if they are known."""
        missing = sorted(hashes - self._asked_edges)
        if self._dependencies is None or not missing:
            return
        self._asked_edges.update(missing)
        found = self._dependencies.filter(self._specs.is_in("hash", missing)).select(*_EDGE_COLUMNS).unique()
        self.edges |= _edges_by_owner(self._specs.collect(found))

    def spec(self, digest: str, edge: Edge | None) -> Spec:
        """Return a spec; if it is not in the dataset, only what the edge to it records."""
        row = self._rows.get(digest)
        if row is None:
            return _of_edge(digest, edge)
        # The dependencies of a spec that is known only from the site's pages are not known.
        is_known = self.knows_dependencies and row["spec_format"] is not None
        edges = self.edges.get(digest, ()) if is_known else None
        return Spec(row["package"], digest, _values(row), row["spec_format"], None, edges)


def _values(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {field: row[field] for field in FIELDS if field not in NOT_OF_PAGES or row[field] is not None}


def _of_edge(digest: str, edge: Edge | None) -> Spec:
    """Return what an edge records about the spec it leads to; for an external this is nearly everything."""
    package = (edge.package if edge else None) or digest
    if edge and edge.external:
        found = External.parse(edge.external)
        variants = " ".join(map(quote_variant, found.variants))
        return Spec(package, digest, {"version": found.version, "variants": variants}, None, found)
    return Spec(package, digest, {"version": edge.version} if edge and edge.version else {}, is_known=False)


def _edges_by_owner(dependencies: pl.DataFrame) -> dict[str, tuple[Edge, ...]]:
    found: dict[str, list[Edge]] = {}
    columns = dependencies.select(_EDGE_COLUMNS).sort("hash", "dependency_hash")
    for owner, digest, package, version, *is_type, virtuals, external_ in columns.iter_rows():
        types = frozenset(kind for kind, is_one in zip(DEPTYPES, is_type, strict=True) if is_one)
        found.setdefault(owner, []).append(
            Edge(package, version, digest, types, frozenset(virtuals.split(",") if virtuals else ()), external_)
        )
    return {owner: tuple(edges) for owner, edges in found.items()}


def _edge(edge: Dependency, node: Node | None) -> Edge:
    declared = str(external(node)) if node and node.is_external else None
    package = edge.package or (node.name if node else None)
    return Edge(package, node.version if node else None, edge.hash, edge.types, edge.virtuals, declared)
