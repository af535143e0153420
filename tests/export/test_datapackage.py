"""The data package: its descriptor and views say what is so, and it is replaced as a whole."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import filelock
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

import cachestats as cs
from cachestats import atomic
from cachestats.analysis.reuse import REUSED
from cachestats.errors import ArgumentError, BusyError, DatasetError
from cachestats.export.datapackage import export
from cachestats.export.datapackage.views import views_sql
from cachestats.hosts import host_of
from cachestats.schema import TABLES
from conftest import SAMPLE, SEEDS
from tests.support.cli import run
from tests.support.indices import build_index, edge_to, glibc, needs_libc, node_record
from tests.support.judging import RUNS, SNAPSHOTS, Frames, hosts, needs
from tests.support.site import page, spec, write

TEXTS = ["DICTIONARY.md", "KNOWN_ISSUES.md", "datapackage.json", "views.sql"]
TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
}


@pytest.fixture(params=["mixed", "sample"])
def dataset(request: pytest.FixtureRequest) -> cs.Dataset:
    """Return a dataset of pages with nulls and faults, or one of indices with dependencies."""
    found: cs.Dataset = request.getfixturevalue(request.param)
    return found


@contextmanager
def viewed(package: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database with the views of a package, made in its folder."""
    before = Path.cwd()
    os.chdir(package)
    try:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            database.execute((package / "views.sql").read_text())
            yield database
    finally:
        os.chdir(before)


def described(package: Path) -> dict[str, Any]:
    descriptor = json.loads((package / "datapackage.json").read_text())
    return {resource["name"]: resource for resource in descriptor["resources"]}


def names(package: Path) -> list[str]:
    return sorted(path.name for path in package.glob("[!.]*"))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("chosen", ["all", "one"])
def test_the_descriptor_says_what_is_so(form: Any, chosen: str, dataset: cs.Dataset, tmp_path: Path) -> None:
    snapshots = None if chosen == "all" else sorted(dataset.manifest.snapshots)[:1]
    rows = cs.export_package(dataset, tmp_path, snapshots=snapshots, format=form)
    resources = described(tmp_path)
    assert list(resources) == list(rows) == list(TABLES)
    assert names(tmp_path) == sorted([*TEXTS, *(resource["path"] for resource in resources.values())])
    with viewed(tmp_path) as database:
        for name, resource in resources.items():
            data = (tmp_path / resource["path"]).read_bytes()
            assert resource["bytes"] == len(data)
            assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert database.sql(f"SELECT count(*) FROM {name}").fetchall() == [(resource["rows"],)] == [(rows[name],)]
            check_schema(database, name, resource["schema"])
    if chosen == "one":
        assert (
            pl.concat([scan(tmp_path, "snapshots", form), scan(tmp_path, "specs", form)], how="diagonal")["snapshot"]
            .unique()
            .to_list()
            == snapshots
        )


def scan(package: Path, table: str, form: str) -> pl.DataFrame:
    return (
        pl.read_parquet(package / f"{table}.{form}", columns=["snapshot"])
        if form == "parquet"
        else pl.read_csv(package / f"{table}.{form}", columns=["snapshot"])
    )


def check_schema(database: duckdb.DuckDBPyConnection, name: str, schema: dict[str, Any]) -> None:
    """Fields, nulls, keys and references of a table are as its schema has them."""
    found = {column: kind for column, kind, *_ in database.sql(f"DESCRIBE {name}").fetchall()}
    assert found == {field["name"]: TYPES[field["type"]] for field in schema["fields"]}
    for field in schema["fields"]:
        assert field["description"]
        if field.get("constraints") == {"required": True}:
            assert not database.sql(f"SELECT 1 FROM {name} WHERE {field['name']} IS NULL LIMIT 1").fetchall()
    (key,) = [schema["primaryKey"]] if "primaryKey" in schema else schema["uniqueKeys"]
    assert not database.sql(f"SELECT {', '.join(key)} FROM {name} GROUP BY ALL HAVING count(*) > 1 LIMIT 1").fetchall()
    required = {field["name"] for field in schema["fields"] if "constraints" in field}
    assert ("primaryKey" in schema) == (set(key) <= required)
    for foreign in schema.get("foreignKeys", ()):
        other, there = foreign["reference"]["resource"], foreign["reference"]["fields"]
        on = " AND ".join(f"a.{one} = b.{two}" for one, two in zip(foreign["fields"], there, strict=True))
        assert not database.sql(f"SELECT 1 FROM {name} a ANTI JOIN {other} b ON {on} LIMIT 1").fetchall()


