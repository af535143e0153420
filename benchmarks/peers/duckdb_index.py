"""The same work as `cachestats build` of an index, in DuckDB: the three tables, sorted, as zstd Parquet.

    python benchmarks/peers/duckdb_index.py MIRROR OUT [--plain]

It does a little less than cachestats: it trusts the index and its checksum, takes nodes of spec files 4 and later, and
records no rejections.

Tuned on 2 cores and an index of 155 MB. What was tried, and what served DuckDB best:

- The index as a map from hashes to JSON, and a second `from_json` for the records: a little less CPU than one
  `from_json` for all of it. `read_json` wants a buffer for its largest object, which is the whole index: that step
  alone took it 22 s and 3.4 GiB.
- The map is parsed in a subquery that gives nothing else: unnested beside the text of the index it took 10 s more, as
  the text is repeated for each vector of rows. `json_each` on that text ran out of 18 GiB.
- One thread, and the entries as a table of one list before they are unnested: 4% less CPU together. With DuckDB's own
  threads and in one statement, as one writes it, it is there as `--plain`.
- Cutting the text apart with `string_split` instead was no faster, and is good only for this order of keys.
- Sorting a list of edges a spec instead of the table of edges: the sort is gone, the lists cost more than it did.
- Variants stay JSON text until the distinct lists are known, and specs are sorted before they are multiplied by
  variant: unnesting keeps the order.
- zstd level 1, which is pyarrow's default, not DuckDB's 3; no Bloom filters, which cachestats does not write either.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb

ENTRIES = """
select unnest(map_entries(entries.database.installs), max_depth := 2)
from (select from_json(content, '{"database": {"installs": "MAP(VARCHAR, JSON)"}}') as entries from read_text($path))
"""

LIST = """
create temp table list as
select map_entries(from_json(content, '{"database": {"installs": "MAP(VARCHAR, JSON)"}}').database.installs) as entries
from read_text($path)
"""

ENTRIES_OF_LIST = "select unnest(entries, max_depth := 2) from list"

NODES = """
create temp table nodes as
select
    key as hash,
    unnest(record.spec),
    record.spec.external is not null as is_external,
    record.in_buildcache and record.spec.external is null as is_cached
from (
    select key, from_json(value, '{"in_buildcache": "BOOLEAN", "spec": {
        "name": "VARCHAR", "version": "VARCHAR",
        "arch": {"platform": "VARCHAR", "platform_os": "VARCHAR", "target": "JSON"},
        "compiler": {"name": "VARCHAR", "version": "VARCHAR"},
        "annotations": {"original_specfile_version": "INTEGER", "compiler": "VARCHAR"},
        "dependencies": [{
            "name": "VARCHAR", "hash": "VARCHAR", "parameters": {"deptypes": ["VARCHAR"], "virtuals": ["VARCHAR"]}
        }],
        "parameters": "JSON", "external": "JSON"
    }}') as record
    from ($entries)
)
"""

# A spec names a variant once, so pairs of variant and value are distinct and sorted where variants and values are.
LISTS = """
create temp table lists as
with maps as (
    select parameters, from_json(parameters, '"MAP(VARCHAR, JSON)"') as map
    from (select distinct parameters from nodes where is_cached)
),
sorted as (
    select parameters, list_sort([
        {name: entry.key, type: json_type(entry.value), text: case json_type(entry.value)
            when 'ARRAY' then array_to_string(
                [part[:if(entry.key = 'patches', 7, 1000000)] for part in from_json(entry.value, '["VARCHAR"]')], ',')
            else entry.value->>'$'
        end}
        for entry in map_entries(map)
        if entry.key not in ('cflags', 'cppflags', 'cxxflags', 'fflags', 'ldflags', 'ldlibs')
    ]) as sorted
    from maps
)
select
    parameters,
    array_to_string([
        case when variant.type <> 'BOOLEAN' then variant.name || '=' || variant.text
             when variant.text = 'true' then '+' || variant.name
             else '~' || variant.name
        end
        for variant in sorted
    ], ' ') as text,
    flatten([
        [
            {variant: variant.name, value: value, sign: case variant.type
                when 'BOOLEAN' then if(variant.text = 'true', '+', '~')
                when 'ARRAY' then ':='
                else '='
            end}
            for value in list_sort(list_distinct(string_split(variant.text, ',')))
        ]
        for variant in sorted
    ]) as pairs
