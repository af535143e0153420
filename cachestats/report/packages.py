"""The specs of every package, snapshot by snapshot, in the form that the scripts of a report load.

A page opened from disk may load nothing but scripts, so data is written as a function call with one JSON value.
`specs/<package>.js` contains all specs of a package, and `cells/<snapshot>.js` the counts by which the table of
packages is filtered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from cachestats.dataset.dataset import Dataset
from cachestats.naming import UNION_STACK, version_key
from cachestats.report.paths import path_of

SPEC_COLUMNS = ("hash", "version", "os", "target", "compiler", "stacks", "variants", "size_bytes", "platform")
_CODED = SPEC_COLUMNS[1:]
_BETWEEN = "\x1f"  # occurs in no name
_CELL_COLUMNS = ("package", "version", "target", "os", "compiler", "stacks")


class Specs(NamedTuple):
    """The specs of one package in one snapshot: the values of each column except `hash`, and rows of their codes.

    The newest version comes first, so that the codes of versions follow Spack's order.
    """

    values: list[list[Any]]
    rows: list[list[Any]]


def write_specs(dataset: Dataset, names: list[str], folder: Path) -> dict[str, Specs]:
    """Write the scripts of all snapshots, given oldest first, and return the specs of the last one by package."""
    written: dict[str, list[bytes]] = {}
    last: dict[str, Specs] = {}
    for name in names:
        frame = _of_snapshot(dataset, name)
        _write_call(folder / path_of("cells", name), "cells", _cells(name, frame))
        for package, specs in _by_package(frame):
            written.setdefault(package, []).append(msgspec.json.encode([name, specs.values, specs.rows]))
            if name == names[-1]:
                last[package] = specs
    for package, parts in written.items():
        data = b",".join(reversed(parts))  # the newest snapshot first
        (folder / path_of("specs", package)).write_bytes(b"cachestats.specs([" + data + b"]);\n")
    return last


def _of_snapshot(dataset: Dataset, name: str) -> pl.DataFrame:
    """Return a row for each spec of a snapshot, sorted by package, version (the newest first) and hash.

    The stacks of a spec are joined in one text: all except root, or root if there is no other.
    """
    every = pl.col("stack").drop_nulls().unique().sort()
    others = every.filter(every != UNION_STACK)
    stacks = pl.when(others.len() > 0).then(others.str.join(_BETWEEN)).otherwise(every.str.join(_BETWEEN))
    fields = [column for column in SPEC_COLUMNS if column not in {"hash", "stacks"}]
    frame = (
        dataset.scan("specs", snapshots=[name])
        .group_by("package", "hash")
        .agg(stacks.alias("stacks"), pl.col(fields).first(), pl.col("compiler_name").first())
        .collect()
    )
    versions = sorted(frame["version"].unique(), key=version_key, reverse=True)
    age = pl.col("version").replace_strict(versions, range(len(versions)), return_dtype=pl.Int64)
    return frame.sort("package", age, "hash")


def _by_package(frame: pl.DataFrame) -> Iterator[tuple[str, Specs]]:
    shown = frame.with_columns(pl.col("stacks").str.replace_all(_BETWEEN, ", ", literal=True))
    columns = [shown[column].to_list() for column in _CODED]
    hashes = frame["hash"].to_list()
    runs = frame["package"].rle().struct.unnest()
    start = 0
    for length, package in runs.iter_rows():
        end = start + length
        values: list[list[Any]] = []
        coded: list[list[Any]] = [hashes[start:end]]
        for column in columns:
            codes: dict[Any, int] = {}
            coded.append([codes.setdefault(value, len(codes)) for value in column[start:end]])
            values.append(list(codes))
        yield package, Specs(values, [list(row) for row in zip(*coded, strict=True)])
        start = end


def _cells(name: str, frame: pl.DataFrame) -> dict[str, Any]:
    """Count specs by package, version, target, os, compiler and set of stacks; filters add these counts up."""
    cells = (
        frame.with_columns(compiler=pl.col("compiler_name").fill_null("none"))
        .group_by(_CELL_COLUMNS)
        .agg(specs=pl.len())
        .sort(_CELL_COLUMNS)
    )
    values = {column: cells[column].unique().sort().to_list() for column in _CELL_COLUMNS}
    values["version"].sort(key=version_key)  # the newest version has the largest code
    codes = {column: {value: code for code, value in enumerate(values[column])} for column in _CELL_COLUMNS}
    coded = [[codes[column][value] for value in cells[column].to_list()] for column in _CELL_COLUMNS]
    sets = [stacks.split(_BETWEEN) if stacks else [] for stacks in values.pop("stacks")]
    return {
        "snapshot": name,
        "values": values,
        "sets": sets,
        "links": [path_of("packages", package) for package in values["package"]],
        "cells": [*coded, cells["specs"].to_list()],
    }


def _write_call(path: Path, function: str, value: Any) -> None:
    path.write_bytes(f"cachestats.{function}(".encode() + msgspec.json.encode(value) + b");\n")
