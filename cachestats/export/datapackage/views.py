"""The views of a data package: `views.sql`.

Beyond the first view of each table, which reads its file, it keeps to what SQL engines have in common. How snapshots
and releases of macOS follow one another is written out, since that is beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cachestats.naming import snapshot_order
from cachestats.schema import TABLES, DType, Table
from cachestats.spack_releases import MACOS

_DUCKDB_TYPES: dict[DType, str] = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}

_HEAD = """\
-- Views over the tables of this folder. Made by `cachestats export`, and replaced by the next one: do not edit.
--
-- DuckDB runs this file as it is, in this folder:  duckdb cache.duckdb < views.sql
-- A view reads its file when it is asked, so it shows the next export too. A database that is opened elsewhere has to
-- be told where the files are:  SET file_search_path = '/path/to/this/folder'
--
-- In other engines change the first part only, where each table gets its name: in Spark
--   CREATE OR REPLACE TEMPORARY VIEW specs USING parquet OPTIONS (path 'specs.parquet')
-- (and TEMPORARY in the second part), in DataFusion
--   CREATE EXTERNAL TABLE specs STORED AS PARQUET LOCATION 'specs.parquet'
-- in ClickHouse  file('specs.parquet')  stands for the name of the file; other databases load the files as tables.
--
-- Mind: a spec has a row for each stack that lists it, so specs are counted as distinct hashes of a snapshot. `root` is
-- the union of the stacks and no stack of its own.
"""


class _View(NamedTuple):
    """A view: what it says, the tables it needs, and its query."""

    name: str
    words: str
    tables: tuple[str, ...]
    query: str


_MACOS = "\n  UNION ALL ".join(f"SELECT '{os}' AS os, {place} AS position" for place, os in enumerate(MACOS, 1))

_VIEWS = (
    _View(
        "newest_specs",
        "The specs of the newest snapshot: `develop` if it is there, else the newest weekly one or release.",
        ("specs",),
        """\
SELECT specs.*
FROM specs
JOIN snapshot_positions ON snapshot_positions.snapshot = specs.snapshot
WHERE snapshot_positions.is_newest""",
    ),
    _View(
        "stack_specs",
        "The specs of each stack: without `root`, the union of them; `none` stands where no stack lists a spec.",
        ("specs",),
        """\
SELECT snapshot_positions.position, snapshot_positions.is_newest, specs.snapshot, specs.snapshot_date,
  COALESCE(specs.stack, 'none') AS stack, specs.package, specs.version, specs.os, specs.target, specs.compiler,
  specs.hash
FROM specs
JOIN snapshot_positions ON snapshot_positions.snapshot = specs.snapshot
WHERE specs.stack IS NULL OR specs.stack <> 'root'""",
    ),
    _View(
        "coverage",
        "Coverage by stack, operating system and target: packages and specs.",
        ("specs",),
        """\
SELECT snapshot, stack, os, target, COUNT(DISTINCT package) AS packages, COUNT(DISTINCT hash) AS specs
FROM stack_specs
GROUP BY snapshot, stack, os, target""",
    ),
    _View(
        "newest_coverage",
        "Coverage of the newest snapshot by stack and target, over all operating systems.",
        ("specs",),
        """\
SELECT stack, target, COUNT(DISTINCT package) AS packages, COUNT(DISTINCT hash) AS specs
FROM stack_specs
WHERE is_newest
GROUP BY stack, target""",
    ),
    _View(
        "history",
        "Packages and specs of each stack, snapshot by snapshot: sort by `position`. Stack `all` is all of it.",
        ("specs",),
        """\
SELECT position, snapshot, snapshot_date, stack,
  COUNT(DISTINCT package) AS packages, COUNT(DISTINCT hash) AS specs
FROM stack_specs
GROUP BY position, snapshot, snapshot_date, stack
UNION ALL
SELECT snapshot_positions.position, specs.snapshot, specs.snapshot_date, 'all' AS stack,
  COUNT(DISTINCT specs.package) AS packages, COUNT(DISTINCT specs.hash) AS specs
FROM specs
JOIN snapshot_positions ON snapshot_positions.snapshot = specs.snapshot
GROUP BY snapshot_positions.position, specs.snapshot, specs.snapshot_date""",
    ),
    _View(
        "machines",
        "Which machines run what has a requirement: all of its targets.",
        ("targets", "requirements"),
        """\
SELECT requirements.snapshot, requirements.requirement, targets.runs_on AS machine
FROM requirements
JOIN targets ON targets.target = requirements.target
UNION ALL
SELECT requirements.snapshot, requirements.requirement, targets.runs_on AS machine
FROM requirements
CROSS JOIN targets
WHERE POSITION(',' IN requirements.target) > 0
  AND POSITION(CONCAT(',', targets.target, ',') IN CONCAT(',', requirements.target, ',')) > 0
GROUP BY requirements.snapshot, requirements.requirement, requirements.target, targets.runs_on
HAVING COUNT(*) = LENGTH(requirements.target) - LENGTH(REPLACE(requirements.target, ',', '')) + 1""",
    ),
    _View(
        "operating_systems",
        "Which operating systems run what was built on which: each its own, and macOS that of older releases.",
        ("requirements",),
        f"""\
