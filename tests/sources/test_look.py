"""The look at folders of pages: it settles what a walk would find unchanged, and nothing else."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cachestats as cs
from cachestats.cli.output import emit
from cachestats.ingest import merge as merging
from cachestats.ingest.existing import Existing
from cachestats.ingest.look import first_look
from cachestats.sources.request import SourceRequest
from tests.support.datasets import bytes_of, change_manifest, state
from tests.support.site import page, spec, write


def old(site: Path, seconds: float = 0) -> None:
    """Make pages older than the doubt about files that were just written."""
    then = time.time() - 10_000 + seconds
    for path in site.rglob("specs.md"):
        os.utime(path, (then, then))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    pages = {
        (snapshot, name): page(name, snapshot, [spec(f"{snapshot}{name}".ljust(32, "x"))])
        for snapshot in ("develop", "v1.0")
        for name in "ab"
    }
    site = write(tmp_path / "site", pages)
    (site / "README.md").write_text("neither page nor index")
    old(site)
    return site


@pytest.fixture
def dataset(site: Path, tmp_path: Path) -> Path:
    return cs.build_dataset(site, out=tmp_path / "dataset").path


def looked(dataset: Path) -> tuple[bool, list[str]]:
    """Return whether a look settles everything, and the folders that it settles."""
    found = first_look(Existing.read(dataset), SourceRequest(""), (), recheck=False, git=False)
    (settled,) = found.existing.settled.values()
    return found.is_all, sorted(name.rpartition("/")[2] for name in settled)


def test_an_update_that_finds_nothing_imports_nothing_heavy(site: Path, dataset: Path) -> None:
    code = """
