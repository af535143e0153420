"""Pipes and devices in the place of files: nothing waits for them, and what is wrong is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.dataset.paths import stored_files
from cachestats.errors import DamagedError, SourceError
from cachestats.regular import open_descriptor, read_regular
from cachestats.schema import STORED_TABLES
from cachestats.sources.storage.disk import DiskStorage
from cachestats.sources.storage.network import Network
from tests.support.cli import run as run_here
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, layout_2, layout_3
from tests.support.site import page, spec, write


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


Make = Callable[[Path], None]
KINDS: dict[str, Make] = {"pipe": os.mkfifo, "device": device}


def pipe(path: Path, make: Make = os.mkfifo) -> None:
    """Put a pipe, or what else is made, into the place of a file."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


@pytest.fixture(params=KINDS)
def put(request: pytest.FixtureRequest) -> Make:
    """Return how to put a pipe or a device into the place of a file."""
    return lambda path: pipe(path, KINDS[request.param])


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "cachestats", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def _in_time() -> Iterator[None]:
    """Interrupt what waits."""

    def late(*_: object) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_in_time")
def test_only_a_regular_file_is_opened(put: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    assert read_regular(tmp_path / "file") == b"data"
    descriptor, status = open_descriptor(tmp_path / "file")
    assert (os.get_blocking(descriptor), os.get_inheritable(descriptor), status.st_size) == (True, False, 4)
    os.close(descriptor)
    put(tmp_path / "other")
    count = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "other")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == count, "all are closed again"
    storage, path = DiskStorage(Network()), str(tmp_path / "other")
    for read in (lambda: storage.read(path, limit=9), lambda: storage.head(path, 9), storage.stream(path).read):
        with pytest.raises(SourceError, match=r"cannot read .*other: not a regular file"):
            read()


MIRRORS = {
    "index": "build_cache/index.json",
    "checksum": "build_cache/index.json.hash",
    "manifest": "v3/manifests/index/index.manifest.json",
    "blob": "blobs/sha256",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", MIRRORS)
def test_an_index_that_is_no_file_is_a_row_and_snapshots_beside_it_are_published(
    what: str, put: Make, tmp_path: Path
) -> None:
    mirrors = tmp_path / "mirrors"
    layout_2(mirrors / "develop", DEFAULT)
    if what in {"manifest", "blob"}:
        layout_3(mirrors / "v1.0", (8, DEFAULT))
    else:
        layout_2(mirrors / "v1.0", DEFAULT)
    (path,) = (mirrors / "v1.0" / MIRRORS[what]).glob("*/*") if what == "blob" else [mirrors / "v1.0" / MIRRORS[what]]
    put(path)
    code, words = run("build", mirrors, "--out", tmp_path / "dataset", "--max-rejected", 1)
    assert (code, "could not be read completely: v1.0" in words) == (10, True), words
    dataset = cs.open_dataset(tmp_path / "dataset")
    assert list(dataset.manifest.snapshots) == ["develop"]
    (row,) = dataset.rejected.collect().rows(named=True)
    assert (row["rule"], "not a regular file" in row["message"]) == ("unreadable", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["site.tar", "site.zip", "specs.md", "index.json", "list.json"])
def test_a_source_that_is_no_file_is_an_error(name: str, tmp_path: Path) -> None:
    pipe(tmp_path / name)
    code, words = run("build", tmp_path / name, "--out", tmp_path / "dataset")
    assert (code, "found neither file nor folder" in words) == (10, True), words


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize("name", ["site.tar", "site.zip", "specs.md", "index.json", "list.json"])
def test_a_source_that_stops_to_be_a_file_is_an_error(
    name: str, put: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / name)
    monkeypatch.setattr(Path, "is_file", lambda self: True)  # as it was when it was looked at
    with pytest.raises(SourceError, match="not a regular file"):
        cs.build_dataset(tmp_path / name, out=tmp_path / "dataset")


def test_a_catalogue_that_names_what_is_no_file_tells(tmp_path: Path) -> None:
    for snapshot in ("develop", "v1.0"):
        layout_2(tmp_path / snapshot, DEFAULT)
    pipe(tmp_path / "v1.0/build_cache/index.json")
    (tmp_path / "list.json").write_text(
        """{"develop": [{"label": "root", "url": "https://example.org/develop/build_cache/index.json"}],
            "v1.0": [{"label": "root", "url": "https://example.org/v1.0/build_cache/index.json"}]}"""
    )
    code, words = run("build", tmp_path / "list.json", "--out", tmp_path / "dataset", "--max-rejected", 1)
    assert (code, "could not be read completely: v1.0" in words) == (10, True), words


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["mirrors/develop/v3/manifests/spec/a/a-1.0-{}.spec.manifest.json", "dataset/.cachestats/journals/develop"]
)
def test_sizes_are_not_read_from_what_is_no_file(path: str, tmp_path: Path) -> None:
    layout_3(tmp_path / "mirrors/develop", (8, index({A: PACKAGE}, cached={A})))
    pipe(tmp_path / path.format(A))
    code, words = run("build", tmp_path / "mirrors", "--out", tmp_path / "dataset", "--sizes")
    assert (code, "not a regular file" in words) == (10, True), words


