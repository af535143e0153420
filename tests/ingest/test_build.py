"""The dataset: whole or not at all, the same bytes for the same input, and what other tools see in its files."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import filelock
import polars as pl
import pyarrow.parquet as pq
import pytest

import cachestats as cs
from benchmarks.make_corpus import write_corpus
from cachestats.errors import ArgumentError, BusyError, DatasetError, RejectedError, ShrinkError
from cachestats.ingest import read as reading
from cachestats.schema import TABLES
from conftest import SEEDS
from tests.support.datasets import bytes_of, site_archive, state
from tests.support.indices import index
from tests.support.mirrors import build as mirrors_dataset
from tests.support.mirrors import layout_2
from tests.support.nodes import node
from tests.support.site import page, spec, write


@pytest.fixture(scope="module")
def expected(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return bytes_of(cs.build_dataset(site, out=tmp_path_factory.mktemp("expected") / "dataset"))


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_and_chunks_do_not_change_a_byte(
    workers: int, site: Path, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHUNK_BYTES", 5000)
    parts = [*sorted((site / "_cache").iterdir(), reverse=True), site / "_cache", site]
    assert bytes_of(cs.build_dataset(*parts, out=tmp_path / "dataset", workers=workers)) == expected


def test_the_same_page_twice_is_one_page(site: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    dataset = cs.build_dataset(site, site_archive(site, tmp_path / "site.zip", 1), out=tmp_path / "dataset")
    assert bytes_of(dataset) == expected
    assert dataset.rejected.collect().is_empty()
    assert dataset.snapshots.collect()["num_pages"].unique().to_list() == [40]


def test_a_copy_of_a_page_is_not_rejected_again(tmp_path: Path) -> None:
    text = page("a", specs=[spec(), spec("b" * 32, os=1)], meta={})
    for name in ("one", "two"):
        write(tmp_path / name, {("develop", "a"): text})
    dataset = cs.build_dataset(tmp_path / "one", tmp_path / "two", out=tmp_path / "dataset", max_rejected=1)
    (row,) = dataset.snapshots.collect().rows(named=True)
    assert (row["num_pages"], row["num_specs"], row["num_rejected"]) == (1, 1, 1)


def test_which_of_two_specs_with_one_hash_is_kept_does_not_depend_on_the_order(tmp_path: Path) -> None:
    for name, os in (("one", "a"), ("two", "b")):
        specs = [spec(f"{n:032d}", os=os) for n in range(5)]
        write(tmp_path / name, {("develop", "a"): page("a", specs=specs if name == "one" else specs[::-1])})
    one, two = (
        cs.build_dataset(*sources, out=tmp_path / f"dataset-{n}", max_rejected=1)
        for n, sources in enumerate(itertools.permutations([tmp_path / "one", tmp_path / "two"]))
    )
    assert one.specs.collect()["os"].unique().to_list() == ["a"]
    assert bytes_of(one) == bytes_of(two)
    assert one.rejected.collect().equals(two.rejected.collect())


def test_two_pages_of_a_package_are_one_and_a_warning(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {("develop", "a"): page("a", specs=[spec(name * 8)])})
    dataset = cs.build_dataset(tmp_path / "one", tmp_path / "two", out=tmp_path / "dataset")
    assert dataset.manifest.snapshots["develop"].num_specs == 2
    assert dataset.rejected.collect().select("rule", "severity", "package").rows() == [("second-page", "warning", "a")]
    (found,) = dataset.rejected.select("source", "origin").collect().rows()
    assert found[0] in dataset.manifest.sources
    assert found[1].startswith(found[0])


def test_snapshots_of_a_dataset_that_a_source_lacks_stay(
    site: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    for folder in sorted((site / "_cache").iterdir()):
        dataset = cs.build_dataset(folder, out=tmp_path / "dataset")
    assert bytes_of(dataset) == expected
    assert len(dataset.manifest.sources) == 3


def test_a_file_says_what_is_in_it(demo: cs.Dataset) -> None:
    for table, declared in TABLES.items():
        for path in demo.files(table):
            file = pq.ParquetFile(path)
            schema = file.schema_arrow
            assert schema.equals(declared.arrow(), check_metadata=True)
            group = file.metadata.row_group(0)
            sort = [schema.names[column.column_index] for column in group.sorting_columns]
            assert sort == list(declared.sort)
            skipped_by = {"snapshot", *declared.sort[:1]} & {*schema.names}
            for column in map(group.column, range(group.num_columns)):
                assert column.compression == "ZSTD"
                assert column.is_stats_set == (column.path_in_schema in skipped_by) or not group.num_rows
            words = json.loads(file.metadata.metadata[b"cachestats.columns"])
            assert words == {column.name: column.description for column in declared.columns}


@pytest.mark.parametrize("name", ["mixed", "sample"])
def test_every_table_keeps_its_key_order_and_nulls(name: str, request: pytest.FixtureRequest) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    for table, declared in TABLES.items():
        for path in dataset.files(table):
            frame = pl.read_parquet(path)
            assert frame.schema == declared.polars()
            assert not frame.select(declared.key).is_duplicated().any()
            assert frame.equals(frame.sort(declared.sort, nulls_last=True))
            never_null = [column.name for column in declared.columns if not column.nullable]
            assert frame.select(never_null).null_count().sum_horizontal().item(0) in (0, None)


def test_other_tools_read_the_folder_as_it_is(demo: cs.Dataset) -> None:
    rows = demo.specs.collect().rows()
    pattern = f"{demo.path}/specs/*.parquet"
    assert duckdb.sql(f"SELECT * FROM '{pattern}' ORDER BY snapshot, package, hash, stack").fetchall() == rows
    assert pq.read_table(f"{demo.path}/specs").num_rows == len(rows)


def test_targets_are_archspecs(demo: cs.Dataset) -> None:
    runs = {(row["target"], row["runs_on"]) for row in demo.targets.collect().rows(named=True)}
    assert ("x86_64_v3", "zen4") in runs
    assert ("zen4", "x86_64_v3") not in runs
    assert ("neoverse_v1", "neoverse_v2") not in runs
    unknown = cs.parse_page(page(specs=[spec(target="never_heard")]))
    assert unknown.specs["target"].unique().to_list() == ["never_heard"]


def test_an_unknown_target_runs_on_itself_only_and_is_remembered(tmp_path: Path) -> None:
    site = write(tmp_path / "a", {("v1.0", "zlib"): page("zlib", "v1.0", [spec(target="never_heard")])})
    cs.build_dataset(site, out=tmp_path / "dataset")
    dataset = cs.build_dataset(SEEDS, out=tmp_path / "dataset")
    targets = dataset.targets.collect()
    for column in ("target", "runs_on"):
        assert targets.filter(pl.col(column) == "never_heard").select("target", "runs_on").rows() == [
            ("never_heard", "never_heard")
        ]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a dataset, a site with the snapshots it has, and one with others and more in `develop`."""
    old = write(
        tmp_path / "old", {("develop", "zlib"): page(specs=[spec()]), ("v1.0", "a"): page("a", "v1.0", [spec()])}
    )
    specs = [spec(f"{n:032d}") for n in range(9)]
    new = write(tmp_path / "new", {("develop", "zlib"): page(specs=specs), ("v2.0", "a"): page("a", "v2.0", [spec()])})
    cs.build_dataset(old, out=tmp_path / "dataset")
    return tmp_path / "dataset", old, new


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_the_old_or_the_new(site: Path, tmp_path: Path) -> None:
    old = write(tmp_path / "old", {("develop-2023-05-14", "zlib"): page("zlib", "develop-2023-05-14", [spec()])})
    before = state(cs.build_dataset(old, out=tmp_path / "pristine"))
    cs.build_dataset(old, out=tmp_path / "both")
    start = time.monotonic()
    subprocess.run(command(site, tmp_path / "both"), check=True, capture_output=True)
    whole = time.monotonic() - start
    after = state(cs.open_dataset(tmp_path / "both"))
    seen = []
    for part in range(16):
        dataset = tmp_path / f"killed-{part}"
        shutil.copytree(tmp_path / "pristine", dataset)
        process = subprocess.Popen(command(site, dataset), stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.3 + 0.06 * part))
        process.kill()
        process.wait()
        seen.append(state(cs.open_dataset(dataset)))
        assert seen[-1] in (before, after)
    assert before in seen
    assert after in seen


