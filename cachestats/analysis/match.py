"""Will an environment hit: which of its specs are in the cache, why the others are not, and what is left to build."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal, get_args

import narwhals as nw
import polars as pl

from cachestats.analysis.frames import collected, in_order, lazy, one_of, without_root
from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_order

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

By = Literal["snapshot", "stack"]

BYS: tuple[By, ...] = get_args(By)
FIELDS = ("version", "compiler", "platform", "os", "target", "variants")
"""What two specs of a package are compared by, what weighs most first."""

_AT_ONCE = 100  # specs that are compared with all candidates at a time: a popular package has thousands


def match(environment: IntoFrame, specs: IntoFrame, *, dependencies: IntoFrame | None = None) -> pl.DataFrame:
    """Compare the specs of an environment with those of a cache.

    Parameters
    ----------
    environment
        What `read_lockfile` returns, or some of its rows.
    specs
        Any lazy or eager frame that narwhals knows, with the columns `hash`, `package`, `version`, `compiler`,
        `platform`, `os`, `target` and `variants` of the table `specs`: of one snapshot, for instance. A spec hits
        wherever it is in there. Looked for are hashes and packages of the environment, where the frame lives.
    dependencies
        What `read_lockfile_dependencies` returns, to tell what is left to build.

    Returns
    -------
    One row per spec of the environment, with its `package`, `version`, `compiler`, `platform`, `os`, `target`,
    `variants`, `hash` and `is_root`, and

    - `status`: `hit`, its hash is cached; `near`, another spec of its package is; `miss`, its package is not.
    - `differs`: of a near one, in which of version, compiler, platform, os, target and variants the closest cached
      spec differs, joined by commas; `dependencies` where it differs in none of them, which means in a dependency, or
      in what no column shows, such as the recipe.
    - `near_hash`, `near_version`, `near_compiler`, `near_platform`, `near_os`, `near_target` and `near_variants`: that
      closest one. It differs in the fewest of these; of several, it is like the spec in what comes first in their
      order, and then has the smallest hash.
    - `build_step`, with `dependencies`: the step in which it can be built, 1 being at once, 2 after 1, and so on. Null
      where it need not be: what hits is not built, and does not need what only its own build needs.

    Sorted by `build_step`, then the closest first (hits, near ones by the number of fields they differ in, misses),
    then by package and hash.

    Raises
    ------
    ArgumentError
        If a frame lacks a column, or the dependencies go in a circle.

    Examples
    --------
    >>> import cachestats as cs
    >>> import polars as pl
    >>> environment = demo.specs.unique("hash").sort("hash").head(2).with_columns(is_root=True).collect()
    >>> environment = environment.with_columns(hash=pl.Series(["unheard", environment["hash"][1]]))
    >>> cs.match(environment, demo.specs).select("package", "status", "differs").rows()
    [('py-propcache', 'hit', None), ('py-propcache', 'near', 'dependencies')]
    """
    wanted = _environment(environment, ("package", *FIELDS))
    frame = lazy(specs, ("hash", "package", *FIELDS))
    cached = collected(frame.filter(nw.col("hash").is_in(wanted["hash"].to_list())).select("hash").unique())["hash"]
    others = wanted.filter(~pl.col("hash").is_in(cached.implode()))
    # Specs that are alike in all fields are one candidate.
    packages = others["package"].unique().sort().to_list()
    candidates = collected(
        frame.filter(nw.col("package").is_in(packages)).group_by("package", *FIELDS).agg(near_hash=nw.col("hash").min())
    ).rename({field: f"near_{field}" for field in FIELDS})
    matches = (
        wanted.join(_nearest(others, candidates), on="hash", how="left")
        .with_columns(
            status=pl.when(pl.col("hash").is_in(cached.implode()))
            .then(pl.lit("hit"))
            .when(pl.col("near_hash").is_not_null())
            .then(pl.lit("near"))
            .otherwise(pl.lit("miss"))
        )
        .with_columns(closeness=pl.col("status").replace_strict({"hit": -1, "near": 0, "miss": 1}))
    )
    order = ["closeness", "number", "package", "hash"]
    columns = ["package", *FIELDS, "hash", "is_root", "status", "differs", "near_hash", *_near()]
    if dependencies is not None:
        steps = _build_steps(wanted, set(cached), dependencies)
        matches = matches.with_columns(
            build_step=pl.Series([steps.get(digest) for digest in matches["hash"]], dtype=pl.Int64)
        )
        order, columns = ["build_step", *order], [*columns, "build_step"]
    return matches.sort(order, nulls_last=True).select(columns)


def hit_rates(environment: IntoFrame, specs: IntoFrame, *, by: By = "snapshot", root: bool = False) -> pl.DataFrame:
    """Rank snapshots, or their stacks, by how much of an environment they have.

    Parameters
    ----------
    environment
        What `read_lockfile` returns, or some of its rows.
    specs
        Any lazy or eager frame that narwhals knows, with the columns `snapshot`, `hash` and, for stacks, `stack` of the
        table `specs`. The counting is done where the frame lives.
    by
        `snapshot`: a row for each snapshot. `stack`: a row for each stack of each snapshot.
    root
        Keep `root`, the union of the stacks, among the stacks.

    Returns
    -------
    `snapshot`, and by stack `stack`; `hits`, how many of the `specs` of the environment are cached there, and `rate`,
    hits / specs from 0 to 1; `root_hits`, `roots` and `root_rate`, the same of its roots, the specs asked for by name.
    A rate of nothing is null. The best first; of equal ones that with the better rate of roots, then the newest
    snapshot, then by stack, null (no stack) last.

    Raises
    ------
    ArgumentError
        If `by` is something else, or a frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> environment = demo.specs.filter(snapshot="develop").unique("hash").with_columns(is_root=True)
    >>> cs.hit_rates(environment, demo.specs).select("snapshot", "hits", "specs", "rate").rows()
    [('develop', 192, 192, 1.0), ('develop-2025-03-09', 18, 192, 0.09375)]
    """
    one_of(by, BYS, "by")
    wanted = _environment(environment, ())
    places = ["snapshot", *(["stack"] if by == "stack" else [])]
    frame = lazy(specs, (*places, "hash"))
    if by == "stack" and not root:
        frame = without_root(frame)
    roots = wanted.filter("is_root")["hash"].to_list()
    found = frame.filter(nw.col("hash").is_in(wanted["hash"].to_list())).select(*places, "hash").unique()
    hits = collected(
        found.group_by(*places).agg(
            hits=nw.len(), root_hits=nw.when(nw.col("hash").is_in(roots)).then(1).otherwise(0).sum()
        )
    )
    rates = (
        collected(frame.select(*places).unique())
        .join(hits, on=places, how="left", nulls_equal=True)
        .with_columns(pl.col("hits", "root_hits").fill_null(0))
    )
    rates = rates.with_columns(
        specs=pl.lit(wanted.height, pl.Int64),
        rate=_shares(rates["hits"], wanted.height),
        roots=pl.lit(len(roots), pl.Int64),
        root_rate=_shares(rates["root_hits"], len(roots)),
    )
    newest = {name: -age for age, name in enumerate(sorted(rates["snapshot"].unique(), key=snapshot_order))}
    columns = [*places, "hits", "specs", "rate", "root_hits", "roots", "root_rate"]
    keys = ["hits", "root_hits", pl.col("snapshot").replace_strict(newest, return_dtype=pl.Int64), *places[1:]]
    return rates.sort(keys, descending=[True, True, False, *[False] * (len(places) - 1)], nulls_last=True).select(
        columns
    )


def _environment(environment: IntoFrame, columns: Collection[str]) -> pl.DataFrame:
    """Return the specs of an environment, each once."""
    needed = ("hash", "is_root", *columns)
    try:
        frame = lazy(environment, needed)
    except ArgumentError as error:
        raise ArgumentError(error.message, hint="give what `read_lockfile` returns as the environment") from None
    return (
        collected(frame.select(*needed))
        .sort(needed)
        .with_columns(pl.col("is_root").any().over("hash"))
        .unique("hash", keep="first", maintain_order=True)
    )


def _near() -> list[str]:
    return [f"near_{field}" for field in FIELDS]


def _nearest(others: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Return for each spec that has a candidate the closest one, in how many fields it differs, and in which."""
    flags = [pl.col(field).ne_missing(pl.col(f"near_{field}")) for field in FIELDS]
    names = [pl.when(flag).then(pl.lit(field)) for flag, field in zip(flags, FIELDS, strict=True)]
    # What comes first weighs most: as digits of one number.
    weight = pl.sum_horizontal(flag.cast(pl.Int64) * 2**place for place, flag in enumerate(reversed(flags)))
    parts = [
        part.join(candidates, on="package")
        .with_columns(number=pl.sum_horizontal(flags).cast(pl.Int64), weight=weight)
        .sort("hash", "number", "weight", "near_hash")
        .unique("hash", keep="first")
        for part in [*others.iter_slices(_AT_ONCE)] or [others]
    ]
    return (
        pl.concat(parts)
        .with_columns(differs=pl.concat_str(names, separator=",", ignore_nulls=True))
        .with_columns(pl.col("differs").replace("", "dependencies"))
        .select("hash", "number", "differs", "near_hash", *_near())
    )


