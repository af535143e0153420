"""The views of a data package: `views.sql`.

Apart from the first view of each table, which reads its file, the script uses only SQL that engines have in common. The
order of snapshots and of macOS releases is written out, because SQL cannot derive it.
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
-- Views of the tables in this folder. Made by `cachestats export`, and replaced by the next export: do not edit.
--
-- DuckDB runs this file unchanged, in this folder:  duckdb cache.duckdb < views.sql
-- A view reads its file whenever it is queried, so it also shows the next export. For a database opened elsewhere, set
-- the location of the files:  SET file_search_path = '/path/to/this/folder'
--
-- For other engines, change only the first part, which names the tables: in Spark
--   CREATE OR REPLACE TEMPORARY VIEW specs USING parquet OPTIONS (path 'specs.parquet')
-- (and TEMPORARY in the second part), in DataFusion
--   CREATE EXTERNAL TABLE specs STORED AS PARQUET LOCATION 'specs.parquet'
-- in ClickHouse, write  file('specs.parquet')  for the name of the file; other databases load the files as tables.
--
-- Note: a spec has a row for each stack that lists it, so specs are counted as distinct hashes of a snapshot. `root` is
-- the union of the stacks, not a stack of its own.
"""


class _View(NamedTuple):
    """A view: its description, the tables it needs, and its query."""

    name: str
    words: str
    tables: tuple[str, ...]
    query: str


_MACOS = "\n  UNION ALL ".join(f"SELECT '{os}' AS os, {position} AS position" for position, os in enumerate(MACOS, 1))

_VIEWS = (
    _View(
        "newest_specs",
        "The specs of the newest snapshot: `develop` if it exists, otherwise the newest dated one or release.",
        ("specs",),
        """\
SELECT specs.*
FROM specs
JOIN snapshot_positions ON snapshot_positions.snapshot = specs.snapshot
WHERE snapshot_positions.is_newest""",
    ),
    _View(
        "stack_specs",
        "The specs of each stack, without `root`, the union of the stacks; `none` if no stack lists a spec.",
        ("specs",),
        """\
SELECT snapshot_positions.position, snapshot_positions.is_newest, specs.snapshot, specs.snapshot_date,
  COALESCE(specs.stack, 'none') AS stack, specs.package, specs.version, specs.version_key, specs.os, specs.target,
  specs.compiler, specs.hash
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
        "Packages and specs of each stack, snapshot by snapshot: sort by `position`. The stack `all` is the whole.",
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
        "The machines that can run specs with a requirement, that is, all of its targets.",
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
        "The operating systems that run binaries built on each: the same one, and newer releases of macOS.",
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
        "The specs that a host can use: filter by machine = 'zen4' AND platform = 'linux' AND snapshot = 'develop', "
        "and by its libc: AND (libc IS NULL OR libc = 'glibc' AND libc_version_key <= 'v0002.0034.'). If compares_os "
        "is true, Spack compares operating systems instead: AND os = 'ubuntu22.04', or 'sonoma', which includes specs "
        "built on older releases of macOS. The column externals lists what else a spec requires from the host.",
        ("specs", "targets", "requirements"),
        """\
SELECT specs.snapshot AS snapshot, machines.machine AS machine, requirements.platform AS platform,
  operating_systems.runs_on AS os,
  requirements.platform <> 'linux' OR requirements.reuse_rules = '0.21' AS compares_os,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc END AS libc,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc_version END AS libc_version,
  CASE WHEN requirements.reuse_rules <> '0.21' THEN requirements.libc_version_key END AS libc_version_key,
  requirements.externals AS externals, specs.stack AS stack, specs.package AS package, specs.version AS version,
  specs.version_key AS version_key, specs.compiler AS compiler, specs.target AS target,
  specs.target = machines.machine AS is_native, specs.hash AS hash
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
        "The systems by which hosts differ in a snapshot: libcs or, if Spack compares them, operating systems.",
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
        "The number of packages that a machine can use on each system, and of those among them with a spec built for "
        "exactly its target. Specs that need an external are left out.",
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
    """Return a script of views over these tables, stored in files of this kind.

    Examples
    --------
    >>> from cachestats.export.datapackage.views import views_sql
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
        "\n-- The snapshots in order: those of unknown kind, releases by version, dated ones by date, `develop`.",
        f"CREATE OR REPLACE VIEW snapshot_positions AS\n{_positions(snapshots)};",
        *(
            f"\n-- {view.words}\nCREATE OR REPLACE VIEW {view.name} AS\n{view.query};"
            for view in _VIEWS
            if set(view.tables) <= set(there)
        ),
    ]
    return "\n".join(parts) + "\n"


def _file(table: Table, kind: str) -> str:
    """Return the source of a table for DuckDB; for CSV it includes the types, or `1.10` would become a number."""
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
