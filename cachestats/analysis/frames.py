"""Frames of any kind that narwhals knows: looked at, worked on where they live, brought here when they are small."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

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
# What a column may be, by how it is declared: unknown is what holds nothing but nulls.
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (nw.String, nw.Categorical, nw.Enum, nw.Unknown),
    "boolean": (nw.Boolean, nw.Unknown),
}
_NEVER_NULL = frozenset({"snapshot", "package", "version", "hash", "requirement"})
_ORDER: dict[str, Callable[[str], Any]] = {"snapshot": snapshot_order, "target": target_order}


def check_choice(value: object, choices: Sequence[str], what: str) -> None:
    """Do nothing if a value is one of the choices.

    Raises
    ------
    ArgumentError
        If it is none of them.
    """
    if value not in choices:
        near = nearest([str(value)], choices, 1)
        raise ArgumentError(
            f"expected one of {', '.join(choices)} as {what}, found {value!r}",
            hint=f"try {near[0]}" if near else f"choose one of the {len(choices)}",
        )


def validated(frame: IntoFrame, columns: Iterable[str], *, table: str = "specs") -> nw.LazyFrame[Any]:
    """Return a frame as a narwhals LazyFrame, once it is known to have these columns.

    Raises
    ------
    ArgumentError
        If it is no frame, or lacks a column of the table it is taken for, or has it as something else.
    """
    try:
        found: Any = nw.from_native(frame)
    except TypeError:
        raise ArgumentError(
            f"expected a frame that narwhals knows, found {type(frame).__name__}",
            hint=f"give a Polars LazyFrame such as `open_dataset(path).{table}`, a DuckDB relation, a pandas frame",
        ) from None
    if isinstance(found, nw.DataFrame):
        # Narwhals' lazy frames of pyarrow and pandas cannot do all that is asked of them.
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
                hint=f"cast it: the frame should be as the table {table}",
            )
    coded = [name for name in names if isinstance(schema[name], nw.Categorical | nw.Enum)]
    coded += [name for name in needed if name in texts and isinstance(schema[name], nw.Unknown)]
    result: nw.LazyFrame[Any] = found.lazy()
    return result.with_columns(nw.col(*coded).cast(nw.String)) if coded else result


def validated_pair(
    specs: IntoFrame, columns: Iterable[str], dependencies: IntoFrame, dependency_columns: Iterable[str]
) -> tuple[nw.LazyFrame[Any], nw.LazyFrame[Any]]:
    """Return specs and dependencies, to be joined where they live, as `lazy` does each.

    Raises
    ------
    ArgumentError
        As `lazy`, or if the two do not live in the same place.
    """
    frame = validated(specs, columns)
    edges = validated(dependencies, dependency_columns, table="dependencies")
    if frame.implementation != edges.implementation:
        raise ArgumentError(
            f"expected specs and dependencies as frames of one kind, found {frame.implementation.value} and "
            f"{edges.implementation.value}",
            hint="give both from one dataset, such as `ds.specs` and `ds.dependencies`",
        )
    return frame, edges


def without_union(specs: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Leave out the rows of `root`, the union of the stacks, and keep those of no stack."""
    # A comparison with null is null, which a filter drops: specs in no stack have to be kept by name.
    return specs.filter((nw.col("stack") != UNION_STACK) | nw.col("stack").is_null())


def collect_small(frame: nw.LazyFrame[Any]) -> pl.DataFrame:
    """Bring a small frame here as a Polars DataFrame.

    Text, booleans, dates and floats stay what they are; whatever else there is are counts, which backends return as
    UInt32, Int64 or Decimal: they become Int64. Rows come in any order: sort them.

    Raises
    ------
    ArgumentError
        If there are nulls in what every spec has.
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
    """Sort by columns in the order that a person expects: versions as numbers, targets by family, null last.

    Rows that are equal in these columns stay in the order they have.
    """
    keys = []
    for name in columns:
        values = sorted(frame[name].drop_nulls().unique(), key=_ORDER.get(name, natural_key))
        keys.append(pl.col(name).replace_strict(values, range(len(values)), default=None, return_dtype=pl.Int64))
    return frame.sort(*keys, nulls_last=True, maintain_order=True)


def dependencies_first(needs: Mapping[T, Iterable[T]], *, hash_of: Callable[[T], str] = str) -> list[T]:
    """Return everything, what is needed before what needs it.

    Raises
    ------
    ArgumentError
        If needs go in a circle.
    """
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " > ".join(hash_of(node) for node in reversed(error.args[1]))
        raise ArgumentError(
            f"expected dependencies without a circle, found {circle}",
            hint="no hash can depend on itself: the dependencies were edited",
        ) from None
