"""Spark against the local build: same tables, same files, same answers; also on a cluster that loses a worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cachestats as cs
from cachestats.errors import ArgumentError, CachestatsError, RejectedError, SourceError
from cachestats.schema import TABLES
from cachestats.spark import SparkTables, read_mirrors, read_site, write_dataset
from conftest import CORPUS, ROOT, SEEDS, in_corpus
from tests.support.servers import S3Server
from tests.support.site import G0A, G0C, page, spec, write

pytestmark = pytest.mark.spark

READ = ("specs", "variants", "dependencies", "requirements", "rejected", "inputs")
OLD, NEW = "develop-2024-06-02", "develop-2025-03-09"


@pytest.fixture(scope="module")
def corpus_tables(spark: Any) -> Iterator[SparkTables]:
    """Return the indices of the corpus, read by Spark."""
    tables = read_mirrors(spark, in_corpus("mirrors"))
    yield tables
    tables.unpersist()


@pytest.fixture(scope="module")
def cached(corpus_tables: SparkTables) -> Iterator[SparkTables]:
    """Return the same, kept as tables."""
    for table in (corpus_tables.specs, corpus_tables.dependencies):
        table.persist()
    yield corpus_tables
    for table in (corpus_tables.specs, corpus_tables.dependencies):
        table.unpersist()


def environment(specs: Any) -> cs.Environment:
    """Return an environment of some specs, every second of which is not cached."""
    chosen = specs.filter(pl.col("snapshot") == OLD).unique("hash").sort("hash").head(60).collect()
    digest = pl.when(pl.int_range(pl.len()) % 2 == 0).then("hash").otherwise(pl.lit("not-") + pl.col("hash"))
    wanted = chosen.with_columns(hash=digest, is_root=pl.lit(True)).sort("package", "hash")
    return cs.Environment(wanted, pl.DataFrame(schema=TABLES["dependencies"].polars()))


def age(folder: Path) -> Path:
    """Make files old enough to have stamps."""
    for file in folder.rglob("*.*"):
        os.utime(file, (1e9, 1e9))
    return folder


def fetched(frame: Any) -> pl.DataFrame:
    found = pl.from_arrow(frame.toArrow())
    assert isinstance(found, pl.DataFrame)
    return found


def assert_same(tables: SparkTables, expected: cs.Dataset) -> None:
    """Check that tables have the rows and types of a dataset."""
    for name in READ:
        found = fetched(getattr(tables, name))
        assert found.schema == TABLES[name].polars(), name
        assert_frame_equal(found, expected.scan(name).collect(), check_row_order=False)


def assert_same_files(written: cs.Dataset, expected: cs.Dataset) -> None:
    """Check that two datasets are the same, byte by byte but for the times at which they were read."""
    names = [
        sorted(str(file.relative_to(one.path)) for file in one.path.glob("**/*.parquet")) for one in (written, expected)
    ]
    assert names[0] == names[1]
    for name in names[0]:
        if name != "snapshots.parquet":
            assert (written.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    assert_frame_equal(*(one.snapshots.drop("read_at").collect() for one in (written, expected)))
    manifests = [msgspec.structs.replace(one.manifest, files={}, runs=[]) for one in (written, expected)]
    assert manifests[0] == manifests[1]
    assert cs.verify(written.path).findings.filter(check="file").is_empty()


def test_mirrors_are_read_and_written_as_by_a_local_build(
    spark: Any, corpus_tables: SparkTables, indexed: cs.Dataset, tmp_path: Path
) -> None:
    assert_same(corpus_tables, indexed)
    assert_same_files(write_dataset(corpus_tables, indexed.path.with_name("by-spark")), indexed)
    layout_3 = CORPUS / "mirrors-v3"
    tables = read_mirrors(spark, layout_3)
    assert_same_files(write_dataset(tables, tmp_path / "a"), cs.build_dataset(layout_3, out=tmp_path / "b"))


def test_pages_are_read_and_written_as_by_a_local_build(spark: Any, corpus: cs.Dataset) -> None:
    tables = read_site(spark, CORPUS / "site")
    assert_same(tables, corpus)
    assert_same_files(write_dataset(tables, corpus.path.with_name("by-spark")), corpus)


def test_pages_of_every_generation_and_broken_ones_lose_nothing(spark: Any, tmp_path: Path) -> None:
    generations = [("g1", "gcc@=9.4.0"), ("g2", "gcc@=9.4.0"), ("g3", "gcc@=12.1.0"), ("g4", "gcc@13.2.0")]
    pages: dict[tuple[str, str], str | bytes] = {
        ("develop", f"of-{name}"): page(
            f"of-{name}", specs=[spec(name * 16, compiler=compiler), spec("z" * 32)], generation=name
        )
        for name, compiler in generations
    }
    whole = page("whole", specs=[spec("b" * 32), spec("c" * 32, versions=["1", "2"])])
    pages |= {
        ("develop", "second"): page("of-g4", specs=[spec("e" * 32)]),
        ("develop", "other"): page(
            "other", specs=[spec("b" * 32, versions=["3"])]
        ),  # a hash that stands elsewhere, too
        ("develop", "whole"): whole,
        ("develop", "again"): page("of-g4", specs=[spec("e" * 32)]),  # a copy of "second"
        ("develop", "cut"): whole[:-40],
        ("develop", "empty"): b"",
        ("develop", "latin"): whole.encode().replace(b"ubuntu", b"\xe9"),
        ("develop", "hashless"): page("hashless", specs=[spec(hash="", versions=["1"]), spec("d" * 32)]),
        ("v0.20", "nothing"): page("nothing", "v0.20"),
        ("v0.20", "old"): G0A,
        ("develop-2022-01-02", "old"): G0C,
    }
    site = age(write(tmp_path / "site", pages))
    expected = cs.build_dataset(site, out=tmp_path / "local", max_rejected=1)
    assert expected.inputs.collect()["is_copy"].sum() == 1
    tables = read_site(spark, site)
    assert_same(tables, expected)
    assert_same_files(write_dataset(tables, tmp_path / "by-spark", max_rejected=1), expected)
    assert expected.manifest.sources[str(site)].files == tables.inputs.count() == len(pages)


QUESTIONS: dict[str, Callable[[Any, Any, Callable[[Any, str], Any], cs.Environment], pl.DataFrame]] = {
    "coverage": lambda specs, *_: cs.coverage(specs, rows="stack", columns="target", usable=True),
    "coverage_matrix": lambda specs, *_: cs.coverage_matrix(specs, rows="stack", columns="os"),
    "usable": lambda specs, *_: cs.usable(specs, host="zen4:ubuntu22.04:glibc@2.35"),
    "usable_by_system": lambda specs, *_: cs.usable_by_system(specs, host="zen4"),
    "reusable": lambda specs, *_: cs.reusable(specs, host="zen4:ubuntu22.04"),
    "gaps": lambda specs, *_: cs.gaps(specs, by="stack"),
    "gaps, weighed": lambda specs, edges, of, _: cs.gaps(of(specs, NEW), by="target", dependencies=of(edges, NEW)),
    "column_coverage": lambda specs, *_: cs.column_coverage(specs, by="target"),
    "compare": lambda specs, _, of, __: cs.compare(of(specs, OLD), of(specs, NEW), by="stack"),
    "compare_counts": lambda specs, _, of, __: cs.compare_counts(of(specs, OLD), of(specs, NEW)),
    "compare_specs": lambda specs, _, of, __: cs.compare_specs(of(specs, OLD), of(specs, NEW)),
    "losses": lambda specs, _, of, __: cs.losses(of(specs, OLD), of(specs, NEW)),
    "history": lambda specs, *_: cs.history(specs, by="stack"),
    "lifespans": lambda specs, *_: cs.lifespans(specs),
    "overlap": lambda specs, *_: cs.overlap(specs),
    "overlap_sets": lambda specs, *_: cs.overlap_sets(specs),
    "duplicates": lambda specs, *_: cs.duplicates(specs),
    "duplicates, causes": lambda specs, edges, *_: cs.duplicates(specs, dependencies=edges),
    "holes": lambda specs, edges, of, _: cs.holes(of(specs, NEW), of(edges, NEW)),
    "match": lambda specs, _, __, wanted: cs.match(wanted, specs),
    "match, causes": lambda specs, edges, _, wanted: cs.match(wanted, specs, dependencies=edges),
    "causes": lambda specs, edges, _, wanted: cs.causes(wanted, specs, dependencies=edges),
    "hit_rates": lambda specs, _, __, wanted: cs.hit_rates(wanted, specs),
    "versions": lambda specs, *_: cs.versions(specs),
}


OF_DATASETS = {"match_roots", "retain", "Retention", "retention_curve", "root_rates"}  # which take no frames
COLLECTING = {"find", "dependents", "why"}  # which follow expressions and edges on the driver, as they say


def test_every_analysis_is_asked_about_tables_of_spark() -> None:
    analyses = {name for name in cs.__all__ if getattr(cs, name).__module__.startswith("cachestats.analysis.")}
    missing = analyses - {name.partition(",")[0] for name in QUESTIONS} - OF_DATASETS - COLLECTING
    assert not missing, f"add {', '.join(sorted(missing))} to QUESTIONS in tests/system/test_spark.py"


@pytest.mark.parametrize("name", QUESTIONS)
def test_analyses_give_the_same_answers_and_bring_no_table_to_the_driver(
    name: str, cached: SparkTables, indexed: cs.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql.classic.dataframe import DataFrame

    plans: list[str] = []
    for method in ("toArrow", "collect", "toPandas", "toLocalIterator"):
        bring = getattr(DataFrame, method)

        def brought(frame: Any, *arguments: Any, bring: Any = bring) -> Any:
            plans.append(frame._jdf.queryExecution().optimizedPlan().toString())
            return bring(frame, *arguments)

        monkeypatch.setattr(DataFrame, method, brought)
    ask = QUESTIONS[name]
    wanted = environment(indexed.specs)
    expected = ask(
        indexed.specs, indexed.dependencies, lambda frame, one: frame.filter(pl.col("snapshot") == one), wanted
    )
    answer = ask(cached.specs, cached.dependencies, lambda frame, one: frame.where(frame.snapshot == one), wanted)
    assert_frame_equal(answer, expected)
    assert plans
    for plan in plans:  # what is brought was counted, made distinct (by a window) or joined, on top of the table
        assert re.search("Aggregate|Window|Join", plan.partition("InMemoryRelation")[0]), plan


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_cluster_that_gets_a_zip_and_loses_a_worker_writes_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    mirrors = in_corpus(f"mirrors/{OLD}")
    expected = cs.build_dataset(mirrors, out=tmp_path / "local")
    package = tmp_path / "cachestats.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for file in sorted((ROOT / "cachestats").rglob("*.py*")):
            archive.write(file, file.relative_to(ROOT))
    # Neither the driver nor the workers see the repository; other packages are those of this Python.
    elsewhere = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != ROOT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(elsewhere), "PYSPARK_PYTHON": sys.executable}
    out = tmp_path / "by-cluster"
    command = [sys.executable, str(ROOT / "tests" / "support" / "cluster.py"), str(package), str(mirrors), str(out)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["executors"] == 2
    assert told["tasks_done_when_killed"] < told["tasks"]
    assert told["is_killed_one_gone"]
    assert told["packages"] == ["cachestats.zip"]
    assert_same_files(cs.open_dataset(out), expected)


def test_workers_without_pyarrow_are_told_of(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('No module named pyarrow')")
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONPATH", str(tmp_path))
    with pytest.raises(CachestatsError) as caught:
        read_site(spark, SEEDS)
    assert caught.value.message == (
        "expected pyarrow and cachestats with its dependencies on Spark's workers, found: No module named pyarrow"
    )
    assert "--py-files" in str(caught.value.hint)


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    for use in (
        lambda: read_site(None, SEEDS),
        lambda: read_mirrors(None, SEEDS),
        lambda: write_dataset(None, tmp_path),
    ):  # type: ignore[arg-type]
        with pytest.raises(CachestatsError, match=r"pip install 'cachestats\[spark\]'"):
            use()


def test_cachestats_does_not_import_pyspark() -> None:
    script = "import sys, cachestats, cachestats.spark; assert not {'pyspark', 'polars', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_paths_without_pages_or_indices_are_refused(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(SourceError, match=r"expected pages .* or indices .*, found 1 other file\n"):
        read_site(spark, tmp_path)
    with pytest.raises(SourceError, match=r"found nothing at .*no-such"):
        read_mirrors(spark, tmp_path / "no-such")
    with pytest.raises(SourceError, match="found pages only\nhint: read them with read_site"):
        read_mirrors(spark, SEEDS)
    mirror = tmp_path / "develop" / "build_cache"
    mirror.mkdir(parents=True)
    (mirror / "index.json").write_text("{}")
    with pytest.raises(SourceError, match="found indices only\nhint: read them with read_mirrors"):
        read_site(spark, tmp_path)
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.write(SEEDS / "develop" / "py-filelock" / "specs.md", "_cache/develop/py-filelock/specs.md")
    with pytest.raises(SourceError, match=r"found one read from start to end: .*\nhint: unpack it"):
        read_site(spark, tmp_path / "site.zip")


def test_an_index_that_cannot_be_read_keeps_its_snapshot_out(spark: Any, tmp_path: Path) -> None:
    source = tmp_path / "mirrors"
    shutil.copytree(in_corpus("mirrors"), source, ignore=shutil.ignore_patterns("spack.lock", "*.hash"))
    (source / OLD / "e4s" / "build_cache" / "index.json").write_text('{"database": ')
    expected = cs.build_dataset(age(source), out=tmp_path / "local", max_rejected=1)
    tables = read_mirrors(spark, source)
    assert tables.specs.where(tables.specs.snapshot == OLD).isEmpty()
    with pytest.raises(RejectedError):
        write_dataset(tables, tmp_path / "by-spark")
    assert_same_files(write_dataset(tables, tmp_path / "by-spark", max_rejected=1), expected)


def test_a_mirror_is_named_as_by_a_local_build(spark: Any, tmp_path: Path) -> None:
    source = f"week1={in_corpus('mirrors') / OLD}"
    expected = cs.build_dataset(source, out=tmp_path / "local", max_rejected=1)
    tables = read_mirrors(spark, source)
    by_spark = write_dataset(tables, tmp_path / "by-spark", max_rejected=1)
    assert_same_files(by_spark, expected)
    assert [one.name for one in by_spark.manifest.sources.values()] == ["week1"]


def test_a_frame_that_is_no_table_is_refused(spark: Any, demo: cs.Dataset, tmp_path: Path) -> None:
    rows = demo.specs.collect()
    specs = spark.createDataFrame(rows.to_arrow())
    out = tmp_path / "out"
    for frame, message in (
        (specs.drop("hash"), "expected the columns package, .*\nhint: keep hash in the frame"),
        (
            specs.withColumn("size_bytes", specs.package),
            "expected size_bytes bigint, found size_bytes string\nhint: cast",
        ),
        (specs.union(specs.limit(1)), "found 1 with a repeated key .snapshot, stack, hash. in develop"),
        (specs.withColumn("os", specs.compiler.substr(99, 1)).replace("", None, "os"), "found expected no nulls in os"),
    ):
        with pytest.raises(ArgumentError, match=message):
            write_dataset(frame, out)
    with pytest.raises(ArgumentError, match="expected a DataFrame of Spark, found polars"):
        write_dataset(rows, out)  # type: ignore[arg-type]
    assert not (out / "manifest.json").exists()


def test_a_frame_of_specs_is_written_beside_the_snapshots_that_are_there(
    spark: Any, demo: cs.Dataset, tmp_path: Path
) -> None:
    copy = shutil.copytree(demo.path, tmp_path / "dataset")
    rows = demo.specs.collect()
    develop = spark.createDataFrame(rows.filter(pl.col("snapshot") == "develop").to_arrow())
    dataset = write_dataset(develop.where("package = 'py-propcache'"), copy, allow_shrink=True)
    left = pl.col("snapshot") != "develop"
    expected = rows.filter(left | (pl.col("package") == "py-propcache"))
    assert_frame_equal(dataset.specs.collect(), expected, check_row_order=False)
    assert_frame_equal(dataset.variants.collect(), demo.variants.filter(left).collect(), check_row_order=False)
    assert dataset.snapshots.filter(pl.col("snapshot") == "develop").collect()["num_specs"].to_list() == [68]


def test_workers_read_a_bucket(
    spark: Any, s3_server: Callable[..., S3Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = s3_server(write(tmp_path / "site", {("develop", "zlib"): page(specs=[spec()])}), bucket="ours")
    settings = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    tables = read_site(spark, "s3a://ours")
    assert fetched(tables.specs)["hash"].to_list() == ["a" * 32] * 2
    assert fetched(tables.inputs)["origin"].to_list() == ["s3://ours/_cache/develop/zlib/specs.md"]