FILES = {
    "manifest.json": "expected a manifest in",
    ".cachestats/commit.json": "expected a list of files in",
    "snapshots.parquet": "snapshots.parquet",
    "specs/develop.parquet": "specs/develop.parquet",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_dataset_with_what_is_no_file_is_an_error(name: str, tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): page(specs=[spec()])})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    write(site, {("develop", "other"): page("other", specs=[spec("b" * 32)])})
    pipe(dataset.path / name)
    verbs: list[tuple[object, ...]] = [
        ("export", dataset.path, "--site", tmp_path / "pages"),
        ("update", dataset.path),
        ("build", site, "--out", dataset.path),
    ]
    for verb in verbs:
        code, words = run(*verb)
        assert (code, FILES[name] in words) == (12, True), words


def test_questions_are_not_read_from_what_is_no_file(demo: cs.Dataset, tmp_path: Path) -> None:
    pipe(tmp_path / "file")
    code, words = run("match", demo.path, tmp_path / "file")
    assert (code, "cannot read the environment" in words, "not a regular file" in words) == (10, True, True), words
    code, words = run("gaps", demo.path, "--by", "target", "--packages", tmp_path / "file")
    assert (code, "expected a text file, found" in words, "not a regular file" in words) == (2, True, True), words


@pytest.mark.parametrize("name", [".cachestats-site/pages.txt", "_cache/develop/py-propcache/specs.md"])
def test_an_export_does_not_wait_for_what_is_no_file(name: str, demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_site(demo, tmp_path / "site")
    pipe(tmp_path / "site" / name)
    code, words = run("export", demo.path, "--site", tmp_path / "site")
    assert (code, "not a regular file" in words) == (12, True), words


@pytest.mark.slow
def test_a_report_does_not_wait_for_what_is_no_file(demo: cs.Dataset, tmp_path: Path) -> None:
    pipe(tmp_path / "report/report.json")
    code, words = run("report", demo.path, "--out", tmp_path / "report")
    assert (code, "with report.json in it" in words) == (12, True), words


ENTRIES: dict[str, tuple[tuple[str, ...], int]] = {
    # words of a command line, in which PIPE is a pipe and DATASET a dataset; the exit code
    "build": (("build", "PIPE", "--out", "OUT"), 10),
    "update with a source": (("update", "DATASET", "PIPE"), 10),
    "verify": (("verify", "PIPE"), 10),
    "keyring": (("verify", "MIRROR", "--keyring", "PIPE"), 2),
    "resume": (("verify", "MIRROR", "--blobs", "--resume", "PIPE"), 10),
    "dataset": (("info", "PIPE"), 12),
    "dataset to compare with": (("compare", "DATASET", "develop", "develop", "--against", "PIPE"), 12),
    "match": (("match", "DATASET", "PIPE"), 10),
    "causes": (("causes", "DATASET", "PIPE"), 10),
    "hit rates": (("hit-rates", "DATASET", "PIPE"), 10),
    "plot of hit rates": (("plot", "hit-rates", "DATASET", "PIPE", "--out", "OUT.png"), 10),
    "environment to retain": (("retain", "DATASET", "--environment", "PIPE"), 10),
    "environment to watch": (("retain", "DATASET", "--newest", "1", "--watch", "PIPE"), 10),
    "packages": (("gaps", "DATASET", "--by", "target", "--packages", "PIPE"), 2),
    "externals": (("usable", "DATASET", "--host", "zen4:ubuntu22.04", "--externals", "PIPE"), 10),
}


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize("name", ENTRIES)
def test_no_entry_of_the_command_line_waits_for_a_pipe(name: str, demo: cs.Dataset, tmp_path: Path) -> None:
    words, code = ENTRIES[name]
    pipe(tmp_path / "pipe")
    layout_2(tmp_path / "mirror", DEFAULT)
    dataset = shutil.copytree(demo.path, tmp_path / "dataset")
    places = {"PIPE": tmp_path / "pipe", "DATASET": dataset, "MIRROR": tmp_path / "mirror"}
    places |= {"OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png"}
    done = run_here(*(places.get(word, word) for word in words), code=code)
    assert b"pipe" in done.stderr


@pytest.mark.usefixtures("_in_time")
def test_no_file_of_a_dataset_is_waited_for(demo: cs.Dataset, tmp_path: Path) -> None:
    dataset = shutil.copytree(demo.path, tmp_path / "dataset")
    for name in ("manifest.json", *sorted(stored_files(demo.path))):
        pipe(dataset / name)
        done = run_here("verify", dataset, code=12 if name == "manifest.json" else 1)
        assert name.encode() in done.stdout + done.stderr
        for table in STORED_TABLES if name != "manifest.json" else ():
            if name.startswith((f"{table}/", f"{table}.")):
                with pytest.raises(DamagedError, match="not a regular file"):
                    cs.open_dataset(dataset).scan(table)
        (dataset / name).unlink()
        shutil.copy2(demo.path / name, dataset / name)
