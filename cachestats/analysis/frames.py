"""Frames of any kind that narwhals supports: validate them, and collect small results as Polars frames."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import polars as pl

from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK, natural_key, snapshot_order
from cachestats.schema import TABLES
from cachestats.targets import target_order
from cachestats.text import nearest

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

T = TypeVar("T", bound=Hashable)

LazyFrame: TypeAlias = Any
"""A lazy frame of Polars, or one of narwhals around that of another engine. Both have the same methods."""

_TYPES: dict[pl.DataType | type[pl.DataType], type[pl.DataType]] = {
    pl.String: pl.String,
    pl.Boolean: pl.Boolean,
    pl.Date: pl.Date,
    pl.Float64: pl.Float64,
    pl.Float32: pl.Float64,
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


def api_of(frame: LazyFrame) -> Any:
    """Return the module with the expressions and types for a lazy frame: Polars, or narwhals, which has the same."""
    if isinstance(frame, pl.LazyFrame):
        return pl
    # Imported only for other engines: this takes as long as a small question of a dataset takes to answer.
    import narwhals as nw

    return nw


def kind_of(frame: LazyFrame) -> str:
    """Return the name of the engine of a lazy frame."""
    return "polars" if isinstance(frame, pl.LazyFrame) else str(frame.implementation.value)


def validated(frame: IntoFrame, columns: Iterable[str], *, table: str = "specs") -> LazyFrame:
    """Check that a frame has these columns, and return it as a lazy frame.

    Raises
    ------
    ArgumentError
        If it is not a frame, or lacks one of these columns of the table, or has one with another type.
    """
    found = _lazy(frame, table)
    api = api_of(found)
    only_nulls = pl.Null if api is pl else api.Unknown
    # The types that a column may have, by its declared type.
    kinds: dict[str, tuple[type, ...]] = {
        "string": (api.String, api.Categorical, api.Enum, only_nulls),
        "boolean": (api.Boolean, only_nulls),
    }
    schema = found.collect_schema()
    needed, names = sorted(set(columns)), schema.names()
    if missing := [name for name in needed if name not in names]:
        raise ArgumentError(
            f"expected the columns {', '.join(needed)}, found {', '.join(names) or 'none'}",
            hint=f"keep {', '.join(missing)} in the frame: it should have the columns of the table {table}",
        )
    texts = {column.name for column in TABLES[table].columns if column.dtype == "string"}
    for column in TABLES[table].columns:
        if column.name in needed and not isinstance(schema[column.name], kinds.get(column.dtype, object)):
            raise ArgumentError(
                f"expected {column.dtype} as the type of the column {column.name}, found {schema[column.name]}",
                hint=f"cast it: the frame should have the types of the table {table}",
            )
    coded = [name for name in names if isinstance(schema[name], api.Categorical | api.Enum)]
    coded += [name for name in needed if name in texts and isinstance(schema[name], only_nulls)]
    return found.with_columns(api.col(*coded).cast(api.String)) if coded else found


def _lazy(frame: IntoFrame, table: str) -> LazyFrame:
    """Return a frame of any kind as a lazy frame."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.lazy()
    import narwhals as nw

    try:
        found: Any = nw.from_native(frame)
    except TypeError:
        raise ArgumentError(
            f"expected a frame that narwhals supports, found {type(frame).__name__}",
            hint=f"pass a Polars LazyFrame such as `open_dataset(path).{table}`, a DuckDB relation, a pandas frame",
        ) from None
    if isinstance(found, nw.LazyFrame):
        native = found.to_native()
        return native if isinstance(native, pl.LazyFrame) else found
    # Narwhals' lazy frames of pyarrow and pandas lack some of the operations used here.
    return found.to_polars().lazy()


def as_polars(frame: object) -> Any:
    """Return a small frame of any kind that narwhals supports as a Polars DataFrame, and anything else as it is."""
    if isinstance(frame, pl.DataFrame):
        return frame
    import narwhals as nw

    found: Any = nw.from_native(frame, pass_through=True)
    if isinstance(found, nw.LazyFrame):
        return found.collect("polars").to_native()
    return found.to_polars() if isinstance(found, nw.DataFrame) else frame


def validated_pair(
    specs: IntoFrame, columns: Iterable[str], dependencies: IntoFrame, dependency_columns: Iterable[str]
) -> tuple[LazyFrame, LazyFrame]:
    """Return specs and dependencies, each checked by `validated`, as frames that can be joined by their own engine.

    Raises
    ------
    ArgumentError
        As `validated`, or if the two belong to different engines.
    """
    frame = validated(specs, columns)
    edges = validated(dependencies, dependency_columns, table="dependencies")
    if kind_of(frame) != kind_of(edges):
        raise ArgumentError(
            f"expected specs and dependencies as frames of the same kind, found {kind_of(frame)} and {kind_of(edges)}",
            hint="pass both from one dataset, such as `ds.specs` and `ds.dependencies`",
        )
    return frame, edges


def without_union(specs: LazyFrame) -> LazyFrame:
    """Leave out the rows of `root`, the union of the stacks, but keep those without a stack."""
    # A comparison with null is null, which a filter drops, so specs without a stack must be kept explicitly.
    stack = api_of(specs).col("stack")
    return specs.filter((stack != UNION_STACK) | stack.is_null())


def collect_small(frame: LazyFrame) -> pl.DataFrame:
    """Collect a small frame as a Polars DataFrame.

    Strings, booleans, dates and floats keep their types. All other columns are counts, which backends return as UInt32,
    Int64 or Decimal; they become Int64. Rows come in no particular order, so sort them.

    Raises
    ------
    ArgumentError
        If there are nulls in a column that every spec has.
    """
    native: pl.DataFrame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame.collect("polars").to_native()
    for name in _NEVER_NULL & set(native.columns):
        if native[name].null_count():
            raise ArgumentError(
                f"expected the {name} of every spec, found some without", hint=f"leave them out: .drop_nulls('{name}')"
            )
    return native.with_columns(pl.col(name).cast(_TYPES.get(dtype, pl.Int64)) for name, dtype in native.schema.items())


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
