"""What tests and doctests share."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib
import polars as pl
import pytest
from hypothesis import settings

import cachestats as cs
from benchmarks.make_corpus import write_corpus
from tests.support.servers import HttpServer, RegistryServer, S3Server
from tests.support.site import G0B, HOSTILE, page, spec, write

ROOT = Path(__file__).parent
SEEDS = ROOT / "data" / "_cache"
SAMPLE = ROOT / "data" / "sample"
CORPUS = ROOT.parent / "shared" / "corpus"

# Set in .ci/run: nothing may be skipped there, and the same examples are tried every time.
IS_GATE = bool(os.environ.get("CACHESTATS_NO_SKIPS"))

matplotlib.use("agg")
settings.register_profile("cachestats", deadline=None, derandomize=IS_GATE)
settings.load_profile("cachestats")
# `make check` asks for this one with --hypothesis-profile; tests that set their own number of examples are marked slow.
settings.register_profile("quick", deadline=None, derandomize=IS_GATE, max_examples=5)


def in_corpus(path: str) -> Path:
    """Return a file or folder of the corpus, or skip the test."""
    found = CORPUS / path
    if not found.exists():
        pytest.skip(f"the corpus is not present: there is no {found}")
    return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return the dataset of the three pages in `data/`."""
    return cs.build_dataset(SEEDS, out=tmp_path_factory.mktemp("demo") / "dataset")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return the dataset of the corpus's 3,102 pages, where the corpus is present."""
    return cs.build_dataset(in_corpus("site"), out=tmp_path_factory.mktemp("corpus") / "dataset")


@pytest.fixture(scope="session")
def sample() -> cs.Dataset:
    """Return the dataset in `data/sample`, which is that of the corpus's indices; nothing may be written to it."""
    return cs.open_dataset(SAMPLE)


@pytest.fixture(scope="session")
def many(demo: cs.Dataset, sample: cs.Dataset) -> pl.DataFrame:
    """Return the specs of the three pages and of the sample."""
    return pl.concat([dataset.specs for dataset in (demo, sample)]).collect()


