"""Specs in frames of text, as a source of those that satisfy spec expressions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from cachestats.analysis.frames import collect_small, validated
from cachestats.dataset.expressions import SnapshotFacts
from cachestats.schema import DEPENDENCIES, SPECS
from cachestats.spack_releases import FORMAT_OF_SPACK_1, RULES, rules_of_snapshot

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


class FrameSource:
    """The tables `specs` and `dependencies` in frames: a source of specs, and its tables, whose names are text.

    A snapshot goes by the rules of Spack since 1.0 if one of its specs was first written by it.
    """

    def __init__(self, specs: pl.DataFrame, edges: pl.DataFrame) -> None:
        self._specs = specs
        self._edges = edges

    @classmethod
    def collect(cls, specs: IntoFrame, dependencies: IntoFrame | None = None) -> FrameSource:
        """Return the source of frames of any kind; without dependencies, it has none.

        Raises
        ------
        ArgumentError
            If a frame lacks a column of its table.
        """
        columns = [column.name for column in SPECS.columns]
        edges = pl.DataFrame(schema=DEPENDENCIES.polars())
        if dependencies is not None:
            checked = validated(dependencies, edges.columns, table="dependencies")
            edges = collect_small(checked.select(*edges.columns))
        return cls(collect_small(validated(specs, columns).select(*columns)), edges)

    @cached_property
    def snapshots(self) -> list[SnapshotFacts]:
        """The snapshots of the specs."""
        with_edges = {*self._edges["snapshot"].unique()}
        newest = self._specs.group_by("snapshot").agg(pl.col("spec_format").max())
        return [
            SnapshotFacts(
                name,
                is_spack_1=rules_of_snapshot(name) == RULES[-1] if form is None else form >= FORMAT_OF_SPACK_1,
                has_dependencies=name in with_edges,
            )
            for name, form in newest.iter_rows()
        ]

    def tables(self, snapshots: tuple[str, ...]) -> FrameSource:
        """Return the tables of some snapshots."""
        is_wanted = pl.col("snapshot").is_in(snapshots)
        return FrameSource(self._specs.filter(is_wanted), self._edges.filter(is_wanted))

    @property
    def specs(self) -> pl.LazyFrame:
        """The table `specs`."""
        return self._specs.lazy()

    @property
    def edges(self) -> pl.LazyFrame:
        """The table `dependencies`."""
        return self._edges.lazy()

    def key(self, name: str) -> Any:
        """Return a name as it is."""
        return name

    def begins(self, column: str, prefix: str) -> pl.Expr:
        """Return whether a hash begins with a prefix."""
        return pl.col(column).str.starts_with(prefix)

    def named(self, column: str, keys: pl.Series) -> pl.DataFrame:
        """Return names as they are."""
        return pl.DataFrame({"code": keys, "name": keys})

    def values(self, column: str) -> list[str]:
        """Return the names in a column of the specs."""
        return self._specs[column].drop_nulls().unique().sort().to_list()

    @cached_property
    def packages(self) -> set[str]:
        """The packages of the specs and of their dependencies."""
        return {*self._specs["package"], *self._edges["dependency_package"].drop_nulls()}

    @cached_property
    def virtuals(self) -> set[str]:
        """The virtual packages that dependencies provide."""
        return {one for text in self._edges["virtuals"].drop_nulls().unique() for one in text.split(",")}
