"""The specs of every package, and the counts of every snapshot, in the form that the scripts of a report load.

A page opened from disk may load nothing but scripts, so data is written as a function call with one JSON value, which
is compressed: no server does it for the disk, nor any for a host's limit on the size of a site.
`specs/<package>.js` contains all specs of a package, and `cells/<snapshot>.js` the counts by which the table of
packages is filtered. Names are written once in each script, as values, and stand elsewhere as their positions; so are
specs, most of which are in many snapshots.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from cachestats.codes import code_of
from cachestats.dataset.dataset import Dataset
from cachestats.naming import UNION_STACK, version_key
from cachestats.report.paths import NO_STACK, path_of

SPEC_COLUMNS = ("hash", "version", "os", "target", "compiler", "stacks", "variants", "size_bytes", "platform")
_CODED = SPEC_COLUMNS[1:]
_CELL_COLUMNS = ("version", "target", "os", "compiler_name", "stacks")
_NAMED = ("package", "version", "os", "target", "compiler", "compiler_name", "variants", "platform")
_PACKAGES_AT_ONCE = 100  # to bound the memory
_LEVEL = 3  # of compression: the highest makes the files 7% smaller, in several times the time

Row = dict[str, Any]
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

    def of(self, snapshot: str, count: int) -> list[SpecValues]:
        """Return the first specs of a snapshot: for each, its values in `SPEC_COLUMNS`."""
        positions = accumulate(dict(self.snapshots).get(snapshot, [])[:count])
        return [
            (
                self.hashes[position],
                *(
                    values[codes if isinstance(codes, int) else codes[position]]
                    for values, codes in zip(self.values, self.codes, strict=True)
                ),
            )
            for position in positions
        ]


def write_specs(dataset: Dataset, names: list[str], folder: Path, *, shown: int) -> dict[str, list[SpecValues]]:
    """Write the scripts of all snapshots, given oldest first, and return the first specs of the last one by package."""
    ranks = Ranks(dataset, names)
    every = ranks.rows()
    for name, cells in _cells(every, ranks):
        _write_data(folder / path_of("cells", name), cells)
    first = {}
    for start in range(0, len(ranks.names["package"]), _PACKAGES_AT_ONCE):
        part = every.filter(pl.col("package").is_between(start, start + _PACKAGES_AT_ONCE, closed="left"))
        for package, specs in by_package(part, ranks):
            _write_data(folder / path_of("specs", package), specs)
            if found := specs.of(names[-1], shown):
                first[package] = found
    return first


class Ranks:
    """The names in each column, in order, and the rows of all snapshots with their positions in place of codes."""

    def __init__(self, dataset: Dataset, names: list[str]) -> None:
        self._subset = dataset.at(names)
        snapshots = self._subset.snapshots
        self.names: dict[str, list[Any]] = {"snapshot": names}
        positions = {"snapshot": {code_of(name): position for position, name in enumerate(names)}}
        for column in _NAMED:
            known = {name: code for code, name in dataset.names.of(column, snapshots).iter_rows()}
            ordered = sorted(known)
            if column == "version":
                ordered = sorted(known, key=lambda name: (version_key(name), name), reverse=True)
            self.names[column] = [None, *ordered]
            positions[column] = {known[name]: position for position, name in enumerate(ordered, 1)}
        sets = {code: _shown(stacks) for code, stacks in dataset.names.stacks(snapshots)}
        self.names["stacks"] = sorted(set(sets.values()))
        self.names["shown_stacks"] = [", ".join(stacks) for stacks in self.names["stacks"]]
        places = {stacks: position for position, stacks in enumerate(self.names["stacks"])}
        positions["stacks"] = {code: places[stacks] for code, stacks in sets.items()}
        self._positions = {
            column: (pl.Series(known.keys(), dtype=pl.Int64), pl.Series(known.values(), dtype=pl.UInt32))
            for column, known in positions.items()
        }

    def rows(self) -> pl.DataFrame:
        """Return a row for each spec of a snapshot."""
        columns = [
            pl.col(column).replace_strict(codes, positions, default=0, return_dtype=pl.UInt32)
            for column, (codes, positions) in self._positions.items()
        ]
        frame = self._subset.encoded("spec", "hash", "size_bytes", *self._positions)
        return frame.with_columns(*columns, pl.col("size_bytes").fill_null(-1)).collect(engine="streaming")

    def values(self, column: str, positions: Iterable[int]) -> list[Any]:
        """Return the values that positions stand for, as the specs of a package show them."""
        if column == "size_bytes":
            return [None if size < 0 else size for size in positions]
        names = self.names["shown_stacks" if column == "stacks" else column]
        return [names[position] for position in positions]


def _shown(stacks: Iterable[str | None]) -> tuple[str, ...]:
    """Return the stacks of a spec that are shown: all except root, or root if there is no other."""
    named = sorted(stack for stack in stacks if stack is not None)
    return tuple(stack for stack in named if stack != UNION_STACK) or tuple(named)


def by_package(rows: pl.DataFrame, ranks: Ranks) -> Iterator[tuple[str, Specs]]:
    """Yield the packages of some rows, and their specs; the order of the rows does not matter."""
    specs = (
        rows.lazy()
        .group_by("package", "spec", *_CODED)
        .agg(pl.col("hash").first(), pl.col("snapshot"))
        # A spec has several rows if its stacks differ between snapshots.
        .sort("package", "version", "spec", *_CODED)
        .with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32).over("package"))
        .collect()
    )
    values = specs.lazy().group_by("package").agg(pl.col(_CODED).unique().sort()).sort("package").collect()
    codes = specs.select(pl.col(_CODED).rank("dense").over("package") - 1)
    listed = (
        specs.lazy()
        .select("package", "position", pl.col("snapshot"))
        .explode("snapshot")
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
        yield (
            ranks.names["package"][found["package"]],
            Specs(
                [ranks.values(column, found[column]) for column in _CODED],
                specs["hash"].slice(start, length).to_list(),
                [part[column].to_list() if len(found[column]) > 1 else 0 for column in _CODED],
                [(ranks.names["snapshot"][one], there) for one, there in zip(snapshots, positions, strict=True)],
            ),
        )


def _cells(rows: pl.DataFrame, ranks: Ranks) -> Iterator[tuple[str, Row]]:
    """Count specs by package, version, target, os, compiler and set of stacks; filters add these counts up."""
    # The page of any other package is `packages/<package>.html`.
    links = {
        name: path
        for name in ranks.names["package"][1:]
        if (path := path_of("packages", name)) != f"packages/{name}.html"
    }
    by = ("snapshot", "package", *_CELL_COLUMNS)
    every = rows.lazy().group_by(by).agg(specs=pl.len()).sort(by).collect(engine="streaming")
    for cells in every.partition_by("snapshot", maintain_order=True):
        name = ranks.names["snapshot"][cells["snapshot"][0]]
        packages = cells["package"].rle().struct.unnest()
        names = [ranks.names["package"][one] for one in packages["value"]]
        values = {
            column: [ranks.names[column][one] for one in cells[column].unique().sort()] for column in _CELL_COLUMNS
        }
        coded = {column: cells[column].rank("dense") - 1 for column in _CELL_COLUMNS}
        # The newest version has the largest code.
        values["version"].reverse()
        coded["version"] = len(values["version"]) - 1 - coded["version"]
        yield (
            name,
            {
                "snapshot": name,
                "values": {
                    "package": names,
                    "version": values["version"],
                    "target": values["target"],
                    "os": values["os"],
                    "compiler": [compiler or NO_STACK for compiler in values["compiler_name"]],
                },
                "sets": values["stacks"],
                "links": {one: links[one] for one in names if one in links},
                "cells": [one.to_list() for one in (packages["len"], *coded.values(), cells["specs"])],
            },
        )


def _write_data(path: Path, value: Any) -> None:
    data = base64.b64encode(zlib.compress(msgspec.json.encode(value), _LEVEL)).decode()
    path.write_text(f'cachestats.data("{data}");\n')
