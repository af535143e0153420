"""Match an environment against a cache: which specs hit, why the others miss, and what must still be built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from cachestats.analysis.causes import causes_in_words, causes_of, ranked
from cachestats.analysis.differences import FIELDS, REPRESENTATION
from cachestats.analysis.explain import Explained, explain, specs_of
from cachestats.analysis.frames import check_choice, dependencies_first
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, spec_rows
from cachestats.axes import HIT_RATE_AXES, HitRateAxis
from cachestats.naming import snapshot_order

if TYPE_CHECKING:
    from cachestats.environment import Environment


def match(
    environment: Environment,
    specs: SpecsLike,
    *,
    dependencies: SpecsLike | None = None,
    among: SpecsLike | None = None,
) -> pl.DataFrame:
    """Find the specs of an environment that are in a cache, why the others are not, and what must still be built.

    Parameters
    ----------
    environment
        The result of `read_environment`.
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `hash`,
        `package`, `version`, `compiler`, `platform`, `os`, `target`, `variants`, `flags`, `namespace`, `package_hash`
        and `spec_format` of the table `specs`: the specs of one snapshot, for instance. A spec hits if it is anywhere
        in the frame. The frame's own engine looks up the hashes and packages of the environment. A dataset stands for
        its newest snapshot.
    dependencies
        The dataset, or its table `dependencies` as a frame of the same kind as `specs`. With it, dependencies are
        followed to those that differ in themselves.
    among
        All specs of the snapshots, if `specs` is a selection from them. Dependencies are looked up in these.

    Returns
    -------
    polars.DataFrame
        One row per spec of the environment, sorted by `build_step`, then by closeness (hits, near specs by the number
        of differing fields, misses), then by package and hash:

        - `package`, `version`, `compiler`, `platform`, `os`, `target`, `variants`, `flags`, `namespace`,
          `package_hash`, `hash` (String) and `is_root` (Boolean): the spec, as in `environment.specs`.
        - `status` (String): `hit` if its hash is cached or, for a spliced spec, the hash of its build spec; `near` if
          another spec of its package is cached; `miss` if its package is not.
        - `differs` (String): for a near spec, the fields in which the closest cached spec differs, joined by commas,
          with `recipe` for `package_hash`. They are followed by `dependencies` if dependencies differ, or if no field
          differs and the dependencies are not known; and by `representation` if one of the two specs, or one of their
          dependencies, is written in an older format, which gives the same spec another hash.
        - `near_hash`, and `near_version` to `near_package_hash` (String): the closest spec (see Notes).
        - `causes` (String): for a near spec, the differences to be removed for it to hit, including those of its
          dependencies, joined by semicolons, such as `openssl 3.3.0~docs instead of +docs`. A difference that follows
          from another is not a cause. They are in the order of the function `causes`; null if only the representation
          differs.
        - `cause_fields` (String): the distinct fields of these causes, joined by commas: those of `differs`, and
          `libc`, `provider` (of a virtual package), `external`, `dependencies` and `unknown` (the difference is not
          visible).
        - `proof` (String): for a near spec, `proven` if nothing else differs, otherwise `supposed` (see Notes).
        - `build_step` (Int64): the step in which it can be built: 1 immediately, 2 after step 1, and so on. Null if it
          need not be built: hits are not built, and neither are dependencies that only the build of a hit would need.

    Raises
    ------
    ArgumentError
        If `environment` is not an environment, a frame lacks a column, or dependencies form a cycle.

    Notes
    -----
    The closest spec differs in the fewest fields. Ties are broken by agreement in the fields that come first in the
    order of the columns, then by agreement of dependencies, as far as they are known, then in favour of the system of
    the closest specs of most others, then of the smallest hash. Fields that the source of a spec does not provide are
    assumed to be equal.

    A difference is proven if, with the cached values put back, the hash of the spec and the hashes of all differing
    dependencies equal the cached ones. It is supposed if the dataset does not contain everything that the hash covers,
    such as patches, or if the hash cannot be computed, as for spliced specs, for formats 1 and 2, and for specs first
    written in an older format than that of their file.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> cs.match(environment, ds.at("previous"))["status"].value_counts(sort=True).rows()
    [('miss', 32), ('hit', 10)]
    >>> matches = cs.match(environment, ds.newest, dependencies=ds)
    >>> matches.filter(package="libpciaccess").select("status", "differs", "near_version", "proof").rows()
    [('near', 'dependencies', '0.17', 'supposed')]
    """
    return matches_of(explain(environment, specs, dependencies=dependencies, among=among), environment)


def match_and_causes(
    environment: Environment,
    specs: SpecsLike,
    *,
    dependencies: SpecsLike | None = None,
    among: SpecsLike | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the results of `match` and of `causes`, which compare the same specs.

    Raises
    ------
    ArgumentError
        As `match`.
    """
    explained = explain(environment, specs, dependencies=dependencies, among=among)
    return matches_of(explained, environment), causes_of(explained)


