"""What to mind when reading a data package: `KNOWN_ISSUES.md`.

What changed in the source, and when, is told as it is known of the public cache; what that means for the snapshots at
hand, and which of them are partial, is told from the dataset itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from cachestats.dataset.dataset import Dataset
from cachestats.findings import FAILURES
from cachestats.naming import UNION_STACK, is_spelled_as_spack_1, snapshot_order
from cachestats.text import counted

# Packages by which Spack represents what a spec is compiled with; nobody asks for them.
_RUNTIMES = ("compiler-wrapper", "gcc-runtime", "glibc", "intel-oneapi-runtime")
_NO_HASHES = "no-hashes"
_MOST_NAMED = 12


def known_issues(dataset: Dataset, snapshots: Sequence[str]) -> str:
    """Return what to mind of these snapshots of a dataset, as a Markdown document."""
    found = _Snapshots(dataset, snapshots)
    sections = (
        ("What changed in the source, and when", _changes(found)),
        ("What rows mean", _meanings(found)),
        ("What is not known", _gaps(found)),
        ("Snapshots that are partial", _partial(found)),
    )
    lines = [
        "# Known issues",
        "",
        f"Of {counted(len(found.names), 'snapshot')}{_span(found.names)}. Made by `cachestats export`; do not edit.",
    ]
    for title, points in sections:
        lines += ["", f"## {title}", "", *(f"- {point}" for point in points)]
    return "\n".join(lines) + "\n"


class _Snapshots:
    """The snapshots in question, oldest first, and what the dataset knows of them."""

    def __init__(self, dataset: Dataset, names: Sequence[str]) -> None:
        self.dataset = dataset
        self.names = sorted(names, key=snapshot_order)
        self.all_are_here = set(names) == dataset.manifest.snapshots.keys()
        self.rows = {row["snapshot"]: row for row in self.of("snapshots").collect().iter_rows(named=True)}
        self.rejected = dataset.rejected.filter(pl.col("severity") == "error").collect()

    def of(self, table: str) -> pl.LazyFrame:
        """Return the rows of a table that belong to them."""
        return self.dataset.scan(table).filter(pl.col("snapshot").is_in(self.names))

    def snapshots_in_order(self, names: pl.Series) -> list[str]:
        """Return those of them that stand in a column, oldest first."""
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
        "`arm` to `acfl`; and wrote `gcc@13.2.0` for `gcc@=13.2.0`. The columns `compiler*` have the present spelling "
        f"for all years, so series by compiler run on. Snapshots here {'; '.join(here) or 'are none'}."
    )
    yield (
        "**Compilers became dependencies** with Spack 1.0. A spec that nothing compiled, such as a pure Python "
        "package, has no compiler since then and null in `compiler`; before, every spec named one. And compilers and "
        "`compiler-wrapper` are packages like any other, as runtimes were since Spack 0.22: counts of packages and "
        f"specs jump by representation, not by coverage. {_runtimes(found)}"
    )
    yield (
        "**`:=`** is how Spack 1.0 writes a variant with a list of values, `amdgpu_target:=gfx90a` for "
        "`amdgpu_target=gfx90a`. `specs.variants` has `=` for both; the sign as it was written is `variants.sign`."
    )
    yield (
        "**Releases** are named `vX.Y.Z` until `v0.23.1`, and `vYYYY.MM.P` from `v2025.07.0` on. Neither has a date: "
        "`snapshot_date` is null for releases and for `develop`, which is replaced all the time."
    )
    old_pages = found.rejected.filter(pl.col("rule") == _NO_HASHES)
    yield (
        "**Pages of 2021-22** carry no hashes, stacks or targets of their own, so their specs are not here. "
        + (
            f"{counted(old_pages.height, 'page')} with {counted(int(old_pages['num_specs'].sum()), 'spec')} of that "
            f"kind were left out: `rejected`, rule `{_NO_HASHES}`."
            if old_pages.height
            else "None were among what was read."
        )
    )


def _meanings(found: _Snapshots) -> Iterator[str]:
    yield (
        "**A spec has a row in `specs` for each stack** that lists it. Count distinct `(snapshot, hash)`, and do not "
        "sum `size_bytes` over stacks. `variants` and `dependencies` have a spec once a snapshot: joined to `specs` on "
        "`snapshot` and `hash` they repeat for each stack."
    )
    has_root = not found.of("specs").filter(pl.col("stack") == UNION_STACK).head(1).collect().is_empty()
    yield (
        f"**`{UNION_STACK}` is no stack** but the union of them, the cache as a whole"
        f"{'' if has_root else ' (there is none here)'}. Leave it out where stacks are an axis; a spec in "
        f"`{UNION_STACK}` alone is one that no stack lists any more."
    )
    yield (
        "**Stacks go by the name of the day**: `e4s-neoverse-v2` and `e4s-neoverse_v1` are spelled as in the source, "
        "and one that is renamed ends in one snapshot and begins in the next."
    )
    yield (
        "**The same hash in two snapshots** is the same spec, kept. A package is rebuilt under another hash whenever "
        "anything below it changes, so specs come and go much faster than packages do."
    )
    yield (
        "**What a host can reuse** is not decided by its operating system since Spack 0.22 but by its libc, which must "
        "be at least as new as the one that a spec, and everything that it is linked to or runs with, was built "
        "against. `requirements` has what a spec needs with all that; `snapshots.reuse_rules` says by whose rules each "
        "snapshot is judged. macOS runs what was built on the same release or an older one."
    )
    yield "**Versions are text**, also where they look like numbers or dates: sorted as text, 1.10 stands before 1.9."


def _gaps(found: _Snapshots) -> Iterator[str]:
    sizes = (
        found.of("specs")
        .group_by("snapshot", "hash")
        .agg(pl.col("size_bytes").max())
        .select(pl.len(), pl.count("size_bytes"))
    ).collect()
    specs, sized = sizes.row(0)
    yield (
        f"**Sizes**: `size_bytes` is known of {sized:,} of the {counted(specs, 'spec')}{_share(sized, specs)}. Pages "
        "say none; the manifests of mirrors of layout 3 do, where the dataset was built with `--sizes`."
    )
    without = [name for name in found.names if not found.rows[name]["has_dependencies"]]
    yield (
        "**Dependencies** are in indices only, not in pages. "
        + (f"Without them: {_listed(without)}." if without else "All snapshots here have them.")
    )
    assumed = found.snapshots_in_order(
        found.of("requirements").filter("is_assumed").select("snapshot").unique().collect()["snapshot"]
    )
    if assumed:
        yield (
            "**libc, flags, recipes and formats** are not in pages either. What a host must have is assumed there: the "
            "libc that is usual for the operating system, the format that Spack wrote at the time, and that everything "
            f"else a spec needs is in the cache. That is so in {_listed(assumed)}."
        )
    holes = found.of("dependencies").filter(pl.col("is_external").is_null()).select(pl.len()).collect().item()
    if holes:
        yield f"**Holes**: {counted(holes, 'row')} of `dependencies` lead to what the index does not hold."


def _partial(found: _Snapshots) -> Iterator[str]:
    """Say of each snapshot that is not all it could be why, or that there is none."""
    points = [*_rejected(found), *_failed(found), *_gone(found), *_chosen(found)]
    yield from points or ["None is known to be."]
    if not found.all_are_here:
        yield "The dataset has more snapshots than these: others were left out by `--snapshot`."


def _rejected(found: _Snapshots) -> Iterator[str]:
    errors = found.rejected.filter(~pl.col("rule").is_in(FAILURES))
    for name in found.snapshots_in_order(errors["snapshot"]):
        if name not in found.rows:
            continue
        rows = errors.filter(pl.col("snapshot") == name)
        lost, unknown = int(rows["num_specs"].sum()), rows["num_specs"].null_count()
        also = f", and those of {counted(unknown, 'page')}, how many nobody can tell" if unknown else ""
        total = found.rows[name]["num_specs"]
        yield (
            f"`{name}`: {counted(lost, 'spec')} left out{also}, of {counted(total, 'spec')} that are here "
            f"(rules {_listed(sorted(rows['rule'].unique()))}; see `rejected`)."
        )
    absent = [
        name for name in found.snapshots_in_order(errors["snapshot"]) if name not in found.dataset.manifest.snapshots
    ]
    if absent:
        yield f"Not here at all, since everything that was read of them was rejected: {_listed(absent)}."


def _failed(found: _Snapshots) -> Iterator[str]:
    failed = found.rejected.filter(pl.col("rule").is_in(FAILURES))
    for name in found.snapshots_in_order(failed["snapshot"]):
        where = counted(failed.filter(pl.col("snapshot") == name).height, "file")
        stayed = "it is as it was before" if name in found.rows else "it is not here"
        yield f"`{name}`: {where} of it could not be read at the last attempt, so {stayed}."


def _gone(found: _Snapshots) -> Iterator[str]:
    gone = found.of("inputs").filter("is_gone").group_by("snapshot").len().collect()
    for name, number in sorted(gone.iter_rows(), key=lambda row: snapshot_order(row[0])):
        yield f"`{name}`: {counted(number, 'file')} gone from the source, the specs of which are kept."


def _chosen(found: _Snapshots) -> Iterator[str]:
    for name, source in found.dataset.manifest.sources.items():
        if source.stacks:
            yield f"Of the source {name} these stacks only were read: {_listed(source.stacks)}."


def _runtimes(found: _Snapshots) -> str:
    pairs = (
        found.of("specs").filter(pl.col("package").is_in(_RUNTIMES)).select("package", "snapshot").unique().collect()
    )
    first = {
        package: found.snapshots_in_order(pairs.filter(pl.col("package") == package)["snapshot"])[0]
        for package in sorted(pairs["package"].unique())
    }
    if not first:
        return "None of them is here."
    return f"Here {', '.join(f'`{package}` from `{name}` on' for package, name in first.items())}."


def _span(names: Sequence[str]) -> str:
    return f", from `{names[0]}` to `{names[-1]}`" if len(names) > 1 else "".join(f", `{name}`" for name in names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else shown


def _share(part: int, whole: int) -> str:
    return f", {part / whole:.1%}" if whole else ""
