"""Frames of any kind that narwhals supports: validate them, and collect small results as Polars frames."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import narwhals as nw
import polars as pl

from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK, natural_key, snapshot_order
from cachestats.schema import TABLES
from cachestats.targets import target_order
from cachestats.text import nearest

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

T = TypeVar("T", bound=Hashable)

_TYPES = {
    nw.String: pl.String,
    nw.Boolean: pl.Boolean,
    nw.Date: pl.Date,
    nw.Float64: pl.Float64,
    nw.Float32: pl.Float64,
}
# The types that a column may have, by its declared type. A column that holds only nulls is Unknown.
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (nw.String, nw.Categorical, nw.Enum, nw.Unknown),
    "boolean": (nw.Boolean, nw.Unknown),
}
_NEVER_NULL = frozenset({"snapshot", "package", "version", "hash", "requirement"})
_ORDER: dict[str, Callable[[str], Any]] = {"snapshot": snapshot_order, "target": target_order}


def check_choice(value: object, choices: Sequence[str], what: str) -> None:
    """Check that a value is one of the choices.

    Raises
    ------
    ArgumentError
        If it is not.
    """
    if value not in choices:
        near = nearest([str(value)], choices, 1)
        raise ArgumentError(
            f"expected one of {', '.join(choices)} as {what}, found {value!r}",
            hint=f"try {near[0]}" if near else f"choose one of the {len(choices)}",
        )


def validated(frame: IntoFrame, columns: Iterable[str], *, table: str = "specs") -> nw.LazyFrame[Any]:
    """Check that a frame has these columns, and return it as a narwhals LazyFrame.

    Raises
    ------
    ArgumentError
        If it is not a frame, or lacks one of these columns of the table, or has one with another type.
    """
    try:
        found: Any = nw.from_native(frame)
    except TypeError:
        raise ArgumentError(
            f"expected a frame that narwhals supports, found {type(frame).__name__}",
            hint=f"pass a Polars LazyFrame such as `open_dataset(path).{table}`, a DuckDB relation, a pandas frame",
        ) from None
    if isinstance(found, nw.DataFrame):
        # Narwhals' lazy frames of pyarrow and pandas lack some of the operations used here.
        found = nw.from_native(found.to_polars())
    schema = found.collect_schema()
    needed, names = sorted(set(columns)), schema.names()
    if missing := [name for name in needed if name not in names]:
        raise ArgumentError(
            f"expected the columns {', '.join(needed)}, found {', '.join(names) or 'none'}",
            hint=f"keep {', '.join(missing)} in the frame: it should have the columns of the table {table}",
        )
    texts = {column.name for column in TABLES[table].columns if column.dtype == "string"}
    for column in TABLES[table].columns:
        if column.name in needed and not isinstance(schema[column.name], _KINDS.get(column.dtype, object)):
            raise ArgumentError(
                f"expected {column.dtype} as the type of the column {column.name}, found {schema[column.name]}",
                hint=f"cast it: the frame should have the types of the table {table}",
            )
    coded = [name for name in names if isinstance(schema[name], nw.Categorical | nw.Enum)]
    coded += [name for name in needed if name in texts and isinstance(schema[name], nw.Unknown)]
    result: nw.LazyFrame[Any] = found.lazy()
    return result.with_columns(nw.col(*coded).cast(nw.String)) if coded else result


def validated_pair(
    specs: IntoFrame, columns: Iterable[str], dependencies: IntoFrame, dependency_columns: Iterable[str]
) -> tuple[nw.LazyFrame[Any], nw.LazyFrame[Any]]:
    """Return specs and dependencies, each checked by `validated`, as frames that can be joined by their own engine.

    Raises
    ------
    ArgumentError
        As `validated`, or if the two belong to different engines.
    """
    frame = validated(specs, columns)
    edges = validated(dependencies, dependency_columns, table="dependencies")
    if frame.implementation != edges.implementation:
        raise ArgumentError(
            f"expected specs and dependencies as frames of the same kind, found {frame.implementation.value} and "
            f"{edges.implementation.value}",
            hint="pass both from one dataset, such as `ds.specs` and `ds.dependencies`",
        )
    return frame, edges


def without_union(specs: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Leave out the rows of `root`, the union of the stacks, but keep those without a stack."""
    # A comparison with null is null, which a filter drops, so specs without a stack must be kept explicitly.
    return specs.filter((nw.col("stack") != UNION_STACK) | nw.col("stack").is_null())


def collect_small(frame: nw.LazyFrame[Any]) -> pl.DataFrame:
    """Collect a small frame as a Polars DataFrame.

    Strings, booleans, dates and floats keep their types. All other columns are counts, which backends return as UInt32,
    Int64 or Decimal; they become Int64. Rows come in no particular order, so sort them.

    Raises
    ------
    ArgumentError
        If there are nulls in a column that every spec has.
    """
    schema = frame.collect_schema()
    native: pl.DataFrame = frame.collect("polars").to_native()
    for name in _NEVER_NULL & set(native.columns):
        if native[name].null_count():
            raise ArgumentError(
                f"expected the {name} of every spec, found some without", hint=f"leave them out: .drop_nulls('{name}')"
            )
    return native.with_columns(pl.col(name).cast(_TYPES.get(type(dtype), pl.Int64)) for name, dtype in schema.items())


def ordered(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Sort by columns in natural order: versions as numbers, targets by family, null last.

    Rows that are equal in these columns keep their order.
    """
    keys = []
    for name in columns:
        values = sorted(frame[name].drop_nulls().unique(), key=_ORDER.get(name, natural_key))
        keys.append(pl.col(name).replace_strict(values, range(len(values)), default=None, return_dtype=pl.Int64))
    return frame.sort(*keys, nulls_last=True, maintain_order=True)


def sort_names(names: Iterable[str | None], axis: str) -> list[str | None]:
    """Return the names on an axis in natural order, None last."""
    order = _ORDER.get(axis, natural_key)
    return sorted(names, key=lambda name: (name is None, order(name or "")))


def dependencies_first(needs: Mapping[T, Iterable[T]], *, hash_of: Callable[[T], str] = str) -> list[T]:
    """Return all nodes in an order in which dependencies come before their dependents.

    Raises
    ------
    ArgumentError
        If the dependencies form a cycle.
    """
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " > ".join(hash_of(node) for node in reversed(error.args[1]))
        raise ArgumentError(
            f"expected dependencies without a cycle, found {circle}",
            hint="no hash can depend on itself: the dependencies were edited",
        ) from None


def refuse_cycle(edges: pl.DataFrame) -> NoReturn:
    """Raise the error that names a cycle, given the edges among which it is: `hash` and `dependency_hash`."""
    needs: dict[str, list[str]] = {}
    for owner, needed in edges.select("hash", "dependency_hash").iter_rows():
        needs.setdefault(owner, []).append(needed)
    dependencies_first(needs)
    raise AssertionError("expected a cycle among the edges, found none")
