"""Why the specs of an environment miss: their differences from cached specs, ranked by the misses each would cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cachestats.analysis.differences import REPRESENTATION, Cause
from cachestats.analysis.explain import Explained, Near, explain
from cachestats.targets import runnable

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from cachestats.environment import Environment

_OF_A_TARGET = frozenset({"target", "os"})


def causes(
    environment: Environment,
    specs: IntoFrame,
    *,
    dependencies: IntoFrame | None = None,
    among: IntoFrame | None = None,
) -> pl.DataFrame:
    """Rank what keeps the specs of an environment from being found in a cache.

    Parameters
    ----------
    environment, specs, dependencies, among
        As in `match`, which describes how specs are compared.

    Returns
    -------
    polars.DataFrame
        One row per cause, sorted by `cures` and `misses` in descending order, and then by the other columns:

        - `package` (String): the package whose specs differ; null if there are several, as for a target.
        - `field` (String): the field that differs. This is one that `match` compares, with `recipe` for the checksum of
          the package's recipe; or `libc`, `provider` (of a virtual package), `external`, `dependencies` (the packages
          or the reasons for them) or `unknown`.
        - `wanted`, `cached` (String): the values in the environment and in the cache; empty if there is none.
        - `words` (String): the cause in words, such as `openssl 3.3.0~docs instead of +docs`.
        - `cures` (Int64): the number of misses that would hit if this cause alone were removed.
        - `misses` (Int64): the number of misses that have this cause, alone or among others.
        - `proof` (String): `proven` if the hashes show that nothing else differs in the specs that it cures and in all
          their dependencies or, if it cures none, in the specs that have it. Otherwise `supposed` (see `match`).

        Specs whose package is not in the cache at all have no causes. A difference in representation is not a cause
        (see `match`).

    Raises
    ------
    ArgumentError
        As in `match`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> environment = cs.read_environment(ds.path / "spack.lock")
    >>> causes = cs.causes(environment, ds.newest, dependencies=ds)
    >>> causes.filter(package="zlib-ng").select("words", "cures", "misses").rows()
    [('zlib-ng 2.1.6 instead of 2.2.3', 0, 4)]
    """
    return causes_of(explain(environment, specs, dependencies=dependencies, among=among))


def causes_of(explained: Explained) -> pl.DataFrame:
    """Return the result of `explain` as the table that `causes` returns."""
    words = causes_in_words(explained)
    rows = []
    for cause, near in _ranked(explained):
        cured = _cured(near)
        packages = _packages(explained, cause)
        proofs = cured or explained.occurrences[cause]
        rows.append(
            {
                "package": packages[0] if len(packages) == 1 else None,
                "field": cause.field,
                "wanted": cause.wanted,
                "cached": cause.cached,
                "words": words[cause],
                "cures": len(cured),
                "misses": len(near),
                "proof": "proven" if all(one.is_proven for one in proofs) else "supposed",
            }
        )
    texts = ("package", "field", "wanted", "cached", "words")
    numbers = ("cures", "misses")
    schema = dict.fromkeys(texts, pl.String) | dict.fromkeys(numbers, pl.Int64) | {"proof": pl.String}
    return pl.DataFrame(rows, schema=schema)


def ranked(explained: Explained) -> list[Cause]:
    """Return the causes, sorted by the number of misses that they cure, the highest first."""
    return [cause for cause, _ in _ranked(explained)]


def _ranked(explained: Explained) -> list[tuple[Cause, list[Near]]]:
    """Return the causes in the order of `ranked`, each with the specs that it keeps from hitting."""
    misses: dict[Cause, list[Near]] = {}
    for near in explained.near.values():
        for cause in near.causes - {REPRESENTATION}:
            misses.setdefault(cause, []).append(near)
    return sorted(
        misses.items(),
        key=lambda item: (-len(_cured(item[1])), -len(item[1]), item[0].package or "", *item[0][1:]),
    )


def _cured(near: list[Near]) -> list[Near]:
    """Return the specs that have no other cause, out of those that one cause keeps from hitting."""
    return [one for one in near if len(one.causes) == 1]


def causes_in_words(explained: Explained) -> dict[Cause, str]:
    """Return the words for each cause; a setting that differs in a single package is given with the package's name."""
    words = {}
    for cause in explained.occurrences:
        packages = _packages(explained, cause)
        is_of_one = cause.package is None and len(packages) == 1
        words[cause] = f"{cause.words} ({packages[0]})" if is_of_one else cause.words
    return words


def _packages(explained: Explained, cause: Cause) -> list[str]:
    """Return the packages in whose specs a cause occurs."""
    return sorted({one.package for one in explained.occurrences[cause]})


def hits_if_target_changed(matches: pl.DataFrame, *, machine: str | None = None) -> pl.DataFrame:
    """Count the additional specs that would hit if the environment were concretized for another target.

    Parameters
    ----------
    matches
        The result of `match`.
    machine
        Count only the targets whose binaries this target runs; by default all.

    Returns
    -------
    polars.DataFrame
        One row per target of a closest cached spec, sorted by `hits` in descending order, then by `target`:

        - `target` (String): the target.
        - `hits` (Int64): the specs that differ from a spec of that target only in target and operating system, in
          themselves and in their dependencies.

    Examples
    --------
    >>> import cachestats as cs
    >>> import polars as pl
    >>> from cachestats.analysis.causes import hits_if_target_changed
    >>> environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    >>> specs = environment.specs.with_columns(target=pl.lit("zen4"), hash=pl.lit("-") + pl.col("hash"))
    >>> hits_if_target_changed(cs.match(environment, specs)).rows()
    [('zen4', 42)]
    """
    fields = pl.col("cause_fields").str.split(",")
    is_of_target = fields.list.set_difference(pl.lit([*_OF_A_TARGET])).list.len() == 0
    return (
        matches.filter(
            machine is None or pl.col("near_target").is_in(runnable(machine)),
            is_of_target,
            fields.list.contains("target"),
            ~pl.col("differs").str.contains(REPRESENTATION.field),
        )
        .group_by(target="near_target")
        .agg(hits=pl.len().cast(pl.Int64))
        .sort("hits", "target", descending=[True, False])
    )