class Summary(NamedTuple):
    """How much of an environment is cached."""

    specs: int
    hits: int
    near: int
    missing: int
    roots: int
    root_hits: int
    to_build: int
    """Specs that are left to build."""
    build_steps: int
    """The steps that it takes to build them."""
    represented: int
    """Near specs that are written in another format, so that their hashes differ in any case."""


def summary(matches: pl.DataFrame) -> Summary:
    """Count what `match` returns.

    Examples
    --------
    >>> import cachestats as cs
    >>> from cachestats.analysis.match import summary
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> found = summary(cs.match(environment, ds.at("previous")))
    >>> found.hits, found.missing, found.to_build
    (10, 32, 0)
    """
    status, root_status = matches["status"].to_list(), matches.filter("is_root")["status"].to_list()
    steps = matches["build_step"].drop_nulls().to_list()
    return Summary(
        specs=len(status),
        hits=status.count("hit"),
        near=status.count("near"),
        missing=status.count("miss"),
        roots=len(root_status),
        root_hits=root_status.count("hit"),
        to_build=len(steps),
        build_steps=max(steps, default=0),
        represented=int(matches["differs"].str.contains(REPRESENTATION.field).sum()),
    )


def matches_of(explained: Explained, environment: Environment) -> pl.DataFrame:
    """Return the result of `explain` as the table that `match` returns."""
    ranks = {cause: rank for rank, cause in enumerate(ranked(explained))}
    words = causes_in_words(explained)
    rows = []
    for digest in explained.specs["hash"]:
        near = explained.near.get(digest)
        row: dict[str, Any] = {
            "hash": digest,
            "status": "hit" if digest in explained.hits else "near" if near else "miss",
        }
        if near:
            fields = [*near.difference.fields]
            if REPRESENTATION in near.causes and REPRESENTATION.field not in fields:  # of a dependency
                fields.append(REPRESENTATION.field)
            causes = sorted(near.causes & ranks.keys(), key=ranks.__getitem__)
            row |= {
                "differs": ",".join(fields),
                "distance": len(fields),
                "near_hash": near.cached.hash,
                **{f"near_{field}": near.cached.values.get(field) for field in FIELDS},
                "causes": "; ".join(words[cause] for cause in causes) or None,
                "cause_fields": ",".join(sorted({cause.field for cause in causes})) or None,
                "proof": "proven" if near.is_proven else "supposed",
            }
        rows.append(row)
    names = [
        "status",
        "differs",
        "near_hash",
        *(f"near_{field}" for field in FIELDS),
        "causes",
        "cause_fields",
        "proof",
    ]
    found = pl.DataFrame(rows, schema={"hash": pl.String, "distance": pl.Int64, **dict.fromkeys(names, pl.String)})
    steps = _build_steps(explained, environment.dependencies)
    return (
        explained.specs.join(found, on="hash")
        .with_columns(
            build_step=pl.col("hash").replace_strict(steps, default=None, return_dtype=pl.Int64),
            closeness=pl.col("status").replace_strict({"hit": -1, "near": 0, "miss": 1}, return_dtype=pl.Int64),
        )
        .sort("build_step", "closeness", "distance", "package", "hash", nulls_last=True)
        .select("package", *FIELDS, "hash", "is_root", *names, "build_step")
    )


