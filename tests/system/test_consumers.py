"""Consumers: whatever people open the files with sees the same rows, types, nulls, dates and text in them."""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cachestats as cs
from cachestats.naming import version_key, version_sort_key
from cachestats.schema import TABLES
from conftest import SAMPLE
from tests.support.indices import build_index, edge_to, glibc, needs_libc, node_record
from tests.support.site import page, spec, write

pytestmark = pytest.mark.consumers

ARROW = {
    "string": "string",
    "large_string": "string",
    "string_view": "string",
    "int64": "int64",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamp",
}


class Found(NamedTuple):
    """What a consumer read: the type of each column, in the words of the data dictionary, and its values."""

    types: dict[str, str]
    values: dict[str, list[Any]]


def from_arrow(table: pa.Table) -> Found:
    kinds = {field.name: ARROW[str(field.type)] for field in table.schema}
    return Found(kinds, {name: table.column(name).to_pylist() for name in table.column_names})


# Each consumer is told a file, or a folder of files that are one table, and opens it the way its users do.


def duckdb(path: Path, request: pytest.FixtureRequest) -> Found:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        relation = database.sql(f"SELECT * FROM '{path / '*.parquet' if path.is_dir() else path}'")
        return from_arrow(relation.to_arrow_table())


def pandas_with_pyarrow(path: Path, request: pytest.FixtureRequest) -> Found:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path, engine="pyarrow", dtype_backend="pyarrow")
    kinds = {name: ARROW[str(dtype.pyarrow_dtype)] for name, dtype in frame.dtypes.items()}
    return Found(kinds, {name: pa.array(frame[name]).to_pylist() for name in frame.columns})


def pandas_with_fastparquet(path: Path, request: pytest.FixtureRequest) -> Found:
    """Fastparquet has no type for dates, which become midnights, and none for time zones: times are UTC."""
    pytest.importorskip("pandas")
    fastparquet = pytest.importorskip("fastparquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves closing its files to Python
        frame = fastparquet.ParquetFile(str(path)).to_pandas()
    words = {"object": "string", "str": "string", "int64": "int64", "Int64": "int64", "bool": "boolean"}
    words |= {"boolean": "boolean", "datetime64[ns]": "date", "datetime64[us]": "timestamp"}
    kinds = {name: words[str(dtype)] for name, dtype in frame.dtypes.items()}
    values = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns}
    for name, kind in kinds.items():
        if kind == "date":
            values[name] = [value and value.date() for value in values[name]]
        elif kind == "timestamp":
            values[name] = [value and value.tz_localize("UTC").to_pydatetime() for value in values[name]]
    return Found(kinds, values)


def pyspark(path: Path, request: pytest.FixtureRequest) -> Found:
    spark = request.getfixturevalue("spark")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    frame = spark.read.parquet(str(path))
    words = {"bigint": "int64"}
    kinds = {name: words.get(kind, kind) for name, kind in frame.dtypes}
    return Found(kinds, from_arrow(frame.toArrow()).values)


def datafusion(path: Path, request: pytest.FixtureRequest) -> Found:
    datafusion = pytest.importorskip("datafusion")
    return from_arrow(datafusion.SessionContext().read_parquet(str(path)).to_arrow_table())


def clickhouse(path: Path, request: pytest.FixtureRequest) -> Found:
    chdb = pytest.importorskip("chdb")
    source = f"file('{path / '*.parquet' if path.is_dir() else path}', Parquet)"
    words = {"String": "string", "Int64": "int64", "Bool": "boolean", "Date32": "date"}
    words |= {f"{kind})": word for kind, word in words.items()} | {"DateTime64(6, 'UTC')": "timestamp"}
    described, rows = (
        pa.ipc.open_file(chdb.query(f"{query} {source}", "Arrow").bytes()).read_all()
        for query in ("DESCRIBE", "SELECT * FROM")
    )
    kinds = {
        name: words[kind.removeprefix("Nullable(")]
        for name, kind in zip(described["name"].to_pylist(), described["type"].to_pylist(), strict=True)
    }
    return Found(kinds, {name: rows.column(name).to_pylist() for name in rows.column_names})


