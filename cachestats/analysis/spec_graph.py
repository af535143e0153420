"""The specs of several snapshots, each hash once, and the link and run dependencies between them, as row numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from cachestats.codes import code_of
from cachestats.dataset.dataset import with_dependencies
from cachestats.dataset.subset import Subset
from cachestats.naming import snapshot_order


@dataclass(frozen=True)
class SpecGraph:
    """The specs of a subset, each hash once, and what they are linked to or run with.

    A dependency that is external or not cached is left out: nothing can be said about its binary.

    Attributes
    ----------
    specs : polars.DataFrame
        A row for each hash, sorted by it: its codes `spec`, `package` and `version`; `size_bytes`, the largest that is
        known; `age`, the number of snapshots that are newer than the newest one with it; `is_known`, whether its
        dependencies are known; and the columns that were asked for.
    edges : polars.DataFrame
        The distinct pairs of the row of a `spec` and that of a `dependency`.
    """

    specs: pl.DataFrame
    edges: pl.DataFrame

    @classmethod
    def of(cls, subset: Subset, *columns: str, **marks: pl.Expr) -> SpecGraph:
        """Read the graph of a subset.

        Parameters
        ----------
        subset
            The snapshots; all of their specs.
        *columns
            Further columns of the table `encoded_specs`; a value that some snapshot knows goes before null.
        **marks
            Conditions on rows of the table `encoded_specs`; a spec meets one if it does so in any snapshot.
        """
        names = sorted(subset.names, key=snapshot_order, reverse=True)
        ages = {code_of(name): age for age, name in enumerate(names)}
        known = [code_of(name) for name in with_dependencies(subset.dataset, names)]
        snapshot = pl.col("snapshot")
        taken = dict.fromkeys(("package", "version", "size_bytes", *columns))
        specs = (
            subset.dataset.scan("encoded_specs", snapshots=subset.names)
            .select(
                "spec",
                *taken,
                snapshot.replace_strict([*ages], [*ages.values()], default=None, return_dtype=pl.Int32).alias("age"),
                snapshot.is_in(known).alias("is_known"),
                *(mark.fill_null(False).alias(name) for name, mark in marks.items()),
            )
            .group_by("spec")
            .agg(pl.col(*taken).max(), pl.col("age").min(), pl.col("is_known", *marks).any())
            .sort("spec")
            .collect(engine="streaming")
        )
        pairs = _links(subset).select("spec", "dependency").unique().collect(engine="streaming")
        rows = specs.select("spec").with_row_index("row")
        edges = (
            pairs.join(rows, on="spec")
            .join(rows.rename({"spec": "dependency", "row": "below"}), on="dependency")
            .select(spec="row", dependency="below")
        )
        return cls(specs, edges)

    @cached_property
    def dependents(self) -> pl.Series:
        """The number of specs that depend on each spec directly."""
        counts = self.edges["dependency"].value_counts()
        return pl.zeros(self.specs.height, pl.Int64, eager=True).scatter(counts["dependency"], counts["count"])

    def by_need(self, num_environments: pl.Series) -> pl.Series:
        """Return the rows of all specs, those first that are needed most.

        By the number of environments that need them, by that of the specs that depend on them directly, the newest
        first, then the smallest, then by hash.
        """
        ranked = self.specs.select("age", "size_bytes").with_columns(
            environments=num_environments, dependents=self.dependents
        )
        descending = {"environments": True, "dependents": True, "age": False, "size_bytes": False}
        # What is the same for all, as in pages, would make sorting ten times as slow.
        told = [name for name in descending if ranked[name].min() != ranked[name].max()]
        if not told:
            return pl.int_range(ranked.height, eager=True)
        order = [descending[name] for name in told]
        rows = ranked.select(told).with_row_index("row")
        return rows.sort(told, descending=order, nulls_last=True, maintain_order=True)["row"]

    def closed(self, kept: pl.Series) -> pl.Series:
        """Return whether each spec is kept, or a kept one needs it directly or indirectly."""
        kept, edges = kept.clone(), self.edges
        while True:
            edges = edges.filter(~kept.gather(edges["dependency"]))
            needed = edges.filter(kept.gather(edges["spec"]))["dependency"]
            if needed.is_empty():
                return kept
            kept = kept.scatter(needed.unique(), True)

    def needed_since(self, ages: pl.Series) -> pl.Series:
        """Return for each spec the least of its own age and those of the specs that need it."""
        ages, edges = ages.clone(), self.edges
        while True:
            younger = edges.with_columns(age=ages.gather(edges["spec"])).filter(
                pl.col("age") < ages.gather(edges["dependency"])
            )
            if younger.is_empty():
                return ages
            least = younger.group_by("dependency").agg(pl.col("age").min())
            ages = ages.scatter(least["dependency"], least["age"])

    def in_one_snapshot(self, edges: pl.DataFrame, subset: Subset) -> pl.DataFrame:
        """Return those of some edges of which a snapshot of the subset has both ends.

        Elsewhere, what the spec needs is missing already, even if another snapshot has it.
        """
        codes = self.specs["spec"]
        pairs = edges.select(
            "spec", "dependency", owner=codes.gather(edges["spec"]), needed=codes.gather(edges["dependency"])
        )
        links = _links(subset).select("snapshot", owner="spec", needed="dependency")
        cached = subset.dataset.scan("encoded_specs", snapshots=subset.names)
        there = (
            links.join(pairs.lazy(), on=["owner", "needed"], how="semi")
            .join(cached.select("snapshot", owner="spec"), on=["snapshot", "owner"], how="semi")
            .join(cached.select("snapshot", needed="spec"), on=["snapshot", "needed"], how="semi")
            .collect(engine="streaming")
        )
        return pairs.join(there, on=["owner", "needed"], how="semi").select("spec", "dependency")


def _links(subset: Subset) -> pl.LazyFrame:
    """Return the rows of the table `encoded_dependencies` without which a binary cannot be used."""
    return subset.dataset.scan("encoded_dependencies", snapshots=subset.names).filter(
        pl.col("is_link") | pl.col("is_run"), ~pl.col("is_external").fill_null(False)
    )