def command(source: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "cachestats", "build", str(source), "--out", str(out)]


def test_a_reader_waits_for_a_publication_and_not_for_a_build(two: tuple[Path, Path, Path]) -> None:
    path, *_ = two
    commit = path / ".cachestats/commit.json"
    lock = filelock.FileLock(path / ".cachestats/lock", thread_local=False)
    with lock:
        assert cs.open_dataset(path).manifest.snapshots["develop"].num_specs == 1
        commit.write_text('{"move": ["manifest.json"], "remove": []}')
        threading.Timer(0.3, commit.unlink).start()
        assert cs.open_dataset(path).manifest.snapshots["develop"].num_specs == 1
        assert not commit.exists()
    commit.write_text('{"move": ["manifest.json"], "remove": []}')  # as a process that was killed leaves it
    cs.open_dataset(path)
    assert not commit.exists()


def test_a_second_build_waits_or_says_that_another_is_running(two: tuple[Path, Path, Path]) -> None:
    path, _, new = two
    lock = filelock.FileLock(path / ".cachestats/lock", thread_local=False)
    lock.acquire()
    with pytest.raises(BusyError, match="another process is still writing"):
        cs.build_dataset(new, out=path, wait=0.1)
    threading.Timer(0.5, lock.release).start()
    assert cs.build_dataset(new, out=path, wait=30).manifest.snapshots["develop"].num_specs == 9


