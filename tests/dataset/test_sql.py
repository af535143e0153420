"""SQL over the tables: what DuckDB answers to the same words, and nothing but answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cachestats as cs
from cachestats.errors import ArgumentError
from cachestats.schema import TABLES
from conftest import ROOT

QUERIES = (
    "SELECT snapshot, stack, count(DISTINCT hash) AS specs FROM specs GROUP BY snapshot, stack ORDER BY 1, 2",
    "SELECT s.package, v.value, count(*) AS n FROM specs s "
    "JOIN variants v ON s.hash = v.hash AND s.snapshot = v.snapshot WHERE v.variant = 'build_system' "
    "AND s.stack = 'root' GROUP BY s.package, v.value ORDER BY n DESC, 1, 2",
    "WITH native AS (SELECT target FROM targets WHERE is_native) SELECT count(*) AS n FROM native",
    "SELECT dependency_package, sum(CASE WHEN is_build THEN 1 ELSE 0 END) AS builds FROM dependencies "
    "GROUP BY dependency_package ORDER BY builds DESC, 1 LIMIT 5",
)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", ["demo", "sample"])
def test_answers_are_duckdbs(query: str, name: str, request: pytest.FixtureRequest) -> None:
    dataset = request.getfixturevalue(name)
    with duckdb.connect() as connection:
        for table in TABLES:
            connection.register(table, dataset.scan(table).collect().to_arrow())
        assert dataset.sql(query).collect().rows() == connection.sql(query).fetchall()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "found nothing"),
        ("DROP TABLE specs", "found DROP"),
        ("DELETE FROM specs", "found DELETE"),
        ("CREATE TABLE x AS SELECT 1", "found CREATE"),
        ("SELECT nothing FROM specs", "nothing"),
        ("SELECT * FROM spec", "spec"),
        ("SELECT FROM WHERE", "expected a statement that Polars understands"),
        ("-- SELECT\nDROP TABLE specs", "found DROP"),
        ("SHOW TABLES", "found SHOW"),
        ("/* /* SELECT */ SELECT */ DROP TABLE specs", "found DROP"),
        ("SELECT 1; DROP TABLE specs", "one (and only one) statement"),
        ("SELECT * FROM 'specs.csv'", "specs.csv"),
        (None, "found None"),
    ],
)
def test_what_is_no_question_is_told(query: str, message: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        demo.sql(query)


# What looks like the call of a function that reads a file, and is none.
PLAIN = (
    "SELECT read_at FROM snapshots",
    "SELECT*FROM specs",
    "SELECT 'read_me' AS read_csv, 2 AS \"read_json\"",
    "SELECT 'it''s read_csv(''x'')' AS text FROM specs -- read_csv('x')",
    "SELECT hash /* read_csv('x') /* and */ read_csv('y') */ FROM specs",
    "SELECT '\\' AS one, ' FROM read_csv(''x'') --' AS two FROM specs",
    "SELECT * FROM specs AS read_csv",
    "WITH read_csv AS (SELECT hash FROM specs) SELECT * FROM read_csv",
    "WITH read_days(day) AS (SELECT snapshot_date FROM snapshots) SELECT day FROM read_days",
    "SELECT '\n  Csv SCAN [x]' AS text FROM specs",
    "SELECT 'Csv SCAN [x]' AS text FROM specs",
)
# What other parsers of SQL, or a hasty look at its first word, make nothing of.
POLARS = (
    "FROM specs SELECT hash",
    "VALUES (1, 2)",
    "; ((SELECT hash FROM specs));",
    "-- a remark\r\n/* /* nested */ */SELECT 1 AS one",
    "SELECT `hash` FROM `specs` WHERE os ~ '^u' AND hash ^@ '4'",
    "SELECT X'00' AS x, 0x1F AS n, $$it's$$ AS text, num_specs // 2 AS half FROM snapshots",
    "SELECT * EXCLUDE (hash) FROM specs ANTI JOIN variants USING (hash)",
    "SELECT n FROM generate_series(1, 3) AS s(n) UNION ALL BY NAME SELECT n FROM UNNEST([4]) AS u(n)",
    "SELECT hash FROM specs QUALIFY row_number() OVER (PARTITION BY os ORDER BY hash) = 1",
)


@pytest.mark.parametrize("query", PLAIN + POLARS)
def test_a_good_statement_is_not_refused(query: str, demo: cs.Dataset) -> None:
    frames = {table: demo.scan(table) for table in TABLES}
    try:
        expected = pl.SQLContext(frames, eager=False).execute(query)
    except pl.exceptions.SQLInterfaceError as error:
        pytest.skip(f"this version of Polars knows no such statement: {error}")
    assert_frame_equal(demo.sql(query).collect(), expected.collect(), check_row_order=False)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{}')",
        "SELECT * FROM specs, \"READ_CSV\"/**/('{}')",
        "SELECT hash FROM specs WHERE hash IN (SELECT * FROM read_csv('{}'))",
        "WITH other AS (SELECT * FROM read_csv('{}')) SELECT count(*) FROM other",
        "SELECT (SELECT count(*) FROM read_csv('{}')) AS n FROM specs UNION ALL SELECT 1",
        "SELECT hash FROM specs WHERE EXISTS (SELECT 1 FROM read_csv('{}'))",
        "FROM `read_csv` -- a remark\n('{}')",
        "SELECT * FROM specs AS s CROSS JOIN Read_Csv/* /* */ */('{}') AS o",
        "WITH read_csv AS (SELECT 1) SELECT * FROM read_csv('{}')",
        # Text to one parser and a call to another; the path ends in what is no letter.
        "SELECT '\\' AS x, * FROM read_csv('{}*') --'",
        "SELECT $$ ' $$ AS x, * FROM read_csv('{}*') -- '",
        "SELECT $x$ ' $x$ AS x, * FROM read_csv('{}*') -- '",
        "SELECT hash AS \"'\", * FROM read_csv('{}*') -- '",
        "SELECT hash AS `'`, * FROM read_csv('{}*') -- '",
        "SELECT 1 /* /* ' */ */ AS x, * FROM read_csv('{}*') -- '",
        "SELECT 1 /* ' /* /* */ */ */ AS x, * FROM read_csv('{}*') -- '",
        "SELECT 1 AS x, * -- '\n FROM read_csv('{}*') -- '",
    ],
)
def test_nothing_is_read_but_the_tables(
    query: str, is_known: bool, demo: cs.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is known to read files is refused before Polars looks for the file.
    if not is_known:  # as what Polars may learn to read with one day
        (tmp_path / "secret.csv").write_text("hash\nx\n")
        monkeypatch.setattr("cachestats.dataset.sql._READERS", frozenset())
    with pytest.raises(ArgumentError, match="which reads a file"):
        demo.sql(query.format(tmp_path / "secret.csv"))


@pytest.mark.parametrize("text", ["q'[']'", "E'\\''", "r'\\'", "N'x'", 'r"\'"'])
def test_where_it_is_not_sure_what_is_text_a_named_reader_is_a_call(text: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="found read_csv, which reads a file"):
        demo.sql(f"SELECT {text} AS x FROM read_csv('/nowhere*') -- '")


@pytest.mark.parametrize("reader", ["read_csv", "read_ipc", "read_json", "read_ndjson", "read_parquet"])
def test_no_file_is_looked_for(reader: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=f"found {reader}, which reads a file"):
        demo.sql(f"SELECT * FROM {reader}('/nowhere')")


def test_text_that_looks_like_a_file_is_text(demo: cs.Dataset) -> None:
    query = "/* a\nremark */ -- and another\n(SELECT 'Csv SCAN [x]' AS text, count(*) AS n FROM targets)"
    num_targets = demo.scan("targets").collect().height  # archspec knows more with each version
    assert demo.sql(query).collect().rows() == [("Csv SCAN [x]", num_targets)]


@pytest.mark.slow
def test_the_command_line_asks_too(demo: cs.Dataset) -> None:
    def run(query: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cachestats", "sql", str(demo.path), query, "--format", "csv"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = run("SELECT package, count(DISTINCT hash) AS specs FROM specs GROUP BY package ORDER BY package")
    assert (done.returncode, done.stdout) == (0, "package,specs\npy-filelock,124\npy-propcache,68\n")
    assert done.stderr == "2 rows by 2 columns\n"
    assert run("-- a remark\nSELECT 1 AS one").stdout == "one\n1\n"
    assert run("SELECT count(read_at) AS n FROM snapshots").stdout == "n\n2\n"
    for query, words in (
        ("DROP TABLE specs", "found DROP"),
        ("SELECT hash FROM specs WHERE version > 1", "cannot compare string with numeric type"),
        ("SELECT CAST(package AS INT) FROM specs", "conversion from `str` to `i32` failed"),
        ("SELECT snapshot, ARRAY_AGG(hash) AS hashes FROM specs GROUP BY snapshot", "found lists in hashes"),
    ):
        failed = run(query)
        assert (failed.returncode, words in failed.stderr) == (2, True), failed.stderr


@pytest.mark.slow
def test_a_damaged_file_is_not_taken_for_a_bad_question(demo: cs.Dataset, tmp_path: Path) -> None:
    shutil.copytree(demo.path, tmp_path / "dataset")
    file = tmp_path / "dataset/specs/develop.parquet"
    file.write_bytes(file.read_bytes().replace(b"PAR1", b"RAP1"))
    command = [sys.executable, "-m", "cachestats", "sql", tmp_path / "dataset", "SELECT max(version) FROM specs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, str(file) in done.stderr) == (12, True), done.stderr
