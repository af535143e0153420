"""Files written whole or not at all, and folders that exports keep up to date."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.atomic import replaced_file
from cachestats.errors import DatasetError
from tests.support.exports import EXPORTS
from tests.support.site import page, spec, write


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> tuple[cs.Dataset, cs.Dataset]:
    """Return two datasets: the second one lacks a page of the first, has another one, and one that changed."""
    folder = tmp_path_factory.mktemp("datasets")
    found = []
    for name, targets in (("old", {"a": "zen3", "gone": "zen3"}), ("new", {"a": "zen4", "new": "zen3"})):
        pages = {("develop", one): page(one, specs=[spec(f"{one:0>32}", target=to)]) for one, to in targets.items()}
        found.append(cs.build_dataset(write(folder / name, pages), out=folder / f"{name}-dataset"))
    return found[0], found[1]


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of an export but its own notes."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".cachestats-")}


@pytest.mark.parametrize("kept", [0, 3, 30])
@pytest.mark.parametrize("kind", EXPORTS)
def test_a_folder_whose_list_was_cut_off_is_taken_over(
    kind: str, kept: int, datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path
) -> None:
    export, listing = EXPORTS[kind]
    old, new = datasets
    export(new, tmp_path / "expected")
    export(old, tmp_path / "out")
    file = tmp_path / "out" / listing
    file.write_bytes(file.read_bytes()[:kept])
    export(new, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected"), "what is out of date is gone"
    assert file.read_bytes() == (tmp_path / "expected" / listing).read_bytes()


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_folder_whose_list_was_cut_off_is_not_taken_over_with_files_of_others(
    kind: str, datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path
) -> None:
    export, listing = EXPORTS[kind]
    for name in ("notes.md", "_cache/develop/a/notes.md", "_cache/né/a/specs.md", "link"):
        folder = tmp_path / name.replace("/", "-")
        export(datasets[0], folder)
        (folder / listing).write_bytes(b"")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name == "link":
            (folder / name).symlink_to(tmp_path)
        else:
            (folder / name).write_text("mine")
        before = contents(folder)
        with pytest.raises(DatasetError, match=rf"list of the files .* found it truncated, and {name} among the files"):
            export(datasets[1], folder)
        assert contents(folder) == before
        (folder / name).unlink()
        export(datasets[1], folder)


def test_the_list_of_an_export_without_pages_is_whole(datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path) -> None:
    (tmp_path / "mirrors/develop/build_cache").mkdir(parents=True)
    index = tmp_path / "mirrors/develop/build_cache/index.json"
    index.write_text('{"database": {"version": "8", "installs": {}}}')
    assert cs.export_site(cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset"), tmp_path / "site") == 0
    mine = tmp_path / "site/_cache/mine/a/specs.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    cs.export_site(datasets[0], tmp_path / "site")
    assert mine.read_text() == "mine"


def test_a_file_system_that_syncs_no_folders_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, refused = os.fsync, []

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refused.append(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with replaced_file(tmp_path / "file") as unfinished:
        unfinished.write_text("whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert refused


def test_what_a_killed_process_left_is_removed_but_not_what_a_process_writes(tmp_path: Path) -> None:
    others = [".file.txt", ".file.0badcafe.txt", ".other.0badcafe", "file.0badcafe", ".file.csv.0badcafe"]
    for name in (".file.0badcafe", *others):
        (tmp_path / name).touch()
    with replaced_file(tmp_path / "file") as first:
        first.write_text("first")
        with replaced_file(tmp_path / "file") as second:
            second.write_text("second")
        assert first.read_text() == "first"
    assert (tmp_path / "file").read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"file", *others}
