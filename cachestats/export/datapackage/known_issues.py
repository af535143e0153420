"""The limitations of a data package: `KNOWN_ISSUES.md`.

The changes in the source and their dates are those of the public cache. Their effect on the exported snapshots, and the
incomplete snapshots among these, are determined from the dataset itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from cachestats.dataset.dataset import Dataset
from cachestats.findings import FAILURES
from cachestats.naming import UNION_STACK, snapshot_order
from cachestats.spack_releases import is_spelled_as_spack_1
from cachestats.text import counted

# Packages by which Spack represents the toolchain of a spec; nobody requests them.
_RUNTIMES = ("compiler-wrapper", "gcc-runtime", "glibc", "intel-oneapi-runtime")
_NO_HASHES = "no-hashes"
_MOST_NAMED = 12


def known_issues(dataset: Dataset, snapshots: Sequence[str]) -> str:
    """Return the limitations of these snapshots of a dataset as a Markdown document."""
    found = _Snapshots(dataset, snapshots)
    sections = (
        ("Changes in the source", _changes(found)),
        ("The meaning of rows", _meanings(found)),
        ("Missing information", _gaps(found)),
        ("Incomplete snapshots", _partial(found)),
    )
    lines = [
        "# Known issues",
        "",
        f"For {counted(len(found.names), 'snapshot')}{_span(found.names)}. Made by `cachestats export`; do not edit.",
    ]
    for title, points in sections:
        lines += ["", f"## {title}", "", *(f"- {point}" for point in points)]
    return "\n".join(lines) + "\n"


class _Snapshots:
    """The snapshots in question, oldest first, and their rows in the dataset."""

    def __init__(self, dataset: Dataset, names: Sequence[str]) -> None:
        self.dataset = dataset
        self.names = sorted(names, key=snapshot_order)
        self.all_are_here = set(names) == dataset.manifest.snapshots.keys()
        self.rows = {row["snapshot"]: row for row in self.of("snapshots").collect().iter_rows(named=True)}
        self.rejected = dataset.rejected.filter(pl.col("severity") == "error").collect()

    def of(self, table: str) -> pl.LazyFrame:
        """Return the rows of a table that belong to these snapshots."""
        return self.dataset.scan(table).filter(pl.col("snapshot").is_in(self.names))

    def snapshots_in_order(self, names: pl.Series) -> list[str]:
        """Return the distinct snapshots in a column, oldest first."""
        return sorted(names.drop_nulls().unique(), key=snapshot_order)


def _changes(found: _Snapshots) -> Iterator[str]:
    spellings = {
        name: {is_spelled_as_spack_1(one) for one in row["generation"].split("+")} for name, row in found.rows.items()
    }
    old, new, both = ([n for n in found.names if spellings[n] == kind] for kind in ({False}, {True}, {False, True}))
    here = [
        f"{words} {_listed(names)}"
        for words, names in (("before it:", old), ("since it:", new), ("pages of both in", both))
        if names
    ]
    yield (
        "**Spack 1.0** (on the public site, pages written since 2025-03-30) renamed compilers: `clang` to `llvm`, "
        "`oneapi` to `intel-oneapi-compilers`, `rocmcc` to `llvm-amdgpu`, `intel` to `intel-oneapi-compiler-classic`, "
        "`arm` to `acfl`; and wrote `gcc@13.2.0` for `gcc@=13.2.0`. The columns `compiler*` have the current spelling "
        f"for all years, so series by compiler are continuous. Snapshots here: {'; '.join(here) or 'none'}."
    )
    yield (
        "**Compilers became dependencies** with Spack 1.0. Since then, a spec that was not compiled, such as a pure "
        "Python package, has no compiler and null in `compiler`; before, every spec named one. In addition, compilers "
        "and `compiler-wrapper` are packages like any other, as runtimes have been since Spack 0.22: the counts of "
        f"packages and specs jump because of their representation, not their coverage. {_runtimes(found)}"
    )
    yield (
        "**`:=`** is the sign that Spack 1.0 uses for a variant with a list of values, `amdgpu_target:=gfx90a` for "
        "`amdgpu_target=gfx90a`. `specs.variants` has `=` for both; `variants.sign` has the original sign."
    )
    yield (
        "**Releases** are named `vX.Y.Z` until `v0.23.1`, and `vYYYY.MM.P` from `v2025.07.0` on. Neither has a date: "
        "`snapshot_date` is null for releases and for `develop`, which is replaced continually."
    )
    old_pages = found.rejected.filter(pl.col("rule") == _NO_HASHES)
    yield (
        "**Pages of 2021-22** have no hashes, stacks or targets, so their specs are not included. "
        + (
            f"{counted(old_pages.height, 'page')} with {counted(int(old_pages['num_specs'].sum()), 'spec')} of that "
            f"kind were left out: see `rejected`, rule `{_NO_HASHES}`."
            if old_pages.height
            else "The sources contained none."
        )
    )


def _meanings(found: _Snapshots) -> Iterator[str]:
    yield (
        "**A spec has a row in `specs` for each stack** that lists it. Count distinct `(snapshot, hash)`, and do not "
        "sum `size_bytes` over stacks. `variants` and `dependencies` list a spec once per snapshot: if they are joined "
        "to `specs` on `snapshot` and `hash`, their rows repeat for each stack."
    )
    has_root = not found.of("specs").filter(pl.col("stack") == UNION_STACK).head(1).collect().is_empty()
    yield (
        f"**`{UNION_STACK}` is not a stack** but the union of all stacks, the cache as a whole"
        f"{'' if has_root else ' (there is none here)'}. Leave it out if stacks are an axis; a spec in "
        f"`{UNION_STACK}` alone is no longer listed by any stack."
    )
    yield (
        "**Stacks have the names of their time**: `e4s-neoverse-v2` and `e4s-neoverse_v1` are spelled as in the "
        "source, and a renamed stack ends in one snapshot and begins under its new name in the next."
    )
    yield (
        "**The same hash in two snapshots** is the same spec. A package is rebuilt under another hash whenever one of "
        "its dependencies changes, so specs change much faster than packages do."
    )
    yield (
        "**Reuse on a host** has depended on its libc since Spack 0.22, not on its operating system. The libc must be "
        "at least as new as the one against which a spec and all its link and run dependencies were built. "
        "`requirements` lists the requirements of specs including these dependencies; `snapshots.reuse_rules` names "
        "the rules by which each snapshot is judged. macOS runs binaries built on the same release or an older one."
    )
    yield (
        "**Versions are text**, even if they look like numbers or dates: sorted as text, 1.10 comes before 1.9. Sort "
        "and compare them by `version_key`: `version_key >= 'v0001.0014.'` selects 1.14 and newer. It is in order "
        'byte by byte, as most engines compare text; PostgreSQL does with `COLLATE "C"`.'
    )


def _gaps(found: _Snapshots) -> Iterator[str]:
    sizes = (
        found.of("specs")
        .group_by("snapshot", "hash")
        .agg(pl.col("size_bytes").max())
        .select(pl.len(), pl.count("size_bytes"))
    ).collect()
    specs, sized = sizes.row(0)
    yield (
        f"**Sizes**: `size_bytes` is known for {sized:,} of the {counted(specs, 'spec')}{_share(sized, specs)}. Pages "
        "do not contain sizes; the manifests of mirrors of layout 3 and of OCI caches do, if the dataset was built "
        "with `--sizes`."
    )
    without = [name for name in found.names if not found.rows[name]["has_dependencies"]]
    yield (
        "**Dependencies** are recorded only in indices, not in pages. "
        + (f"Without them: {_listed(without)}." if without else "All snapshots here have them.")
    )
    assumed = found.snapshots_in_order(
        found.of("requirements").filter("is_assumed").select("snapshot").unique().collect()["snapshot"]
    )
    if assumed:
        yield (
            "**libc, flags, recipes and formats** are not in pages either. The requirements of such specs are assumed: "
            "the usual libc of the operating system, the format that Spack wrote at the time, and that all other "
            f"dependencies are in the cache. This applies to {_listed(assumed)}."
        )
    holes = found.of("dependencies").filter(pl.col("is_external").is_null()).select(pl.len()).collect().item()
    if holes:
        yield f"**Holes**: {counted(holes, 'row')} of `dependencies` lead to specs that are not in the index."


def _partial(found: _Snapshots) -> Iterator[str]:
    """Say why snapshots are incomplete, or that none is."""
    points = [*_rejected(found), *_failed(found), *_gone(found), *_chosen(found)]
    yield from points or ["None is known to be incomplete."]
    if not found.all_are_here:
        yield "The dataset has more snapshots than these: others were left out by `--snapshot`."


def _rejected(found: _Snapshots) -> Iterator[str]:
    errors = found.rejected.filter(~pl.col("rule").is_in(FAILURES))
    for name in found.snapshots_in_order(errors["snapshot"]):
        if name not in found.rows:
            continue
        rows = errors.filter(pl.col("snapshot") == name)
        lost, unknown = int(rows["num_specs"].sum()), rows["num_specs"].null_count()
        also = f", and an unknown number from {counted(unknown, 'page')}" if unknown else ""
        total = found.rows[name]["num_specs"]
        yield (
            f"`{name}`: {counted(lost, 'spec')} left out{also}, in addition to {counted(total, 'spec')} included "
            f"(rules {_listed(sorted(rows['rule'].unique()))}; see `rejected`)."
        )
    absent = [
        name for name in found.snapshots_in_order(errors["snapshot"]) if name not in found.dataset.manifest.snapshots
    ]
    if absent:
        yield f"Not included, because all their specs were rejected: {_listed(absent)}."


def _failed(found: _Snapshots) -> Iterator[str]:
    failed = found.rejected.filter(pl.col("rule").is_in(FAILURES))
    for name in found.snapshots_in_order(failed["snapshot"]):
        where = counted(failed.filter(pl.col("snapshot") == name).height, "file")
        stayed = "it is unchanged" if name in found.rows else "it is not included"
        yield f"`{name}`: {where} could not be read at the last attempt, so {stayed}."


def _gone(found: _Snapshots) -> Iterator[str]:
    gone = found.of("inputs").filter("is_gone").group_by("snapshot").len().collect()
    for name, number in sorted(gone.iter_rows(), key=lambda row: snapshot_order(row[0])):
        yield f"`{name}`: {counted(number, 'file')} gone from the source; their specs are kept."


def _chosen(found: _Snapshots) -> Iterator[str]:
    for name, source in found.dataset.manifest.sources.items():
        if source.stacks:
            yield f"Only these stacks of the source {name} were read: {_listed(source.stacks)}."


def _runtimes(found: _Snapshots) -> str:
    pairs = (
        found.of("specs").filter(pl.col("package").is_in(_RUNTIMES)).select("package", "snapshot").unique().collect()
    )
    first = {
        package: found.snapshots_in_order(pairs.filter(pl.col("package") == package)["snapshot"])[0]
        for package in sorted(pairs["package"].unique())
    }
    if not first:
        return "None of them is included."
    return f"Included are {', '.join(f'`{package}` from `{name}` on' for package, name in first.items())}."


def _span(names: Sequence[str]) -> str:
    return f", from `{names[0]}` to `{names[-1]}`" if len(names) > 1 else "".join(f", `{name}`" for name in names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else shown


def _share(part: int, whole: int) -> str:
    return f", {part / whole:.1%}" if whole else ""