@pytest.mark.slow
def test_two_builds_at_once_both_succeed(site: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(command(site, tmp_path / "dataset"), stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    talk = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], talk
    assert bytes_of(cs.open_dataset(tmp_path / "dataset")) == expected


def test_a_sign_that_is_left_out_changes_no_byte(tmp_path: Path) -> None:
    found = []
    for name, variants in (("one", ["x:=a,b"]), ("both", ["x:=a,b", "x=a,b"])):
        site = write(tmp_path / name, {("develop", "a"): page("a", specs=[spec(variants=variants)])})
        found.append(bytes_of(cs.build_dataset(site, out=tmp_path / f"{name}d")))
    assert found[0] == found[1]


def test_a_snapshot_that_shrinks_is_refused_unless_asked_for(two: tuple[Path, Path, Path], tmp_path: Path) -> None:
    dataset, old, new = two
    cs.build_dataset(new, out=dataset)
    with pytest.raises(ShrinkError, match="at least half of the 9 specs of develop, found 1"):
        cs.build_dataset(old, out=dataset)
    assert cs.open_dataset(dataset).manifest.snapshots["develop"].num_specs == 9
    cs.build_dataset(old, out=dataset, allow_shrink=True)
    assert cs.open_dataset(dataset).manifest.snapshots["develop"].num_specs == 1


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [("develop", "every Saturday the public develop is pruned"), ("develop-2026-06-07", "a cache that was pruned")],
)
def test_a_refusal_says_how_much_is_gone_of_which_stacks(snapshot: str, why: str, tmp_path: Path) -> None:
    nodes = {letter * 32: node(letter, letter * 32) for letter in "abcdef"}

    def build(**stacks: str) -> cs.Dataset:
        shutil.rmtree(tmp_path / "mirrors", ignore_errors=True)
        for stack, letters in {"": "".join(sorted({*"".join(stacks.values())})), **stacks}.items():
            layout_2(tmp_path / "mirrors" / snapshot / stack, index(nodes, cached={one * 32 for one in letters}))
        return mirrors_dataset(tmp_path)

    build(e4s="abcdef", ml="abc", radiuss="ab", sdk="cd", hep="f")
    with pytest.raises(ShrinkError) as caught:
        build(e4s="f", ml="a", radiuss="a", sdk="a", hep="f")
    assert "; gone: 5 of 6 in e4s, 2 of 3 in ml, 2 of 2 in sdk, and some in 1 other stack;" in caught.value.message
    assert why in str(caught.value.hint)
    assert "--allow-shrink" in str(caught.value.hint)


def test_too_much_rejected_publishes_nothing(two: tuple[Path, Path, Path], tmp_path: Path) -> None:
    dataset, *_ = two
    before = state(cs.open_dataset(dataset))
    bad = write(tmp_path / "bad", {("develop", "zlib"): page(specs=[spec(), spec("b" * 32, os=1)], meta={})})
    with pytest.raises(RejectedError, match=r"at most 1.0% of the specs .* found 1 of 2 \(50.0%\)"):
        cs.build_dataset(bad, out=dataset)
    assert state(cs.open_dataset(dataset)) == before
    with pytest.raises(RejectedError) as told:
        cs.build_dataset(bad, out=dataset, limits=cs.InputLimits(specs=1))
    assert "raise the limit with --max-specs, or allow more with --max-rejected" in str(told.value.hint)
    assert cs.build_dataset(bad, out=dataset, max_rejected=0.5).rejected.collect().height >= 1


