"""A kill, a full disk and a broken disk at the system calls of what writes: the old state or the new one, no litter.

What cannot be read of a source is told, too.

Each run has its fault at another call: at every call with `CACHESTATS_FAULTS=all`, and otherwise at those that publish
and at some of the others.
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cachestats as cs
from cachestats.ingest import buckets
from tests.support import whole
from tests.support.datasets import state
from tests.support.site import page, spec, write
from tests.support.system_calls import ALL, KILL, READS, TAKES_SPACE, Call, Ended, linux_only, run

pytestmark = [pytest.mark.slow, linux_only]

IS_EVERY_CALL = os.environ.get("CACHESTATS_FAULTS") == "all"
PUBLISHES = frozenset({"rename", "renameat", "renameat2", "unlink", "rmdir"})
REPEATS = frozenset({"write", "read", "pread64", "getdents64"})
"""Of these calls on one file, only the first has a fault."""


@dataclass(frozen=True)
class Case:
    """A command that writes, and how to read what it wrote."""

    command: Callable[[Path], list[str]]
    """The arguments, given the folder with everything in it."""
    target: str
    """What is written, below that folder."""
    read: Callable[[Path], object]
    prepare: Callable[[Path], None]
    """Write the folder as it is before."""
    is_mixed: Callable[[Any, Any, Any], bool] = lambda found, before, after: found not in (before, after)
    """Whether what is found is neither what was there before nor what is there after."""
    setting: Callable[[], None] | None = None
    """What the process does first."""


def old_site(folder: Path) -> None:
    pages = {("develop", "a"): page("a", specs=[spec("a" * 32)]), ("v1.0", "a"): page("a", "v1.0", [spec("b" * 32)])}
    write(folder / "site", pages)


def new_site(folder: Path) -> None:
    shutil.rmtree(folder / "site", ignore_errors=True)
    specs = [spec(f"{number:032d}") for number in range(9)]
    write(
        folder / "site",
        {("develop", "a"): page("a", specs=specs), ("v2.0", "a"): page("a", "v2.0", [spec("d" * 32)])},
    )


def small_buckets() -> None:
    """Have `develop` grow from one file into four buckets."""
    buckets._SMALLEST_SPLIT, buckets._ENTRIES = 9, 4


def old_dataset(folder: Path) -> None:
    old_site(folder)
    cs.build_dataset(folder / "site", out=folder / "out/dataset")
    new_site(folder)


def only_site(folder: Path) -> None:
    new_site(folder)
    (folder / "out").mkdir()


def mirror(folder: Path) -> None:
    whole.write_layout_3(folder / "mirror")
    (folder / "out").mkdir()


def exported(write: Callable[[cs.Dataset, Path], object]) -> Callable[[Path], None]:
    """Return how to prepare the dataset to export, and an export of what it was before."""

    def prepare(folder: Path) -> None:
        old_site(folder)
        old = cs.build_dataset(folder / "site", out=folder / "before")
        (folder / "out").mkdir()
        write(old, folder / "out")
        new_site(folder)
        cs.build_dataset(folder / "site", out=folder / "dataset")

    return prepare


def rows(path: Path) -> object:
    is_there = (path / "manifest.json").exists() or (path / ".cachestats/commit.json").exists()
    return state(cs.open_dataset(path)) if is_there else None


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of an export but for its own notes."""
    if path.is_file():
        return {"": path.read_bytes()}
    found = (one.relative_to(path) for one in sorted(path.rglob("*")) if one.is_file())
    return {one.as_posix(): (path / one).read_bytes() for one in found if not one.parts[0].startswith(".")}