from sorted
"""

EDGES = """
create temp table edges as
select
    hash,
    unnest([edge.hash for edge in dependencies]) as dependency_hash,
    unnest([edge.name for edge in dependencies]) as dependency_package,
    unnest([edge.parameters for edge in dependencies]) as parameters
from nodes
where is_cached
"""

COMPILERS = """
create temp table compilers as
with provided as (
    select
        hash,
        dependency_hash,
        list_min([list_position(['c', 'cxx', 'fortran'], name) for name in parameters.virtuals]) as language
    from edges
    where len(parameters.virtuals) > 0
)
select provided.hash, arg_min(nodes.name, language) as name, arg_min(nodes.version, language) as version
from provided join nodes on nodes.hash = provided.dependency_hash
where language is not null
group by provided.hash
"""

SPECS = r"""
with named as (
    select
        nodes.*,
        case
            when compiler is not null then compiler.name
            when annotations.compiler is not null and annotations.original_specfile_version < 5
                then split_part(annotations.compiler, '@', 1)
            else compilers.name
        end as old_name,
        case
            when compiler is not null then compiler.version
            when annotations.compiler is not null and annotations.original_specfile_version < 5
                then split_part(annotations.compiler, '@', 2)
            else compilers.version
        end as number
    from nodes left join compilers using (hash)
    where is_cached
),
canonical as (
    select * replace (nullif(ltrim(number, '='), '') as number), case old_name
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
    name as package,
    version,
    $snapshot as snapshot,
    try_cast(regexp_extract($snapshot, '^develop-(\d{4}-\d\d-\d\d)$', 1) as date) as snapshot_date,
    hash,
    arch.platform as platform,
    arch.platform_os as os,
    if(json_type(arch.target) = 'OBJECT', arch.target->>'$.name', arch.target->>'$') as target,
    compiler_name || coalesce('@' || number, '') as compiler,
    compiler_name,
    number as compiler_version,
    'root' as stack,
    text as variants,
    null::bigint as size_bytes
from canonical join lists using (parameters)
order by package, hash
"""

VARIANTS = """
select $snapshot as snapshot, hash, unnest(pairs, max_depth := 2)
from (select hash, pairs from nodes join lists using (parameters) where is_cached order by hash)
"""

DEPENDENCIES = """
select
    $snapshot as snapshot,
    edges.hash,
    dependency_hash,
    dependency_package,
    list_contains(edges.parameters.deptypes, 'build') as is_build,
    list_contains(edges.parameters.deptypes, 'link') as is_link,
    list_contains(edges.parameters.deptypes, 'run') as is_run,
    list_contains(edges.parameters.deptypes, 'test') as is_test,
    nullif(array_to_string(list_sort(edges.parameters.virtuals), ','), '') as virtuals,
    nodes.is_external
from edges left join nodes on nodes.hash = dependency_hash
order by edges.hash, dependency_hash
"""

PARQUET = "format parquet, compression zstd, compression_level 1, write_bloom_filter false"


def build(mirror: Path, out: Path, *, plain: bool) -> None:
    """Read the index, then write one table after the other."""
    connection = duckdb.connect()
    path = str(mirror / "build_cache" / "index.json")
    if plain:
        connection.execute(NODES.replace("$entries", ENTRIES), {"path": path})
    else:
        connection.execute("set threads = 1")
        connection.execute(LIST, {"path": path})
        connection.execute(NODES.replace("$entries", ENTRIES_OF_LIST))
        connection.execute("drop table list")
    for statement in (LISTS, EDGES, COMPILERS):
        connection.execute(statement)
    for table, query in (("specs", SPECS), ("variants", VARIANTS), ("dependencies", DEPENDENCIES)):
        (out / table).mkdir(parents=True)
        query = query.replace("$snapshot", f"'{mirror.name}'")  # COPY takes no parameters
        connection.execute(f"copy ({query}) to '{out}/{table}/{mirror.name}.parquet' ({PARQUET})")


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plain", action="store_true", help="as one writes it at first")
    arguments = parser.parse_args()
    build(arguments.mirror, arguments.out, plain=arguments.plain)


if __name__ == "__main__":
    main()
