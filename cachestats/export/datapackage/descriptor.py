"""The descriptor of a data package: `datapackage.json`, following Data Package 2.0 (datapackage.org).

Version 1.0 supports tables only as CSV; 2.0 supports any format, and keys that may contain nulls (`uniqueKeys`).
Properties that 2.0 does not define, such as units, have names of our own, which it allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cachestats.dataset.dataset import Dataset
from cachestats.naming import snapshot_order, source_address
from cachestats.schema import SCHEMA_VERSION, TABLES, Column, DType, Table
from cachestats.text import counted
from cachestats.version import __version__

_PROFILES = "https://datapackage.org/profiles/2.0"
_MEDIA_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
_TYPES: dict[DType, str] = {
    "string": "string",
    "int64": "integer",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime",
}
_CSV_TIMESTAMP = "%Y-%m-%d %H:%M:%S.%fZ"


def descriptor(
    dataset: Dataset, snapshots: Sequence[str], files: Mapping[str, Path], rows: Mapping[str, int]
) -> dict[str, Any]:
    """Return the descriptor of tables that have been written to these files."""
    ordered = sorted(snapshots, key=snapshot_order)
    return {
        "$schema": f"{_PROFILES}/datapackage.json",
        "name": "cachestats",
        "title": "What Spack's binary build cache covers",
        "description": (
            f"{counted(len(ordered), 'snapshot')} of a build cache as flat tables. DICTIONARY.md also describes the "
            "columns, and KNOWN_ISSUES.md lists the limitations."
        ),
        "sources": _sources(dataset, ordered),
        "resources": [_resource(TABLES[name], path, rows[name], set(files)) for name, path in files.items()],
        "cachestats": {"version": __version__, "schema_version": SCHEMA_VERSION, "snapshots": ordered},
    }


def _sources(dataset: Dataset, snapshots: Sequence[str]) -> list[dict[str, str]]:
    """Return the sources of the snapshots. Only URLs are given as paths: local paths mean nothing elsewhere."""
    read = dataset.snapshots.select("snapshot", "source").collect().iter_rows()
    names = {source for name, sources in read if name in snapshots for source in sources.split("; ")}
    found = {name: source_address(name, one.name) for name, one in dataset.manifest.sources.items() if name in names}
    return [
        {"title": name, **({"path": address} if address.startswith(("https://", "http://")) else {})}
        for name, address in found.items()
    ]


def _resource(table: Table, path: Path, rows: int, names: set[str]) -> dict[str, Any]:
    kind = path.suffix[1:]
    with open(path, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    grain = f"{table.grain[0].upper()}{table.grain[1:]}."
    return {
        "$schema": f"{_PROFILES}/dataresource.json",
        "name": table.name,
        "type": "table",
        "path": path.name,
        "title": table.name.capitalize(),
        "description": f"{grain} {table.warning}" if table.warning else grain,
        "format": kind,
        "mediatype": _MEDIA_TYPES[kind],
        **({"encoding": "utf-8"} if kind == "csv" else {}),
        "bytes": path.stat().st_size,
        "hash": f"sha256:{checksum}",
        "rows": rows,
        "schema": _schema(table, names, is_csv=kind == "csv"),
    }


def _schema(table: Table, names: set[str], *, is_csv: bool) -> dict[str, Any]:
    may_be_null = {column.name for column in table.columns if column.nullable}
    # A primary key must not contain nulls, but the stack of a spec that no stack lists is null.
    key = {"uniqueKeys": [[*table.key]]} if may_be_null.intersection(table.key) else {"primaryKey": [*table.key]}
    references = [
        {"fields": [*reference.columns], "reference": {"resource": reference.table, "fields": [*reference.columns]}}
        for reference in table.references
        if reference.table in names
    ]
    return {
        "$schema": f"{_PROFILES}/tableschema.json",
        "fields": [_field(column, is_csv=is_csv) for column in table.columns],
        # Parquet has its own nulls, so an empty string is a value there. So it is in CSV text that is never null.
        "missingValues": [""] if is_csv else [],
        **key,
        **({"foreignKeys": references} if references else {}),
    }


def _field(column: Column, *, is_csv: bool) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": column.name,
        "type": _TYPES[column.dtype],
        "description": column.description,
    }
    if column.dtype == "timestamp" and is_csv:
        field["format"] = _CSV_TIMESTAMP
    if column.unit:
        field["unit"] = column.unit
    if not column.nullable:
        field["constraints"] = {"required": True}
        if is_csv and column.dtype == "string":
            field["missingValues"] = []
    return field
