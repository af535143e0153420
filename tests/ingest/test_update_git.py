"""Updates that ask git: what they make is what a build makes, whatever was committed, edited, ignored or cloned."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import cachestats as cs
from cachestats.ingest import read as reading
from cachestats.sources import git as asking
from cachestats.sources.git import checkout
from tests.support.datasets import bytes_of, state
from tests.support.site import page, spec, write

ODD = 'a "page"\nof\tä b'


def git(place: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgSign=false", *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout.strip()


def commit(place: Path, *words: str) -> str:
    git(place, "add", "-A")
    git(place, "commit", "-q", "--allow-empty", "-m", "pages", *words)
    return git(place, "rev-parse", "HEAD")


def said(text: str) -> str:
    return text.ljust(32, "x")


def a_page(site: Path, snapshot: str, package: str, *hashes: str) -> None:
    write(site, {(snapshot, package): page(package, snapshot, [spec(said(one)) for one in hashes])})


def make_old(site: Path, seconds: int = 100) -> None:
    """Give all pages new dates, as a fresh clone does, out of the doubt about files that were just written."""
    then = time.time() - 10_000 + seconds
    for path in site.rglob("specs.md"):
        os.utime(path, (then, then))
    subprocess.run(["git", "update-index", "-q", "--refresh"], cwd=site, check=False, capture_output=True)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a checkout of three snapshots with two pages each, one with an unusual name."""
    site = tmp_path / "site"
    for snapshot in ("develop", "v1.0", "v2.0"):
        a_page(site, snapshot, "a", f"{snapshot}a")
        a_page(site, snapshot, ODD if snapshot == "develop" else "b", f"{snapshot}b")
    git(tmp_path, "init", "-q", "-b", "main", str(site))
    commit(site)
    make_old(site)
    return site


