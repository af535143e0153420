"""The same work as `cachestats build`, in DuckDB: the pages' tables `specs` and `variants`, sorted, as zstd Parquet.

    python benchmarks/peers/duckdb_build.py FOLDER OUT [--all-at-once]

It does a little less than cachestats: it trusts every page (no checks, no table of rejections, no quotes around
variants with white space, no folder that disagrees with its page) and publishes nothing atomically.

Tuned on 2 cores and 12,000 pages. What was tried, and what served DuckDB best:

- A snapshot at a time in one single-threaded cursor a core: three quarters of the CPU, less than half of the wall time
  and a third of the memory of reading everything at once with DuckDB's own threads, which is what one writes first and
  is there as `--all-at-once`. DuckDB splits work at 122,880 rows, and pages are few and large: on its own it reads and
  parses them with one thread. One snapshot after the other with DuckDB's threads takes 1.3 times the CPU of this.
- PARTITION_BY does not keep rows in order (2.0, with several threads), so there is a COPY a snapshot.
- Variants stay JSON text until the distinct lists are known (0.4 a spec), which are then split, sorted and exploded.
- Specs are sorted before they are multiplied by stack, and by variant: unnesting keeps the order.
- A temporary table of the parts of pages, and then one of specs: a quarter less for this step than one statement.
- `split_part` twice for the JSON line: 3 ms a snapshot, where a regular expression takes 70.
- zstd level 1, which is pyarrow's default, not DuckDB's 3; no Bloom filters, which cachestats does not write either.
- Left out: numbering the distinct variants and sorting lists of numbers, with the texts looked up in session variables.
  0.93 times the CPU, 1.3 times the memory, and nobody would write it.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

PAGES = r"""
create or replace temp table pages as
select
    regexp_extract(content, 'title: "([^"]*)"', 1) as package,
    regexp_extract(content, 'categories: \[package, ([^\]]*)\]', 1) as snapshot,
    split_part(split_part(content, E'\nspec_details: ', 2), E'\n', 1) as details
from read_text($pattern)
"""

RECORDS = """
create or replace temp table records as
select package, snapshot, unnest(from_json(details, '[{
    "compiler": "VARCHAR", "hash": "VARCHAR", "os": "VARCHAR", "platform": "VARCHAR", "target": "VARCHAR",
    "stacks": ["VARCHAR"], "variants": "JSON", "versions": ["VARCHAR"]
}]'), max_depth := 2)
from pages
"""

REPEATS = "select count(*) > count(distinct (snapshot, hash)) from records"

WITHOUT_REPEATS = """
create or replace temp table records as
select distinct on (snapshot, hash) * from records order by snapshot, hash, package
"""

# A spec names a variant once, so pairs of variant and value are distinct and sorted where variants and values are.
LISTS = r"""
create or replace temp table lists as
with words as (
    select variants, from_json(variants, '["VARCHAR"]') as words from (select distinct variants from records)
),
sorted as (
    select variants, list_sort(list_distinct([
        case when word[1] in ('+', '~') then {name: word[2:], text: word, sign: word[1]}
             when ends_with(split_part(word, '=', 1), ':')
             then {name: split_part(word, ':=', 1), text: regexp_replace(word, ':=', '='), sign: ':='}
             else {name: split_part(word, '=', 1), text: word, sign: '='} end
        for word in words
    ])) as sorted
    from words
)
select
    variants,
    array_to_string([word.text for word in sorted], ' ') as text,
    flatten([
        case word.text[1]
            when '+' then [{variant: word.name, value: 'true', sign: '+'}]
            when '~' then [{variant: word.name, value: 'false', sign: '~'}]
            else [{variant: word.name, value: value, sign: word.sign}
                  for value in list_sort(list_distinct(string_split(word.text[length(word.name) + 2:], ',')))]
        end
        for word in sorted
    ]) as pairs
from sorted
"""

SPECS = r"""
with named as (
    select *, split_part(compiler, '@', 1) as old_name, nullif(ltrim(split_part(compiler, '@', 2), '='), '') as number
    from records
),
canonical as (
    select *, case old_name
        when 'none' then null
        when 'arm' then 'acfl'
        when 'clang' then 'llvm'
        when 'intel' then 'intel-oneapi-compiler-classic'
        when 'intel-oneapi-compilers-classic' then 'intel-oneapi-compiler-classic'
        when 'oneapi' then 'intel-oneapi-compilers'
        when 'rocmcc' then 'llvm-amdgpu'
        else old_name
    end as compiler_name
    from named
)
select
    package,
    versions[1] as version,
    snapshot,
    try_cast(regexp_extract(snapshot, '^develop-(\d{4}-\d\d-\d\d)$', 1) as date) as snapshot_date,
    hash,
    platform,
    os,
    target,
    compiler_name || coalesce('@' || number, '') as compiler,
    compiler_name,
    number as compiler_version,
    unnest(list_sort(list_distinct(stacks))) as stack,
    text as variants,
    null::bigint as size_bytes
from (from canonical join lists using (variants) order by snapshot, package, hash)
"""

VARIANTS = """
select snapshot, hash, unnest(pairs, max_depth := 2)
from (select snapshot, hash, pairs from records join lists using (variants) order by snapshot, hash)
"""

PARQUET = "format parquet, compression zstd, compression_level 1, write_bloom_filter false"


def read(connection: duckdb.DuckDBPyConnection, pattern: str) -> None:
    """Read pages into the temporary tables `records` and `lists`."""
    connection.execute(PAGES, {"pattern": pattern})
    connection.execute(RECORDS)
    if connection.execute(REPEATS).fetchone() == (True,):
        connection.execute(WITHOUT_REPEATS)
    connection.execute("drop table pages")
    connection.execute(LISTS)


def write(connection: duckdb.DuckDBPyConnection, out: Path, snapshot: str) -> None:
    """Write the snapshot that `records` holds."""
    connection.execute(f"copy ({SPECS}) to '{out}/specs/{snapshot}.parquet' ({PARQUET})")
    connection.execute(f"copy ({VARIANTS}) to '{out}/variants/{snapshot}.parquet' ({PARQUET})")


def build(folder: Path, out: Path) -> None:
    """Build a snapshot at a time, one a core."""
    connection = duckdb.connect()
    connection.execute("set threads = 1")

    def build_snapshot(snapshot: str) -> None:
        with connection.cursor() as cursor:
            read(cursor, f"{folder}/_cache/{snapshot}/*/specs.md")
            write(cursor, out, snapshot)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(build_snapshot, os.listdir(folder / "_cache")))


def build_all_at_once(folder: Path, out: Path) -> None:
    """Read all snapshots with one statement, then write one after the other."""
    connection = duckdb.connect()
    read(connection, f"{folder}/_cache/*/*/specs.md")
    connection.execute("alter table records rename to all_records")
    for (snapshot,) in connection.execute("select distinct snapshot from all_records").fetchall():
        connection.execute(f"create or replace temp view records as from all_records where snapshot = '{snapshot}'")
        write(connection, out, snapshot)


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--all-at-once", action="store_true")
    arguments = parser.parse_args()
    for table in ("specs", "variants"):
        (arguments.out / table).mkdir(parents=True)
    (build_all_at_once if arguments.all_at_once else build)(arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
