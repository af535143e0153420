"""What a host can use of a cache, as Spack decides it, and why it cannot use the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from cachestats.analysis.reuse import distinct_libcs, judge_all, parse_requirement, reused_of, reused_requirements
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, spec_rows
from cachestats.axes import MISSING, NATIVE, STATES, USABLE, State
from cachestats.errors import ArgumentError
from cachestats.hosts import Host, as_host, as_named, host_of
from cachestats.naming import natural_key, sort_versions, version_key
from cachestats.spack_releases import RULES, Rules, checked_rules
from cachestats.targets import runnable

# The obstacles, the easiest to remove first. If none of several specs can be reused, the nearest one gives the reason.
_NEAREST_FIRST = ("external", "incomplete", "libc", "os", "format", "target", "platform", "excluded")


def reusable(specs: SpecsLike, *, host: Host | str, spack: str | None = None) -> pl.DataFrame:
    """Decide for each spec whether a host can reuse it, and if not, why.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports, with the columns `snapshot`, `package`,
        `version`, `hash`, `target` and `requirement` of the table `specs`. A dataset stands for its newest snapshot.
    host
        The machine: a `Host`, or text such as `zen4:rhel9`, `zen4:glibc@2.34` or `host` (this machine).
    spack
        The Spack version whose reuse rules apply, such as `0.21`, `1.0.2`, or `newest`. By default, each snapshot is
        judged by the rules of the Spack that wrote it.

    Returns
    -------
    polars.DataFrame
        One row per spec, sorted by package, version in Spack's order, snapshot and hash:

        - `snapshot`, `package`, `version`, `hash`, `target` (String): the spec.
        - `status` (String): `native` (it can be reused, and was built for exactly the host's target), `usable` (it can
          be reused), or the obstacle: `excluded` (Spack never reuses it), `platform`, `target`, `os`, `libc`, `format`
          (it was written by too old a Spack), `incomplete` (the cache lacks a dependency) or `external` (the host has
          to declare a dependency).
        - `by` (String): details of the obstacle, such as `glibc@2.39`; null if the spec can be reused.

    Raises
    ------
    ArgumentError
        If the frame lacks a column; if the host or the version of Spack is not one; or if the host has neither an
        operating system nor a libc although one is compared.

    Examples
    --------
    >>> import cachestats as cs
    >>> found = cs.reusable(cs.example_dataset(), host="zen4:rhel9")
    >>> found.filter(package="hwloc").select("version", "target", "status", "by").rows()
    [('2.11.1', 'aarch64', 'platform', 'darwin')]
    >>> found["status"].value_counts(sort=True).rows()
    [('libc', 25), ('platform', 11), ('usable', 3)]
    """
    host = as_host(host)
    columns = ("snapshot", "package", "version", "hash", "target", "requirement")
    rows = spec_rows(specs, columns)
    found = (
        rows.distinct(*columns)
        .join(judged(rows, host, spack), on="requirement")
        .with_columns(
            status=pl.when(pl.col("status") == USABLE, pl.col("target") == host.target)
            .then(pl.lit(NATIVE))
            .otherwise("status")
        )
    )
    versions = sort_versions(found["version"].unique())
    position = pl.col("version").replace_strict(versions, range(len(versions)), return_dtype=pl.Int64)
    return found.sort("package", position, "snapshot", "hash").drop("requirement")


def usable(specs: SpecsLike, *, host: Host | str, spack: str | None = None) -> pl.DataFrame:
    """Find the versions of packages that a host can use, how well they fit, and why it cannot use the others.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports, with the columns `package`, `version`,
        `snapshot`, `hash`, `target` and `requirement` of the table `specs`. The frame's own engine does the counting. A
        dataset stands for its newest snapshot.
    host, spack
        As in `reusable`.

    Returns
    -------
    polars.DataFrame
        One row per package and version in `specs`, sorted by package and by version in Spack's order:

        - `package`, `version` (String).
        - `cell` (String): `native`: a spec built for exactly the host's target can be reused; `usable`: only specs
          built for an ancestor of the host's target can be reused; `missing`: no spec can be reused.
        - `best_target` (String): the target of the spec that fits best, that is, the nearest ancestor; null if the cell
          is missing.
        - `num_specs` (Int64): distinct specs that can be reused.
        - `status`, `by` (String): if the cell is missing, the obstacle of the spec that is nearest to being reusable,
          as in `reusable`; otherwise null.

    Raises
    ------
    ArgumentError
        As in `reusable`.

    Examples
    --------
    >>> import cachestats as cs
    >>> found = cs.usable(cs.example_dataset(), host=cs.Host(target="zen4", os="rhel9"))
    >>> found.filter(cell="usable").select("package", "version", "best_target").rows()
    [('gcc-runtime', '7.5.0', 'x86_64_v3'), ('zlib-ng', '2.2.3', 'x86_64_v3')]
    >>> found.filter(package="hdf5").select("version", "cell", "status", "by").row(0)
    ('1.8.23', 'missing', 'libc', 'glibc@2.35')
    """
    host = as_host(host)
    rows = spec_rows(specs, ("package", "version", "snapshot", "hash", "target", "requirement"))
    verdicts = judged(rows, host, spack)
    keys = ["package", "version"]
    is_reused = rows.is_in("requirement", reused_of(verdicts))
    counts = rows.filter(is_reused).count(*keys, "target", of=["snapshot", "hash"]).rename({"value": "num_specs"})
    order = runnable(host.target)
    position = pl.col("target").replace_strict(order, range(len(order)), return_dtype=pl.Int64)
    best = counts.group_by(keys).agg(
        best_target=pl.col("target").sort_by(position).first(), num_specs=pl.col("num_specs").sum()
    )
    left = rows.filter(~is_reused).distinct(*keys, "requirement")
    others = _nearest(left.join(best, on=keys, how="anti").join(verdicts, on="requirement"))
    answer = (
        pl.concat([best.select(keys), others.select(keys)])
        .join(best, on=keys, how="left")
        .join(others, on=keys, how="left")
        .select(
            *keys,
            pl.when(pl.col("best_target") == host.target)
            .then(pl.lit(NATIVE))
            .when(pl.col("best_target").is_not_null())
            .then(pl.lit(USABLE))
            .otherwise(pl.lit(MISSING))
            .alias("cell"),
            "best_target",
            pl.col("num_specs").fill_null(0),
            "status",
            "by",
        )
    )
    in_order = sorted(answer.rows(), key=lambda row: (row[0], version_key(row[1]), row[1]))
    return pl.DataFrame(in_order, schema=answer.schema, orient="row")


def nearness() -> pl.Expr:
    """Return the rank of `status` for specs that cannot be reused: those nearest to being reusable come first."""
    return pl.col("status").replace_strict(_NEAREST_FIRST, range(len(_NEAREST_FIRST)), return_dtype=pl.Int64)


class Summary(NamedTuple):
    """How much of a cache a host can use."""

    num_packages: int
    num_usable: int
    """Packages of which it can use a version."""
    num_versions: dict[State, int]
    """Versions of packages, by cell."""

    @property
    def share(self) -> float:
        """The share of the packages that it can use, from 0 to 1."""
        return self.num_usable / self.num_packages


def summary(answer: pl.DataFrame) -> Summary:
    """Count what a host can use, from what `usable` returns; it must have a row.

    Examples
    --------
    >>> import cachestats as cs
    >>> from cachestats.analysis.usable import summary
    >>> found = summary(cs.usable(cs.example_dataset(), host="zen4:rhel9"))
    >>> found.num_usable, found.num_packages, found.num_versions
    (2, 13, {'native': 0, 'usable': 2, 'missing': 14})
    """
    reached = answer.filter(pl.col("cell") != "missing")
    versions: dict[State, int] = dict.fromkeys(STATES, 0) | dict(answer["cell"].value_counts().iter_rows())
    return Summary(answer["package"].n_unique(), reached["package"].n_unique(), versions)


def obstacles(answer: pl.DataFrame) -> pl.DataFrame:
    """Count the packages that a host cannot use at all, by what prevents it.

    The obstacle of a package is that of its version that is closest to being reused.

    Parameters
    ----------
    answer
        What `usable` returns.

    Returns
    -------
    polars.DataFrame
        One row per obstacle, with the columns `status`, `by` and `packages`. Externals that the host only has to
        declare come first, then the most frequent obstacles.

    Examples
    --------
    >>> import cachestats as cs
    >>> from cachestats.analysis.usable import obstacles
    >>> obstacles(cs.usable(cs.example_dataset(), host="zen4:rhel9")).rows()
    [('libc', 'glibc@2.35', 9), ('platform', 'darwin', 2)]
    """
    reached = answer.filter(pl.col("cell") != MISSING)["package"]
    lacking = answer.filter(~pl.col("package").is_in(reached.implode())).sort(nearness(), "by")
    nearest = lacking.unique("package", keep="first", maintain_order=True)
    counts = nearest.group_by("status", "by").len("packages")
    is_other = pl.col("status") != "external"
    return counts.sort(is_other, "packages", "status", "by", descending=[False, True, False, False])


def possible_hosts(built: pl.DataFrame) -> list[Host]:
    """Return the hosts of each platform: every target combined with every operating system that has specs there.

    Targets and operating systems are combined only within a platform, because other combinations do not exist as
    machines: no Mac is a Neoverse.
    """
    pairs = built.select("platform", "os").unique().join(built.select("platform", "target").unique(), on="platform")
    return [host_of(target, platform, os) for platform, os, target in pairs.sort("platform", "os", "target").rows()]


def _nearest(found: pl.DataFrame) -> pl.DataFrame:
    """Return, for each package and version, the obstacle of the spec that is nearest to being reusable."""
    words = sorted(found["by"].drop_nulls().unique(), key=natural_key)
    position = pl.col("by").replace_strict(words, range(len(words)), default=None, return_dtype=pl.Int64)
    nearest = found.sort(nearness(), position, nulls_last=True).unique(
        ["package", "version"], keep="first", maintain_order=True
    )
    return nearest.select("package", "version", "status", "by")


def usable_by_system(specs: SpecsLike, *, host: Host | str, spack: str | None = None) -> pl.DataFrame:
    """Count the packages and specs that a target can use with each libc or operating system in the cache.

    If only the target of a host is known, there is no single answer: on Linux it depends on the libc and, under the
    rules of Spack up to 0.21, on the operating system.

    Parameters
    ----------
    specs, spack
        As in `reusable`.
    host
        The machine, with neither operating system nor libc.

    Returns
    -------
    polars.DataFrame
        One row per libc, then per operating system if it is compared, in natural order. If neither is compared, there
        is one row:

        - `system` (String): the libc or the operating system; `any` if neither is compared.
        - `packages`, `specs` (Int64): distinct ones that can be reused.
        - `packages_of` (Int64): all packages in `specs`.

    Raises
    ------
    ArgumentError
        If the frame lacks a column, or the host or the version of Spack is not one.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.usable_by_system(cs.example_dataset(), host="zen4").rows()
    [('glibc@2.27', 2, 3, 13), ('glibc@2.35', 11, 28, 13)]
    """
    host, rules = as_host(host), checked_rules(spack)
    found = spec_rows(specs, ("package", "snapshot", "hash", "requirement"))
    counts = found.count("package", "requirement", of=["snapshot", "hash"]).rename({"value": "specs"})
    rows = []
    for system, one in _systems(counts["requirement"].unique().to_list(), host, rules) or [("any", host)]:
        reused = counts.filter(pl.col("requirement").is_in(reused_requirements(counts["requirement"], one, rules)))
        rows.append((system, reused["package"].n_unique(), reused["specs"].sum(), counts["package"].n_unique()))
    schema = {"system": pl.String} | dict.fromkeys(("packages", "specs", "packages_of"), pl.Int64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def judged(specs: SpecRows, host: Host, spack: str | None) -> pl.DataFrame:
    """Return the verdict on each distinct requirement of some specs: `requirement`, `status` and `by`.

    Raises
    ------
    ArgumentError
        If the host has neither an operating system nor a libc although one is compared.
    """
    return judged_requirements(specs.distinct("requirement")["requirement"].to_list(), host, spack)


def judged_requirements(requirements: list[str], host: Host, spack: str | None) -> pl.DataFrame:
    """Return the verdict on each of some distinct requirements, as `judged` does."""
    rules = checked_rules(spack)
    if not host.is_complete or (host.os is None and "0.21" in _rules_of(requirements, rules)):
        what = "operating system" if host.is_complete else "operating system or libc"
        systems = [system for system, _ in _systems(requirements, host, rules)]
        raise ArgumentError(
            f"expected the {what} of the host, which decides what it can reuse, found {host}",
            hint=f"such as {host.target}:{systems[-1] if systems else 'rhel9'}; "
            "`usable` in a shell and `cs.usable_by_system` show the result for each",
        )
    return judge_all(requirements, host, rules)


def _rules_of(requirements: Iterable[str], spack: Rules | None) -> set[str]:
    return {spack or parse_requirement(text).rules or RULES[-1] for text in requirements}


def _systems(requirements: Iterable[str], host: Host, spack: Rules | None) -> list[tuple[str, Host]]:
    """Return the libcs and operating systems by which hosts of a target differ, each with a host that has it."""
    runs = frozenset(runnable(host.target))
    parsed = map(parse_requirement, requirements)
    fitting = [one for one in parsed if one.platforms == (host.platform,) and runs.issuperset(one.targets)]
    of_os: list[str] = []
    of_libc: list[str] = []
    for one in fitting:
        if host.platform != "linux" or (spack or one.rules) == "0.21":
            of_os += one.oses
        else:
            of_libc.append(str(one))
    named, oses = as_named(host), sorted(set(of_os), key=natural_key)
    return [
        *((libc, replace(named, libc=libc)) for libc in distinct_libcs(of_libc)),
        *((os, replace(host_of(host.target, host.platform, os), externals=host.externals)) for os in oses),
    ]
