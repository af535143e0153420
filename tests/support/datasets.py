"""Datasets compared, and archives of checkouts."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

import cachestats as cs
from cachestats.dataset.manifest import MANIFEST, Manifest, manifest_bytes
from cachestats.parse.records import INDEX_ONLY
from cachestats.schema import STORED_TABLES, TABLES


def bytes_of(dataset: cs.Dataset) -> dict[str, bytes]:
    """Return the files that depend on nothing but the inputs' contents, as they are now."""
    dataset = cs.open_dataset(dataset.path)
    tables = [table.name for table in STORED_TABLES.values() if table.by_snapshot]
    return {f"{table}/{path.name}": path.read_bytes() for table in tables for path in dataset.files(table)} | {
        "common_names": dataset.files("common_names")[0].read_bytes()
    }


OF_INDICES = (*INDEX_ONLY, "requirement")
"""The columns that pages fill in another way than indices do, or not at all."""


def column_bytes(dataset: cs.Dataset, without: Collection[str] = ()) -> dict[str, bytes]:
    """Return what the files of `specs` and `variants` hold of each column, as it is stored, but for some columns."""
    found = {}
    for table in ("specs", "variants"):
        for path in dataset.files(table):
            data, groups = path.read_bytes(), pq.ParquetFile(path).metadata
            for group in range(groups.num_row_groups):
                for chunk in map(groups.row_group(group).column, range(groups.num_columns)):
                    if chunk.path_in_schema not in without:
                        start = chunk.dictionary_page_offset or chunk.data_page_offset
                        name = f"{table}/{path.name}/{chunk.path_in_schema}/{group}"
                        found[name] = data[start : start + chunk.total_compressed_size]
    return found


def members(site: Path, seed: int) -> list[tuple[str, bytes]]:
    """Return the pages of a checkout, in a random order and as code hosts name them, and two other files."""
    found = [(f"cache-main/{path.relative_to(site)}", path.read_bytes()) for path in sorted(site.rglob("specs.md"))]
    random.Random(seed).shuffle(found)
    return [*found, ("cache-main/README.md", b"# Not a page"), ("cache-main/_cache/x/y/spec-0.json", b"{}")]


def site_archive(site: Path, path: Path, seed: int) -> Path:
    """Pack a checkout of the site, as a code host does, and return the path, whose ending says the kind.

    It has pages only, below `cache-main/` and in an order that the seed decides, and two files that are no pages.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in members(site, seed):
                zipped.writestr(name, data)
        return path
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tarred:
        for name, data in members(site, seed):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tarred.addfile(member, io.BytesIO(data))
    if path.suffix == ".tar":
        path.write_bytes(plain.getvalue())
    else:
        import pyarrow as pa

        with pa.output_stream(str(path), compression={".gz": "gzip", ".zst": "zstd"}[path.suffix]) as stream:
            stream.write(plain.getvalue())
    return path


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a dataset, which keeps a checksum that fits."""
    found = json.loads((folder / MANIFEST).read_text())
    change(found)
    (folder / MANIFEST).write_bytes(manifest_bytes(msgspec.convert(found, Manifest)))


def state(dataset: cs.Dataset) -> list[object]:
    """Return everything in a dataset but when it was read and written, and the dates of what was read."""
    tables = [dataset.scan(table).drop("read_at", "fingerprint", strict=False).collect().rows() for table in TABLES]
    sources = {
        name: msgspec.structs.replace(source, folders={}, is_whole=False)
        for name, source in dataset.manifest.sources.items()
    }
    return [tables, msgspec.structs.replace(dataset.manifest, sources=sources, files={}, runs=[])]