def has_mixed_file(found: dict[str, bytes], before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    return any(data not in (before.get(name), after.get(name)) for name, data in found.items())


def table(kind: str) -> Case:
    return Case(
        lambda folder: ["export", f"{folder}/dataset", "--table", "specs", "--out", f"{folder}/out/specs.{kind}"],
        f"out/specs.{kind}",
        contents,
        exported(lambda dataset, out: cs.export_table(dataset, "specs", out / f"specs.{kind}")),
    )


CASES = {
    "first build": Case(
        lambda folder: ["build", f"{folder}/site", "--out", f"{folder}/out/dataset"],
        "out/dataset",
        rows,
        only_site,
    ),
    "build": Case(
        lambda folder: ["build", f"{folder}/site", "--out", f"{folder}/out/dataset"], "out/dataset", rows, old_dataset
    ),
    "build in buckets": Case(
        lambda folder: ["build", f"{folder}/site", "--out", f"{folder}/out/dataset"],
        "out/dataset",
        rows,
        old_dataset,
        setting=small_buckets,
    ),
    "build with sizes": Case(
        lambda folder: ["build", f"{folder}/mirror", "--out", f"{folder}/out/dataset", "--sizes"],
        "out/dataset",
        rows,
        mirror,
    ),
    "update": Case(lambda folder: ["update", f"{folder}/out/dataset", "--prune"], "out/dataset", rows, old_dataset),
    "table": table("parquet"),
    "CSV": table("csv"),
    "package": Case(
        lambda folder: ["export", f"{folder}/dataset", "--out", f"{folder}/out/package"],
        "out/package",
        contents,
        exported(lambda dataset, out: cs.export_package(dataset, out / "package")),
    ),
    "site": Case(
        lambda folder: ["export", f"{folder}/dataset", "--site", f"{folder}/out/site"],
        "out/site",
        contents,
        exported(lambda dataset, out: cs.export_site(dataset, out / "site")),
        has_mixed_file,
    ),
    "first package": Case(
        lambda folder: ["export", f"{folder}/dataset", "--out", f"{folder}/out/package"],
        "out/package",
        contents,
        exported(lambda dataset, out: None),
    ),
    "first site": Case(
        lambda folder: ["export", f"{folder}/dataset", "--site", f"{folder}/out/site"],
        "out/site",
        contents,
        exported(lambda dataset, out: None),
        has_mixed_file,
    ),
    "report": Case(
        lambda folder: ["report", f"{folder}/dataset", "--out", f"{folder}/out/report"],
        "out/report",
        contents,
        exported(lambda dataset, out: cs.write_report(dataset, out / "report")),
    ),
    "picture": Case(
        lambda folder: [
            *("plot", "coverage", f"{folder}/dataset", "--rows", "package", "--columns", "target"),
            *("--out", f"{folder}/out/coverage.svg"),
        ],
        "out/coverage.svg",
        contents,
        exported(
            lambda dataset, out: cs.save_plot(
                cs.plot_coverage(cs.coverage_matrix(dataset.specs, rows="package", columns="target")),
                out / "coverage.svg",
            )
        ),
    ),
}


@dataclass
class Note:
    """Notes calls, and lets them happen."""

    names: frozenset[str]
    calls: list[Call] = field(default_factory=list)

    def __call__(self, call: Call) -> None:
        self.calls.append(call)


@dataclass
class FaultAt:
    """Has one call fail, counted from zero among those of its names, and all later ones if it lasts."""

    error: int
    names: frozenset[str]
    number: int
    lasts: bool
    count: int = -1

    def __call__(self, call: Call) -> int | None:
        self.count += 1
        return self.error if self.count == self.number or (self.lasts and self.count > self.number) else None


class Kind(NamedTuple):
    """A kind of fault: what calls end with, which calls it concerns, and whether it lasts once it is there."""

    error: int
    names: frozenset[str]
    most: int
    """About so many calls are chosen to fail, besides those that publish for a kill."""
    lasts: bool = False


KINDS = {
    "kill": Kind(KILL, ALL - READS, 16),
    "full disk": Kind(errno.ENOSPC, TAKES_SPACE, 6, lasts=True),
    "full for a moment": Kind(errno.ENOSPC, TAKES_SPACE, 10),
    "broken disk": Kind(errno.EIO, ALL, 12),
}


def chosen(kind: Kind, calls: Sequence[Call]) -> list[int]:
    """Return the numbers of the calls to have fail."""
    if IS_EVERY_CALL:
        return [*range(len(calls))]
    first = {call: number for number, call in reversed([*enumerate(calls)])}
    once = [number for number, call in enumerate(calls) if call.name not in REPEATS or first[call] == number]
    publishing = [number for number in once if kind.error == KILL and calls[number].name in PUBLISHES]
    others = sorted({*once} - {*publishing})
    return sorted([*publishing, *others[:: -(-len(others) // kind.most)]])


def faults(kind: Kind, calls: Sequence[Call]) -> Iterator[tuple[Call, FaultAt]]:
    """Yield the calls to have fail, and how."""
    for number in chosen(kind, calls):
        call = calls[number]
        if kind.lasts:
            yield call, FaultAt(kind.error, kind.names, number, lasts=True)
        else:
            same = sum(one.name == call.name for one in calls[:number])
            yield call, FaultAt(kind.error, frozenset({call.name}), same, lasts=False)


def listed(folder: Path) -> list[str]:
    """Return all files and folders but for what lets the next build continue where one stopped."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(path for path in found if "/.cachestats/journals" not in path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_a_fault_at_any_call_leaves_the_old_or_the_new(name: str, kind: str, tmp_path: Path) -> None:
    case = CASES[name]
    pristine, place = tmp_path / "pristine", tmp_path / "place"
    case.prepare(place)
    shutil.copytree(place, pristine)
    target = place / case.target
    before = case.read(target)
    note = Note(KINDS[kind].names)
    assert run(case.command(place), tmp_path, place / "out", note, case.setting).code == 0
    after, files = case.read(target), listed(place)
    assert before != after
    found = []
    for call, fault in faults(KINDS[kind], note.calls):
        shutil.rmtree(place)
        shutil.copytree(pristine, place)
        ended = run(case.command(place), tmp_path, place / "out", fault, case.setting)
        found += [f"{call}: {what}" for what in judged(case, ended, kind, before, after, place)]
        if kind == "kill" or IS_EVERY_CALL:
            ended = run(case.command(place), tmp_path, prepare=case.setting)
            if ended.code or case.read(target) != after:
                found.append(f"{call}: the next run ends with {ended}")
        elif kind == "broken disk":  # what cannot be removed stays, until the next run
            continue
        if ended.code == 0 and listed(place) != files:
            found.append(f"{call}: success leaves {set(listed(place)) ^ set(files)}")
        elif litter := set(listed(place)) - set(files) - set(listed(pristine)):
            found.append(f"{call}: failure leaves {litter}")
    assert not found, "\n".join(found)


def archive(folder: Path) -> None:
    only_site(folder)
    (folder / "archive").mkdir()
    with tarfile.open(folder / "archive/site.tar.gz", "w:gz") as file:
        file.add(folder / "site", "site")


SOURCES: dict[str, tuple[Callable[[Path], None], str, list[str]]] = {
    # How to write it, where it is, and options to read it with.
    "site": (only_site, "site", []),
    "mirror": (mirror, "mirror", []),
    "sizes of a mirror": (mirror, "mirror", ["--sizes"]),
    "spec files": (mirror, "mirror", ["--without-index"]),
    "archive": (archive, "archive/site.tar.gz", []),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_cannot_be_read_of_a_source_is_told(name: str, tmp_path: Path) -> None:
    prepare, source, options = SOURCES[name]
    prepare(tmp_path)
    target = tmp_path / "out/dataset"
    command = ["build", f"{tmp_path / source}", "--out", f"{target}", *options]
    watched, kind = tmp_path / source.partition("/")[0], Kind(errno.EIO, READS, 20)
    note = Note(kind.names)
    assert run(command, tmp_path, watched, note).code == 0
    every, found = cs.open_dataset(target).specs.collect(), []
    for call, fault in faults(kind, note.calls):
        shutil.rmtree(target)
        ended = run(command, tmp_path, watched, fault)
        told = [*cs.open_dataset(target).rejected.collect()["message"]] if ended.code == 0 else [ended.messages]
        if ended.code not in (0, 10, 11) or "Traceback" in ended.messages:
            found.append(f"{call}: {ended}")
        elif not any("Input/output error" in message for message in told):
            found.append(f"{call}: another message: {ended}")
        elif rows(target) is not None if ended.code else not cs.open_dataset(target).specs.collect().equals(every):
            found.append(f"{call}: {ended} leaves another state")
    assert len(note.calls) > 7
    assert not found, "\n".join(found)


def judged(case: Case, ended: Ended, kind: str, before: object, after: object, place: Path) -> Iterator[str]:
    """Yield what is wrong after a run with a fault."""
    try:
        found = case.read(place / case.target)
    except cs.CachestatsError as error:
        yield f"unusable: {error}"
        return
    if case.is_mixed(found, before, after):
        yield "mixed"
    if kind == "kill":
        if ended.code != -9:
            yield f"not killed: {ended}"
        return
    if ended.code not in (0, 10, 12):
        yield f"{ended}"
    elif ended.code == 0 and found != after:
        yield f"success, but the old state: {ended.messages}"
    elif kind == "full disk" and "No space left on device" not in ended.messages:
        yield f"another message: {ended}"
    if "Traceback" in ended.messages or "xception ignored" in ended.messages:
        yield f"a traceback: {ended.messages}"
