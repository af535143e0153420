"""The specs of every package, in the form that the scripts of a report load.

`specs/<package>.js` contains all specs of a package. Names are written once in each script, as values, and stand
elsewhere as their positions; so are specs, most of which are in many snapshots. The page of a package, and its file for
programs, are made of the same values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Any

import polars as pl

from cachestats.report.ranks import CODED, Ranks

SpecValues = tuple[Any, ...]


@dataclass(frozen=True)
class Specs:
    """The specs of one package: each distinct one once, the newest version first."""

    values: list[list[Any]]
    """The values of each column except `hash`; the versions are in Spack's order, the newest first."""
    hashes: list[str]
    codes: list[list[int] | int]
    """For each column, the position of each spec's value, or the only one if all have the same."""
    snapshots: list[tuple[str, list[int]]]
    """The positions of the specs of each snapshot, the newest snapshot first; each as its distance from the last."""

    def positions(self, snapshot: str) -> list[int]:
        """Return the positions of the specs of a snapshot."""
        return [*accumulate(dict(self.snapshots).get(snapshot, []))]

    def first(self, snapshot: str, count: int) -> list[SpecValues]:
        """Return the first specs of a snapshot: for each, its values in `SPEC_COLUMNS`."""
        positions = self.positions(snapshot)[:count]
        columns = ([self.values[place][code] for code in self._codes(place, positions)] for place in range(len(CODED)))
        return [*zip((self.hashes[position] for position in positions), *columns, strict=True)]

    def counts(self, snapshot: str, *columns: str) -> dict[SpecValues, int]:
        """Return which values in some columns the specs of a snapshot have, and how many specs have them."""
        positions, places = self.positions(snapshot), [CODED.index(column) for column in columns]
        found = Counter(zip(*(self._codes(place, positions) for place in places), strict=True))
        return {
            tuple(self.values[place][code] for place, code in zip(places, codes, strict=True)): number
            for codes, number in found.items()
        }

    def _codes(self, place: int, positions: list[int]) -> Iterable[int]:
        codes = self.codes[place]
        return repeat(codes, len(positions)) if isinstance(codes, int) else [codes[position] for position in positions]


def by_package(rows: pl.DataFrame, ranks: Ranks) -> Iterator[tuple[str, Specs]]:
    """Yield the packages of some rows, sorted by `in_order`, and their specs."""
    specs = rows.unique(["package", "position"], keep="first", maintain_order=True)
    values = specs.lazy().group_by("package").agg(pl.col(CODED).unique().sort()).sort("package").collect()
    codes = specs.select(pl.col(CODED).rank("dense").over("package") - 1)
    listed = (
        rows.lazy()
        .select("package", "snapshot", "position")
        .group_by("package", "snapshot")
        .agg(pl.col("position").sort())
        .with_columns(pl.col("position").list.eval(pl.element() - pl.element().shift(1, fill_value=0)))
        .sort("package", "snapshot", descending=[False, True])
        .group_by("package", maintain_order=True)
        .agg("snapshot", "position")
        .collect()
    )
    lengths = specs["package"].rle().struct.field("len").to_list()
    starts = [0, *accumulate(lengths)]
    for start, length, found, (_, snapshots, positions) in zip(
        starts, lengths, values.iter_rows(named=True), listed.iter_rows(), strict=False
    ):
        part = codes.slice(start, length)
        shown = {column: ranks.values(column, found[column]) for column in CODED}
        shown["stacks"] = [", ".join(stacks) for stacks in shown["stacks"]]
        yield (
            ranks.names["package"][found["package"]],
            Specs(
                [*shown.values()],
                specs["hash"].slice(start, length).to_list(),
                [part[column].to_list() if len(found[column]) > 1 else 0 for column in CODED],
                [(ranks.names["snapshot"][one], there) for one, there in zip(snapshots, positions, strict=True)],
            ),
        )
