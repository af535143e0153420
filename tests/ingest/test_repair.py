"""A damaged dataset is repaired: as if it was built, and nothing is lost that the sources no longer have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import DamagedError, DatasetError, ShrinkError
from tests.support.cli import run
from tests.support.datasets import bytes_of, state
from tests.support.site import page, spec, write

NAMES = ("develop", "v0.20", "v1.0")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a checkout of three snapshots, of which a dataset was built."""
    specs = {name: [spec("a" * 32), spec(name[1] * 32, target=name)] for name in NAMES}
    site = write(tmp_path / "site", {(name, "zlib"): page("zlib", name, specs[name]) for name in NAMES})
    cs.build_dataset(site, out=tmp_path / "dataset")
    shutil.copytree(tmp_path / "dataset", tmp_path / "whole")
    return site


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    file.unlink()
    if how == "another bit":
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    elif how == "torn":
        file.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        file.write_bytes(b"")


@pytest.mark.parametrize("how", ["missing", "empty", "torn", "another bit"])
@pytest.mark.parametrize(
    "name", ["manifest.json", "inputs.parquet", "common_names.parquet", "names/v1.0.parquet", "specs/v1.0.parquet"]
)
def test_what_is_damaged_is_made_again(name: str, how: str, site: Path, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    damage(path / name, how)
    (path / "mine.parquet").write_bytes(b"")
    words = "expected a manifest" if name == "manifest.json" else name
    with pytest.raises(DamagedError, match=rf"(?s){words}.*--repair"):
        cs.build_dataset(site, out=path)
    cs.build_dataset(site, out=path, repair=True)
    assert state(cs.open_dataset(path)) == state(cs.open_dataset(tmp_path / "whole"))
    assert bytes_of(cs.open_dataset(path)) == bytes_of(cs.open_dataset(tmp_path / "whole"))
    assert cs.verify(path).findings.is_empty()
    assert (path / "mine.parquet").exists()


def test_snapshots_that_are_whole_are_kept_although_no_source_has_them(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    damage(path / "variants/v1.0.parquet", "torn")
    for name in ("develop", "v0.20"):
        shutil.rmtree(site / "_cache" / name)
    run("build", site, "--out", path, "--repair")
    assert bytes_of(cs.open_dataset(path)) == bytes_of(cs.open_dataset(tmp_path / "whole"))
    assert cs.update_dataset(path).filter(change="changed").is_empty()


@pytest.mark.parametrize("name", ["manifest.json", "snapshots.parquet", "specs/v1.0.parquet"])
def test_nothing_is_lost_that_cannot_be_made_again(name: str, site: Path, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    damage(path / name, "torn")
    shutil.rmtree(site / "_cache/v1.0")
    before = {file: file.read_bytes() for file in path.rglob("*.*") if file.is_file()}
    for repair in (cs.build_dataset, cs.plan_build):
        with pytest.raises(DatasetError, match=r"all damaged snapshots of .*, found none with v1\.0; nothing"):
            repair(site, out=path, repair=True)
    assert {file: file.read_bytes() for file in path.rglob("*.*") if file.is_file()} == before


def test_a_snapshot_that_is_repaired_does_not_shrink_unnoticed(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    pages = {("develop", f"p{n}"): page(f"p{n}", specs=[spec(f"{n:0>32}")]) for n in range(5)}
    cs.build_dataset(write(tmp_path / "large", pages), out=path)
    damage(path / "specs/develop.parquet", "torn")
    with pytest.raises(ShrinkError, match="at least half of the 5 specs of develop"):
        cs.build_dataset(site, out=path, repair=True)


def test_a_repair_of_what_is_whole_changes_no_snapshot(site: Path, tmp_path: Path) -> None:
    assert cs.build_dataset(site, out=tmp_path / "new", repair=True).manifest.snapshots.keys() == {*NAMES}
    path = tmp_path / "dataset"
    shutil.rmtree(site / "_cache/v1.0")
    cs.build_dataset(site, out=path, repair=True)
    assert bytes_of(cs.open_dataset(path)) == bytes_of(cs.open_dataset(tmp_path / "whole"))
