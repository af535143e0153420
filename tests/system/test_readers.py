"""Readers beside writers: each answer is from one state of the dataset, and nobody is locked out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import RebuiltError
from tests.support.cli import run
from tests.support.datasets import bytes_of
from tests.support.site import page, spec, write

ROUNDS = 50
BUILDS = """
import sys
import cachestats as cs
sites, out = sys.argv[1:3], sys.argv[3]
while True:
    for site in sites:
        cs.build_dataset(site, out=out, workers=1)
"""


@pytest.fixture
def sites(tmp_path: Path) -> list[Path]:
    """Return two checkouts; the second one has other versions, targets and stacks of the packages of the first."""
    return [
        write(
            tmp_path / name,
            {
                (snapshot, package): page(
                    package, snapshot, [spec(letter * 32, versions=[name], target=name, stacks=[name, "root"])]
                )
                for snapshot, letters in (("develop", "abc"), ("v1.0", "def"))
                for package, letter in zip(("hdf5", "mpich", "zlib"), letters, strict=True)
            },
        )
        for name in ("1.0", "2.0")
    ]


@pytest.fixture
def busy(sites: list[Path], tmp_path: Path) -> Iterator[Path]:
    """Return a dataset that another process builds again and again, in turn from the two checkouts."""
    path = tmp_path / "dataset"
    cs.build_dataset(sites[0], out=path)
    with subprocess.Popen([sys.executable, "-c", BUILDS, *map(str, sites), str(path)]) as writer:
        yield path
        assert writer.poll() is None
        writer.kill()


def files(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder but for the hidden ones."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix(): (folder / path).read_bytes() for path in found if not path.parts[0].startswith(".")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb",
    [
        ("coverage", "--snapshot", "all", "--rows", "package", "--columns", "target", "--format", "csv"),
        ("find", "--snapshot", "all", "@1:", "--format", "csv"),
        ("sql", "SELECT package, version, stack FROM specs JOIN variants USING (hash) ORDER BY ALL", "--format", "csv"),
    ],
    ids=lambda verb: verb[0],
)
def test_a_question_beside_builds_is_answered_from_one_state(
    verb: tuple[str, ...], sites: list[Path], busy: Path, tmp_path: Path
) -> None:
    name, *options = verb
    expected = [
        run(name, cs.build_dataset(site, out=tmp_path / f"of-{site.name}").path, *options).stdout for site in sites
    ]
    seen = [run(name, busy, *options).stdout for _ in range(ROUNDS)]
    deadline = time.monotonic() + 60
    while len({*seen}) < 2 and time.monotonic() < deadline:  # until the writer has begun
        seen.append(run(name, busy, *options).stdout)
    assert {*seen} == {*expected}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["export", "report"])
def test_what_is_written_beside_builds_is_of_one_state(
    verb: str, sites: list[Path], busy: Path, tmp_path: Path
) -> None:
    def write_it(dataset: Path) -> dict[str, bytes]:
        with suppress(RebuiltError):  # what was written before stays
            if verb == "export":
                cs.export_package(cs.open_dataset(dataset), tmp_path / "out", format="csv")
            else:
                cs.write_report(cs.open_dataset(dataset), tmp_path / "out")
        found = files(tmp_path / "out")
        return {name: found[name] for name in ("specs.csv", "variants.csv", "packages/hdf5.html") if name in found}

    expected = [write_it(cs.build_dataset(site, out=tmp_path / f"of-{site.name}").path) for site in sites]
    assert expected[0] != expected[1]
    for _ in range(ROUNDS if verb == "export" else ROUNDS // 5):
        assert write_it(busy) in expected


def test_a_dataset_that_was_rebuilt_says_so_and_never_mixes(sites: list[Path], tmp_path: Path) -> None:
    dataset = cs.build_dataset(sites[0], out=tmp_path / "dataset")
    before = dataset.scan("variants").collect()
    dataset.check_unchanged()
    cs.build_dataset(sites[1], out=tmp_path / "dataset")
    for read in (
        dataset.check_unchanged,
        lambda: dataset.specs,
        lambda: cs.coverage(dataset, rows="os", columns="target"),
    ):
        with pytest.raises(RebuiltError, match=r"dataset was built again while it was read\nhint: open it again"):
            read()
    assert cs.open_dataset(dataset.path).scan("variants").collect().equals(before)


def test_a_question_that_never_sees_one_state_prints_nothing(
    sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = cs.build_dataset(sites[0], out=tmp_path / "dataset")
    asked = []

    def rebuilt(self: cs.Dataset) -> None:
        asked.append(self)
        raise RebuiltError("it was built again")

    monkeypatch.setattr(cs.Dataset, "check_unchanged", rebuilt)
    done = run("info", dataset.path, code=14)
    assert (done.stdout, done.stderr) == (b"", b"error: it was built again\n")
    assert len({*map(id, asked)}) == 10
    monkeypatch.setattr(cs.Dataset, "check_unchanged", lambda self: rebuilt(self) if len(asked) < 12 else None)
    assert run("info", dataset.path).stderr.count(b"schema version") == 1


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """Return a folder that other users may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def cut_off(sites: list[Path], path: Path, moved: int) -> None:
    """Leave a publication of the second checkout that was cut off after some moves."""
    cs.build_dataset(sites[0], out=path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cachestats.dataset.writer.move_published", lambda path: None)
        patch.setattr("cachestats.ingest.build.open_dataset", lambda path: None)  # it would finish the moves
        cs.build_dataset(sites[1], out=path)
    state = path / ".cachestats"
    for name in json.loads((state / "commit.json").read_text())["move"][:moved]:
        os.replace(state / "new" / name, path / name)


@pytest.mark.parametrize("moved", [0, 3, 9, 99])
def test_who_may_not_write_reads_what_was_published(
    moved: int, sites: list[Path], shared_path: Path, tmp_path: Path
) -> None:
    expected = bytes_of(cs.build_dataset(sites[1], out=tmp_path / "expected"))
    path = shared_path / "dataset"
    cut_off(sites, path, moved)
    (path / ".cachestats/lock").unlink(missing_ok=True)
    code = f"""
import os
import filelock
import cachestats as cs
from tests.support.datasets import bytes_of

def read(path):
    dataset = cs.open_dataset(path)
    versions = sorted(dataset.specs.collect()["version"].unique())
    cs.coverage(dataset, rows="package", columns="target")
    dataset.check_unchanged()
    return versions, len(bytes_of(dataset))

read({str(tmp_path / "expected")!r})  # imports what it needs
if os.getuid() == 0:  # who may write anywhere
    os.setegid(65534)
    os.seteuid(65534)
print(*read({str(path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['2.0'] {len(expected)}\n"
    assert (path / ".cachestats/commit.json").exists()
    assert bytes_of(cs.open_dataset(path)) == expected, "who may write finishes it"
    assert not (path / ".cachestats/commit.json").exists()