def hit_rates(
    environment: Environment, specs: SpecsLike, *, by: HitRateAxis = "snapshot", union: bool = False
) -> pl.DataFrame:
    """Rank snapshots, or their stacks, by the share of an environment that they contain.

    Parameters
    ----------
    environment
        The result of `read_environment`.
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `snapshot`,
        `hash`, `package` and, for stacks, `stack` of the table `specs`. The frame's own engine looks up the hashes and
        packages of the environment. A dataset stands for all of its snapshots.
    by
        `snapshot`: a row for each snapshot. `stack`: a row for each stack of each snapshot.
    union
        Keep `root`, the union of the stacks, among the stacks.

    Returns
    -------
    polars.DataFrame
        One row per snapshot, or per stack of a snapshot. Sorted by `rate` in descending order, then by `root_rate` in
        descending order, then the newest snapshot first, then by stack, null (no stack) last:

        - `snapshot`, and `stack` if by stack (String).
        - `hits` (Int64): the specs of the environment that are cached there.
        - `specs` (Int64): all specs of the environment.
        - `rate` (Float64, from 0 to 1): `hits` divided by `specs`; null if there are none.
        - `near` (Int64): the specs that are not cached there but have another cached spec of their package.
        - `root_hits`, `roots`, `root_rate`: the same for the roots of the environment, the specs that were requested.

    Raises
    ------
    ArgumentError
        If `environment` is not an environment, `by` is not one of these, or a frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> cs.hit_rates(environment, ds).select("snapshot", "hits", "specs", "near", "root_hits", "roots").rows()
    [('develop-2024-06-02', 10, 42, 0, 1, 1), ('develop-2025-03-09', 0, 42, 11, 0, 1)]
    """
    check_choice(by, HIT_RATE_AXES, "by")
    keys = ["snapshot", *(["stack"] if by == "stack" else [])]
    found = spec_rows(specs, (*keys, "hash", "package"), union=union, every_snapshot=True)
    wanted = found.coded(specs_of(environment).select("asked", "package", "is_root"), asked="hash", package="package")
    hits = _found(found, keys, hash=wanted["asked"]).join(wanted, left_on="hash", right_on="asked")
    packages = _found(found, keys, package=wanted["package"])
    # The package of a hit is there, unless the hit was spliced from a spec of another package.
    hits = hits.join(packages.with_columns(is_there=True), on=[*keys, "package"], how="left", nulls_equal=True)
    rates = found.distinct_codes(*keys)
    for counted in (
        hits.group_by(keys).agg(hits=pl.len(), root_hits=pl.col("is_root").sum(), not_near=pl.col("is_there").sum()),
        packages.join(wanted["package"].value_counts(), on="package").group_by(keys).agg(near=pl.col("count").sum()),
    ):
        rates = rates.join(counted, on=keys, how="left", nulls_equal=True)
    rates = found.named(rates).with_columns(pl.col("hits", "near", "root_hits", "not_near").fill_null(0).cast(pl.Int64))
    rates = rates.with_columns(near=pl.col("near") - pl.col("not_near"))
    roots = int(wanted["is_root"].sum())
    rates = rates.with_columns(
        specs=pl.lit(wanted.height, pl.Int64),
        rate=_shares(rates["hits"], wanted.height),
        roots=pl.lit(roots, pl.Int64),
        root_rate=_shares(rates["root_hits"], roots),
    )
    newest = {name: -age for age, name in enumerate(sorted(rates["snapshot"].unique(), key=snapshot_order))}
    columns = [*keys, "hits", "specs", "rate", "near", "root_hits", "roots", "root_rate"]
    order = ["hits", "root_hits", pl.col("snapshot").replace_strict(newest, return_dtype=pl.Int64), *keys[1:]]
    return rates.sort(order, descending=[True, True, False, *[False] * (len(keys) - 1)], nulls_last=True).select(
        columns
    )


def _found(specs: SpecRows, keys: list[str], **wanted: pl.Series) -> pl.DataFrame:
    """Return the distinct pairs of a snapshot, or a stack of it, and one of the wanted values of a column, as codes."""
    ((name, values),) = wanted.items()
    return specs.filter(specs.api.col(name).is_in(values.unique().sort().to_list())).distinct_codes(*keys, name)


def _shares(parts: pl.Series, whole: int) -> pl.Series:
    # Polars divides by a constant by multiplying with its inverse, which makes 3 of 5 slightly more than 0.6.
    return pl.Series([part / whole if whole else None for part in parts], dtype=pl.Float64)


def _build_steps(explained: Explained, dependencies: pl.DataFrame) -> dict[str, int]:
    """Return, for each spec that has to be built, the step in which it can be built."""
    cached, specs = explained.hits, set(explained.specs["hash"])
    needs: dict[str, set[str]] = {}
    for owner, needed, *is_used in dependencies.select("hash", "dependency_hash", "is_link", "is_run").iter_rows():
        # A hit needs only its link and run dependencies. Externals are not among the specs.
        if needed in specs and (owner not in cached or any(is_used)):
            needs.setdefault(owner, set()).add(needed)
    # A selection of an environment's specs may contain no root; specs without dependents are then treated as roots.
    below = set(dependencies["dependency_hash"])
    waiting = [
        digest
        for digest, is_root in explained.specs.select("hash", "is_root").iter_rows()
        if is_root or digest not in below
    ]
    graph: dict[str, set[str]] = {}
    while waiting:
        digest = waiting.pop()
        if digest not in graph:
            graph[digest] = needs.get(digest, set())
            waiting.extend(graph[digest])
    steps: dict[str, int] = {}
    for digest in dependencies_first(graph):
        steps[digest] = max((steps[needed] for needed in graph[digest]), default=0) + (digest not in cached)
    return {digest: step for digest, step in steps.items() if digest not in cached}