def hyper(path: Path, request: pytest.FixtureRequest) -> Found:
    """Tableau's engine takes a list of files, and no folder or pattern."""
    api = pytest.importorskip("tableauhyperapi")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    listed = ", ".join(api.escape_string_literal(str(file)) for file in files)
    words = {"TEXT": "string", "BIG_INT": "int64", "BOOL": "boolean", "DATE": "date", "TIMESTAMP_TZ": "timestamp"}
    with request.getfixturevalue("hyper_connection").execute_query(
        f"SELECT * FROM external(ARRAY[{listed}], FORMAT => 'parquet')"
    ) as result:
        kinds = {column.name.unescaped: words[str(column.type)] for column in result.schema.columns}
        rows = list(result)
    values = {name: [row[place] for row in rows] for place, name in enumerate(kinds)}
    for name, kind in kinds.items():
        if kind == "date":
            values[name] = [value and value.to_date() for value in values[name]]
        elif kind == "timestamp":
            values[name] = [value and value.to_datetime() for value in values[name]]
    return Found(kinds, values)


def polars(path: Path, request: pytest.FixtureRequest) -> Found:
    import polars as pl

    frame = pl.read_parquet(path)
    kinds = {
        name: next(kind for kind, dtype in POLARS.items() if dtype == found) for name, found in frame.schema.items()
    }
    return Found(kinds, frame.to_dict(as_series=False))


def polars_types() -> dict[str, Any]:
    import polars as pl

    return {
        "string": pl.String,
        "int64": pl.Int64,
        "boolean": pl.Boolean,
        "date": pl.Date,
        "timestamp": pl.Datetime("us", "UTC"),
    }


POLARS = polars_types()
CONSUMERS: tuple[Callable[[Path, pytest.FixtureRequest], Found], ...] = (
    duckdb,
    pandas_with_pyarrow,
    pandas_with_fastparquet,
    pyspark,
    datafusion,
    clickhouse,
    hyper,
    polars,
)


