"""The specs of every package, and the counts of every snapshot, in the form that the scripts of a report load.

A page opened from disk may load nothing but scripts, so data is written as a function call with one JSON value.
`specs/<package>.js` contains all specs of a package, and `cells/<snapshot>.js` the counts by which the table of
packages is filtered. Names are written once in each script, as values, and stand elsewhere as their positions; so are
specs, most of which are in many snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

Row = dict[str, Any]


@dataclass(frozen=True)
class Joined:
    """Texts that share words: for each, the positions of its words, and what stands between these."""

    words: list[str]
    between: str
    texts: list[list[int]]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], between: str) -> Joined:
        """Return texts that are given as their words."""
        places: dict[str, int] = {}
        found = [[places.setdefault(word, len(places)) for word in words] for words in texts]
        return cls(list(places), between, found)

    def __getitem__(self, position: int) -> str:
        return self.between.join(self.words[word] for word in self.texts[position])


@dataclass(frozen=True)
class Specs:
    """The specs of one package: each distinct one once, the newest version first."""

    values: list[list[Any] | Joined]
    """The values of each column except `hash`; the versions are in Spack's order, the newest first."""
    hashes: list[str]
    codes: list[list[int] | int]
    """For each column, the position of each spec's value, or the only one if all have the same."""
    snapshots: list[tuple[str, list[int]]]
    """The positions of the specs of each snapshot, the newest snapshot first."""

    def of(self, snapshot: str, count: int) -> list[Row]:
        """Return the first specs of a snapshot."""
        positions = dict(self.snapshots).get(snapshot, [])[:count]
        return [
            {"hash": self.hashes[position]}
            | {
                column: values[codes if isinstance(codes, int) else codes[position]]
                for column, values, codes in zip(_CODED, self.values, self.codes, strict=True)
            }
            for position in positions
        ]


def write_specs(dataset: Dataset, names: list[str], folder: Path, *, shown: int) -> dict[str, list[Row]]:
    """Write the scripts of all snapshots, given oldest first, and return the first specs of the last one by package."""
    ranks = _Ranks(dataset, names)
    parts = []
    for name in names:
        rows = ranks.rows(name)
        _write_call(folder / path_of("cells", name), "cells", _cells(name, rows, ranks))
        parts.append(rows.drop("compiler_name"))
    every = pl.concat(parts)
    del parts
    first = {}
    for start in range(0, len(ranks.names["package"]), _PACKAGES_AT_ONCE):
        part = every.filter(pl.col("package").is_between(start, start + _PACKAGES_AT_ONCE, closed="left"))
        for package, specs in _by_package(part, ranks):
            _write_call(folder / path_of("specs", package), "specs", specs)
            if found := specs.of(names[-1], shown):
                first[package] = found
    return first


class _Ranks:
    """The names in each column, in order, and the rows of all snapshots with their positions in place of codes."""

    def __init__(self, dataset: Dataset, names: list[str]) -> None:
        self._dataset, snapshots = dataset, dataset.at(names).snapshots
        self.names: dict[str, list[Any]] = {"snapshot": names}
        positions = {"snapshot": {code_of(name): position for position, name in enumerate(names)}}
        for column in _NAMED:
            known = {name: code for code, name in dataset.names.of(column, snapshots).iter_rows()}
            ordered = sorted(known)
            if column == "version":
                ordered = sorted(known, key=lambda name: (version_key(name), name), reverse=True)
            self.names[column] = [None, *ordered]
            positions[column] = {known[name]: position for position, name in enumerate(ordered, 1)}
        in_sets = dataset.names.stacks(snapshots).group_by("code").agg("stack")
        sets = {code: _shown(stacks) for code, stacks in in_sets.iter_rows()}
        self.names["stacks"] = sorted(set(sets.values()))
        places = {stacks: position for position, stacks in enumerate(self.names["stacks"])}
        positions["stacks"] = {code: places[stacks] for code, stacks in sets.items()}
        self._positions = {
            column: (pl.Series(known.keys(), dtype=pl.Int64), pl.Series(known.values(), dtype=pl.UInt32))
            for column, known in positions.items()
        }

    def rows(self, snapshot: str) -> pl.DataFrame:
        """Return a row for each spec of a snapshot."""
        columns = [
            pl.col(column).replace_strict(codes, positions, default=0, return_dtype=pl.UInt32)
            for column, (codes, positions) in self._positions.items()
        ]
        frame = self._dataset.at(snapshot).encoded("spec", "hash", "size_bytes", *self._positions)
        return frame.with_columns(*columns, pl.col("size_bytes").fill_null(-1)).collect(engine="streaming")

    def values(self, column: str, positions: Iterable[int]) -> list[Any] | Joined:
        """Return the values that positions stand for, as the specs of a package show them."""
        if column == "size_bytes":
            return [None if size < 0 else size for size in positions]
        found = [self.names[column][position] for position in positions]
        if column == "stacks":
            return Joined.of(found, ", ")
        return Joined.of((text.split(" ") for text in found), " ") if column == "variants" else found


def _shown(stacks: Iterable[str | None]) -> tuple[str, ...]:
    """Return the stacks of a spec that are shown: all except root, or root if there is no other."""
    named = sorted(stack for stack in stacks if stack is not None)
    return tuple(stack for stack in named if stack != UNION_STACK) or tuple(named)


def _by_package(rows: pl.DataFrame, ranks: _Ranks) -> Iterator[tuple[str, Specs]]:
    specs = (
        rows.lazy()
        .group_by("package", "spec", *_CODED)
        .agg(pl.col("hash").first(), pl.col("snapshot"))
        .sort("package", "version", "spec")
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


def _cells(name: str, rows: pl.DataFrame, ranks: _Ranks) -> Row:
    """Count specs by package, version, target, os, compiler and set of stacks; filters add these counts up."""
    by = ("package", *_CELL_COLUMNS)
    cells = rows.group_by(by).agg(specs=pl.len()).sort(by)
    packages = cells["package"].rle().struct.unnest()
    names = [ranks.names["package"][one] for one in packages["value"]]
    values = {column: [ranks.names[column][one] for one in cells[column].unique().sort()] for column in _CELL_COLUMNS}
    coded = {column: cells[column].rank("dense") - 1 for column in _CELL_COLUMNS}
    # The newest version has the largest code.
    values["version"].reverse()
    coded["version"] = len(values["version"]) - 1 - coded["version"]
    return {
        "snapshot": name,
        "values": {
            "package": names,
            "version": values["version"],
            "target": values["target"],
            "os": values["os"],
            "compiler": [compiler or NO_STACK for compiler in values["compiler_name"]],
        },
        "sets": values["stacks"],
        # The page of any other package is `packages/<package>.html`.
        "links": {one: path for one in names if (path := path_of("packages", one)) != f"packages/{one}.html"},
        "cells": [one.to_list() for one in (packages["len"], *coded.values(), cells["specs"])],
    }


def _write_call(path: Path, function: str, value: Any) -> None:
    path.write_bytes(f"cachestats.{function}(".encode() + msgspec.json.encode(value) + b");\n")
