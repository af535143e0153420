"""SQL over the tables: what DuckDB answers to the same words, and nothing but answers."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

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
@pytest.mark.parametrize("name", ["demo", "indexed"])
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
    ],
)
def test_what_is_no_question_is_told(query: str, message: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=message):
        demo.sql(query)


def test_the_command_line_asks_too(demo: cs.Dataset) -> None:
    def run(query: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cachestats", "sql", str(demo.path), query, "--format", "csv"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = run("SELECT package, count(DISTINCT hash) AS specs FROM specs GROUP BY package ORDER BY package")
    assert (done.returncode, done.stdout) == (0, "package,specs\npy-filelock,124\npy-propcache,68\n")
    assert done.stderr == "2 rows by 2 columns\n"
    assert run("DROP TABLE specs").returncode == 2