def test_rejected_rows_go_with_what_they_speak_of(tmp_path: Path) -> None:
    bad = {("develop", "a"): b"\xff", ("v1.0", "b"): page("b", "v1.0", [spec(), spec(os=1)], meta={})}
    site = write(tmp_path / "site", bad)
    first = cs.build_dataset(site, out=tmp_path / "dataset", max_rejected=1).rejected.collect()
    again = cs.build_dataset(site, out=tmp_path / "dataset", max_rejected=1).rejected.collect()
    assert first.equals(again)
    write(site, {("develop", "a"): page("a", specs=[spec()]), ("v1.0", "b"): page("b", "v1.0", [spec()])})
    assert cs.build_dataset(site, out=tmp_path / "dataset").rejected.collect().is_empty()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("table", TABLES)
def test_export_writes_one_file_a_table(table: str, kind: str, demo: cs.Dataset, tmp_path: Path) -> None:
    rows = cs.export_table(demo, table, tmp_path / f"out.{kind}")
    expected = demo.scan(table).collect()
    assert rows == expected.height
    if kind == "parquet":
        assert pl.read_parquet(tmp_path / "out.parquet").equals(expected)
        assert pq.read_schema(tmp_path / "out.parquet").equals(TABLES[table].arrow(), check_metadata=True)
    else:
        found = pl.read_csv(tmp_path / "out.csv", schema_overrides=dict.fromkeys(expected.columns, pl.String))
        assert found.columns == expected.columns
        assert found.height == expected.height


def test_export_of_a_snapshot_leaves_out_what_belongs_to_others(mixed: cs.Dataset, tmp_path: Path) -> None:
    for table, declared in TABLES.items():
        rows = cs.export_table(mixed, table, tmp_path / "out.parquet", snapshots=["v1.0"])
        expected = mixed.scan(table)
        if "snapshot" in declared.polars():
            expected = expected.filter((pl.col("snapshot") == "v1.0") | pl.col("snapshot").is_null())
        assert pl.read_parquet(tmp_path / "out.parquet").equals(expected.collect())
        assert rows == expected.collect().height
    with pytest.raises(ArgumentError, match=r"expected one of the 4 snapshots of .*, found 'v1.1'\nhint: try v1\.0"):
        cs.export_table(mixed, "specs", tmp_path / "out.parquet", snapshots=["v1.1"])


def test_export_refuses_what_it_cannot_do(demo: cs.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"ends in \.parquet or \.csv"):
        cs.export_table(demo, "specs", tmp_path / "specs.xlsx")
    with pytest.raises(ArgumentError, match="expected a table, found 'spec'"):
        cs.export_table(demo, "spec", tmp_path / "specs.csv")
    with pytest.raises(DatasetError, match="cannot write"):
        cs.export_table(demo, "specs", tmp_path / "nowhere" / "specs.csv")


def test_a_missing_file_of_a_dataset_is_named(two: tuple[Path, Path, Path]) -> None:
    path, *_ = two
    (path / "specs/develop.parquet").unlink()
    with pytest.raises(DatasetError, match=r"specs/develop\.parquet.*found nothing"):
        _ = cs.open_dataset(path).specs


def test_a_dataset_displays_itself(demo: cs.Dataset) -> None:
    assert "2 snapshots" in repr(demo)
    assert "<td style='text-align:right'>524</td>" in demo._repr_html_()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_snapshots(tmp_path: Path) -> None:
    """Peak memory of 12 snapshots against that of 3; the text of 9 snapshots is 25 MB."""
    peaks = {}
    for snapshots in (3, 12):
        write_corpus(tmp_path / f"{snapshots}", snapshots=snapshots, pages=450, seed=1)
        code = (
            "import resource, sys; from cachestats.ingest.build import build_dataset; build_dataset(sys.argv[1], "
            "out=sys.argv[2]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / f"{snapshots}"), str(tmp_path / f"{snapshots}d")]
        peaks[snapshots] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024
    assert peaks[12] - peaks[3] < 20, peaks
