"""Folders that exports keep up to date: no kill and no full disk leaves one that the next export refuses."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.atomic import replaced_file
from cachestats.errors import DatasetError
from tests.support.exports import EXPORTS, Export, Steps, faults
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


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
@pytest.mark.parametrize("is_update", [True, False])
@pytest.mark.parametrize("kind", EXPORTS)
def test_a_full_disk_at_any_step_is_an_error_and_the_next_export_finishes(
    kind: str, is_update: bool, datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path
) -> None:
    export, listing = EXPORTS[kind]
    old, new = datasets
    everything = []
    for number, dataset in enumerate(datasets):
        export(dataset, tmp_path / f"{number}")
        everything.append(contents(tmp_path / f"{number}"))
    for deadly in range(1, 100):
        folder = tmp_path / f"full-{deadly}"
        if is_update:
            export(old, folder)
        steps = Steps(deadly, full)
        with faults(steps):
            if failed := run_out(export, new, folder):
                assert "No space left on device" in failed
        for name, data in contents(folder).items():
            assert data in (everything[0].get(name), everything[1].get(name)), name
        assert (folder / listing).read_text().endswith("\n") if (folder / listing).exists() else not is_update
        export(datasets[deadly % 2], folder)
        assert contents(folder) == everything[deadly % 2]
        if steps.count < deadly:
            break
    assert deadly > 10


def run_out(export: Export, dataset: cs.Dataset, folder: Path) -> str:
    """Return the message with which an export ends, nothing where it gets to its end."""
    try:
        export(dataset, folder)
    except DatasetError as error:
        return error.message
    return ""


# An export that is killed at its n-th step.
KILLED = """
import os, signal, sys
from tests.support.exports import EXPORTS, Steps, faults
import cachestats as cs
with faults(Steps(int(sys.argv[1]), lambda: os.kill(os.getpid(), signal.SIGKILL))):
    EXPORTS[sys.argv[2]][0](cs.open_dataset(sys.argv[3]), sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPORTS)
def test_a_kill_while_the_list_is_written_is_no_hindrance_to_the_next_export(
    kind: str, datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path
) -> None:
    export, listing = EXPORTS[kind]
    old, new = datasets
    export(new, tmp_path / "expected")
    for deadly in range(1, 6):
        folder = tmp_path / f"{deadly}"
        export(old, folder)
        command = [sys.executable, "-c", KILLED, str(deadly), kind, str(new.path), str(folder)]
        assert subprocess.run(command, check=False, timeout=60).returncode == -9
        assert (folder / listing).read_text().endswith("\n")
        export(new, folder)
        assert contents(folder) == contents(tmp_path / "expected")
        assert sorted(path.name for path in (folder / listing).parent.iterdir()) == sorted(
            ["lock", Path(listing).name]
        ), "nothing is left behind"


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


@pytest.mark.parametrize("name", ["picture.png", "table.csv", "specs.parquet"])
def test_a_full_disk_leaves_the_file_that_was_there(
    name: str, datasets: tuple[cs.Dataset, cs.Dataset], tmp_path: Path
) -> None:
    dataset = datasets[0]
    matrix = cs.coverage_matrix(dataset.specs, rows="package", columns="target")
    uses: dict[str, Callable[[], object]] = {
        "picture.png": lambda: cs.save_plot(cs.plot_coverage(matrix), tmp_path / name),
        "table.csv": lambda: cs.export_table(dataset, "specs", tmp_path / name),
        "specs.parquet": lambda: cs.export_table(dataset, "specs", tmp_path / name),
    }
    (tmp_path / name).write_text("old")
    with faults(Steps(1, full)), pytest.raises(DatasetError, match="No space left on device"):
        uses[name]()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


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