@pytest.mark.slow
def test_csv_holds_what_parquet_does(dataset: cs.Dataset, tmp_path: Path) -> None:
    for form in ("parquet", "csv"):
        cs.export_package(dataset, tmp_path / form, format=form)
    for table in TABLES:
        rows = []
        for form in ("parquet", "csv"):
            with viewed(tmp_path / form) as database:
                rows.append(database.sql(f"SELECT * FROM {table}").pl())
        assert rows[0].equals(rows[1])


def test_no_reference_leads_out_of_the_package(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(demo, tmp_path, tables=["variants", "snapshots"])
    schemas = {name: resource["schema"] for name, resource in described(tmp_path).items()}
    assert [key["reference"]["resource"] for key in schemas["variants"]["foreignKeys"]] == ["snapshots"]
    with viewed(tmp_path) as database:
        views = {name for name, *_ in database.sql("SHOW TABLES").fetchall()}
    assert views == {"variants", "snapshots", "snapshot_positions"}
    assert "## specs" not in (tmp_path / "DICTIONARY.md").read_text()
    cs.export_package(demo, tmp_path, tables=["specs", "requirements"])
    with viewed(tmp_path) as database:
        views = {name for name, *_ in database.sql("SHOW TABLES").fetchall()}
    assert {"operating_systems", "systems", "coverage"} < views
    assert not views & {"machines", "usable", "usable_packages"}


@pytest.mark.slow
def test_views_agree_with_the_analyses(dataset: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(dataset, tmp_path)
    newest = dataset.specs.filter(snapshot="develop" if dataset.path != SAMPLE else "develop-2025-05-25")
    with viewed(tmp_path) as database:
        for measure in ("packages", "specs"):
            found = database.sql(f"SELECT stack, target, {measure} FROM newest_coverage ORDER BY ALL").fetchall()
            expected = cs.coverage(newest, rows="stack", columns="target", measure=measure)
            cells = expected.filter(pl.col("value") > 0).with_columns(pl.col("stack").fill_null("none")).rows()
            assert found == sorted(cells)
        found = database.sql("SELECT stack, snapshot, packages, specs FROM history ORDER BY ALL").fetchall()
        by_stack = cs.history(dataset.specs, by="stack").with_columns(pl.col("stack").fill_null("none"))
        whole = cs.history(dataset.specs).select(pl.lit("all").alias("stack"), "snapshot", "packages", "specs")
        rows = pl.concat([by_stack.select("stack", "snapshot", "packages", "specs"), whole]).filter(pl.col("specs") > 0)
        assert found == sorted(rows.rows())
        found = database.sql("SELECT snapshot FROM snapshot_positions ORDER BY position").fetchall()
        assert [name for (name,) in found] == cs.history(dataset.specs)["snapshot"].to_list()
        check_usable(database, dataset.specs.collect(), ("x86_64_v3", "zen4", "aarch64", "m2"))


def check_usable(database: duckdb.DuckDBPyConnection, specs: pl.DataFrame, machines: tuple[str, ...]) -> int:
    """Check what `usable_packages` counts for some machines; return how many rows that are."""
    systems = database.sql("SELECT snapshot, platform, system, libc FROM systems ORDER BY ALL").fetchall()
    assert len(systems) == len({system[:3] for system in systems})
    expected = []
    for (snapshot, platform, system, libc), machine in itertools.product(systems, machines):
        host = cs.Host(machine, libc=system) if libc else host_of(machine, platform, system)
        found = cs.usable(specs.filter(snapshot=snapshot), host=host).filter(pl.col("cell") != "missing")
        native = found.filter(cell="native")["package"].n_unique()
        if found.height:
            expected.append((snapshot, machine, platform, system, found["package"].n_unique(), native))
    query = f"SELECT * FROM usable_packages WHERE machine IN {machines} ORDER BY ALL"
    assert database.sql(query).fetchall() == sorted(expected)
    return len(expected)


def with_views(specs: pl.DataFrame, requirements: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    """Return a database of these tables with the views over them."""
    database = duckdb.connect(config={"threads": 1})
    for name, frame in {"specs": specs, "requirements": requirements, "targets": RUNS}.items():
        database.register(name, frame)
    script = views_sql(["specs", "requirements", "targets"], [*SNAPSHOTS], "parquet")
    database.execute(script.partition("-- 2. The views.")[2])
    return database


@pytest.mark.slow
@settings(max_examples=30)
@given(needs)
def test_any_requirements_are_counted_as_by_usable(frames: Frames) -> None:
    with with_views(*frames) as database:
        check_usable(database, frames[0], ("x86_64_v3", "zen4", "neoverse_v2", "m1", "unheard"))


@pytest.mark.slow
@given(needs, hosts)
def test_what_the_view_gives_a_host_is_what_it_can_reuse(frames: Frames, host: cs.Host) -> None:
    """Asked in the words that stand above the view."""
    specs, _ = frames
    with with_views(*frames) as database:
        for snapshot, rules in SNAPSHOTS.items():
            name, _, version = (host.libc or "").partition("@")
            has_libc = f"(libc IS NULL OR libc = '{name}' AND libc_version_key <= '{cs.version_sort_key(version)}')"
            compares_os = rules == "0.21" or host.platform != "linux"
            found = database.sql(
                f"""SELECT DISTINCT snapshot, package, version, hash, target, is_native, externals IS NOT NULL
                FROM usable WHERE machine = '{host.target}' AND platform = '{host.platform}'
                AND snapshot = '{snapshot}' AND {f"os = '{host.os}'" if compares_os else has_libc} ORDER BY ALL"""
            ).fetchall()
            asked = host if compares_os else cs.Host(host.target, libc=host.libc)
            answer = cs.reusable(specs.filter(snapshot=snapshot), host=asked)
            expected = [
                (*row, target == host.target, status == "external")
                for *row, target, status, _ in answer.rows()
                if status in (*REUSED, "external")
            ]
            assert [(*row[:4], *row[5:]) for row in found] == sorted(expected)


def test_machines_releases_of_macos_and_libcs_are_as_in_spack(tmp_path: Path) -> None:
    libc, elsewhere = glibc("2.35"), node_record("glibc", "other", version="2.28", external="/opt/glibc")
    uuid = node_record("apple-libuuid", version="1353", external="/sdk", platform="darwin")
    cuda = node_record("cuda", version="12.4", external="/usr/local/cuda")
    mac = {"platform": "darwin", "target": "m1"}
    low = node_record("low", "", needs_libc(libc), target="x86_64_v4")
    high = node_record("high", "", needs_libc(libc), edge_to(low), target="zen3")
    strange = node_record("strange", "", needs_libc(elsewhere))
    gpu = node_record("gpu", "", needs_libc(libc), edge_to(cuda))
    pure = node_record("pure", target="x86_64")
    older = node_record("older", "", edge_to(uuid), os="ventura", **mac)
    newer = node_record("newer", "", edge_to(older), os="sonoma", **mac)
    nodes = (libc, elsewhere, uuid, cuda, low, high, strange, gpu, pure, older, newer)
    dataset = build_index(tmp_path, *nodes)
    cs.export_package(dataset, tmp_path / "package")
    with viewed(tmp_path / "package") as database:
        found = database.sql(
            """SELECT machine, system, packages, native_packages FROM usable_packages
            WHERE machine IN ('x86_64', 'zen3', 'zen4', 'm1', 'm2') ORDER BY ALL"""
        ).fetchall()
    assert found == [
        ("m1", "sonoma", 2, 2),
        ("m1", "ventura", 1, 1),
        ("m2", "sonoma", 2, 0),
        ("m2", "ventura", 1, 0),
        ("x86_64", "glibc@2.35", 1, 1),
        ("zen3", "glibc@2.35", 1, 0),
        ("zen4", "glibc@2.35", 3, 0),
    ]


def test_what_needs_a_libc_that_nobody_knows_is_counted_for_no_libc(tmp_path: Path) -> None:
    pages = {
        ("develop", name): page(name, specs=[spec(32 * name, os=os)]) for name, os in (("a", "new1"), ("b", "rhel8"))
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    cs.export_package(dataset, tmp_path / "package")
    with viewed(tmp_path / "package") as database:
        found = database.sql("SELECT system, packages FROM usable_packages WHERE machine = 'zen4'").fetchall()
    assert found == [("glibc@2.28", 1)]


def test_a_database_elsewhere_shows_the_next_export(demo: cs.Dataset, tmp_path: Path) -> None:
    package, database = tmp_path / "package", tmp_path / "cache.duckdb"
    cs.export_package(demo, package)
    with viewed(package), duckdb.connect(database) as made:
        made.execute((package / "views.sql").read_text())
    cs.export_package(demo, package, snapshots=["develop-2025-03-09"])
    with duckdb.connect(database, read_only=True, config={"file_search_path": str(package)}) as opened:
        assert opened.sql("SELECT snapshot FROM snapshots").fetchall() == [("develop-2025-03-09",)]


def test_known_issues_name_what_is_partial(mixed: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(mixed, tmp_path / "all")
    issues = (tmp_path / "all/KNOWN_ISSUES.md").read_text()
    partial = issues.partition("## Incomplete snapshots\n\n")[2].splitlines()
    assert partial == [
        "- `develop`: 1 spec left out, and an unknown number from 1 page, in addition to 194 specs included "
        "(rules `encoding`, `field`; see `rejected`).",
        "- Not included, because all their specs were rejected: `v0.9`.",
    ]
    assert "1 page with 3 specs of that kind were left out" in issues
    assert "`size_bytes` is known for 1 of the 215 specs" in issues
    assert (
        "before it: `develop-2025-03-09`; since it: `v1.0`, `develop-2025-07-13`; pages of both in `develop`." in issues
    )
    assert "Without them: `v1.0`, `develop-2025-03-09`, `develop`." in issues
    assert "**Holes**: 1 row of" in issues
    cs.export_package(mixed, tmp_path / "one", snapshots=["v1.0"])
    issues = (tmp_path / "one/KNOWN_ISSUES.md").read_text()
    assert "For 1 snapshot, `v1.0`." in issues
    assert "others were left out" in issues
    cs.export_package(cs.open_dataset(SAMPLE), tmp_path / "sample")
    assert "- None is known to be incomplete.\n" in (tmp_path / "sample/KNOWN_ISSUES.md").read_text()


def test_known_issues_name_what_failed_went_or_was_not_asked_for(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", name): page(name, specs=[spec(32 * name)]) for name in ("a", "b")})
    cs.build_dataset(site, out=tmp_path / "dataset")
    (site / "_cache/develop/b/specs.md").unlink()
    cs.update_dataset(tmp_path / "dataset")
    dataset = cs.open_dataset(tmp_path / "dataset")
    dataset.manifest.sources[str(site)].stacks.append("e4s")
    cs.export_package(dataset, tmp_path / "package")
    partial = (tmp_path / "package/KNOWN_ISSUES.md").read_text().partition("Incomplete snapshots\n\n")[2].splitlines()
    assert partial == [
        "- `develop`: 1 file gone from the source; their specs are kept.",
        f"- Only these stacks of the source {site} were read: `e4s`.",
    ]


def test_the_same_dataset_gives_the_same_bytes(demo: cs.Dataset, tmp_path: Path) -> None:
    for name in ("a", "b"):
        cs.export_package(demo, tmp_path / name)
    for file in names(tmp_path / "a"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_another_export_replaces_what_the_first_wrote_and_nothing_else(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(demo, tmp_path)
    (tmp_path / "dashboard.pbix").write_bytes(b"mine")
    (tmp_path / "specs.csv.gz").write_bytes(b"mine")
    cs.export_package(demo, tmp_path, tables=["targets", "specs"], format="csv")
    assert names(tmp_path) == sorted([*TEXTS, "dashboard.pbix", "specs.csv", "specs.csv.gz", "targets.csv"])


@pytest.mark.slow
def test_a_tool_that_reads_meanwhile_has_whole_files(demo: cs.Dataset, tmp_path: Path) -> None:
    sample = cs.open_dataset(SAMPLE)
    cs.export_package(sample, tmp_path)
    rows = {dataset.manifest.tables["specs"] for dataset in (demo, sample)}
    done, seen = threading.Event(), set()

    def export_again() -> None:
        for dataset in (demo, sample) * 4:
            cs.export_package(dataset, tmp_path, tables=["specs", "targets"])
        done.set()

    with open(tmp_path / "specs.parquet", "rb") as file:
        writer = threading.Thread(target=export_again)
        writer.start()
        while not done.is_set():
            with open(tmp_path / "specs.parquet", "rb") as again:  # once: a path may lead to another file the next time
                seen.add(pq.read_table(again).num_rows)
        writer.join()
        assert pq.read_table(file).num_rows == max(rows)  # what was opened before is read to its end
    assert seen == rows


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_folder_with_nothing_else_is_exchanged_if_it_can_be(
    is_allowed: bool, demo: cs.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "package"
    cs.export_package(demo, out)
    out.chmod(0o750)
    before = out.stat()
    plain = atomic._exchanged

    def exchange(new: Path, old: Path) -> bool:
        assert names(new) == sorted([*TEXTS, "specs.csv"])
        (out / "dashboard.pbix").write_bytes(b"written in this instant")
        return is_allowed and plain(new, old)

    monkeypatch.setattr(atomic, "_exchanged", exchange)
    cs.export_package(demo, out, tables=["specs"], format="csv")
    assert names(out) == sorted([*TEXTS, "dashboard.pbix", "specs.csv"])
    assert (out.stat().st_ino != before.st_ino) == is_allowed
    assert out.stat().st_mode == before.st_mode
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
    with filelock.FileLock(out / ".cachestats-package/lock"), pytest.raises(BusyError):
        cs.export_package(demo, out)
    cs.export_package(demo, out)
    assert (out / "dashboard.pbix").read_bytes() == b"written in this instant"


def test_an_export_that_fails_changes_nothing(
    demo: cs.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cs.export_package(cs.open_dataset(SAMPLE), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with monkeypatch.context() as patch:
        patch.setattr(export, "descriptor", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cs.export_package(demo, tmp_path, format="csv")
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    cs.export_package(demo, tmp_path, tables=["specs"])
    assert sorted(path.name for path in (tmp_path / ".cachestats-package").iterdir()) == ["files.txt", "lock"]
    assert names(tmp_path) == sorted([*TEXTS, "specs.parquet"])


def test_a_publication_during_the_export_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = cs.build_dataset(SEEDS, out=tmp_path / "dataset")

    def publish(*_: object) -> str:
        cs.build_dataset(SEEDS, out=tmp_path / "dataset")
        return ""

    monkeypatch.setattr(export, "known_issues", publish)
    with pytest.raises(BusyError, match="was built again while it was read"):
        cs.export_package(dataset, tmp_path / "package")
    assert names(tmp_path / "package") == []


def test_an_export_refuses_what_it_cannot_do(demo: cs.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options, words, hint in (
        ({"tables": ["spec"]}, "expected a table, found 'spec'", "try specs;"),
        ({"tables": []}, "expected a table, found none", "omit the tables"),
        ({"tables": "specs"}, "expected a list of tables", r"\['specs'\]"),
        (
            {"snapshots": ["develop-2025-03-90"]},
            "expected one of the 2 snapshots of .*, found 'develop-2025-03-90'",
            "2025-03-09",
        ),
        ({"snapshots": []}, "expected a snapshot, found none", "leave them out"),
        ({"snapshots": "develop"}, "expected a list of snapshots", r"\['develop'\]"),
        ({"format": "xlsx"}, "expected parquet or csv as format, found 'xlsx'", ""),
    ):
        with pytest.raises(ArgumentError, match=rf"(?s){words}.*{hint}"):
            cs.export_package(demo, out, **options)  # type: ignore[arg-type]
    assert not out.exists()
    with pytest.raises(DatasetError, match="found an empty path"):
        cs.export_package(demo, "")
    out.write_text("a file")
    with pytest.raises(DatasetError, match=r"(?s)cannot write to .*out: Not a directory.*give a folder"):
        cs.export_package(demo, out)
    with pytest.raises(DatasetError, match="cannot write"):
        cs.export_package(demo, "/proc/nothing/here")
    with pytest.raises(DatasetError, match=r"an export of tables, found .* with \.cachestats in it"):
        cs.export_package(demo, demo.path)


def test_an_export_overwrites_nothing_that_is_not_its_own(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(demo, tmp_path, tables=["specs"])
    (tmp_path / "targets.parquet").write_bytes(b"mine")
    before = (tmp_path / "datapackage.json").read_bytes()
    with pytest.raises(DatasetError, match=r"targets\.parquet, found one that no export wrote"):
        cs.export_package(demo, tmp_path)
    assert (tmp_path / "targets.parquet").read_bytes() == b"mine"
    assert (tmp_path / "datapackage.json").read_bytes() == before
    # Nor does what somebody put into the list of files lead out of the folder.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.csv").write_bytes(b"mine")
    with (tmp_path / ".cachestats-package/files.txt").open("a") as file:
        file.write("mine/a.csv\ndashboard.pbix\n../../a.csv\n")
    cs.export_package(demo, tmp_path, tables=["specs"])
    assert (tmp_path / "mine/a.csv").exists()


def test_one_process_exports_to_a_folder_at_a_time(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_package(demo, tmp_path, tables=["specs"])
    with filelock.FileLock(tmp_path / ".cachestats-package/lock"), pytest.raises(BusyError, match="is exporting to"):
        cs.export_package(demo, tmp_path)


def test_the_verb_tells_a_folder_from_a_file(demo: cs.Dataset, tmp_path: Path) -> None:
    done = run("export", demo.path, "--out", tmp_path / "2025.07.0", "--snapshot", "develop", "--format", "csv")
    of_develop = demo.manifest.snapshots["develop"].rows
    rows = sum(of_develop.values()) + demo.manifest.tables["targets"] + 1 + 2  # a snapshot of two pages
    assert done.stderr.decode().endswith(f"wrote 8 tables with {rows:,} rows to {tmp_path / '2025.07.0'}\n")
    assert len(described(tmp_path / "2025.07.0")) == 8
    run("export", demo.path, "--out", tmp_path / "2025.07.0", "--table", "specs", "--table", "targets")
    assert names(tmp_path / "2025.07.0") == sorted([*TEXTS, "specs.parquet", "targets.parquet"])
    run("export", demo.path, "--out", tmp_path / "s.csv", "--table", "snapshots", "--snapshot", "develop")
    assert (tmp_path / "s.csv").read_text().count("\n") == 2
    (tmp_path / "folder.csv").mkdir()
    run("export", demo.path, "--out", tmp_path / "folder.csv", "--table", "targets")
    assert names(tmp_path / "folder.csv") == sorted([*TEXTS, "targets.parquet"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("", 2, "expected --out or --site, found neither"),
        ("--table specs", 2, "--out FILE with --table writes one"),
        ("--out {}/a.parquet", 2, "expected one --table for the file"),
        ("--out {}/a.csv --table specs --table targets", 2, "found 2\nhint: a file holds one table; for several,"),
        ("--out {}/a.xlsx --table specs", 2, "ends in .parquet or .csv, found 'a.xlsx'\nhint: try a.parquet"),
        ("--out {}/a.csv --table specs --format parquet", 2, "ends in .parquet, found 'a.csv'"),
        ("--out {}/a --table variant", 2, "hint: try variants;"),
        ("--out {}/a --snapshot develop-2025-03-90", 2, "hint: try develop-2025-03-09"),
        ("--out {}", 12, "with mine in it\nhint: choose another folder"),
        ("--out {}/mine", 12, "Not a directory\nhint: give a folder"),
        ("--out /proc/nothing", 12, "cannot write to /proc/nothing"),
    ],
)
def test_the_verb_refuses_what_does_not_go_together(
    options: str, code: int, words: str, demo: cs.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    done = run("export", demo.path, *options.format(*[tmp_path] * 2).split(), code=code)
    assert words in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
