"""Processes in odd surroundings: each works, or ends with an error that says what is wrong, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachestats as cs
from conftest import ROOT

PAGES = ROOT / "data" / "_cache"
TABLE = "coverage $dataset --rows os --columns target"
HERE = "cd gone && rmdir ../gone &&"
NOT_UTF_8 = "$(printf 'b\\377')"

CASES: dict[str, tuple[str, int, str]] = {
    # name: shell command after `cs=...`, exit code, what stderr has
    "stdout closed": ("$cs info $dataset >&-", 12, "cannot write to stdout"),
    "stdout closed for help": ("$cs --help >&-", 12, "cannot write to stdout"),
    "stdout full": ("$cs info $dataset >/dev/full", 12, "cannot write to stdout: No space left"),
    "stderr closed": ("$cs build $pages --out closed 2>&- && test -e closed/manifest.json", 0, ""),
    "stderr full": ("$cs build $pages --out full 2>/dev/full && test -e full/manifest.json", 0, ""),
    "both closed": ("$cs build $pages --out both >&- 2>&- && test -e both/manifest.json", 0, ""),
    "a reader that leaves": ("$cs dictionary | head -1; exit ${PIPESTATUS[0]}", 0, ""),
    "no current folder, none needed": (f"{HERE} $cs build $pages --out $here/gone-1", 0, "2 snapshots"),
    "no current folder, as a source": (f"{HERE} $cs build site --out $here/gone-2", 2, "a current folder"),
    "no current folder, to write to": (f"{HERE} $cs {TABLE} --out table.csv", 2, "a current folder"),
    "no home": ("env -u HOME $cs info $dataset", 0, "2 snapshots"),
    "a locale of bytes": (f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $cs build {NOT_UTF_8} --out b", 0, "2 snap"),
    "an encoding of bytes": ("PYTHONIOENCODING=ascii $cs build nö --out ascii", 10, "found nothing at n"),
    "no folder for temporary files": ("TMPDIR=/nowhere $cs build $pages --out tmp --dry-run", 0, "nothing was written"),
    "a source that is not UTF-8": (f"$cs build {NOT_UTF_8} --out source", 0, "2 snapshots"),
    "a folder of pages that is not UTF-8": ("$cs build site --out inside", 0, "1 snapshot"),
    "a dataset that is not UTF-8": (f"$cs build $pages --out {NOT_UTF_8}-out", 12, "a path in UTF-8 for tables"),
    "an export that is not UTF-8": (f"$cs export $dataset --out {NOT_UTF_8}-out", 12, "a path in UTF-8"),
    "a report that is not UTF-8": (f"$cs report $dataset --out {NOT_UTF_8}-out", 12, "a path in UTF-8"),
    "a table that is not UTF-8": (f"$cs {TABLE} --out {NOT_UTF_8}.csv", 0, r"wrote b\udcff.csv"),
    "a lockfile that is not UTF-8": (f"$cs match $dataset {NOT_UTF_8}.lock", 0, "left to build"),
    "a query that is not UTF-8": (f'$cs sql $dataset "SELECT \'{NOT_UTF_8}\'"', 2, "expected text in UTF-8"),
    "names with newlines": ("$cs build $'a\\nb' --out $'c\\nd' && $cs info $'c\\nd'", 0, "1 snapshot"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sources and a lockfile under odd names."""
    path = tmp_path_factory.mktemp("odd")
    page = (PAGES / "develop/py-filelock/specs.md").read_bytes()
    for below in (b"a\nb/_cache/develop/p", b"site/_cache/develop/b\xff"):
        os.makedirs(os.path.join(os.fsencode(path), below))
        Path(os.fsdecode(os.path.join(os.fsencode(path), below, b"specs.md"))).write_bytes(page)
    (path / os.fsdecode(b"b\xff")).symlink_to(PAGES)
    (path / os.fsdecode(b"b\xff.lock")).write_bytes((cs.example_dataset().path / "spack.lock").read_bytes())
    return path


@pytest.fixture
def gone(folder: Path) -> Iterator[None]:
    (folder / "gone").mkdir()
    yield
    if (folder / "gone").exists():
        (folder / "gone").rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_process_in_odd_surroundings_works_or_says_what_is_wrong(name: str, folder: Path, gone: None) -> None:
    command, code, words = CASES[name]
    names = {"cs": f"{sys.executable} -m cachestats", "dataset": str(cs.example_dataset().path), "pages": str(PAGES)}
    environment = {**os.environ, **names, "here": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, timeout=120, check=False
    )
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (code, False), said
    assert words in said
    assert not [path for path in folder.iterdir() if path.name.endswith("-out")], "nothing is left behind"