WITH macos AS (
  {_MACOS}
)
SELECT DISTINCT os, os AS runs_on
FROM requirements
UNION ALL
SELECT older.os, newer.os AS runs_on
FROM macos AS older
CROSS JOIN macos AS newer
WHERE older.position < newer.position""",  # noqa: S608 (the names of releases)
    ),
    _View(
        "usable",
        "What a host can use: ask WHERE machine = 'zen4' AND platform = 'linux' AND snapshot = 'develop', and for its "
        "libc AND (libc IS NULL OR libc = 'glibc' AND libc_version_key <= '0002.0034'). Where compares_os is true, "
        "Spack compares operating systems instead: AND os = 'ubuntu22.04', or 'sonoma' with what was built on older "
        "releases of macOS. What else a spec needs of the host stands in externals.",
        ("specs", "targets", "requirements"),
        """\
SELECT specs.snapshot AS snapshot, machines.machine AS machine, requirements.platform AS platform,
  operating_systems.runs_on AS os,
  requirements.platform <> 'linux' OR requirements.reuse_rules = '0.21' AS compares_os,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc END AS libc,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc_version END AS libc_version,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc_version_key END AS libc_version_key,
  requirements.externals AS externals, specs.stack AS stack, specs.package AS package, specs.version AS version,
  specs.compiler AS compiler, specs.target AS target, specs.target = machines.machine AS is_native, specs.hash AS hash
FROM specs
JOIN requirements ON requirements.snapshot = specs.snapshot AND requirements.requirement = specs.requirement
JOIN machines ON machines.snapshot = specs.snapshot AND machines.requirement = specs.requirement
JOIN operating_systems ON operating_systems.os = requirements.os
WHERE requirements.missing IS NULL
  AND (requirements.reuse_rules = '0.21' OR requirements.platform <> 'linux'
    OR NOT requirements.is_assumed OR requirements.libc IS NOT NULL)
  AND (requirements.reuse_rules <> '0.23' OR requirements.platform <> 'linux' OR requirements.names_libc)
  AND (requirements.reuse_rules <> '1.1'
    OR requirements.excluded IS NULL AND COALESCE(requirements.spec_format, 5) >= 5)""",
    ),
    _View(
        "systems",
        "What hosts differ by in a snapshot: the libcs of its specs or, where Spack compares them, their systems.",
        ("requirements",),
        """\
SELECT DISTINCT snapshot, platform, CONCAT(libc, '@', libc_version) AS system, libc, libc_version_key
FROM requirements
WHERE platform = 'linux' AND reuse_rules <> '0.21' AND libc NOT LIKE '%,%' AND libc NOT LIKE '% at %'
UNION ALL
SELECT DISTINCT snapshot, platform, os AS system, NULL AS libc, NULL AS libc_version_key
FROM requirements
WHERE (platform <> 'linux' OR reuse_rules = '0.21') AND platform NOT LIKE '%,%' AND os NOT LIKE '%,%'""",
    ),
    _View(
        "usable_packages",
        "How much that is for each system: packages that a host of a machine can use, and those of them with a spec "
        "built for its very target. What needs an external is left out.",
        ("specs", "targets", "requirements"),
        """\
SELECT usable.snapshot, usable.machine, usable.platform, systems.system, COUNT(DISTINCT usable.package) AS packages,
  COUNT(DISTINCT CASE WHEN usable.is_native THEN usable.package END) AS native_packages
FROM usable
JOIN systems ON systems.snapshot = usable.snapshot AND systems.platform = usable.platform
WHERE usable.externals IS NULL AND (
  (usable.compares_os AND usable.os = systems.system)
  OR (NOT usable.compares_os AND (usable.libc IS NULL OR (
    usable.libc = systems.libc AND usable.libc_version_key <= systems.libc_version_key))))
GROUP BY usable.snapshot, usable.machine, usable.platform, systems.system""",
    ),
)


def views_sql(tables: Iterable[str], snapshots: Sequence[str], kind: str) -> str:
    """Return the views over these tables, in files of this kind, as a script.

    Examples
    --------
    >>> script = views_sql(["snapshots"], ["develop"], "parquet")
    >>> print(script[script.index("CREATE OR REPLACE VIEW snapshots") :].splitlines()[0])
    CREATE OR REPLACE VIEW snapshots AS SELECT * FROM 'snapshots.parquet';
    """
    there = list(tables)
    parts = [
        _HEAD,
        "-- 1. The tables.\n",
        *(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {_file(TABLES[name], kind)};" for name in there),  # noqa: S608
        "\n-- 2. The views.",
        "\n-- The snapshots in order: names of no known kind, releases by version, weekly ones by date, `develop`.",
        f"CREATE OR REPLACE VIEW snapshot_positions AS\n{_positions(snapshots)};",
        *(
            f"\n-- {view.words}\nCREATE OR REPLACE VIEW {view.name} AS\n{view.query};"
            for view in _VIEWS
            if set(view.tables) <= set(there)
        ),
    ]
    return "\n".join(parts) + "\n"


def _file(table: Table, kind: str) -> str:
    """Return what DuckDB reads a table from; of CSV it is told the types, or `1.10` would be a number."""
    if kind == "parquet":
        return f"'{table.name}.parquet'"
    columns = ", ".join(f"{column.name}: '{_DUCKDB_TYPES[column.dtype]}'" for column in table.columns)
    options = "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', allow_quoted_nulls = false"
    return f"read_csv('{table.name}.csv', {options}, columns = {{{columns}}})"


def _positions(snapshots: Sequence[str]) -> str:
    ordered = sorted(snapshots, key=snapshot_order)
    rows = [
        f"SELECT {_text(name)} AS snapshot, {number} AS position, {str(name == ordered[-1]).lower()} AS is_newest"
        for number, name in enumerate(ordered, 1)
    ]
    return "\nUNION ALL ".join(rows) or "SELECT '' AS snapshot, 0 AS position, false AS is_newest WHERE 1 = 0"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