@pytest.fixture(scope="module")
def hyper_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    api = pytest.importorskip("tableauhyperapi")
    log = {"log_dir": str(tmp_path_factory.mktemp("hyper"))}
    with (
        api.HyperProcess(api.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=log) as process,
        api.Connection(process.endpoint) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def packages(mixed: cs.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Return two datasets, one of pages with nulls and faults and one of indices, each with its data package."""
    found = []
    for dataset in (mixed, cs.open_dataset(SAMPLE)):
        found.append((dataset.path, tmp_path_factory.mktemp("package")))
        cs.export_package(dataset, found[-1][1])
    return found


def profile(found: Found) -> dict[str, Any]:
    """Return of each column its type, rows, nulls, the sum of numbers or the range of dates, and a checksum."""
    return {name: (kind, *summary(kind, found.values[name])) for name, kind in found.types.items()}


def summary(kind: str, values: list[Any]) -> tuple[Any, ...]:
    known = [value for value in values if value is not None]
    types = {"string": str, "int64": int, "boolean": bool, "date": date, "timestamp": datetime}
    assert all(isinstance(value, types[kind]) for value in known)
    if kind == "timestamp":
        known = [value.astimezone(UTC) for value in known]
    main = sum(known) if kind in {"int64", "boolean"} else (min(known, default=None), max(known, default=None))
    checksum = hashlib.sha256("\n".join(sorted(map(str, known))).encode()).hexdigest()
    return len(values), len(values) - len(known), main, checksum


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.__name__)
def test_a_consumer_sees_what_is_in_the_files(
    consumer: Callable[[Path, pytest.FixtureRequest], Found],
    table: str,
    packages: list[tuple[Path, Path]],
    request: pytest.FixtureRequest,
) -> None:
    for dataset, package in packages:
        exported = package / f"{table}.parquet"
        expected = profile(from_arrow(pq.read_table(exported)))
        assert {name: kind for name, (kind, *_) in expected.items()} == {
            column.name: column.dtype for column in TABLES[table].columns
        }
        partitioned = dataset / table if TABLES[table].by_snapshot else dataset / f"{table}.parquet"
        for path in (exported, partitioned):
            assert profile(consumer(path, request)) == expected, path


@pytest.mark.parametrize("table", TABLES)
def test_power_bi_finds_nothing_it_refuses(table: str, packages: list[tuple[Path, Path]]) -> None:
    """One file, flat, of types that Power Query has: no unsigned numbers, no dictionaries, no times of 96 bits."""
    plain = {
        ("BYTE_ARRAY", "String"): {"string"},
        ("INT64", "None"): {"int64"},
        ("BOOLEAN", "None"): {"bool"},
        ("INT32", "Date"): {"date32[day]"},
        ("INT64", "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, "
         "force_set_converted_type=false)"): {"timestamp[us, tz=UTC]"},
    }  # fmt: skip
    for _, package in packages:
        file = pq.ParquetFile(package / f"{table}.parquet")
        for place, field in enumerate(file.schema_arrow):
            column = file.schema.column(place)
            assert (column.max_definition_level, column.max_repetition_level) == (int(field.nullable), 0)
            assert str(field.type) in plain[column.physical_type, str(column.logical_type)]
            assert field.name.isidentifier()
        names = [name.lower() for name in file.schema_arrow.names]
        assert len(set(names)) == len(names)  # Power BI's names know no case
        assert file.metadata.num_row_groups >= 1  # also of an empty table


def test_tableau_gets_one_extract_of_all_tables(packages: list[tuple[Path, Path]], tmp_path: Path) -> None:
    """Tableau itself opens no Parquet, but a .hyper file, which its engine makes of a package in one go."""
    api = pytest.importorskip("tableauhyperapi")
    _, package = packages[0]
    log = {"log_dir": str(tmp_path)}
    with (
        api.HyperProcess(api.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=log) as process,
        api.Connection(process.endpoint, str(tmp_path / "cache.hyper"), api.CreateMode.CREATE_AND_REPLACE) as extract,
    ):
        for file in sorted(package.glob("*.parquet")):
            name, path = api.escape_name(file.stem), api.escape_string_literal(str(file))
            extract.execute_command(f"CREATE TABLE {name} AS (SELECT * FROM external({path}))")
        specs = extract.execute_scalar_query("SELECT COUNT(*) FROM specs JOIN targets USING (target) WHERE is_native")
    assert specs == pq.read_metadata(package / "specs.parquet").num_rows
    assert (tmp_path / "cache.hyper").stat().st_size


VIEWS = (
    "snapshot_positions",
    "newest_specs",
    "stack_specs",
    "coverage",
    "newest_coverage",
    "history",
    "machines",
    "operating_systems",
    "systems",
    "usable",
    "usable_packages",
)


@pytest.fixture(scope="module")
def demanding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data package of indices and pages of which the specs ask all that can be asked of a host."""
    folder = tmp_path_factory.mktemp("demanding")
    libc, elsewhere = glibc("2.35"), node_record("glibc", "other", version="2.28", external="/opt/glibc")
    musl = node_record("musl", version="1.2.5", external="/usr")
    uuid = node_record("apple-libuuid", version="1353", external="/sdk", platform="darwin")
    cuda = node_record("cuda", version="12.4", external="/usr/local/cuda")
    mac = {"platform": "darwin", "target": "m1"}
    low = node_record("low", "", needs_libc(libc), target="x86_64_v4")
    older = node_record("older", "", edge_to(uuid), os="ventura", **mac)
    nodes = [
        libc, elsewhere, musl, uuid, cuda, low, older,
        node_record("high", "", needs_libc(libc), edge_to(low), target="zen3"),
        node_record("strange", "", needs_libc(elsewhere), edge_to(low)),
        node_record("other", "", needs_libc(musl)),
        node_record("gpu", "", needs_libc(libc), edge_to(cuda)),
        node_record("pure", target="x86_64"),
        node_record("newer", "", edge_to(older), os="sonoma", **mac),
        node_record("lacks", "", edge_to(node_record("gone"))),
        node_record("compiler-wrapper"),
        node_record("old", "", needs_libc(libc), annotations={"original_specfile_version": 4}),
    ]  # fmt: skip
    for snapshot, database in (("develop", "8"), ("develop-2024-06-02", "7"), ("develop-2024-03-17", "6")):
        build_index(folder, *nodes, database=database, snapshot=snapshot, stack="e4s")
    pages = {("v1.0.0", "a"): page("a", "v1.0.0", [spec(), spec("b" * 32, os="brand-new1")])}
    pages |= {("v0.20.0", "a"): page("a", "v0.20.0", [spec(os="rhel8")])}
    cs.build_dataset(write(folder / "site", pages), out=folder / "dataset")
    cs.export_package(cs.open_dataset(folder / "dataset"), folder / "package")
    return folder / "package"


@pytest.mark.parametrize("engine", ["pyspark", "datafusion", "clickhouse"])
def test_the_views_are_portable(
    engine: str, packages: list[tuple[Path, Path]], demanding: Path, request: pytest.FixtureRequest
) -> None:
    """The second part of `views.sql` runs once the first part is said in the engine's own words, and gives the same."""
    for package in (packages[0][1], demanding):
        part = (package / "views.sql").read_text().partition("-- 2. The views.")[2]
        plain = "\n".join(line for line in part.splitlines() if not line.startswith("--"))
        views = [statement.strip() for statement in plain.split(";\n") if statement.strip()]
        assert {statement.split()[4] for statement in views} == {*VIEWS}
        files = {name: package / f"{name}.parquet" for name in ("specs", "targets", "requirements")}
        expected, found = (ask(files, views, request) for ask in (in_duckdb, ENGINES[engine]))
        for view in VIEWS:
            rows = sorted(expected(f"SELECT * FROM {view}"), key=str)
            assert rows, view
            assert sorted(found(f"SELECT * FROM {view}"), key=str) == rows, view


Ask = Callable[[str], list[tuple[Any, ...]]]


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(map(number, row.values())) for row in table.to_pylist()]


def number(value: Any) -> Any:
    return int(value) if hasattr(value, "as_integer_ratio") else value  # the sum of whole numbers is a decimal to some


def in_duckdb(files: dict[str, Path], views: list[str], request: pytest.FixtureRequest) -> Ask:
    database = pytest.importorskip("duckdb").connect()
    request.addfinalizer(database.close)
    for statement in [f"CREATE VIEW {name} AS SELECT * FROM '{file}'" for name, file in files.items()] + views:
        database.execute(statement)
    return lambda query: rows_of(database.sql(query).to_arrow_table())


def in_pyspark(files: dict[str, Path], views: list[str], request: pytest.FixtureRequest) -> Ask:
    spark = request.getfixturevalue("spark")
    for name, file in files.items():
        spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} USING parquet OPTIONS (path '{file}')")
    for statement in views:
        spark.sql(statement.replace("OR REPLACE VIEW", "OR REPLACE TEMPORARY VIEW"))
    return lambda query: rows_of(spark.sql(query).toArrow())