@pytest.fixture
def dataset(site: Path, tmp_path: Path) -> Path:
    """Return a dataset of the checkout that an update with git has seen."""
    path = cs.build_dataset(site, out=tmp_path / "dataset").path
    assert cs.update_dataset(path, git=True).is_empty()
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the pages that are read."""
    found: list[str] = []
    chunked = reading.parse_chunk

    def parse_chunk(chunk: list[Any], *rest: Any) -> Any:
        found.extend("/".join(one.origin.split("/")[-3:-1]) for one in chunk if hasattr(one, "data"))
        return chunked(chunk, *rest)

    monkeypatch.setattr(reading, "parse_chunk", parse_chunk)
    return found


def test_pages_with_new_dates_are_not_read(
    site: Path, dataset: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = git(site, "rev-parse", "HEAD")
    a_page(site, "v1.0", "a", "new")
    after = commit(site)
    make_old(site, 200)
    caplog.set_level(logging.INFO)
    assert cs.update_dataset(dataset, git=True)["snapshot"].to_list() == ["v1.0"]
    assert sorted(read) == ["v1.0/a", "v1.0/b"]
    told = f"by git, 2 folders with new dates not read again: unchanged from commit {before[:12]} to {after[:12]}"
    assert told in caplog.text
    read.clear()
    make_old(site, 300)
    assert cs.update_dataset(dataset, git=True).is_empty()
    assert not read
    assert cs.update_dataset(dataset).is_empty()
    assert len(read) == 6, "without git"


@pytest.mark.parametrize("change", ["edited", "untracked", "ignored", "assumed", "skipped", "added", "linked"])
def test_what_is_not_in_the_commit_is_looked_at(
    change: str, site: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if change in {"assumed", "skipped"}:
        option = "--assume-unchanged" if change == "assumed" else "--skip-worktree"
        git(site, "update-index", option, "_cache/v1.0/a/specs.md")
    if change == "ignored":
        (site / ".git/info/exclude").write_text("new\n")
    package = "new" if change in {"untracked", "ignored", "added"} else "a"
    if change == "linked":
        shutil.copy(site / "_cache/v1.0/a/specs.md", tmp_path / "elsewhere")
        (site / "_cache/v1.0/a/specs.md").unlink()
        (site / "_cache/v1.0/a/specs.md").symlink_to(tmp_path / "elsewhere")
        commit(site)
        make_old(site)
        cs.update_dataset(dataset, git=True)
        content = page("a", "v1.0", [spec(said("v1.0c"))])  # of the same size
        (tmp_path / "elsewhere").write_text(content)
    else:
        a_page(site, "v1.0", package, "v1.0c")
    if change == "added":
        git(site, "add", "-A")
    make_old(site, 200)
    changes = cs.update_dataset(dataset, git=True)
    assert changes.select("snapshot", "specs_added").rows() == [("v1.0", 1)]
    assert "looked at _cache/v1.0 without git: " in caplog.text
    fresh = cs.build_dataset(site, out=tmp_path / "fresh")
    assert bytes_of(cs.open_dataset(dataset)) == bytes_of(fresh)


def test_history_does_not_matter(site: Path, dataset: Path, tmp_path: Path, read: list[str]) -> None:
    first = git(site, "rev-parse", "HEAD")
    a_page(site, "v1.0", "a", "new")
    commit(site, "--amend")
    git(site, "reflog", "expire", "--expire=now", "--all")
    git(site, "gc", "-q", "--prune=now")
    with pytest.raises(subprocess.CalledProcessError):
        git(site, "cat-file", "-e", first)
    shutil.move(site, tmp_path / "old")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path}/old", str(site))
    make_old(site, 200)
    assert cs.update_dataset(dataset, git=True)["snapshot"].to_list() == ["v1.0"]
    assert {one.split("/")[0] for one in read} == {"v1.0"}


def test_a_branch_and_back(site: Path, dataset: Path, read: list[str]) -> None:
    git(site, "switch", "-q", "-c", "other")
    for snapshot in ("develop", "v1.0"):
        a_page(site, snapshot, "a", "other")
    shutil.rmtree(site / "_cache/v2.0")
    commit(site)
    git(site, "switch", "-q", "main")
    make_old(site, 200)
    assert cs.update_dataset(dataset, git=True, prune=True).is_empty()
    assert not read


def test_it_says_why_git_is_not_asked(
    site: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    make_old(site, 200)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert cs.update_dataset(dataset, git=True).is_empty()
    assert "without git: git is not installed" in caplog.text
    make_old(site, 300)
    shutil.move(site / ".git", tmp_path / "gone")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "gone"))
    monkeypatch.setenv("GIT_WORK_TREE", str(site))
    assert cs.update_dataset(dataset, git=True).is_empty()
    assert "without git: not a git repository" in caplog.text


def test_a_repository_cannot_make_git_run_programs(site: Path, dataset: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\ncat\n")
    program.chmod(0o700)
    (site / ".git/info/attributes").write_text("*.md filter=evil.x diff=evil\n")
    for key in ("core.fsmonitor", "filter.evil.x.clean", "filter.evil.x.process", "diff.evil.textconv",
                "diff.evil.command", "diff.external", "core.pager"):  # fmt: skip
        git(site, "config", key, str(program))
    (site / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman"):
        shutil.copy(program, site / ".git/hooks" / hook)
    make_old(site, 200)
    os.utime(site / ".git/index", (1, 1))  # older than the pages, so that git must compare contents
    git(site, "-c", "core.fsmonitor=false", "diff-index", "HEAD")
    (tmp_path / "ran").unlink()
    assert cs.update_dataset(dataset, git=True).is_empty()
    assert not (tmp_path / "ran").exists()


def test_what_is_committed_after_it_was_read_is_not_taken_for_read(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cs.build_dataset(site, out=tmp_path / "dataset").path

    def later(*arguments: Any) -> Any:
        a_page(site, "v1.0", "a", "v1.0c")
        commit(site)
        make_old(site, 200)
        return checkout(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(asking, "checkout", later)
        assert cs.update_dataset(path, git=True).is_empty()
    assert cs.update_dataset(path, git=True)["snapshot"].to_list() == ["v1.0"]


def test_contents_that_a_filter_writes_otherwise_are_read(site: Path, dataset: Path, read: list[str]) -> None:
    git(site, "config", "core.autocrlf", "true")
    shutil.rmtree(site / "_cache")
    git(site, "checkout", "-q", "--", ".")
    make_old(site, 200)
    assert git(site, "status", "--porcelain") == ""
    cs.update_dataset(dataset, git=True)
    assert len(read) == 6


def test_a_commit_that_deletes_and_one_that_renames(site: Path, dataset: Path, tmp_path: Path, read: list[str]) -> None:
    git(site, "rm", "-q", "_cache/v1.0/a/specs.md")
    git(site, "mv", "_cache/v2.0", "_cache/v3.0")
    commit(site)
    make_old(site, 200)
    cs.update_dataset(dataset, git=True, prune=True, allow_shrink=True)
    assert not [one for one in read if one.startswith("develop")]
    fresh = cs.build_dataset(site, out=tmp_path / "fresh")
    assert bytes_of(cs.open_dataset(dataset)) == bytes_of(fresh)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_and_commits_it_is_as_if_built(seed: int, site: Path, dataset: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    plain = tmp_path / "plain"
    shutil.copytree(dataset, plain)
    options = {"prune": True, "allow_shrink": True, "max_rejected": 1}
    for step in range(12):
        for _ in range(rng.randint(0, 3)):
            snapshot, package = rng.choice(["develop", "v1.0", "v2.0"]), rng.choice(["a", "b", "c", ODD])
            if rng.random() < 0.3:
                shutil.rmtree(site / "_cache" / snapshot / package, ignore_errors=True)
            else:
                a_page(site, snapshot, package, f"{snapshot}{package[0]}{rng.randint(0, 3)}")
        what = rng.choice(["commit", "commit", "stash", "branch", "merge", "ignore", "nothing"])
        if what in {"commit", "merge"}:
            commit(site)
        elif what == "stash":
            git(site, "stash", "-q", "-u")
        elif what == "branch":
            commit(site)
            git(site, "switch", "-q", "-C", f"b{step}", rng.choice(["HEAD~1", "HEAD", "main"]))
        elif what == "ignore":
            (site / ".git/info/exclude").write_text("c\n")
        if what == "merge":
            git(site, "merge", "-q", "-s", rng.choice(["ours", "recursive"]), "-X", "theirs", "main")
        if rng.random() < 0.7:
            make_old(site, 200 + step)
        for path in site.rglob("specs.md"):
            if time.time() - path.stat().st_mtime < 100:
                os.utime(path, (time.time() - 5000 + step,) * 2)
        by_git = cs.update_dataset(dataset, git=True, **options)
        assert by_git.equals(cs.update_dataset(plain, **options))
        fresh = cs.build_dataset(site, out=tmp_path / f"fresh-{step}", max_rejected=1)
        for path in (dataset, plain):
            assert bytes_of(cs.open_dataset(path)) == bytes_of(fresh)
            assert state(cs.open_dataset(path))[0] == state(fresh)[0]
