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
from cachestats.dataset.names import Names
from cachestats.dataset.subset import Subset
from cachestats.naming import UNION_STACK, version_key
from cachestats.report.paths import NO_STACK, path_of
from cachestats.report.rows import Row

SPEC_COLUMNS = ("hash", "version", "os", "target", "compiler", "stacks", "variants", "size_bytes", "platform")
_CODED = SPEC_COLUMNS[1:]
_CELL_COLUMNS = ("version", "target", "os", "compiler_name", "stacks")
_NAMED = ("package", "version", "os", "target", "compiler", "compiler_name", "variants", "platform")
_PACKAGES_AT_ONCE = 100  # to bound the memory
_LEVEL = 3  # of compression: the highest makes the files 7% smaller, in several times the time

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


def write_specs(subset: Subset, folder: Path, *, shown: int) -> dict[str, list[SpecValues]]:
    """Write the scripts of all snapshots, and return the first specs of the last one by package."""
    ranks, names = Ranks(subset), subset.names
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

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        names, snapshots = subset.names, subset.snapshots
        known = Names(
            subset.dataset
        )  # not those of the dataset, which stay: the variants take more memory than all the rest
        self.names = {"snapshot": pl.Series([*names], dtype=pl.String)}
        self._codes = {"snapshot": pl.Series(map(code_of, names), dtype=pl.Int64)}
        for column in _NAMED:
            found = known.of(column, snapshots)
            if column == "version":
                newest_first = sorted(found["name"], key=lambda name: (version_key(name), name), reverse=True)
                found = pl.DataFrame({"name": newest_first}).join(found, on="name", maintain_order="left")
            self.names[column] = pl.concat([pl.Series([None], dtype=pl.String), found["name"]])
            self._codes[column] = pl.concat([pl.Series([None], dtype=pl.Int64), found["code"]])
        in_sets = known.stacks(snapshots).group_by("code").agg("stack")
        sets = {code: _shown(stacks) for code, stacks in in_sets.iter_rows()}
        shown = sorted(set(sets.values()))
        places = {stacks: position for position, stacks in enumerate(shown)}
        self.names["stacks"] = pl.Series(map(list, shown), dtype=pl.List(pl.String))
        self._sets = {code: places[stacks] for code, stacks in sets.items()}

    def rows(self) -> pl.DataFrame:
        """Return a row for each spec of a snapshot."""
        columns = [
            pl.col(column).replace_strict(codes, range(len(codes)), default=0, return_dtype=pl.UInt32)
            for column, codes in self._codes.items()
        ]
        sets = pl.col("stacks").replace_strict(self._sets, return_dtype=pl.UInt32)
        frame = self._subset.encoded("spec", "hash", "size_bytes", *self._codes, "stacks")
        return frame.with_columns(*columns, sets, pl.col("size_bytes").fill_null(-1)).collect(engine="streaming")

    def values(self, column: str, positions: list[int] | pl.Series) -> list[Any]:
        """Return the values that positions stand for."""
        if column == "size_bytes":
            return [None if size < 0 else size for size in positions]
        return self.names[column].gather(positions).to_list()


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
        shown = {column: ranks.values(column, found[column]) for column in _CODED}
        shown["stacks"] = [", ".join(stacks) for stacks in shown["stacks"]]
        yield (
            ranks.names["package"][found["package"]],
            Specs(
                [*shown.values()],
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
    by = ("package", *_CELL_COLUMNS)
    for position, name in enumerate(ranks.names["snapshot"]):
        # One at a time: counting all of them at once takes twice the memory of the rows.
        cells = rows.lazy().filter(snapshot=position).group_by(by).agg(specs=pl.len()).sort(by).collect()
        packages = cells["package"].rle().struct.unnest()
        names = ranks.values("package", packages["value"])
        values = {column: ranks.values(column, cells[column].unique().sort()) for column in _CELL_COLUMNS}
        coded = {column: cells[column].rank("dense").cast(pl.Int64) - 1 for column in _CELL_COLUMNS}
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
