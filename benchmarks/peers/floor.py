"""The floor under any build: read the pages, parse their JSON with simdjson, write the finished tables with pyarrow.

    python benchmarks/peers/floor.py FOLDER FINISHED OUT
    python benchmarks/peers/floor.py --prepare DATASET FINISHED

Nothing is made of what was parsed. The tables are taken ready from FINISHED, memory-mapped Arrow files with dictionary
columns, as a build hands them to the Parquet writer; `--prepare` makes them from a dataset and is not measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import simdjson

TABLES = ("specs", "variants")
ROW_GROUP = 128 * 1024


def prepare(dataset: Path, finished: Path) -> None:
    """Lay the tables of a dataset down as Arrow files whose text columns are dictionary-encoded."""
    for table in TABLES:
        (finished / table).mkdir(parents=True)
        for file in (dataset / table).iterdir():
            rows = pq.read_table(file)
            columns = [
                column.combine_chunks().dictionary_encode() if pa.types.is_string(column.type) else column
                for column in rows.columns
            ]
            encoded = pa.table(columns, rows.column_names).unify_dictionaries().combine_chunks()
            with pa.ipc.new_file(finished / table / f"{file.stem}.arrow", encoded.schema) as ipc:
                ipc.write_table(encoded)


def read_and_parse(folder: Path) -> None:
    """Read every page and parse its two lines of JSON."""
    parser = simdjson.Parser()
    for path in _pages(folder / "_cache"):
        with open(path, "rb", buffering=0) as file:
            lines = file.readall().split(b"\n")
        parser.parse(lines[4][len("meta: ") :])
        parser.parse(lines[5][len("spec_details: ") :])


def write(finished: Path, out: Path) -> None:
    """Write one finished table of one snapshot."""
    with pa.memory_map(str(finished)) as file:
        rows = pa.ipc.open_file(file).read_all()
        pq.write_table(rows, out, compression="zstd", row_group_size=ROW_GROUP, store_schema=False)


def main() -> None:
    """Do what the command line names, on all cores as far as the parser lets go of the interpreter."""
    if sys.argv[1] == "--prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    folder, finished, out = map(Path, sys.argv[1:])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(read_and_parse, folder)]
        for table in TABLES:
            (out / table).mkdir(parents=True)
            jobs += [
                pool.submit(write, file, out / table / f"{file.stem}.parquet") for file in (finished / table).iterdir()
            ]
        for job in jobs:
            job.result()


def _pages(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as snapshots:
        for snapshot in snapshots:
            with os.scandir(snapshot.path) as packages:
                yield from (f"{package.path}/specs.md" for package in packages)


if __name__ == "__main__":
    main()
