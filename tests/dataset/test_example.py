"""The dataset that the package brings along is what the corpus gives, tiny, complete, and opened where it lies."""

from __future__ import annotations

import importlib.util
import io
import shutil
import stat
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import cachestats as cs
from cachestats.dataset import example
from cachestats.schema import SCHEMA_VERSION, STORED_TABLES, TABLES
from conftest import CORPUS, ROOT, in_corpus

FILES = sorted(path.relative_to(example.EXAMPLE) for path in example.EXAMPLE.rglob("*") if path.is_file())


def script() -> ModuleType:
    """Return data/make_example.py as a module."""
    spec = importlib.util.spec_from_file_location("make_example", ROOT / "data" / "make_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_has_this_schema_and_intact_files() -> None:
    try:
        dataset = cs.example_dataset()
        for table in STORED_TABLES:
            assert dataset.files(table)
    except cs.CachestatsError as error:
        pytest.fail(f"run `make example`: {error}")
    assert dataset.manifest.schema_version == SCHEMA_VERSION


def test_the_example_is_what_the_corpus_gives(tmp_path: Path) -> None:
    in_corpus("mirrors")
    made = script().make_example(CORPUS, tmp_path / "made")
    assert sorted(path.relative_to(made.path) for path in made.path.rglob("*") if path.is_file()) == FILES
    by_snapshot = {table.name for table in TABLES.values() if table.by_snapshot}
    compared = [path for path in FILES if path.parts[0] in {*by_snapshot, "spack.lock", "targets.parquet"}]
    assert len(compared) == 2 + 2 * len(by_snapshot)
    for path in compared:
        same = (made.path / path).read_bytes() == (example.EXAMPLE / path).read_bytes()
        assert same, f"run `make example`: {path} differs"
    frames = [dataset.snapshots.drop("read_at").collect() for dataset in (made, cs.example_dataset())]
    assert frames[0].equals(frames[1]), "run `make example`"


def test_the_example_is_small_and_names_no_place_on_the_machine_that_made_it() -> None:
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in FILES:
            archive.write(example.EXAMPLE / path, path)
    assert len(packed.getvalue()) < 100_000
    sources = cs.example_dataset().manifest.sources
    assert {name: source.location for name, source in sources.items()} == {"mirrors": "../mirrors"}


def test_the_example_lacks_no_dependency_and_answers_each_question() -> None:
    dataset = cs.example_dataset()
    old, new = dataset.at("previous"), dataset.newest
    assert cs.holes(dataset.at("all")).is_empty()
    assert {*cs.usable(dataset, host="zen4:rhel9")["cell"]} == {"usable", "missing"}
    assert {*cs.usable(dataset, host="x86_64_v3:ubuntu22.04")["cell"]} == {"native", "missing"}
    assert {*cs.compare(old, new)["change"]} >= {"added", "rebuilt", "updated"}
    assert cs.versions(new)["is_behind"].any()
    assert cs.overlap(old)["common_hashes"].sum() > 0
    assert not cs.duplicates(new, dependencies=dataset, by="cause").is_empty()
    assert not cs.gaps(new, by="stack", dependencies=dataset).is_empty()
    assert cs.why(new, "hdf5", "zlib-ng").height > 0
    assert cs.dependents(new, "zlib-ng").height > 1
    environment = cs.read_environment(dataset.path / "spack.lock")
    assert {*cs.match(environment, old)["status"]} == {"hit", "miss"}
    assert {*cs.match(environment, new)["status"]} == {"near", "miss"}


def test_the_example_opens_in_a_read_only_folder_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = shutil.copytree(example.EXAMPLE, tmp_path / "example_data")
    monkeypatch.setattr(example, "EXAMPLE", installed)
    folders = [installed, *(path for path in installed.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        dataset = cs.example_dataset()
        assert cs.find(dataset, "hdf5 ^mpich").height > 0
        assert cs.coverage(dataset.specs, rows="package", columns="target").height > 0
        assert sorted(path.relative_to(installed) for path in installed.rglob("*") if path.is_file()) == FILES
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)


def test_using_the_example_leaves_nothing_in_its_folder(tmp_path: Path) -> None:
    dataset = cs.example_dataset()
    cs.export_table(dataset, "specs", tmp_path / "specs.parquet")
    cs.export_site(dataset, tmp_path / "site")
    cs.plan_update(dataset.path, tmp_path / "site", snapshots=["develop-2025-03-09"])
    assert sorted(path.relative_to(dataset.path) for path in dataset.path.rglob("*") if path.is_file()) == FILES