def in_datafusion(files: dict[str, Path], views: list[str], request: pytest.FixtureRequest) -> Ask:
    context = pytest.importorskip("datafusion").SessionContext()
    for name, file in files.items():
        context.sql(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{file}'")
    for statement in views:
        context.sql(statement)
    return lambda query: rows_of(context.sql(query).to_arrow_table())


def in_clickhouse(files: dict[str, Path], views: list[str], request: pytest.FixtureRequest) -> Ask:
    session = pytest.importorskip("chdb.session").Session()
    request.addfinalizer(session.close)
    session.query("CREATE DATABASE IF NOT EXISTS cache")
    session.query("USE cache")
    for statement in [
        f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM file('{file}')" for name, file in files.items()
    ] + views:
        session.query(statement)
    return lambda query: rows_of(pa.ipc.open_file(session.query(query, "Arrow").bytes()).read_all())


ENGINES: dict[str, Callable[[dict[str, Path], list[str], pytest.FixtureRequest], Ask]] = {
    "pyspark": in_pyspark,
    "datafusion": in_datafusion,
    "clickhouse": in_clickhouse,
}


ODD_VERSIONS = (
    "", "0", "00", "1", "1.0", "1_0", "1.0alpha", "1.0-beta.2", "1.0rc", "1.0rc0", "1.0rc10", "1.0final2", "1.0.a",
    "1.0.A", "1.0.ab", "1.0.Z", "1.0.0", "1.0.stable", "1.14", "1.14rc1", "1.8.23", "9", "10", "9999", "10000",
    "20240722", "99999999", "100000000", "9" * 50, "1b.fc17", "9c", "xsdk-0.2.0", "Zebra", "stable", "nightly", "trunk",
    "head", "master", "main", "develop", "develop.1", "developx", "git.abc=1.0", "git.a,b'\" =1.0", "git.\u00e9=1.0",
    "git.=1.0", "git.main", "git.main=develop", "f" * 40, "0" * 39 + "a",
)  # fmt: skip


@pytest.fixture(scope="module")
def versions(
    demo: cs.Dataset,
    mixed: cs.Dataset,
    sample: cs.Dataset,
    corpus: cs.Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a file with the versions of all these datasets, with the keys that they store, and with odd ones."""
    keys = {version: version_sort_key(version) for version in ODD_VERSIONS}
    for dataset in (demo, mixed, sample, corpus):
        keys |= dict(dataset.specs.select("version", "version_key").unique().collect().rows())
    assert len(keys) > 1000
    rows = random.Random(0).sample([*keys.items()], len(keys))
    file = tmp_path_factory.mktemp("versions") / "versions.parquet"
    pq.write_table(pa.table([*map(list, zip(*rows, strict=True))], names=["version", "version_key"]), file)
    return file


def sorted_in_pandas(file: Path, lowest: str, request: pytest.FixtureRequest) -> list[str]:
    frame = pytest.importorskip("pandas").read_parquet(file)
    found: list[str] = frame[frame["version_key"] >= lowest].sort_values(["version_key", "version"])["version"].tolist()
    return found


def sorted_in_polars(file: Path, lowest: str, request: pytest.FixtureRequest) -> list[str]:
    import polars as pl

    frame = pl.read_parquet(file).filter(pl.col("version_key") >= lowest).sort("version_key", "version")
    return frame["version"].to_list()


def sorted_in_hyper(file: Path, lowest: str, request: pytest.FixtureRequest) -> list[str]:
    api = pytest.importorskip("tableauhyperapi")
    source = f"external({api.escape_string_literal(str(file))})"
    found: list[list[str]] = request.getfixturevalue("hyper_connection").execute_list_query(
        f"SELECT version FROM {source} WHERE version_key >= '{lowest}' ORDER BY version_key, version"
    )
    return [version for (version,) in found]


def sorted_in_sql(file: Path, lowest: str, request: pytest.FixtureRequest, *, engine: str) -> list[str]:
    ask = (ENGINES | {"duckdb": in_duckdb})[engine]({"versions": file}, [], request)
    query = f"SELECT version FROM versions WHERE version_key >= '{lowest}' ORDER BY version_key, version"
    return [version for (version,) in ask(query)]


SORTED: dict[str, Callable[[Path, str, pytest.FixtureRequest], list[str]]] = {
    "polars": sorted_in_polars,
    "pandas": sorted_in_pandas,
    "hyper": sorted_in_hyper,
    **{engine: partial(sorted_in_sql, engine=engine) for engine in ("duckdb", *ENGINES)},
}


@pytest.mark.parametrize("engine", SORTED)
def test_versions_sort_and_compare_as_in_spack(engine: str, versions: Path, request: pytest.FixtureRequest) -> None:
    names = sorted(pq.read_table(versions)["version"].to_pylist(), key=lambda name: (version_key(name), name))
    for lowest, key in (("", "v"), ("1.14", "v0001.0014."), ("20240722", "v:20240722."), ("main", "v~5main.")):
        newer = [name for name in names if version_key(name) >= version_key(lowest)]
        assert SORTED[engine](versions, key, request) == newer