@pytest.fixture(scope="session")
def many_needs(demo: cs.Dataset, sample: cs.Dataset) -> pl.DataFrame:
    """Return the requirements of `many`."""
    needs = pl.concat([dataset.scan("requirements") for dataset in (demo, sample)])
    return needs.unique(["snapshot", "requirement"]).collect()


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return the dataset of the corpus's indices, with its dependencies, where the corpus is present."""
    return cs.build_dataset(in_corpus("mirrors"), out=tmp_path_factory.mktemp("indexed") / "dataset")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a generated checkout: 3 snapshots of 40 packages."""
    folder = tmp_path_factory.mktemp("site")
    write_corpus(folder, snapshots=3, pages=40, seed=5)
    return folder


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return a dataset of pages and an index with nulls in all columns that may have them, and rejected rows."""
    pages = {
        ("develop", "ž"): page("ž", specs=[spec(stacks=["é4s"], variants=[]), spec("b" * 32, os=1)], meta={}),
        ("develop", "odd"): page("odd", specs=[spec("c" * 32, variants=["bare", "flags='-O2 \"-g\"'"])], meta={}),
        ("develop", "broken"): b"\xff",
        ("v0.9", "zlib"): G0B,
        ("v1.0", "zlib"): page("zlib", "v1.0", [spec(stacks=[], size="12", target="never_heard")]),
    }
    site = write(tmp_path_factory.mktemp("mixed") / "site", pages)
    index = site.parent / "mirrors/develop-2025-07-13/build_cache/index.json"
    index.parent.mkdir(parents=True)
    needs = [{"name": "z", "hash": one * 32, "parameters": {"deptypes": ["link"], "virtuals": []}} for one in "yz"]
    arch = {"platform": "linux", "platform_os": "rhel9", "target": "zen4"}
    installs = {
        one * 32: {
            "spec": {"name": name, "version": "1.0", "arch": arch, "hash": one * 32, "dependencies": edges},
            "in_buildcache": True,
        }
        for one, name, edges in (("a", "a", needs), ("y", "z", []))
    }
    index.write_text(json.dumps({"database": {"version": "8", "installs": installs}}))
    return cs.build_dataset(SEEDS, site, site.parent / "mirrors", out=site.parent / "dataset", max_rejected=1)


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Return a Spark session on this machine, where Java and PySpark are present."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and there is none")
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed")
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
    }
    builder = sql.SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1")
    for name, value in options.items():
        builder = builder.config(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)  # else the workers run whichever `python3` stands first
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the sample."""
    out = tmp_path_factory.mktemp("report") / "report"
    cs.write_report(cs.open_dataset(SAMPLE), out)
    return out


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a dataset of odd names, of specs without stack or compiler, and of `develop`."""
    folder = tmp_path_factory.mktemp("odd")
    specs = {
        HOSTILE: [spec("a" * 32, stacks=[HOSTILE, "root"], variants=["+<b>", 'x="><script>alert(1)</script>'])],
        "../up": [spec("b" * 32, stacks=[], compiler="none")],
        "zl'ib & co": [spec("c" * 32, stacks=["../e4s", "root", "none"], target="no-such-target")],
    }
    pages = {("develop", name): page(name, "develop", found) for name, found in specs.items()}
    pages |= {("develop-2025-06-01", name): page(name, "develop-2025-06-01", specs[name]) for name in [HOSTILE]}
    dataset = cs.build_dataset(write(folder / "site", pages), out=folder / "dataset", max_rejected=1)
    assert sorted(dataset.specs.select("package").unique().collect()["package"]) == sorted(specs)
    cs.write_report(dataset, folder / "report", title=f"{HOSTILE} & more")
    return folder / "report"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a real browser, where Playwright and Chromium are present."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return how to open a page; whatever it complains about, or asks anyone but the disk for, fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(path: Path, *, anchor: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        new = context.new_page()
        new.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        new.on("pageerror", lambda error: complaints.append(str(error)))
        new.on(
            "requestfailed",
            lambda request: complaints.append(f"failed: {request.url[:80]}") if "/tables/" not in request.url else None,
        )
        new.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        new.on(
            "request",
            lambda request: (
                complaints.append(request.url[:80]) if request.url.split(":")[0] not in {"file", "data"} else None
            ),
        )
        new.goto(f"{path.as_uri()}#{anchor}" if anchor else path.as_uri())
        return new

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(params=["local", pytest.param("spark", marks=pytest.mark.spark)])
def kinds(request: pytest.FixtureRequest) -> Callable[[pl.DataFrame], dict[str, Any]]:
    """Return how to make frames of the kinds that the analyses give equal answers on: that of Spark, or all others."""
    if request.param == "spark":
        spark = request.getfixturevalue("spark")
        return lambda frame: {"spark": spark.createDataFrame(frame.to_arrow())}

    def make(frame: pl.DataFrame) -> dict[str, Any]:
        import duckdb

        relation = duckdb.from_arrow(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        return {"polars": frame.lazy(), "duckdb": relation, "pandas": frame.to_pandas(), "pyarrow": frame.to_arrow()}

    return make


@pytest.fixture
def http_server() -> Iterator[Callable[..., HttpServer]]:
    """Return how to start a server of a folder, which ends with the test."""
    with ExitStack() as stack:
        yield lambda folder, **options: stack.enter_context(HttpServer(folder, **options))


@pytest.fixture
def registry() -> Iterator[Callable[..., RegistryServer]]:
    """Return how to start an OCI registry, which ends with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RegistryServer(**options))


@pytest.fixture(scope="session")
def docker_registry() -> str:
    """Return the path of the program of a real OCI registry, where Debian's docker-registry is installed."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry")
    return program


@pytest.fixture
def s3_server() -> Iterator[Callable[..., S3Server]]:
    """Return how to start a server of a bucket, filled from a folder, which ends with the test."""
    with ExitStack() as stack:
        yield lambda folder=None, **options: stack.enter_context(S3Server(folder, **options))


@pytest.fixture(autouse=True)
def _doctest_as_pasted(request: pytest.FixtureRequest) -> None:
    """Run the examples in docstrings as if they were pasted into a fresh Python in an empty folder.

    They import all that they use; only a Spark session is given.
    """
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
        names = request.node.dtest.globs  # those of the module, a copy for each docstring
        names.clear()
        names["__name__"] = "__main__"
        if "spark" in request.node.name:
            names["spark"] = request.getfixturevalue("spark")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts Spark or a browser: tests by the fixtures that they use, doctests by their names."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "spark" in fixtures or (isinstance(item, pytest.DoctestItem) and "spark" in item.name):
            item.add_marker("spark")
        if "browser" in fixtures:
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Make a missing corpus or tool a failure at the gate, and a skip with its reason elsewhere."""
    report: Any = yield
    if report.skipped and IS_GATE and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure here: {report.longrepr}"
    return report