import sys
from click.testing import CliRunner
from cachestats.cli import cli
done = CliRunner().invoke(cli, ["update", sys.argv[1]])
print(done.exit_code, done.stderr)
print(sorted({"asyncio", "numpy", "polars", "pyarrow", "subprocess"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code, dataset], capture_output=True, text=True, check=True)
    assert "found 4 files, passed over 1 other\n" in done.stdout
    assert done.stdout.endswith(f"{dataset}: up to date\n\n[]\n")


def edit(site: Path) -> Path:
    return write(site, {("develop", "a"): page("a", "develop", [spec("n" * 32)])})


def test_an_update_of_a_page_prints_its_table_without_polars(site: Path, dataset: Path) -> None:
    code = """
import sys
from click.testing import CliRunner
from cachestats.cli import cli
print(CliRunner().invoke(cli, ["update", sys.argv[1]]).stdout, "polars" in sys.modules)
"""
    edit(site)
    copy = dataset.with_name("copy")
    shutil.copytree(dataset, copy)
    done = subprocess.run([sys.executable, "-c", code, dataset], capture_output=True, text=True, check=True)
    emit(cs.update_dataset(copy), "table", dataset.with_name("table"))
    assert done.stdout == f"{dataset.with_name('table').read_text()} False\n"


def set_back(site: Path) -> None:
    path = site / "_cache/develop/a/specs.md"
    then = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("developax", "developay"))
    os.utime(path, ns=(then + 1, then + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a page was edited": edit,
    "a nanosecond later": set_back,
    "a page came": lambda site: write(site, {("develop", "c"): page("c", "develop", [spec("n" * 32)])}),
    "a page went": lambda site: shutil.rmtree(site / "_cache/develop/a"),
    "a page went, its folder did not": lambda site: (site / "_cache/develop/a/specs.md").unlink(),
    "a folder was renamed": lambda site: shutil.move(site / "_cache/develop/a", site / "_cache/develop/c"),
    "a folder is a link now": lambda site: (
        shutil.move(site / "_cache/develop", site / ".hidden"),
        (site / "_cache/develop").symlink_to(site / ".hidden"),
    ),
    "a snapshot came": lambda site: write(site, {("v3.0", "c"): page("c", "v3.0", [spec("n" * 32)])}),
    "a snapshot went": lambda site: shutil.rmtree(site / "_cache/develop"),
    "pages elsewhere": lambda site: write(site / "more/of/it", {("v3.0", "c"): page("c", "v3.0", [spec("n" * 32)])}),
    "a link elsewhere": lambda site: (
        write(site / ".hidden", {("v3.0", "c"): page("c", "v3.0", [spec("n" * 32)])}),
        (site / "more").symlink_to(site / ".hidden/_cache"),
    ),
    "two changed places": lambda site: (
        (site / "_cache/develop/a/specs.md").rename(site / "x"),
        (site / "_cache/develop/b/specs.md").rename(site / "_cache/develop/a/specs.md"),
        (site / "x").rename(site / "_cache/develop/b/specs.md"),
        os.utime(site / "_cache/develop/a/specs.md", (1, 1)),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("prune", [False, True])
def test_what_changed_is_seen_and_the_rest_is_set_aside(
    change: str, prune: bool, site: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looked(dataset) == (True, ["develop", "v1.0"])
    plain = tmp_path / "plain"
    shutil.copytree(dataset, plain)
    CHANGES[change](site)
    is_all, settled = looked(dataset)
    assert not is_all
    assert "v1.0" in settled
    found = cs.update_dataset(dataset, prune=prune, allow_shrink=True)
    monkeypatch.setattr("cachestats.sources.folder.FolderSource.look", lambda *_, **__: _nothing())
    assert found.equals(cs.update_dataset(plain, prune=prune, allow_shrink=True))
    assert bytes_of(cs.open_dataset(dataset)) == bytes_of(cs.open_dataset(plain))
    assert state(cs.open_dataset(dataset)) == state(cs.open_dataset(plain))


def _nothing() -> object:
    from cachestats.sources.look import Look

    return Look({})


@pytest.mark.parametrize(
    "why", ["recheck", "selected", "built selected", "just written", "other version", "unreadable"]
)
def test_if_in_doubt_nothing_is_settled(why: str, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "just written":
        for path in site.rglob("specs.md"):
            os.utime(path)
    if why == "unreadable":
        (site / "_cache/develop/c").mkdir()
        os.mkfifo(site / "_cache/develop/c/specs.md")
    selected = ["develop"] if why == "built selected" else []
    dataset = cs.build_dataset(site, out=tmp_path / "dataset", snapshots=selected, max_rejected=1).path
    if why == "other version":
        monkeypatch.setattr("cachestats.ingest.remember.__version__", "0.0.0")
    request = SourceRequest.for_any(["develop"] if why == "selected" else [], [], None, None)
    found = first_look(Existing.read(dataset), request, (), recheck=why == "recheck", git=False)
    assert not found.is_all
    folders = [folder for each in found.existing.settled.values() for folder in each]
    assert [folder.rpartition("/")[2] for folder in folders] == (["v1.0"] if why == "unreadable" else [])


def test_a_dataset_without_checksums_gets_them(site: Path, dataset: Path) -> None:
    before: dict[str, str] = {}

    def forget(manifest: dict[str, Any]) -> None:
        (source,) = manifest["sources"].values()
        before.update(source["folders"])
        del source["folders"], source["is_whole"], manifest["num_gone"]

    change_manifest(dataset, forget)
    assert cs.update_dataset(dataset).is_empty()
    (record,) = cs.open_dataset(dataset).manifest.sources.values()
    assert record.folders == before
    assert looked(dataset)[0]


def test_a_file_that_cannot_be_read_is_dropped_once_it_is_gone(site: Path, tmp_path: Path) -> None:
    (site / "_cache/develop/c").mkdir()
    os.mkfifo(site / "_cache/develop/c/specs.md")
    dataset = cs.build_dataset(site, out=tmp_path / "dataset", max_rejected=1)
    assert dataset.rejected.collect().height == 1
    shutil.rmtree(site / "_cache/develop/c")
    cs.update_dataset(dataset.path)
    assert cs.open_dataset(dataset.path).rejected.collect().is_empty()
    assert looked(dataset.path)[0]


def test_kept_pages_are_pruned_though_nothing_else_changed(site: Path, dataset: Path) -> None:
    shutil.rmtree(site / "_cache/v1.0")
    assert cs.update_dataset(dataset)["change"].to_list() == ["kept"]
    assert cs.open_dataset(dataset).manifest.num_gone == 2
    assert looked(dataset) == (True, ["develop"])
    assert cs.update_dataset(dataset).is_empty()
    assert cs.update_dataset(dataset, prune=True)["change"].to_list() == ["went"]


def test_a_snapshot_that_two_folders_have_is_merged_from_both(site: Path, tmp_path: Path) -> None:
    write(site, {("v1.0", "c"): page("c", "develop", [spec("c" * 32)])})  # its front matter says develop
    other = write(tmp_path / "other", {("develop", "d"): page("d", "develop", [spec("d" * 32)])})
    old(site)
    old(other)
    dataset = cs.build_dataset(site, other, out=tmp_path / "dataset").path
    edit(site)
    assert cs.update_dataset(dataset)["snapshot"].to_list() == ["develop"]
    fresh = cs.build_dataset(site, other, out=tmp_path / "fresh")
    assert bytes_of(cs.open_dataset(dataset)) == bytes_of(fresh)


def test_another_process_changes_the_dataset_between_the_look_and_the_lock(
    site: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(site)
    old(site / "_cache/develop/a", 50)
    merge = merging.merge

    def late(*arguments: object, **options: object) -> object:
        monkeypatch.undo()
        cs.update_dataset(dataset)
        return merge(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(merging, "merge", late)
    assert cs.update_dataset(dataset).is_empty()
    assert bytes_of(cs.open_dataset(dataset)) == bytes_of(cs.build_dataset(site, out=tmp_path / "fresh"))


def test_remains_of_a_killed_update_are_removed(dataset: Path) -> None:
    (dataset / ".cachestats/new/specs").mkdir(parents=True)
    assert cs.update_dataset(dataset).is_empty()
    assert not (dataset / ".cachestats/new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_after_any_changes_it_finds_what_a_walk_finds(
    seed: int, site: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    plain = tmp_path / "plain"
    shutil.copytree(dataset, plain)
    for step in range(20):
        for _ in range(rng.randint(0, 2)):
            snapshot = rng.choice(["develop", "v1.0", "v2.0", "develop/a", "", "."])
            name = rng.choice(["a", "b", "c", "é", ".d", "a\nb"])
            place = site / "_cache" / snapshot / name
            what = rng.random()
            if what < 0.3:
                shutil.rmtree(place, ignore_errors=True)
            elif what < 0.4 and (place / "specs.md").exists():
                os.utime(place / "specs.md", (1000 + step, 1000 + step))
            elif not place.is_symlink():
                said = page(name.strip(".\n"), "v1.0" if snapshot == "v1.0" else "develop", [spec(f"{step:032}")])
                place.mkdir(parents=True, exist_ok=True)
                (place / "specs.md").write_text(said)
                os.utime(place / "specs.md", (2000 + step, 2000 + step))
        options = {"prune": rng.random() < 0.5, "allow_shrink": True, "max_rejected": 1}
        found = cs.update_dataset(dataset, **options)
        with monkeypatch.context() as patch:
            patch.setattr("cachestats.sources.folder.FolderSource.look", lambda *_, **__: _nothing())
            assert found.equals(cs.update_dataset(plain, **options))
        assert bytes_of(cs.open_dataset(dataset)) == bytes_of(cs.open_dataset(plain))
        assert state(cs.open_dataset(dataset)) == state(cs.open_dataset(plain))
