"""Which specs satisfy spec expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from cachestats.analysis.frame_source import FrameSource
from cachestats.analysis.frames import collect_small, ordered, sort_names, validated
from cachestats.analysis.reuse import REUSED
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, chosen
from cachestats.analysis.usable import judged_requirements
from cachestats.axes import NATIVE, USABLE
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.expressions import Alternatives, check_names, specs_satisfying
from cachestats.dataset.subset import Subset
from cachestats.hosts import Host, as_host
from cachestats.naming import UNION_STACK, snapshot_kind, sort_versions, version_sort_key
from cachestats.schema import SPECS

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

_KEY = ("snapshot", "hash")
_COLUMNS = tuple("stacks" if column.name == "stack" else column.name for column in SPECS.columns)


class Found(NamedTuple):
    """What `find` returns, and what it leaves out because a host cannot reuse it."""

    specs: pl.DataFrame
    others: pl.DataFrame
    """The columns of `specs` and `by`: with `status`, it tells what prevents the reuse of each."""


def find(
    specs: SpecsLike,
    spec: str | Iterable[str] = (),
    *,
    dependencies: IntoFrame | None = None,
    host: Host | str | None = None,
    spack: str | None = None,
    with_dependencies: bool = False,
) -> pl.DataFrame:
    """Find the specs that satisfy spec expressions, in Spack's own syntax.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports, with the columns of the table `specs`. A
        dataset stands for its newest snapshot. All rows of a frame are collected.
    spec
        Spec expressions, such as `hdf5@1.14:+mpi %gcc ^mpich`. Several are alternatives; those that begin with `not`
        leave specs out. By default, all specs are found. What an expression means is decided by the rules of the Spack
        that wrote each snapshot: before 1.0, `%gcc` is the compiler; since then, it is a direct dependency.
    dependencies
        The table `dependencies`, for expressions with `^`; not needed for a dataset.
    host
        Keep only what this machine can reuse, as in `reusable`.
    spack
        The Spack version whose reuse rules apply, as in `reusable`.
    with_dependencies
        Whether to list the direct dependencies of each spec.

    Returns
    -------
    polars.DataFrame
        One row per spec, sorted by package, by version in Spack's order, the newest first, and then by snapshot,
        system, target, compiler and hash:

        - the columns of the table `specs`, except `stack`.
        - `stacks` (String), in place of `stack`: the stacks that list the spec, joined by commas, without `root` unless
          no other does.
        - `status` (String), with a host: `native` or `usable`, as in `reusable`.
        - `dependencies` (String), if asked for: `name@version` of each, separated by spaces; null if unknown.

    Raises
    ------
    ExpressionError
        If a text is not a spec expression; the message points at the character.
    ArgumentError
        If an expression names a package, variant, compiler, ... that no spec has; if it is about dependencies, and
        these are not known; if a frame lacks a column; or as in `reusable`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> found = cs.find(ds, "hdf5@1.14:+mpi ^mpich@4")
    >>> found.select("version", "os", "target", "stacks").unique(maintain_order=True).rows()
    [('1.14.5', 'sequoia', 'aarch64', 'ml-darwin-aarch64-mps'), ('1.14.5', 'ubuntu22.04', 'x86_64_v3', 'e4s')]
    >>> cs.find(ds, "zlib-ng", host="zen4:rhel9").select("version", "os", "status").row(0)
    ('2.2.3', 'ubuntu18.04', 'usable')
    """
    found = find_for(specs, spec, dependencies=dependencies, host=host, spack=spack).specs
    return add_dependencies(found, specs, dependencies) if with_dependencies else found


def find_for(
    specs: SpecsLike,
    spec: str | Iterable[str] = (),
    *,
    dependencies: IntoFrame | None = None,
    host: Host | str | None = None,
    spack: str | None = None,
) -> Found:
    """Find specs as `find` does, and return also those that the host cannot reuse; without a host there are none."""
    found = _sorted(
        _specs_of_dataset(chosen(specs, every_snapshot=False).where(spec=spec))
        if isinstance(specs, Dataset | Subset)
        else _united(_rows_of_frames(specs, dependencies, Alternatives.parse(spec)))
    )
    if host is None:
        return Found(found, found.clear())
    host = as_host(host)
    verdicts = judged_requirements(found["requirement"].unique().to_list(), host, spack)
    is_native = (pl.col("status") == USABLE) & (pl.col("target") == host.target)
    status = pl.when(is_native).then(pl.lit(NATIVE)).otherwise("status")
    # A left join keeps the order of its left side only if asked to.
    found = found.join(verdicts, on="requirement", how="left", maintain_order="left").with_columns(status=status)
    is_reused = pl.col("status").is_in(REUSED)
    return Found(found.filter(is_reused).drop("by"), found.filter(~is_reused))


def add_dependencies(found: pl.DataFrame, specs: SpecsLike, dependencies: IntoFrame | None = None) -> pl.DataFrame:
    """Add the column `dependencies` to what `find` found."""
    columns = ("snapshot", "hash", "dependency_hash", "dependency_package", "dependency_version")
    if isinstance(specs, Dataset | Subset):
        edges = chosen(specs, every_snapshot=True).dependencies.select(columns)
        edges = edges.filter(pl.col("hash").is_in(found["hash"].unique().implode()))
        frame: pl.DataFrame = edges.collect(engine="streaming")
    elif dependencies is None:
        frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    else:
        frame = collect_small(validated(dependencies, columns, table="dependencies").select(*columns))
    name = pl.coalesce("dependency_package", pl.concat_str(pl.lit("/"), pl.col("dependency_hash").str.slice(0, 7)))
    version = pl.concat_str(pl.lit("@"), pl.col("dependency_version")).fill_null("")
    named = frame.select(*_KEY, dependencies=pl.concat_str(name, version))
    texts = named.group_by(_KEY).agg(pl.col("dependencies").sort().str.join(" "))
    return found.join(texts, on=_KEY, how="left", maintain_order="left")


def count_by(found: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Count what `find` found by some columns, of which `stack` is one of the `stacks` of a spec.

    Returns
    -------
    polars.DataFrame
        A row for each combination, sorted in natural order, with these columns, `specs` (Int64: distinct specs) and
        `share` (of all that were found; the shares of stacks add up to more than one, since a spec may be in several).
    """
    if "stack" in columns:
        found = found.with_columns(stack=pl.col("stacks").str.split(",")).explode("stack", empty_as_null=True)
    counts = found.group_by(columns).agg(specs=pl.struct(_KEY).n_unique().cast(pl.Int64))
    total = found.select(pl.struct(_KEY).n_unique()).item()
    return ordered(counts.with_columns(share=pl.col("specs") / total), *columns)


