"""The specs of a report as rows of small numbers: in place of each name, its position among the names of its column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import polars as pl

from cachestats.codes import code_of
from cachestats.dataset.names import Names
from cachestats.dataset.subset import Subset
from cachestats.naming import UNION_STACK, natural_key, sort_versions, version_key
from cachestats.targets import target_order

SPEC_COLUMNS = ("hash", "version", "os", "target", "compiler", "stacks", "variants", "size_bytes", "platform")
"""What the page of a package tells of a spec."""
CODED = SPEC_COLUMNS[1:]

_ENCODED = (
    "package", "version", "platform", "os", "target", "compiler", "variants", "flags", "namespace", "libc",
    "libc_version", "requirement",
)  # fmt: skip
_ORDER: dict[str, Callable[[str], Any]] = {
    "os": natural_key,
    "target": target_order,
    "compiler": natural_key,
    "libc_version": version_key,
}
# Rows that differ in their stacks alone follow one another, so that the same spec of several snapshots does.
_SORTED_BY = (
    "package", "version", "os", "target", "compiler", "platform", "variants", "size_bytes", "spec", "stacks",
)  # fmt: skip
_PARTS = 8  # rows are read in so many parts: all at once would take most of the memory of a report


class Ranks:
    """The names in each column, in the order in which they are shown, and rows with the positions of names in it.

    Position 0 stands for no name. Versions are in Spack's order, the newest first.
    """

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        names, snapshots = subset.names, subset.snapshots
        # Not the names that the dataset keeps: the variants take more memory than all the others.
        known = Names(subset.dataset)
        self.names = {"snapshot": pl.Series([*names], dtype=pl.String)}
        self._codes = {"snapshot": pl.Series(map(code_of, names), dtype=pl.Int64)}
        for column in _ENCODED:
            found = _sorted_names(column, known.of(column, snapshots))
            self.names[column] = pl.concat([pl.Series([None], dtype=pl.String), found["name"]])
            self._codes[column] = pl.concat([pl.Series([None], dtype=pl.Int64), found["code"]])
        in_sets = known.stacks(snapshots).group_by("code").agg("stack")
        sets = {code: _shown(stacks) for code, stacks in in_sets.iter_rows()}
        shown = sorted(set(sets.values()))
        places = {stacks: position for position, stacks in enumerate(shown)}
        self.names["stacks"] = pl.Series(map(list, shown), dtype=pl.List(pl.String))
        self._sets = {code: places[stacks] for code, stacks in sets.items()}

    def rows(self) -> Iterator[pl.DataFrame]:
        """Yield the specs of some packages at a time, a row for each spec of a snapshot, as `in_order` returns them."""
        frame = self._subset.encoded("spec", "hash", "size_bytes", *self._codes, "stacks").with_columns(
            pl.col("stacks").replace_strict(self._sets, return_dtype=pl.UInt32), pl.col("size_bytes").fill_null(-1)
        )
        ranks = {column: _ranks(column, codes) for column, codes in self._codes.items()}
        packages = self._codes["package"].drop_nulls().to_list()
        at_once = -(-len(packages) // _PARTS) or 1
        for start in range(0, len(packages) or 1, at_once):  # one part without rows if there are no packages
            rows = frame.filter(pl.col("package").is_in(packages[start : start + at_once]))
            for column in self._codes:
                rows = (
                    rows.join(ranks[column], on=column, how="left", nulls_equal=True)
                    .with_columns(pl.col("rank").fill_null(0).alias(column))
                    .drop("rank")
                )
            yield in_order(rows.collect(engine="streaming"))

    def values(self, column: str, positions: list[int] | pl.Series) -> list[Any]:
        """Return the values that positions stand for."""
        if column == "size_bytes":
            return [None if size < 0 else size for size in positions]
        return self.names[column][positions].to_list()  # `gather` would take ten times as long


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows sorted by package and version, whatever their order was, with the places of their specs.

    `position` counts the distinct rows of a package, whatever the snapshot. `id` is the first position of a spec, which
    has several if, for instance, its stacks differ between snapshots.
    """
    found = rows.sort(*_SORTED_BY, "snapshot")
    distinct = ("package", "spec", *CODED)
    is_new = pl.any_horizontal(pl.col(column).ne_missing(pl.col(column).shift()) for column in distinct)
    return (
        found.with_columns(position=is_new.cum_sum().cast(pl.UInt32))
        .with_columns(position=pl.col("position") - pl.col("position").min().over("package"))
        .with_columns(id=pl.col("position").min().over("package", "spec"))
    )


def _ranks(column: str, codes: pl.Series) -> pl.LazyFrame:
    """Return the codes of a column, and for each one its position, as `rank`, in no more bytes than it needs."""
    positions = pl.int_range(len(codes), eager=True).cast(pl.UInt16 if len(codes) < 1 << 16 else pl.UInt32)
    return pl.LazyFrame({column: codes, "rank": positions})


def _sorted_names(column: str, names: pl.DataFrame) -> pl.DataFrame:
    """Return the names of a column, and their codes, in the order in which they are shown."""
    if column == "version":
        order = sort_versions(names["name"])[::-1]
    elif column in _ORDER:
        order = sorted(names["name"], key=_ORDER[column])
    else:
        return names
    return pl.DataFrame({"name": order}, {"name": pl.String}).join(names, on="name", maintain_order="left")


def _shown(stacks: Iterable[str | None]) -> tuple[str, ...]:
    """Return the stacks of a spec that are shown: all except root, or root if there is no other."""
    named = sorted(stack for stack in stacks if stack is not None)
    return tuple(stack for stack in named if stack != UNION_STACK) or tuple(named)
