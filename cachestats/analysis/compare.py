"""What changed between two snapshots, or two datasets: packages that came, went, or were built anew."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal, get_args

import narwhals as nw
import polars as pl

from cachestats.analysis.frames import collected, lazy, one_of, ordered, without_root
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

Change = Literal["removed", "added", "representation", "updated", "rebuilt", "unchanged"]
Group = Literal["platform", "os", "target", "compiler", "compiler_name", "stack"]

CHANGES: tuple[Change, ...] = get_args(Change)
GROUPS: tuple[Group, ...] = get_args(Group)

_WRAPPER = "compiler-wrapper"
# What Spack puts below what it compiles, and nobody asks for: gcc-runtime since 0.22, the wrapper since 1.0.
_RUNTIMES = frozenset({_WRAPPER, "gcc-runtime", "glibc", "intel-oneapi-runtime"})
# The compilers that Spack had before 1.0 (the modules of its `spack.compilers`), by the names of their packages.
_COMPILERS = frozenset(
    {
        "acfl",
        "aocc",
        "apple-clang",
        "cce",
        "fj",
        "gcc",
        "intel-oneapi-compilers",
        "intel-oneapi-compilers-classic",
        "llvm",
        "llvm-amdgpu",
        "msvc",
        "nag",
        "nvhpc",
        "xl",
    }
)
_DETAILS = ("version", "os", "target", "compiler", "variants")


def compare(old: IntoFrame, new: IntoFrame, *, by: Group | None = None, root: bool = False) -> pl.DataFrame:
    """Say of each package what became of it between two snapshots, or two datasets.

    Parameters
    ----------
    old, new
        Two lazy or eager frames of one kind that narwhals knows, such as the specs of two snapshots, with the columns
        `package`, `version` and `hash` of the table `specs`, and that of `by`. A hash counts once a side, however many
        snapshots hold it. Give whole snapshots or stacks where `representation` is to be told.
    by
        Compare within each stack (or platform, os, target, compiler, compiler_name), where a package may go from one
        and stay in another; by default as a whole.
    root
        Keep `root`, the union of the stacks, where `by` is stack.

    Returns
    -------
    One row per package, and value of `by`, that either side has, with the columns

    - `<by>`, if it is given, and `package`
    - `change`: `removed`, `added`; `updated`, the set of its versions changed; `rebuilt`, the same versions, of which
      hashes came or went; `unchanged`, the same hashes; or `representation`, which is no change of what is covered: a
      side has nowhere a package that Spack put into the cache when it began to treat runtimes and wrappers
      (`compiler-wrapper`, `gcc-runtime`, `glibc`, `intel-oneapi-runtime`) and, with Spack 1.0, compilers as packages.
      That a side is of Spack 1.0 is told by its `compiler-wrapper`. A compiler that was in the cache before is a
      package as any other.
    - `old_versions`, `new_versions`: its versions, sorted, separated by `, `; null on a side that does not have it
    - `old_specs`, `new_specs`, `common_specs` (Int64): distinct hashes on either side, and on both

    sorted by the first two, null (no compiler, no stack) last.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, the frames are not of one kind, or one lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> weekly, develop = (demo.specs.filter(snapshot=name) for name in ("develop-2025-03-09", "develop"))
    >>> cs.compare(weekly, develop).select("package", "change", "old_specs", "new_specs", "common_specs").rows()
    [('py-filelock', 'rebuilt', 18, 124, 18), ('py-propcache', 'added', 0, 68, 0)]
    """
    return _changes(_hashes(old, new, by, ("version",), root), by)


def compare_counts(old: IntoFrame, new: IntoFrame, *, by: Group | None = "stack", root: bool = False) -> pl.DataFrame:
    """Count the packages of `compare` by what became of them, a row for each stack.

    Parameters
    ----------
    old, new, by, root
        As in `compare`, but that `by` is stack by default; with None the answer is one row.

    Returns
    -------
    One row per value of `by`, with `<by>` and, all Int64, `old_packages`, `new_packages`, and a column for each change:
    `removed`, `added`, `representation`, `updated`, `rebuilt`, `unchanged`; sorted by `<by>`, null last.

    Raises
    ------
    ArgumentError
        As `compare`.

    Examples
    --------
    >>> import cachestats as cs
    >>> weekly, develop = (demo.specs.filter(snapshot=name) for name in ("develop-2025-03-09", "develop"))
    >>> cs.compare_counts(weekly, develop, by=None).to_dicts()
    [{'old_packages': 1, 'new_packages': 2, 'removed': 0, 'added': 1, 'representation': 0, 'updated': 0, 'rebuilt': 1,
    'unchanged': 0}]
    """
    packages = compare(old, new, by=by, root=root)
    counts = [
        (pl.col("old_specs") > 0).sum().cast(pl.Int64).alias("old_packages"),
        (pl.col("new_specs") > 0).sum().cast(pl.Int64).alias("new_packages"),
        *((pl.col("change") == change).sum().cast(pl.Int64).alias(change) for change in CHANGES),
    ]
    return ordered(packages.group_by(by).agg(counts), by) if by else packages.select(counts)


def compare_specs(
    old: IntoFrame,
    new: IntoFrame,
    *,
    by: Group | None = None,
    changes: Collection[Change] = CHANGES,
    root: bool = False,
) -> pl.DataFrame:
    """Return the specs behind `compare`.

    Parameters
    ----------
    old, new, by, root
        As in `compare`; the frames have the columns `os`, `target`, `compiler` and `variants` too.
    changes
        Only the specs of packages of which this became; by default of all.

    Returns
    -------
    One row per package and hash, and value of `by`, with the columns `<by>`, if it is given, `package`, `change` (of
    the package), `side` (`old`, `new` or `both`), `version`, `os`, `target`, `compiler`, `variants` and `hash`, sorted
    by `<by>`, `package` and `hash`, null last. The column of `by` is not repeated.

    Raises
    ------
    ArgumentError
        As `compare`, and if one of `changes` does not exist.

    Examples
    --------
    >>> import cachestats as cs
    >>> weekly, develop = (demo.specs.filter(snapshot=name) for name in ("develop-2025-03-09", "develop"))
    >>> specs = cs.compare_specs(weekly, develop, changes=["rebuilt"])
    >>> specs.group_by("package", "side").len().sort("side").rows()
    [('py-filelock', 'both', 18), ('py-filelock', 'new', 106)]
    """
    for change in changes:
        one_of(change, CHANGES, "changes")
    details = tuple(name for name in _DETAILS if name != by)
    hashes = _hashes(old, new, by, details, root)
    found = _changes(hashes, by).filter(pl.col("change").is_in(list(changes)))
    key = [*([by] if by else []), "package"]
    # Of packages that nobody asked about the specs stay where they are.
    specs = collected(hashes.filter(nw.col("package").is_in(found["package"].unique().to_list())))
    side = pl.when("is_old", "is_new").then(pl.lit("both")).when("is_old").then(pl.lit("old")).otherwise(pl.lit("new"))
    return ordered(
        specs.with_columns(pl.col("is_old", "is_new").cast(pl.Boolean))
        .join(found.select(*key, "change"), on=key, nulls_equal=True)
        .select(*key, "change", side.alias("side"), *details, "hash")
        .sort("hash"),
        *key,
    )


def _hashes(old: IntoFrame, new: IntoFrame, by: str | None, details: tuple[str, ...], root: bool) -> nw.LazyFrame[Any]:
    """Return a row for each hash of each package, and value of `by`, with `is_old` and `is_new`, 0 or 1."""
    if by is not None:
        one_of(by, GROUPS, "by")
    key = [*([by] if by else []), "package", "hash"]
    sides = [lazy(side, {*key, *details}) for side in (old, new)]
    if sides[0].implementation is not sides[1].implementation:
        kinds = " and ".join(side.implementation.value for side in sides)
        raise ArgumentError(
            f"expected two frames of one kind, found {kinds}",
            hint="give both as Polars LazyFrames, or both as relations",
        )
    if by == "stack" and not root:
        sides = [without_root(side) for side in sides]
    marked = [
        side.select(*key, *details, is_old=nw.lit(1 - place), is_new=nw.lit(place)) for place, side in enumerate(sides)
    ]
    # A hash stands for all that is in a spec; should the sides still disagree, it is one spec, and not two.
    return nw.concat(marked).group_by(*key).agg(nw.col(*details).min(), nw.col("is_old", "is_new").max())


def _changes(hashes: nw.LazyFrame[Any], by: str | None) -> pl.DataFrame:
    key = [*([by] if by else []), "package"]
    counts = collected(
        hashes.group_by(*key, "version").agg(
            old_specs=nw.col("is_old").sum(),
            new_specs=nw.col("is_new").sum(),
            common_specs=(nw.col("is_old") * nw.col("is_new")).sum(),
        )
    )
    old, new = pl.col("old_specs"), pl.col("new_specs")
    packages = (
        ordered(counts, "version")
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("version").filter(old > 0).str.join(", ").alias("old_versions"),
            pl.col("version").filter(new > 0).str.join(", ").alias("new_versions"),
            pl.col("old_specs", "new_specs", "common_specs").sum(),
            ((old > 0) == (new > 0)).all().alias("has_same_versions"),
        )
    )
    names = [set(packages.filter(side > 0)["package"]) for side in (old, new)]
    represented = _represented(*names) | _represented(*reversed(names))
    change = (
        pl.when(pl.col("package").is_in(list(represented)))
        .then(pl.lit("representation"))
        .when(new == 0)
        .then(pl.lit("removed"))
        .when(old == 0)
        .then(pl.lit("added"))
        .when(~pl.col("has_same_versions"))
        .then(pl.lit("updated"))
        .when((old == pl.col("common_specs")) & (new == pl.col("common_specs")))
        .then(pl.lit("unchanged"))
        .otherwise(pl.lit("rebuilt"))
    )
    versions = (
        pl.when(specs > 0).then(pl.col(name)).alias(name)
        for specs, name in ((old, "old_versions"), (new, "new_versions"))
    )
    return ordered(
        packages.select(*key, change.alias("change"), *versions, "old_specs", "new_specs", "common_specs"), *key
    )


def _represented(here: set[str], there: set[str]) -> set[str]:
    """Return the packages that are here, and not there, because of how Spack represents what they are."""
    if not there:
        return set()
    kinds = _RUNTIMES | _COMPILERS if _WRAPPER in here - there else _RUNTIMES
    return (here - there) & kinds