def _shares(parts: pl.Series, whole: int) -> pl.Series:
    # Polars multiplies by the inverse of a constant, which makes 3 of 5 a little more than 0.6.
    return pl.Series([part / whole if whole else None for part in parts], dtype=pl.Float64)


def _build_steps(wanted: pl.DataFrame, cached: set[str], dependencies: IntoFrame) -> dict[str, int]:
    """Return for each spec that has to be built the step in which it can be."""
    columns = ("hash", "dependency_hash", "is_link", "is_run")
    try:
        edges = collected(lazy(dependencies, columns, table="dependencies").select(*columns))
    except ArgumentError as error:
        hint = "give what `read_lockfile_dependencies` returns as the dependencies"
        raise ArgumentError(error.message, hint=hint) from None
    specs = set(wanted["hash"])
    needs: dict[str, set[str]] = {}
    for owner, needed, *is_used in edges.iter_rows():
        # What hits needs only what it links against or runs. Externals are none of the specs.
        if needed in specs and (owner not in cached or any(is_used)):
            needs.setdefault(owner, set()).add(needed)
    # Some rows of an environment may have no root among them: then whatever nobody needs is asked for.
    below = set(edges["dependency_hash"])
    waiting = [digest for digest, is_root in wanted.select("hash", "is_root").rows() if is_root or digest not in below]
    graph: dict[str, set[str]] = {}
    while waiting:
        digest = waiting.pop()
        if digest not in graph:
            graph[digest] = needs.get(digest, set())
            waiting.extend(graph[digest])
    steps: dict[str, int] = {}
    for digest in in_order(graph):
        steps[digest] = max((steps[needed] for needed in graph[digest]), default=0) + (digest not in cached)
    return {digest: step for digest, step in steps.items() if digest not in cached}
