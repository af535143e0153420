"""The one form in which analyses see specs, whatever they were given: rows with the stacks of a spec as bits.

A dataset, or a subset of one, brings a row per spec, with codes for names, from its table `encoded_specs`. Any other
frame has a row per spec and stack, with names as text, and stays in its own engine. Both are grouped, joined and
counted by the same expressions: names become text again when a small result is collected, and stacks, one or many per
row, are the bits of numbers, which are united where rows are. So each question is asked in one way, and several times
as fast where there are codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from cachestats.analysis.derived import AnyAxis, ExpressionAxis, VariantAxis
from cachestats.analysis.frames import (
    LazyFrame,
    api_of,
    collect_small,
    kind_of,
    sort_names,
    validated,
    validated_pair,
    without_union,
)
from cachestats.codes import code_of, code_of_hash
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.names import name_of
from cachestats.dataset.subset import Subset, snapshot_names
from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK
from cachestats.schema import DEPENDENCIES, SPECS

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

SpecsLike: TypeAlias = "Dataset | Subset | IntoFrame"
"""A dataset, a subset of one, or any frame that narwhals supports with the columns of the table `specs`."""

BITS = 62
"""The number of names in one number: engines have signed integers of 64 bits, and sum them."""

_CODED = frozenset(
    column.name for table in (SPECS, DEPENDENCIES) for column in table.columns if column.dtype == "string"
) - {"stack"}
_ENCODED_AS = {"hash": "spec", "stack": "stacks", "dependency_hash": "dependency"}


@dataclass(frozen=True)
class SpecRows:
    """Specs to ask about.

    Attributes
    ----------
    frame : LazyFrame
        The rows, with the columns that the question needs; in place of `stack` there are `stacks`, if they are coded.
    subset : Subset, optional
        The subset of a dataset from which the rows come; None if they are any other frame.
    union : bool
        Whether `root`, the union of the stacks, counts as a stack.
    others : tuple of Subset
        Further subsets whose codes the rows are compared with, and have names, too.
    """

    frame: LazyFrame
    subset: Subset | None
    union: bool
    others: tuple[Subset, ...] = ()

    @property
    def api(self) -> Any:
        """The module with the expressions that the frame takes, `polars` or `narwhals`."""
        return api_of(self.frame)

    def filter(self, *predicates: Any) -> SpecRows:
        """Return only the rows for which all predicates hold."""
        return replace(self, frame=self.frame.filter(*predicates))

    def is_in(self, column: str, names: Iterable[str]) -> Any:
        """Return whether a column has one of these names."""
        return self.api.col(column).is_in(self.keys(column, names))

    def lookup(self, column: str, values: Mapping[str, Any], dtype: type[Any]) -> Any:
        """Return the value of the name in a column, or null if there is none for it."""
        keys = self.keys(column, values)
        return self.api.col(column).replace_strict(keys, list(values.values()), default=None, return_dtype=dtype)

    def relabel(self, column: str, names: Mapping[str, str]) -> Any:
        """Return a column with other names for some of its names, and null for the rest."""
        if not self._is_coded(column):
            return self.lookup(column, names, self.api.String)
        return self.lookup(column, {name: code_of(other) for name, other in names.items()}, self.api.Int64)

    def collect(self, frame: LazyFrame) -> pl.DataFrame:
        """Collect a small frame made from these rows; names are text, counts Int64. Rows come in no order."""
        return self.named(self.collect_codes(frame))

    def collect_codes(self, frame: LazyFrame) -> pl.DataFrame:
        """Collect a frame without names for its codes, to work on it further before `named`."""
        if self.subset is None:
            return collect_small(frame)
        # The streaming engine needs a fraction of the memory, and is faster on numbers.
        found: pl.DataFrame = frame.collect(engine="streaming")
        return found.with_columns(
            pl.col(name).cast(pl.Int64) for name, dtype in found.schema.items() if dtype.is_integer()
        )

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a collected frame with the names of its codes."""
        if self.subset is None:
            return frame
        coded = [name for name in frame.columns if self._is_coded(name) and frame.schema[name] == pl.Int64]
        names = self._names_of({column: frame[column] for column in coded})
        return frame.with_columns(name_of(column, found) for column, found in names.items())

    def coded(self, frame: pl.DataFrame, **columns: str) -> pl.DataFrame:
        """Return a frame with text as these rows have it; `columns` are its columns, and those that they stand for."""
        for column, of in columns.items():
            if self._is_coded(of):
                texts = frame[column].drop_nulls().unique()
                codes = pl.Series(self.keys(of, texts), dtype=pl.Int64)
                text = pl.col(column).replace_strict(texts, codes, default=None, return_dtype=pl.Int64)
                frame = frame.with_columns(text)
        return frame

    def _names_of(self, codes: Mapping[str, pl.Series]) -> dict[str, pl.DataFrame]:
        """Return the names of some codes of some columns: the columns `code` and `name`."""
        subsets = [one for one in (self.subset, *self.others) if one is not None]
        hashes = {column: found for column, found in codes.items() if column in {"hash", "dependency_hash"}}
        others = {column: found for column, found in codes.items() if column not in hashes}
        parts = [
            one.dataset.names.of_columns(others, one.snapshots)
            | {column: one.dataset.names.of_hashes(found, one.snapshots) for column, found in hashes.items()}
            for one in subsets
        ]
        if len(parts) == 1:
            return parts[0]
        return {column: pl.concat(part[column] for part in parts).unique("code") for column in codes}

    def names(self, axis: str) -> list[str | None]:
        """Return the names on an axis, in natural order; None if a spec has none."""
        if axis == "stack" and self.subset is not None:
            return self._stacks
        return sort_names(self.collect(self.frame.select(axis).unique())[axis], axis)

    def count(self, *by: str, of: Sequence[str]) -> pl.DataFrame:
        """Count the distinct combinations of the columns `of` for each combination of `by`; the column is `value`."""
        if "stack" not in by:
            distinct = self.frame.select(*dict.fromkeys([*by, *of])).unique()
            if self._is_row_per_spec(of):
                distinct = self.frame  # a row per spec already
            number = self.api.len()
            counted = distinct.group_by(*by).agg(value=number) if by else distinct.select(value=number)
            return self.collect(counted)
        others = [name for name in by if name != "stack"]
        united, masks, names = self.united([*dict.fromkeys([*others, *of])], "stack")
        counts = self.collect_codes(united.group_by(*others, *masks).agg(value=self.api.len()))
        return self.named(totals(counts, "value", others, masks, names, "stack").select(*by, "value"))

    def distinct(self, *columns: str) -> pl.DataFrame:
        """Collect the distinct combinations of some columns."""
        return self._distinct(columns, self.collect)

    def distinct_codes(self, *columns: str) -> pl.DataFrame:
        """Collect the distinct combinations of some columns without names for codes; stacks have their names."""
        return self._distinct(columns, self.collect_codes)

    def _distinct(self, columns: Sequence[str], collect: Callable[[LazyFrame], pl.DataFrame]) -> pl.DataFrame:
        if "stack" not in columns:
            return collect(self.frame.select(*columns).unique())
        others = [name for name in columns if name != "stack"]
        united, masks, names = self.united(others, "stack")
        return unfolded(collect(united), masks, names, "stack").select(*columns)

    def united(
        self, by: Sequence[str], axis: str, names: Sequence[str | None] | None = None
    ) -> tuple[LazyFrame, list[str], list[str | None]]:
        """Return a row for each combination of `by`, with the names on an axis that it has as bits of numbers.

        Returns
        -------
        tuple of narwhals.LazyFrame, list and list
            The frame, with the columns `by` and those of the numbers; the columns of the numbers; and the names, of
            which each number holds `BITS` in turn, the first as its lowest bit.
        """
        known = self.names(axis) if names is None else list(names)
        masks = masks_of(known)
        rows = self.marked(by, axis, known, masks)
        return rows if axis == "stack" and self._is_row_per_spec(by) else unite(rows, by, masks), masks, known

    def marked(
        self, columns: Sequence[str], axis: str | None, names: Sequence[str | None], masks: Sequence[str]
    ) -> LazyFrame:
        """Return the rows with some columns and, as bits of the numbers `masks`, the names that each has on an axis.

        Without an axis, each row has the first bit. Rows are not united.
        """
        if axis is None:
            return self.frame.select(*columns, self.api.lit(1, self.api.Int64).alias(masks[0]))
        if self.subset is not None:
            return self._with_bits(axis, names, masks).select(*columns, *masks)
        parts = [names[start : start + BITS] for start in range(0, len(names) or 1, BITS)]
        bits = (self._bit(axis, part).alias(mask) for mask, part in zip(masks, parts, strict=True))
        return self.frame.select(*dict.fromkeys([*columns, axis])).with_columns(*bits).select(*columns, *masks)

    def _is_coded(self, column: str) -> bool:
        return self.subset is not None and column in _CODED

    @property
    def has_row_per_spec(self) -> bool:
        """Whether no spec of a snapshot has two rows, whatever the number of its stacks."""
        return self.subset is not None

    @property
    def spec_key(self) -> list[str]:
        """The columns that tell specs apart, the hash last: with a single snapshot, there are no others."""
        is_single = self.subset is not None and len(self.subset.snapshots or ()) == 1
        return ["hash"] if is_single else ["snapshot", "hash"]

    def _is_row_per_spec(self, columns: Sequence[str]) -> bool:
        """Whether no two rows are equal in these columns, because each is another spec of a snapshot."""
        return self.subset is not None and {*self.spec_key} <= {*columns}

    def keys(self, column: str, names: Iterable[str]) -> list[Any]:
        """Return names as a column has them."""
        if not self._is_coded(column):
            return list(names)
        code = code_of_hash if column in {"hash", "dependency_hash"} else code_of
        return [code(name) for name in names]

    def _bit(self, axis: str, names: Sequence[str | None]) -> Any:
        """Return the bit of the name on an axis, 0 if it is not among the names."""
        bits = {name: 1 << place for place, name in enumerate(names) if name is not None}
        missing = 1 << names.index(None) if None in names else 0
        api = self.api
        bit = api.lit(0, api.Int64)
        if bits:
            keys = self.keys(axis, bits)
            bit = api.col(axis).replace_strict(keys, list(bits.values()), default=0, return_dtype=api.Int64)
        return api.when(api.col(axis).is_null()).then(api.lit(missing, api.Int64)).otherwise(bit)

    @cached_property
    def _sets(self) -> pl.DataFrame:
        """The stacks that count in each set of stacks: its code in `stacks`, and `stack`, a row each."""
        subset: Any = self.subset
        sets: pl.DataFrame = subset.dataset.names.stacks(subset.snapshots).rename({"code": "stacks"})
        wanted, stack = subset.filters.get("stack"), pl.col("stack")
        if wanted is not None:
            sets = sets.filter(stack.is_in(list(wanted), nulls_equal=True))
        return sets if self.union else sets.filter(stack.ne_missing(UNION_STACK))

    @cached_property
    def _stacks(self) -> list[str | None]:
        """The stacks of these rows, in natural order."""
        sets = self._sets
        if self.subset and (self.subset.expressions or not self.subset.filters.keys() <= {"stack"}):
            sets = sets.join(self.frame.select("stacks").unique().collect(engine="streaming"), on="stacks")
        return sort_names(sets["stack"].unique(), "stack")

    def _with_bits(self, axis: str, names: Sequence[str | None], masks: Sequence[str]) -> LazyFrame:
        """Return the rows that have any of the names on an axis, with these as bits."""
        bits = {
            mask: [1 << place % BITS if place // BITS == number else 0 for place in range(len(names))]
            for number, mask in enumerate(masks)
        }
        found = pl.DataFrame({axis: names, **bits}, schema={axis: pl.String, **dict.fromkeys(masks, pl.Int64)})
        if axis == "stack":
            found = self._sets.join(found, on=axis, nulls_equal=True).group_by("stacks").agg(pl.col(masks).sum())
        # This takes less time than to look up each of the numbers.
        return self.frame.join(
            self.coded(found, **{axis: axis}).lazy(), on=_ENCODED_AS.get(axis, axis), nulls_equal=None in names
        )


def spec_rows(
    specs: SpecsLike, columns: Iterable[AnyAxis], *, union: bool = False, every_snapshot: bool = False
) -> SpecRows:
    """Return the specs of a question, with the columns of the table `specs` that it needs.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports.
    columns
        Columns of the table `specs`, and axes that are derived from them.
    union
        Whether `root`, the union of the stacks, counts as a stack.
    every_snapshot
        Whether a dataset of which no snapshots were chosen means all of them, rather than the newest.

    Raises
    ------
    ArgumentError
        If the frame lacks a column.
    """
    every = dict.fromkeys(columns)
    derived = [axis for axis in every if not isinstance(axis, str)]
    needed = dict.fromkeys(axis for axis in every if isinstance(axis, str))
    for axis in derived:
        needed |= dict.fromkeys(axis.made_of)
    if not isinstance(specs, Dataset | Subset):
        rows = _rows_of_frame(specs, needed, union=union)
        return _with_derived_text(rows, derived, specs) if derived else rows
    subset = chosen(specs, every_snapshot=every_snapshot)
    coded = [_ENCODED_AS.get(name, name) for name in needed]
    if subset.filters.get("stack") is not None and "stack" in needed and UNION_STACK in subset.filters["stack"]:
        union = True  # a filter that names root asks for it
    frame = subset.encoded(*coded).rename({"spec": "hash"} if "hash" in needed else {})
    rows = SpecRows(frame, subset, union)
    return _with_derived(rows, subset, derived) if derived else rows


def _rows_of_frame(specs: IntoFrame, needed: Iterable[str], *, union: bool) -> SpecRows:
    frame = validated(specs, needed)
    return SpecRows(without_union(frame) if "stack" in needed and not union else frame, None, union)


def _with_derived(rows: SpecRows, subset: Subset, axes: Sequence[VariantAxis | ExpressionAxis]) -> SpecRows:
    """Return coded rows with the columns of some axes, whose names are text."""
    # Imported here and below, as few questions have such axes, and these modules take long to import.
    from cachestats.dataset.expressions import Alternatives, EncodedSource, check_names

    for axis in axes:
        frame = rows.frame
        if isinstance(axis, VariantAxis):
            codes = frame.select("variants").unique().collect(engine="streaming")["variants"]
            names = subset.dataset.names.of_codes("variants", codes, subset.snapshots)
            labels = pl.DataFrame({"variants": names["code"], axis.column: axis.labels(names["name"])})
            frame = frame.join(labels.lazy(), on="variants", how="left")
        else:
            asked = []
            for text in axis.texts:
                wanted, snapshots = Alternatives.parse(text), subset.snapshots or ()
                check_names([EncodedSource(subset.dataset, snapshots)], wanted)
                found = subset.dataset.satisfying(wanted, snapshots)
                asked.append(found.with_columns(pl.lit(text).alias(axis.column)))
            frame = frame.join(pl.concat(asked).lazy(), on=["snapshot", "hash"])
        rows = replace(rows, frame=frame)
    return rows


def _with_derived_text(rows: SpecRows, axes: Sequence[VariantAxis | ExpressionAxis], specs: IntoFrame) -> SpecRows:
    """Return rows of a frame with the columns of some axes."""
    from cachestats.analysis.frame_source import FrameSource
    from cachestats.dataset.expressions import Alternatives, specs_satisfying

    for axis in axes:
        if isinstance(axis, VariantAxis):
            texts = collect_small(rows.frame.select("variants").unique())["variants"].drop_nulls()
            labels = axis.labels(texts).to_list()
            api = rows.api
            label = api.col("variants").replace_strict(texts.to_list(), labels, default=None, return_dtype=api.String)
            rows = replace(rows, frame=rows.frame.with_columns(label.alias(axis.column)))
            continue
        source = FrameSource.collect(specs)
        asked = (
            specs_satisfying(source, Alternatives.parse(text)).with_columns(pl.lit(text).alias(axis.column))
            for text in axis.texts
        )
        here = collect_small(rows.frame).join(pl.concat(asked), on=["snapshot", "hash"])
        rows = replace(rows, frame=here.lazy())
    return rows


def chosen(specs: Dataset | Subset, *, every_snapshot: bool) -> Subset:
    """Return a subset whose snapshots are chosen: by default the newest, or all."""
    subset = Subset(specs) if isinstance(specs, Dataset) else specs
    if subset.snapshots is not None:
        return subset
    names = snapshot_names(subset.dataset)
    return replace(subset, snapshots=names if every_snapshot else names[-1:])


def spec_and_edge_rows(
    specs: SpecsLike,
    columns: Iterable[str],
    dependencies: SpecsLike,
    edge_columns: Iterable[str],
    *,
    every_snapshot: bool = False,
) -> tuple[SpecRows, LazyFrame]:
    """Return specs and the edges between them, in the same form.

    Parameters
    ----------
    specs, columns, every_snapshot
        As in `spec_rows`.
    dependencies
        The dataset, or a frame of the same kind as `specs` with the columns of the table `dependencies`.
    edge_columns
        Columns of the table `dependencies`.

    Raises
    ------
    ArgumentError
        If a frame lacks a column, or the two are frames of different kinds.
    """
    wanted = list(dict.fromkeys(edge_columns))
    if not (isinstance(specs, Dataset | Subset) and isinstance(dependencies, Dataset | Subset)):
        edges = frame_of_dependencies(dependencies)
        frame, edge_frame = validated_pair(frame_of_specs(specs), columns, edges, wanted)
        return SpecRows(frame, None, union=False), edge_frame.select(*wanted)
    rows = spec_rows(specs, columns, every_snapshot=every_snapshot)
    subset: Any = rows.subset
    edges = subset.dataset.scan("encoded_dependencies", snapshots=subset.snapshots)
    return rows, edges.select(**{name: _ENCODED_AS.get(name, name) for name in wanted})


def has_columns(specs: SpecsLike, columns: Iterable[str]) -> bool:
    """Whether specs have some columns of the table `specs`."""
    return isinstance(specs, Dataset | Subset) or {*columns} <= set(validated(specs, ()).collect_schema().names())


def spec_rows_of_two(
    old: SpecsLike, new: SpecsLike, columns: Iterable[str], *, union: bool = False
) -> tuple[SpecRows, SpecRows]:
    """Return the specs of the two sides of a comparison, in the same form.

    Raises
    ------
    ArgumentError
        If they are frames of different kinds, or a frame lacks a column.
    """
    needed = list(columns)
    if isinstance(old, Dataset | Subset) and isinstance(new, Dataset | Subset):
        sides = [spec_rows(side, needed, union=union) for side in (old, new)]
    else:
        sides = [spec_rows(frame_of_specs(side), needed, union=union) for side in (old, new)]
    kinds = [kind_of(side.frame) for side in sides]
    if kinds[0] != kinds[1]:
        raise ArgumentError(
            f"expected two frames of the same kind, found {' and '.join(kinds)}",
            hint="pass both as Polars LazyFrames, or both as relations",
        )
    old_rows, new_rows = (
        replace(one, others=(other.subset,) if other.subset else ())
        for one, other in zip(sides, reversed(sides), strict=True)
    )
    return old_rows, new_rows


def frame_of_specs(specs: SpecsLike) -> Any:
    """Return the specs of a dataset as a frame, to compare them with another frame."""
    return chosen(specs, every_snapshot=False).specs if isinstance(specs, Dataset | Subset) else specs


def frame_of_dependencies(dependencies: SpecsLike) -> Any:
    """Return the dependencies of a dataset, of all its snapshots unless some are chosen, as a frame."""
    if isinstance(dependencies, Dataset | Subset):
        return chosen(dependencies, every_snapshot=True).dependencies
    return dependencies


def masks_of(names: Sequence[object], prefix: str = "") -> list[str]:
    """Return the columns of the numbers that hold a bit for each name."""
    return [f"{prefix}mask_{number}" for number in range(-(-len(names) // BITS) or 1)]


def unite(rows: LazyFrame, by: Sequence[str], masks: Sequence[str], details: Sequence[str] = ()) -> LazyFrame:
    """Return a row for each combination of `by`, with all the bits of its rows, and the least of other columns."""
    if isinstance(rows, pl.LazyFrame):
        return rows.group_by(*by).agg(pl.col(list(details)).min(), pl.col(list(masks)).bitwise_or())
    # Elsewhere no row has two bits, so that the sum of the distinct ones is their union.
    col = api_of(rows).col
    result = rows.select(*by, *masks).unique().group_by(*by).agg(col(*masks).sum())
    if details:
        result = result.join(rows.group_by(*by).agg(col(*details).min()), on=list(by))
    return result


def unfolded(frame: pl.DataFrame, masks: Sequence[str], names: Sequence[str | None], axis: str) -> pl.DataFrame:
    """Return a row for each name whose bit a row has; the column `axis` holds the name, in place of the numbers."""
    kept = [name for name in frame.columns if name not in masks]
    rows = frame.lazy()
    parts = [
        rows.filter(_has_all(place, masks)).select(pl.lit(name, pl.String).alias(axis), *kept)
        for place, name in enumerate(names)
    ]
    return pl.concat(parts).collect() if parts else frame.select(pl.lit(None, pl.String).alias(axis), *kept).clear()


def totals(
    frame: pl.DataFrame,
    value: str,
    by: Sequence[str],
    masks: Sequence[str],
    names: Sequence[str | None],
    axis: str,
    *,
    and_in: Sequence[str] = (),
) -> pl.DataFrame:
    """Return the sums of a column of counts for each combination of `by` and each name whose bit its rows have.

    With `and_in`, the bit must be in these numbers, too. Sums that are zero are left out. `unfolded` would make a row
    for each name of each row, which are many times as many.
    """
    sums = {
        str(place): (pl.col(value) * pl.all_horizontal(_has_all(place, masks, and_in))).sum()
        for place in range(len(names))
    }
    wide = frame.group_by(by).agg(**sums) if by else frame.select(**sums)
    found = wide.unpivot(list(sums), index=by, variable_name=axis, value_name=value).cast({value: pl.Int64})
    text = pl.Series(names, dtype=pl.String).gather(found[axis].cast(pl.Int64))
    return found.with_columns(text.alias(axis)).filter(pl.col(value) > 0)


def _has_all(place: int, *masks: Sequence[str]) -> list[pl.Expr]:
    """Return whether rows have the bit of a name in the numbers `masks`, each of which holds `BITS` of the names."""
    return [has(each[place // BITS], place % BITS) for each in masks if each]


def has(mask: str, bit: int) -> pl.Expr:
    """Return whether a number has a bit."""
    return (pl.col(mask) & (1 << bit)) != 0
