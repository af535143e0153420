"""The power goes: at any instant, what is on the disk is what was there before or what was written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import cachestats as cs
from tests.support.power import Disk, write_tree
from tests.support.site import page, spec, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the model reads /proc"),
]


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    """Return two checkouts: the second one lacks a snapshot of the first, has another one, and one that changed."""
    old = {("develop", "a"): page("a", specs=[spec("a" * 32)]), ("v1.0", "a"): page("a", "v1.0", [spec("b" * 32)])}
    new = {("develop", "a"): page("a", specs=[spec("c" * 32)]), ("v2.0", "a"): page("a", "v2.0", [spec("d" * 32)])}
    return write(tmp_path / "old", old), write(tmp_path / "new", new)


def specs(path: Path) -> list[tuple[object, ...]]:
    return cs.open_dataset(path).specs.select("snapshot", "hash").sort("snapshot", "hash").collect().rows()


def test_a_power_cut_at_any_instant_leaves_the_old_dataset_or_the_new_one(
    sites: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = sites
    place = tmp_path / "place"
    place.mkdir()
    cs.build_dataset(old, out=place / "dataset")
    before = specs(place / "dataset")
    shutil.copytree(place / "dataset", tmp_path / "expected")
    after = specs(cs.build_dataset(new, out=tmp_path / "expected").path)
    disk = Disk(place)
    with disk.recorded():
        cs.build_dataset(new, out=place / "dataset")
    assert len(disk.states) > 20
    seen = []
    for number, tree in enumerate(disk.states):
        write_tree(tmp_path / f"{number}", tree)
        seen.append(specs(tmp_path / f"{number}" / "dataset"))
        assert seen[-1] in (before, after), f"state {number}: {sorted(tree)}"
        assert specs(cs.build_dataset(new, out=tmp_path / f"{number}" / "dataset").path) == after
    assert before in seen
    assert seen[-1] == after


def test_a_power_cut_at_any_instant_leaves_the_old_report_or_the_new_one(
    sites: tuple[Path, Path], tmp_path: Path
) -> None:
    datasets = [cs.build_dataset(site, out=tmp_path / f"dataset-{site.name}") for site in sites]
    place = tmp_path / "place"
    place.mkdir()
    expected = []
    for dataset in datasets[::-1]:
        cs.write_report(dataset, place / "report")
        expected.append(files(place / "report"))
    disk = Disk(place)
    with disk.recorded():
        cs.write_report(datasets[1], place / "report")
    for number, tree in enumerate(disk.states):
        write_tree(tmp_path / f"{number}", tree)
        assert files(tmp_path / f"{number}" / "report") in expected, f"state {number}"
    assert files(tmp_path / f"{number}" / "report") == expected[0]


def test_a_power_cut_at_any_instant_leaves_no_empty_file_in_an_export(sites: tuple[Path, Path], tmp_path: Path) -> None:
    datasets = [cs.build_dataset(site, out=tmp_path / f"dataset-{site.name}") for site in sites]
    place = tmp_path / "place"
    place.mkdir()
    expected = []
    for dataset in datasets[::-1]:
        cs.export_package(dataset, place / "bi")
        expected.append(files(place / "bi"))
    disk = Disk(place)
    with disk.recorded():
        cs.export_package(datasets[1], place / "bi")
    for number, tree in enumerate(disk.states):
        write_tree(tmp_path / f"{number}", tree)
        found = files(tmp_path / f"{number}" / "bi")
        assert found.keys() == expected[0].keys()
        for name, data in found.items():
            assert data in [one[name] for one in expected], f"state {number}: {name}"


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder but for its hidden ones."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix(): (folder / path).read_bytes() for path in found if not path.parts[0].startswith(".")}
