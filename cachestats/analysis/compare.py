"""Changes between two snapshots or two datasets: packages that were added, removed, updated or rebuilt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import polars as pl

from cachestats.analysis.frames import LazyFrame, check_choice, ordered, sort_names
from cachestats.analysis.spec_rows import (
    BITS,
    SpecRows,
    SpecsLike,
    has,
    has_columns,
    masks_of,
    spec_rows,
    spec_rows_of_two,
    unite,
)
from cachestats.axes import CHANGE_AXES, CHANGES, Change, ChangeAxis
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.subset import Subset
from cachestats.errors import ArgumentError

Sides = tuple[SpecsLike, SpecsLike]
_Told = tuple[set[str], set[str | None]]
"""The packages and the names of compilers on a side."""

_WRAPPER = "compiler-wrapper"
# Packages that Spack, since 0.22, adds as dependencies of everything it compiles, though nobody requests them. The
# values are the compilers they belong to; None stands for any compiler.
_RUNTIMES = {"gcc-runtime": "gcc", "intel-oneapi-runtime": "intel-oneapi-compilers", "glibc": None}
# The compilers that Spack knew before 1.0 (the modules of its `spack.compilers`), by the names of their packages.
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
_TOLD_BY = ("package", "compiler_name")
_DETAILS = ("version", "os", "target", "compiler", "variants")


def compare(
    old: SpecsLike, new: SpecsLike, *, by: ChangeAxis | None = None, union: bool = False, among: Sides | None = None
) -> pl.DataFrame:
    """Describe how each package changed between two snapshots or two datasets.

    Parameters
    ----------
    old, new
        The two sides: datasets, subsets of them (such as two snapshots), or lazy or eager frames of the same kind that
        narwhals supports, with the columns `package`, `version` and `hash` of the table `specs`, and the one named by
        `by`. A dataset stands for its newest snapshot. A hash counts once on each side, even if several snapshots
        contain it. Without the column `compiler_name`, no change is classified as `representation`.
    by
        Compare within each stack (or platform, os, target, compiler, compiler_name): a package may be removed from one
        and remain in another. By default the two sides are compared as a whole.
    union
        Keep `root`, the union of the stacks, if `by` is stack.
    among
        All specs of the two snapshots as a pair of frames, if `old` and `new` are selections from them. They are needed
        to recognize `representation`.

    Returns
    -------
    polars.DataFrame
        One row per package (and value of `by`) on either side, sorted by the first two columns, null (no compiler, no
        stack) last:

        - `<by>` (String): the stack, target, ..., if `by` is given.
        - `package` (String): the package.
        - `change` (String): `removed`; `added`; `updated` if the set of versions changed; `rebuilt` if the versions are
          the same but hashes were added or removed; `unchanged` if the hashes are the same; or `representation`.
        - `old_versions`, `new_versions` (String): its versions, sorted and separated by commas; null if that side lacks
          the package.
        - `old_specs`, `new_specs`, `common_specs` (Int64): distinct hashes on the old side, on the new side, and on
          both.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, the frames are of different kinds, or a column is missing.

    Notes
    -----
    A change of `representation` does not change the coverage: the Spack that made one of the sides did not yet treat
    the package as a package. A side shows this if it lacks the package and gives every spec a compiler, as Spack did
    before 1.0. The packages are `compiler-wrapper`; a compiler that built some of that side's specs, if the other side
    has a wrapper; and a runtime (`gcc-runtime`, `intel-oneapi-runtime`, `glibc`), if that side has specs built with the
    compiler that the runtime belongs to, and no runtime at all.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> changes = cs.compare(ds.at("previous"), ds.newest)
    >>> changes.filter(change="updated").select("package", "old_versions", "new_versions").row(0)
    ('hdf5', '1.14.3', '1.8.23, 1.14.5')
    >>> changes.filter(change="added")["package"].to_list()
    ['hwloc', 'ncurses']
    """
    sides = _Sides.of(old, new, by, ("version",), union)
    return _changes(sides.counts(), by, _is_represented(*(among or (old, new))))


def compare_snapshots(specs: Dataset | Subset, before: Mapping[str, str]) -> pl.DataFrame:
    """Compare each snapshot with an earlier one, all of them at once.

    Parameters
    ----------
    specs
        A dataset or a subset of one.
    before
        For each snapshot the one with which it is compared.

    Returns
    -------
    polars.DataFrame
        The rows that `compare` returns for each snapshot, whose name is in the first column, `snapshot`. They are
        sorted by `snapshot` (releases by version, dated snapshots by date, `develop`) and `package`.

    Examples
    --------
    >>> import cachestats as cs
    >>> from cachestats.analysis.compare import compare_snapshots
    >>> changes = compare_snapshots(cs.example_dataset(), {"develop-2025-03-09": "develop-2024-06-02"})
    >>> changes.select("snapshot", "package", "change", "common_specs").row(0)
    ('develop-2025-03-09', 'gcc-runtime', 'rebuilt', 0)
    """
    rows = spec_rows(specs, ("snapshot", "package", "version", "hash"), every_snapshot=True)
    named = pl.DataFrame([*before.items()], {"new": pl.String, "old": pl.String}, orient="row").with_row_index("pair")
    pairs = rows.coded(named, new="snapshot", old="snapshot").lazy()
    is_old, is_new = pl.col("is_old"), pl.col("is_new")
    sides = [
        rows.frame.join(pairs, left_on="snapshot", right_on=side, coalesce=False).select(
            "package", "version", "hash", "pair", is_old=pl.lit(side == "old"), is_new=pl.lit(side == "new")
        )
        for side in ("old", "new")
    ]
    # As in `compare`, a hash is one spec, even if the two sides disagree about its version.
    counts = (
        pl.concat(sides)
        .group_by("pair", "package", "hash")
        .agg(pl.col("version").min(), is_old.any(), is_new.any())
        .group_by("pair", "package", "version")
        .agg(old_specs=is_old.sum(), new_specs=is_new.sum(), common_specs=(is_old & is_new).sum())
    )
    found = rows.collect(counts)
    # Not by the codes of the snapshots: a dataset keeps no name for the code of a snapshot without specs.
    found = found.with_columns(snapshot=named["new"].gather(found["pair"]))
    return _changes(found, "snapshot", _are_represented(specs, before))


def compare_counts(
    old: SpecsLike, new: SpecsLike, *, by: ChangeAxis | None = "stack", union: bool = False, among: Sides | None = None
) -> pl.DataFrame:
    """Count the packages of `compare` by kind of change, with a row for each stack.

    Parameters
    ----------
    old, new, union, among
        As in `compare`.
    by
        As in `compare`, but stack by default. With None the result is a single row.

    Returns
    -------
    polars.DataFrame
        One row per value of `by`, sorted by it, null last:

        - `<by>` (String): the stack, target, ..., unless `by` is None.
        - `old_packages`, `new_packages` (Int64): the packages on each side.
        - `removed`, `added`, `representation`, `updated`, `rebuilt`, `unchanged` (Int64): the packages with this
          change.

    Raises
    ------
    ArgumentError
        As in `compare`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> counts = cs.compare_counts(ds.at("previous"), ds.newest, by="target")
    >>> counts.select("target", "removed", "added", "updated", "rebuilt").rows()
    [('aarch64', 0, 11, 0, 0), ('neoverse_v1', 11, 0, 0, 0), ('x86_64_v3', 0, 1, 7, 3)]
    """
    counts = _Sides.of(old, new, by, ("version",), union).counts()
    packages = _changes_without_versions(counts, by, _is_represented(*(among or (old, new))))
    return count_changes(packages, by=by)


def count_changes(packages: pl.DataFrame, *, by: ChangeAxis | None = None) -> pl.DataFrame:
    """Return the counts of `compare_counts` from what `compare` returns by the same axis."""
    counts = [
        (pl.col("old_specs") > 0).sum().cast(pl.Int64).alias("old_packages"),
        (pl.col("new_specs") > 0).sum().cast(pl.Int64).alias("new_packages"),
        *((pl.col("change") == change).sum().cast(pl.Int64).alias(change) for change in CHANGES),
    ]
    return ordered(packages.group_by(by).agg(counts), by) if by else packages.select(counts)


def compare_specs(
    old: SpecsLike,
    new: SpecsLike,
    *,
    by: ChangeAxis | None = None,
    changes: Collection[Change] = CHANGES,
    union: bool = False,
    among: Sides | None = None,
) -> pl.DataFrame:
    """Return the specs behind `compare`.

    Parameters
    ----------
    old, new, by, union, among
        As in `compare`; frames must also have the columns `os`, `target`, `compiler` and `variants`.
    changes
        Return only the specs of packages that changed in these ways; by default of all packages.

    Returns
    -------
    polars.DataFrame
        One row per package and hash (and value of `by`), sorted by `<by>`, `package` and `hash`, null last:

        - `<by>` (String): the stack, target, ..., if `by` is given. It is not repeated below.
        - `package`, `change` (String): the package, and how it changed.
        - `side` (String): where the hash is: `old`, `new` or `both`.
        - `version`, `os`, `target`, `compiler`, `variants`, `hash` (String): as in the table `specs`.

    Raises
    ------
    ArgumentError
        As in `compare`, or if one of `changes` does not exist.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> specs = cs.compare_specs(ds.at("previous"), ds.newest, changes=["rebuilt"])
    >>> specs.filter(package="libiconv").select("side", "version", "os").rows()
    [('old', '1.17', 'ubuntu22.04'), ('new', '1.17', 'ubuntu22.04'), ('new', '1.17', 'sequoia')]
    """
    for change in [changes] if isinstance(changes, str) else changes:
        check_choice(change, CHANGES, "changes")
    if isinstance(changes, str):
        raise ArgumentError(f"expected a list as changes, found {changes!r}", hint=f"try changes=[{changes!r}]")
    details = tuple(name for name in _DETAILS if name != by)
    sides = _Sides.of(old, new, by, details, union)
    found = _changes(sides.counts(), by, _is_represented(*(among or (old, new))))
    found = found.filter(pl.col("change").is_in(list(changes)))
    key = [*([by] if by else []), "package"]
    specs = sides.specs(found["package"].unique())
    side = pl.when("is_old", "is_new").then(pl.lit("both")).when("is_old").then(pl.lit("old")).otherwise(pl.lit("new"))
    return ordered(
        specs.join(found.select(*key, "change"), on=key, nulls_equal=True)
        .select(*key, "change", side.alias("side"), *details, "hash")
        .sort("hash"),
        *key,
    )


@dataclass(frozen=True)
class _Sides:
    """The specs of two sides, each once, with what lists it on each side as bits: stacks, or just the side."""

    rows: SpecRows
    """The rows of one side, which know the names of both."""
    hashes: LazyFrame
    by: ChangeAxis | None
    old: list[str]
    new: list[str]
    """The columns with the bits of each side."""
    names: list[str | None]
    """The stacks whose bits they are; None alone if the sides are compared as a whole."""

    @classmethod
    def of(cls, old: SpecsLike, new: SpecsLike, by: ChangeAxis | None, details: tuple[str, ...], union: bool) -> Self:
        """Return the sides of a comparison.

        Raises
        ------
        ArgumentError
            If there is no such axis, or the sides are frames of different kinds.
        """
        if by is not None:
            check_choice(by, CHANGE_AXES, "by")
        axis = "stack" if by == "stack" else None
        facts = tuple(dict.fromkeys([*details, *([by] if by and not axis else [])]))
        sides = spec_rows_of_two(old, new, ("package", "hash", *facts, *([axis] if axis else [])), union=union)
        names: list[str | None] = [None]
        if axis:
            names = sort_names({name for side in sides for name in side.names(axis)}, axis)
        api = sides[0].api
        bits = {side: masks_of(names, f"{side}_") for side in ("old", "new")}
        marked = []
        for (side, masks), rows in zip(bits.items(), sides, strict=True):
            others = [mask for other, found in bits.items() if other != side for mask in found]
            frame = rows.marked(["package", "hash", *facts], axis, names, masks)
            frame = frame.with_columns(api.lit(0, api.Int64).alias(mask) for mask in others)
            marked.append(frame.select("package", "hash", *facts, *bits["old"], *bits["new"]))
        # A hash determines the whole spec. Should the two sides disagree nevertheless, it still counts as one spec.
        hashes = unite(api.concat(marked), ["package", "hash"], [*bits["old"], *bits["new"]], facts)
        return cls(sides[1], hashes, by, bits["old"], bits["new"], names)

    def counts(self) -> pl.DataFrame:
        """Count the specs of each package and version (and value of `by`) on each side, and on both."""
        facts = ["package", "version", *([self.by] if self.by and self.by != "stack" else [])]
        grouped = self.hashes.group_by(*facts, *self.old, *self.new).agg(number=self.rows.api.len())
        number, is_old, is_new = pl.col("number"), pl.col("is_old"), pl.col("is_new")
        return (
            self._split(self.rows.collect(grouped))
            .group_by(*([self.by] if self.by else []), "package", "version")
            .agg(
                old_specs=number.filter(is_old).sum(),
                new_specs=number.filter(is_new).sum(),
                common_specs=number.filter(is_old, is_new).sum(),
            )
        )

    def specs(self, packages: Iterable[str]) -> pl.DataFrame:
        """Return the specs of some packages, with `is_old` and `is_new`."""
        # The specs of other packages are not collected.
        return self._split(self.rows.collect(self.hashes.filter(self.rows.is_in("package", packages))))

    def _split(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a row for each stack, or for the whole, that has the specs of a row on one side at least."""
        parts, rows = [], frame.lazy()
        for place, name in enumerate(self.names):
            is_old, is_new = (has(masks[place // BITS], place % BITS) for masks in (self.old, self.new))
            part = rows.with_columns(is_old=is_old, is_new=is_new).filter(pl.col("is_old") | pl.col("is_new"))
            parts.append(part.with_columns(stack=pl.lit(name, pl.String)) if self.by == "stack" else part)
        split = (
            pl.concat(parts).collect()
            if parts
            else frame.clear().with_columns(stack=pl.lit(None, pl.String), is_old=pl.lit(False), is_new=pl.lit(False))
        )
        return split.drop(*self.old, *self.new)


def _changes(counts: pl.DataFrame, by: str | None, is_represented: pl.Expr) -> pl.DataFrame:
    """Return what `compare` does, from the counts of specs by version."""
    key = [*([by] if by else []), "package"]
    texts = (
        ordered(counts, "version")
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("version").filter(pl.col(f"{side}_specs") > 0).str.join(", ").alias(f"{side}_versions")
            for side in ("old", "new")
        )
    )
    versions = (
        pl.when(pl.col(f"{side}_specs") > 0).then(pl.col(f"{side}_versions")).alias(f"{side}_versions")
        for side in ("old", "new")
    )
    packages = _changes_without_versions(counts, by, is_represented).join(texts, on=key, nulls_equal=True)
    return ordered(packages.select(*key, "change", *versions, "old_specs", "new_specs", "common_specs"), *key)


def _changes_without_versions(counts: pl.DataFrame, by: str | None, is_represented: pl.Expr) -> pl.DataFrame:
    """Return the change of each package, and its numbers of specs, in no order."""
    old, new, common = (pl.col(f"{side}_specs") for side in ("old", "new", "common"))
    change = (
        pl.when(is_represented)
        .then(pl.lit("representation"))
        .when(new == 0)
        .then(pl.lit("removed"))
        .when(old == 0)
        .then(pl.lit("added"))
        .when(~pl.col("has_same_versions"))
        .then(pl.lit("updated"))
        .when((old == common) & (new == common))
        .then(pl.lit("unchanged"))
        .otherwise(pl.lit("rebuilt"))
    )
    return (
        counts.group_by(*([by] if by else []), "package")
        .agg(old.sum(), new.sum(), common.sum(), has_same_versions=((old > 0) == (new > 0)).all())
        .with_columns(change=change)
        .drop("has_same_versions")
    )


def _is_represented(old: SpecsLike, new: SpecsLike) -> pl.Expr:
    """Return whether only one side has a package because the other side's Spack did not treat it as one yet."""
    if not all(has_columns(side, _TOLD_BY) for side in (old, new)):
        return pl.lit(False)
    sides = [spec_rows(side, _TOLD_BY).distinct(*_TOLD_BY) for side in (old, new)]
    told = [(set(side["package"]), set(side["compiler_name"])) for side in sides]
    return pl.col("package").is_in(list(_represented(*told)))


def _are_represented(specs: Dataset | Subset, before: Mapping[str, str]) -> pl.Expr:
    """Return the same for each snapshot and the one with which it is compared."""
    rows = spec_rows(specs, ("snapshot", *_TOLD_BY), every_snapshot=True)
    of_interest = rows.filter(rows.is_in("package", [_WRAPPER, *_RUNTIMES, *_COMPILERS]))
    told: dict[str, _Told] = {name: (set(), set()) for pair in before.items() for name in pair}
    for number, (part, column) in enumerate(zip((of_interest, rows), _TOLD_BY, strict=True)):
        for snapshot, name in part.distinct("snapshot", column).iter_rows():
            if snapshot in told:
                told[snapshot][number].add(name)
    found = {new: _represented(told[old], told[new]) for new, old in before.items()}
    parts = (
        (pl.col("snapshot") == new) & pl.col("package").is_in(list(names)) for new, names in found.items() if names
    )
    return pl.any_horizontal(pl.lit(False), *parts)


def _represented(old: _Told, new: _Told) -> set[str]:
    """Return the packages that only one side has because the other side's Spack did not treat them as packages yet."""
    (old_packages, old_compilers), (new_packages, new_compilers) = old, new
    return _not_made_yet(old_packages - new_packages, new_packages, new_compilers) | _not_made_yet(
        new_packages - old_packages, old_packages, old_compilers
    )


def _not_made_yet(lacking: set[str], there: set[str], compilers: set[str | None]) -> set[str]:
    """Return the packages that a side lacks because it records them as a property of other specs: their compiler."""
    if not compilers or None in compilers:  # no specs, or some without a compiler
        return set()
    found: set[str] = set()
    if not there & _RUNTIMES.keys():
        found |= {package for package, compiler in _RUNTIMES.items() if compiler is None or compiler in compilers}
    if _WRAPPER in lacking:
        found |= {_WRAPPER, *(_COMPILERS & compilers)}
    return lacking & found
