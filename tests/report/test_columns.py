"""The columns of a report, read as `docs/reference/report-files.md` describes them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.naming import UNION_STACK
from cachestats.report.paths import path_of

NAMED = ("package", "version", "platform", "os", "target", "compiler", "flags", "namespace")


def data_of(path: Path) -> bytes:
    call = re.fullmatch(r'cachestats\.data\("([\w+/=]*)"\);\n', path.read_text())
    assert call
    return zlib.decompress(base64.b64decode(call[1]))


def read_columns(path: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return the head of a script with columns, and the columns."""
    data = data_of(path)
    start = 4 + int.from_bytes(data[:4], "little")
    head, found = json.loads(data[4:start]), {}
    for name, about in head["columns"].items():
        rows, width = about["rows"], about["width"]
        planes = [data[start + rows * place : start + rows * (place + 1)] for place in range(width)]
        found[name] = [int.from_bytes(each, "little") for each in zip(*planes, strict=True)] if width else [0] * rows
        start += rows * width
    assert start == len(data)
    return head, found


@pytest.mark.slow
def test_the_columns_hold_every_spec(report: Path, sample: cs.Dataset) -> None:
    names = json.loads(data_of(report / "names.js"))
    texts = texts_of_variants(report / "variants.js")
    found = []
    for snapshot in names["snapshots"]:
        _, columns = read_columns(report / snapshot["script"])
        places = [*zip(columns["package"], ids(columns), strict=True)]
        assert places == sorted({*places})
        for row, (_, place) in enumerate(places):
            values = {name: names["names"][name][columns[name][row]] for name in (*NAMED, "libc")}
            dag_hash = hashes_of(report / path_of("specs", values["package"]))[place]
            stacks = names["sets"][columns["stacks"][row]]
            found.append((snapshot["name"], dag_hash, stacks, texts[columns["variants"][row]], *values.values()))
    stacks = pl.col("stack").filter(pl.col("stack") != UNION_STACK).sort().alias("stacks")
    libc = pl.format("{}@{}", pl.col("libc"), pl.col("libc_version"))
    others = [pl.col(name).first() for name in ("variants", *NAMED, "libc")]
    table = sample.specs.with_columns(libc=libc).group_by("snapshot", "hash").agg(stacks, *others)
    assert sorted(found, key=lambda row: row[:2]) == table.sort("snapshot", "hash").collect().rows()
    assert len(found) == 8216


@cache
def hashes_of(path: Path) -> list[str]:
    return json.loads(data_of(path))["hashes"]


def ids(columns: dict[str, list[int]]) -> list[int]:
    """Return the ids of the specs of a snapshot."""
    found: list[int] = []
    before = None
    for package, step in zip(columns["package"], columns["step"], strict=True):
        found.append(step + (found[-1] if package == before else 0))
        before = package
    return found


def texts_of_variants(path: Path) -> list[str]:
    """Return the texts that the column `variants` refers to."""
    head, columns = read_columns(path)
    names = [head["names"][member] for member in columns["members"]]
    ends = [*accumulate(columns["lengths"])]
    return [" ".join(names[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