def _specs_of_dataset(subset: Subset) -> pl.DataFrame:
    """Return the specs of a subset with the columns that `find` returns."""
    derived = {"snapshot_date", "version_key"}
    frame = subset.encoded(*(name for name in _COLUMNS if name not in derived))
    codes: pl.DataFrame = frame.collect(engine="streaming")
    sets = subset.dataset.names.stacks(subset.snapshots).group_by("code").agg(_stacks())
    stacks = pl.col("stacks").replace_strict(sets["code"], sets["stacks"], return_dtype=pl.String)
    found = SpecRows(frame, subset, union=False).named(codes.with_columns(stacks))
    dates = {name: snapshot_kind(name)[1] for name in found["snapshot"].unique()}
    keys = {version: version_sort_key(version) for version in found["version"].unique()}
    return found.with_columns(
        snapshot_date=pl.col("snapshot").replace_strict(dates, return_dtype=pl.Date),
        version_key=pl.col("version").replace_strict(keys, return_dtype=pl.String),
    ).select(_COLUMNS)


def _rows_of_frames(specs: IntoFrame, dependencies: IntoFrame | None, wanted: Alternatives) -> pl.DataFrame:
    source = FrameSource.collect(specs, dependencies)
    rows = source.specs.collect()
    if wanted == Alternatives():
        return rows
    check_names([source], wanted)
    return rows.join(specs_satisfying(source, wanted), on=_KEY, how="semi")


def _united(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per spec, with its stacks as one text."""
    first = [name for name in _COLUMNS if name not in {*_KEY, "stacks"}]
    return rows.group_by(_KEY).agg(pl.col(first).first(), _stacks()).select(_COLUMNS)


def _stacks() -> pl.Expr:
    """Return the stacks in a group of rows as one text."""
    stack = pl.col("stack")
    others = stack.filter(stack.ne_missing(UNION_STACK)).drop_nulls().unique().sort().str.join(",")
    return pl.when(others != "").then(others).otherwise(stack.min()).alias("stacks")


def _sorted(found: pl.DataFrame) -> pl.DataFrame:
    """Sort as `find` does."""
    versions = sort_versions(found["version"].unique())[::-1]
    snapshots = sort_names(found["snapshot"].unique(), "snapshot")[::-1]
    order = [_rank("version", versions), _rank("snapshot", snapshots)]
    return found.sort("package", *order, "platform", "os", "target", "compiler", "hash", nulls_last=True)


def _rank(column: str, names: Sequence[str | None]) -> pl.Expr:
    return pl.col(column).replace_strict(names, range(len(names)), return_dtype=pl.Int64)
