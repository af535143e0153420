"""Check the tables of a snapshot: holes, specs that no host can use, and one content for each hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from cachestats.analysis.holes import broken_and_missing
from cachestats.analysis.reuse import parse_requirement
from cachestats.analysis.spec_rows import SpecsLike
from cachestats.errors import ArgumentError
from cachestats.requirement import Requirement
from cachestats.spack_releases import FORMAT_OF_SPACK_1
from cachestats.text import counted
from cachestats.verification.ledger import Ledger, Place

CONTENT = (
    "package", "version", "platform", "os", "target", "compiler", "variants", "flags", "namespace", "package_hash",
    "build_spec_hash",
)  # fmt: skip
"""The columns of `specs` that a hash stands for."""
_EDGES = "dependencies"
_WRAPPER = "compiler-wrapper"
_NOTHING_TO_DO = "nothing to do: builds push it, and no binary needs it"
_MOST_PLACES = 3


def check_holes(specs: SpecsLike, dependencies: SpecsLike | None, place: Place, num_specs: int, ledger: Ledger) -> None:
    """Check that a snapshot has what its specs need to be linked and run."""
    try:
        broken, missing = broken_and_missing(specs, dependencies)
    except ArgumentError:
        ledger.skip("hole", "dependencies not known", num_specs)
        return
    ledger.count("hole", num_specs)
    chains = dict(broken.unique("missing_hash", keep="first").select("missing_hash", "chain").iter_rows())
    for package, digest, breaks in missing.select("package", "hash", "breaks").iter_rows():
        such = f", such as {chains[digest]}" if digest in chains else ""
        ledger.find(
            "hole",
            place,
            f"expected {package or 'a dependency'}/{digest[:7]} in the cache, found none; it breaks "
            f"{counted(breaks, 'spec')}{such}",
            package=package,
            digest=digest,
        )


def check_usable(specs: pl.LazyFrame, place: Place, num_specs: int, ledger: Ledger) -> None:
    """Check that each spec of a snapshot can be used by some host; they have a column `requirement`."""
    requirements = specs.select("requirement").unique().collect()["requirement"].drop_nulls()
    parsed = {text: parse_requirement(text) for text in requirements}
    reasons = {text: why for text, one in parsed.items() if (why := _obstacle(one))}
    ledger.count("unusable", num_specs)
    rows = specs.filter(pl.col("requirement").is_in([*reasons])).select("package", "hash", "requirement").unique()
    for package, digest, text in rows.collect().iter_rows():
        ledger.find(
            "unusable",
            place,
            f"expected a spec that hosts can use, found {reasons[text]}",
            package=package,
            digest=digest,
            hint=_NOTHING_TO_DO if package == _WRAPPER else None,
        )


def _obstacle(requirement: Requirement) -> str | None:
    """Return what keeps every host from using specs with a requirement, or None."""
    rules, spec_format = requirement.rules, requirement.spec_format
    if rules == "1.1" and requirement.excluded is not None:
        return f"{requirement.excluded}, which Spack never reuses"
    if rules == "1.1" and spec_format is not None and spec_format < FORMAT_OF_SPACK_1:
        return f"format {spec_format}, or a dependency of it; Spack 1.0 reuses format {FORMAT_OF_SPACK_1} and later"
    if rules == "0.23" and requirement.platforms == ("linux",) and not requirement.names_libc:
        return "no libc in it or a dependency, without which Spack 0.22 and 0.23 reuse nothing"
    return None


class Contents:
    """What each hash stands for in each of several snapshots, as numbers, so that they can be compared."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._parts: list[pl.DataFrame] = []

    def add(self, place: Place, specs: pl.LazyFrame, dependencies: pl.LazyFrame | None) -> None:
        """Add the specs of a snapshot, and their dependencies if these are known."""
        distinct = specs.select("hash", *CONTENT).unique("hash").collect()
        edges = _edges(dependencies) if dependencies is not None else pl.DataFrame(schema={"hash": pl.String})
        numbers = distinct.select("hash", "package", *map(_number, CONTENT), place=pl.lit(len(self._places), pl.Int32))
        if _EDGES in edges.columns:
            # Without this, a spec without dependencies would agree with one that has some.
            numbers = numbers.join(edges, on="hash", how="left").with_columns(pl.col(_EDGES).fill_null(0))
        else:
            numbers = numbers.with_columns(pl.lit(None, pl.UInt64).alias(_EDGES))
        self._places.append(place)
        self._parts.append(numbers)

    def check(self, ledger: Ledger) -> None:
        """Check that each hash stands for the same in all snapshots."""
        if not self._parts:
            return
        rows = pl.concat(self._parts)
        shared = rows.filter(pl.len().over("hash") > 1)
        columns = [*map(_name, CONTENT), _EDGES]
        ledger.count("contradiction", shared["hash"].n_unique())
        differs = [pl.col(name).drop_nulls().n_unique().gt(1).alias(name) for name in columns]
        found = shared.group_by("hash").agg(pl.col("package").first(), pl.col("place").sort().unique(), *differs)
        for row in found.filter(pl.any_horizontal(columns)).sort("package", "hash").iter_rows(named=True):
            names = ", ".join(name.removeprefix("#") for name in columns if row[name])
            places = [self._places[number] for number in row["place"]]
            ledger.find(
                "contradiction",
                places[0],
                f"expected one content of the hash, found different {names} in {_named(places)}",
                package=row["package"],
                digest=row["hash"],
            )


def _edges(dependencies: pl.LazyFrame) -> pl.DataFrame:
    hashes = pl.col("dependency_hash").unique().sort().str.join(",")
    return dependencies.group_by("hash").agg(hashes.hash().alias(_EDGES)).collect()


def _name(column: str) -> str:
    return f"#{column}"


def _number(column: str) -> pl.Expr:
    """Return the values of a column as numbers; null, as where pages do not tell, stays null."""
    return pl.when(pl.col(column).is_not_null()).then(pl.col(column).hash()).alias(_name(column))


def _named(places: Sequence[Place]) -> str:
    return " and ".join(_some([f"{place.source} ({place.snapshot})" for place in places]))


def _some(names: Sequence[str]) -> Iterable[str]:
    rest = len(names) - _MOST_PLACES
    return [*names[:_MOST_PLACES], counted(rest, "other")] if rest > 0 else names
