"""Updates: what they make is what a build of everything makes, and they read no more than what changed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import polars as pl
import pytest

import cachestats as cs
from cachestats.errors import DatasetError, SourceError
from cachestats.ingest import read as reading
from cachestats.ingest.part import Part
from cachestats.sources import folder
from conftest import CORPUS, ROOT
from tests.support.cli import run
from tests.support.datasets import OF_INDICES, bytes_of, change_manifest, column_bytes, site_archive, state
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, G, layout_2, layout_3, layout_3_again
from tests.support.nodes import GCC, edge, node
from tests.support.servers import HttpServer
from tests.support.site import page, spec, write

STACKS = ("e4s", "radiuss", "tutorial")


def text(rng: random.Random, snapshot: str, package: str, hashes: list[str]) -> str:
    """Return a page with some of the hashes."""
    specs = [
        spec(
            one,
            target=rng.choice(["x86_64_v3", "zen4"]),
            stacks=sorted({rng.choice(STACKS), "root"}),
            variants=[f"~{rng.choice('abc')}", "libs=shared,static"],
        )
        for one in sorted(rng.sample(hashes, rng.randint(1, len(hashes))))
    ]
    return page(package, snapshot, specs, generation=rng.choice(["g3", "g4"]))


def edit_pages(rng: random.Random, site: Path, step: int) -> None:
    """Write, change, touch, move and remove some pages; now and then let two of them have a part in one thing."""
    for number in range(6):
        snapshot, package = rng.choice(["develop", "v1.0", "v2.0"]), rng.choice(["a", "b", "c", "root"])
        path = site / "_cache" / snapshot / package / "specs.md"
        what = rng.random()
        if what < 0.55 or not path.exists():
            said = rng.choice(["develop", "v1.0"]) if rng.random() < 0.1 else snapshot
            pool = "shared" if rng.random() < 0.08 else f"{snapshot}{package}"
            write(
                site, {(snapshot, package): text(rng, said, package, [f"{pool}{n}".ljust(32, "x") for n in range(6)])}
            )
        elif what < 0.7:
            path.write_text(path.read_text())
        elif what < 0.8:
            path.write_text("no page")
        else:
            shutil.rmtree(path.parent)
            continue
        age(path, 1000 + 10 * step + number)


def edit_mirrors(rng: random.Random, site: Path, step: int) -> None:
    """Write, change, touch and remove some indices."""
    for number in range(3):
        place = site / rng.choice(["develop", "v1.0"]) / rng.choice(["", *STACKS])
        path = place / "build_cache/index.json"
        if path.exists() and rng.random() < 0.3:
            shutil.rmtree(place)
            continue
        names = [f"p{n}" for n in sorted(rng.sample(range(8), 4))]
        nodes: dict[str, Any] = {
            name.ljust(32, "0"): node(name, name.ljust(32, "0"), dependencies=[edge("gcc", G, ["build"], ["c"])])
            for name in names
        }
        shutil.rmtree(path.parent, ignore_errors=True)
        layout_2(place, index(nodes | {G: GCC}, cached={*list(nodes)[1:], *([G] if rng.random() < 0.5 else [])}))
        age(path, 1000 + 10 * step + number)


def edit_many(rng: random.Random, root: Path, step: int) -> None:
    """Change two checkouts with a part in the same snapshots, an archive of a third, and mirrors."""
    for name in "abc":
        edit_pages(rng, root / name, step)
    if rng.random() < 0.5:  # a page that says what another says
        for path in sorted((root / "a").rglob("specs.md"))[:1]:
            copy = root / "b" / path.relative_to(root / "a")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    for path in sorted((root / "b").rglob("specs.md"))[:2]:
        (path.parent / "README").write_text("neither page nor index")
    if rng.random() < 0.6:
        site_archive(root / "c", root / "site.tar.gz", seed=step)
        age(root / "site.tar.gz", 1000 + 10 * step)
    edit_mirrors(rng, root / "mirrors", step)


def age(path: Path, seconds: int) -> None:
    """Make a file older than the doubt about files that were just written."""
    then = time.time() - 10_000 + seconds
    os.utime(path, (then, then))


def written(dataset: cs.Dataset) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in dataset.path.rglob("*.parquet")}


def tables(dataset: cs.Dataset) -> list[Any]:
    """Return what a dataset says, without when it was read and how its files looked."""
    counts = dataset.manifest.tables
    return [*state(dataset)[:1], counts, dataset.manifest.snapshots]


@pytest.mark.slow
@pytest.mark.parametrize("edit", [edit_pages, edit_mirrors, edit_many])
@pytest.mark.parametrize("seed", range(6))
def test_after_any_changes_it_is_as_if_built_from_everything(
    edit: Callable[[random.Random, Path, int], None], seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    site = tmp_path / "site"
    options = {"max_rejected": 1, "allow_shrink": True}
    edit(rng, site, 0)
    if edit is edit_many:
        site_archive(site / "c", site / "site.tar.gz", seed=0)
        age(site / "site.tar.gz", 0)  # else it is looked at again once it is not new any more
    sources = [site / name for name in ("a", "b", "site.tar.gz", "mirrors")] if edit is edit_many else [site]
    cs.build_dataset(*sources, out=tmp_path / "updated", **options)
    seen = set()
    for step in range(1, 12):
        edit(rng, site, step)
        changes = cs.update_dataset(tmp_path / "updated", prune=True, **options)
        seen |= set(changes["change"])
        fresh = cs.build_dataset(*sources, out=tmp_path / f"fresh-{step}", **options)
        updated = cs.open_dataset(tmp_path / "updated")
        assert bytes_of(updated) == bytes_of(fresh)
        assert tables(updated) == tables(fresh)
        assert set(changes.filter(pl.col("specs_added") > 0)["snapshot"]) <= set(changes["snapshot"])
        before = written(updated)
        assert cs.update_dataset(tmp_path / "updated", prune=True, **options).is_empty()
        assert written(updated) == before, "nothing is written"
    assert "changed" in seen


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a checkout of twenty pages in two snapshots, none of which was just written."""
    rng = random.Random(1)
    pages = {
        (snapshot, f"p{number}"): text(
            rng, snapshot, f"p{number}", [f"{snapshot}{number}{n}".ljust(32, "0") for n in range(4)]
        )
        for snapshot in ("develop", "v1.0")
        for number in range(10)
    }
    root = write(tmp_path / "site", pages)
    for path in root.rglob("specs.md"):
        age(path, 0)
    return root


def test_only_what_changed_is_read_and_only_what_differs_is_parsed(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cs.build_dataset(site, out=tmp_path / "dataset")
    read: list[str] = []
    parsed: list[str] = []
    read_page, read_pages = folder._read, reading.read_pages

    def reads(path: str, origin: str, **options: Any) -> Any:
        read.append(path)
        return read_page(path, origin, **options)

    def parses(pages: Any, limits: cs.InputLimits) -> Any:
        pages = list(pages)
        parsed.extend(one.origin for one in pages)
        return read_pages(pages, limits)

    monkeypatch.setattr(folder, "_read", reads)
    monkeypatch.setattr(reading, "read_pages", parses)
    changed, touched = site / "_cache/develop/p3/specs.md", site / "_cache/v1.0/p4/specs.md"
    write(site, {("develop", "p3"): page("p3", "develop", [spec("n" * 32)])})
    age(changed, 5)
    age(touched, 5)
    changes = cs.update_dataset(tmp_path / "dataset")
    assert sorted(read) == [str(changed), str(touched)]
    assert parsed == [str(changed)]
    (row,) = changes.rows(named=True)
    assert (row["snapshot"], row["change"]) == ("develop", "changed")
    assert (row["files_came"], row["files_changed"], row["files_gone"], row["specs_added"]) == (0, 1, 0, 1)
    read.clear()
    assert cs.update_dataset(tmp_path / "dataset").is_empty()
    assert read == []


def test_what_is_gone_stays_unless_told(site: Path, tmp_path: Path) -> None:
    before = bytes_of(cs.build_dataset(site, out=tmp_path / "dataset"))
    shutil.rmtree(site / "_cache/develop/p3")
    shutil.rmtree(site / "_cache/v1.0")
    changes = cs.update_dataset(tmp_path / "dataset")
    assert changes.select("snapshot", "change", "files_gone").rows() == [("v1.0", "kept", 10), ("develop", "kept", 1)]
    assert cs.update_dataset(tmp_path / "dataset").is_empty(), "it is said once"
    dataset = cs.open_dataset(tmp_path / "dataset")
    assert bytes_of(dataset) == before
    assert dataset.inputs.filter("is_gone").collect().height == 11
    changes = cs.update_dataset(tmp_path / "dataset", prune=True)
    assert changes.select("snapshot", "change", "files_gone").rows() == [
        ("v1.0", "went", 10),
        ("develop", "changed", 1),
    ]
    dataset = cs.open_dataset(tmp_path / "dataset")
    assert bytes_of(dataset) == bytes_of(cs.build_dataset(site, out=tmp_path / "fresh"))
    assert "p3" not in set(dataset.specs.collect()["package"])
    assert not list(dataset.path.rglob("v1.0.parquet"))


def test_a_page_that_is_gone_and_contradicted_another_keeps_its_snapshot_as_it_was(tmp_path: Path) -> None:
    both = [spec("s" * 32)]
    site = write(tmp_path / "site", {("develop", name): page(name, "develop", both) for name in ("a", "b")})
    cs.build_dataset(site, out=tmp_path / "dataset", max_rejected=1)
    before = state(cs.open_dataset(tmp_path / "dataset"))
    shutil.rmtree(site / "_cache/develop/a")
    write(site, {("develop", "c"): page("c", "develop", [spec("c" * 32)])})
    cs.update_dataset(tmp_path / "dataset", max_rejected=1)
    assert state(cs.open_dataset(tmp_path / "dataset"))[0][0] == before[0][0]
    cs.update_dataset(tmp_path / "dataset", max_rejected=1, prune=True)
    assert set(cs.open_dataset(tmp_path / "dataset").specs.collect()["package"]) == {"b", "c"}


def test_sources_are_remembered_and_can_be_moved_with_the_dataset(site: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {("v3.0", "z"): page("z", "v3.0", [spec("z" * 32)])})
    cs.build_dataset(site, out=tmp_path / "dataset", snapshots=["develop"])
    assert set(cs.open_dataset(tmp_path / "dataset").manifest.snapshots) == {"develop"}
    assert cs.update_dataset(tmp_path / "dataset", other)["snapshot"].to_list() == ["v3.0"]
    assert len(cs.open_dataset(tmp_path / "dataset").manifest.sources) == 2
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("site", "other", "dataset"):
        (tmp_path / name).rename(moved / name)
    write(moved / "site", {("develop", "new"): page("new", "develop", [spec("n" * 32)])})
    changes = cs.update_dataset(moved / "dataset")
    assert changes.select("snapshot", "files_came").rows() == [("develop", 1)], "the choice is remembered, too"


def test_a_dataset_without_sources_and_one_whose_source_is_gone(site: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found nothing at"):
        cs.update_dataset(tmp_path / "nothing")
    cs.build_dataset(site, out=tmp_path / "dataset")
    before = bytes_of(cs.open_dataset(tmp_path / "dataset"))
    shutil.rmtree(site)
    with pytest.raises(SourceError, match=r"expected the source .*site of .*dataset at .*site, found nothing") as told:
        cs.update_dataset(tmp_path / "dataset", prune=True)
    assert "name the source again" in str(told.value.hint)
    assert bytes_of(cs.open_dataset(tmp_path / "dataset")) == before


def test_a_snapshot_with_a_broken_index_stays_as_it_was_and_the_others_do_not(tmp_path: Path) -> None:
    nodes = {name.ljust(32, "0"): node(name, name.ljust(32, "0")) for name in "abcd"}
    a, b, c, d = nodes
    for snapshot in ("develop", "v1.0"):
        layout_3(tmp_path / "mirrors" / snapshot, (8, index(nodes, cached={a, b, c})))
        layout_3(tmp_path / "mirrors" / snapshot / "e4s", (8, index(nodes, cached={a})))
    cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    before = bytes_of(cs.open_dataset(tmp_path / "dataset"))
    for snapshot in ("develop", "v1.0"):
        shutil.rmtree(tmp_path / "mirrors" / snapshot / "e4s")
        layout_3(tmp_path / "mirrors" / snapshot / "e4s", (8, index(nodes, cached={a, d})))
    (blob,) = (tmp_path / "mirrors/develop/e4s/blobs").rglob("sha256/*/*")
    blob.unlink()
    changes = cs.update_dataset(tmp_path / "dataset", max_rejected=0.5)
    assert changes.select("snapshot", "change", "specs_added").rows() == [
        ("v1.0", "changed", 1),
        ("develop", "failed", 0),
    ]
    dataset = cs.open_dataset(tmp_path / "dataset")
    changed = {name for name, data in bytes_of(dataset).items() if data != before[name]}
    tables = ("specs", "variants", "requirements", "encoded_specs", "names")
    assert changed == {f"{table}/v1.0.parquet" for table in tables} | {"common_names"}
    assert dataset.rejected.collect().select("rule", "snapshot").rows() == [("missing", "develop")]
    layout_3_again(tmp_path / "mirrors/develop/e4s", index(nodes, cached={a, d}))
    assert cs.update_dataset(tmp_path / "dataset").select("snapshot", "specs_added").rows() == [("develop", 1)]
    assert cs.open_dataset(tmp_path / "dataset").rejected.collect().is_empty()


UPDATE = "import sys, cachestats as cs; cs.update_dataset(sys.argv[1])"


def start(dataset: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", UPDATE, str(dataset)], cwd=ROOT)


@pytest.mark.slow
def test_a_killed_update_leaves_the_old_or_the_new(site: Path, tmp_path: Path) -> None:
    cs.build_dataset(site, out=tmp_path / "pristine")
    write(site, {("develop", "p3"): page("p3", "develop", [spec("n" * 32)])})
    shutil.copytree(tmp_path / "pristine", tmp_path / "updated")
    started = time.monotonic()
    assert start(tmp_path / "updated").wait() == 0
    whole = time.monotonic() - started
    contents = [bytes_of(cs.open_dataset(tmp_path / name)) for name in ("pristine", "updated")]
    for part in range(10):
        dataset = tmp_path / f"killed-{part}"
        shutil.copytree(tmp_path / "pristine", dataset)
        process = start(dataset)
        time.sleep(whole * (0.5 + 0.05 * part))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert bytes_of(cs.open_dataset(dataset)) in contents
        cs.update_dataset(dataset)
        assert bytes_of(cs.open_dataset(dataset)) == contents[1]


@pytest.mark.slow
def test_two_updates_at_once_are_as_good_as_one(site: Path, tmp_path: Path) -> None:
    cs.build_dataset(site, out=tmp_path / "dataset")
    write(site, {("develop", "p3"): page("p3", "develop", [spec("n" * 32)])})
    assert [process.wait() for process in [start(tmp_path / "dataset") for _ in range(2)]] == [0, 0]
    assert bytes_of(cs.open_dataset(tmp_path / "dataset")) == bytes_of(cs.build_dataset(site, out=tmp_path / "fresh"))


@pytest.mark.slow
def test_an_update_of_the_corpus_with_one_snapshot_more(tmp_path: Path, corpus: cs.Dataset) -> None:
    mirrors = tmp_path / "mirrors"
    for snapshot in ("develop-2024-03-17", "develop-2025-05-25"):
        shutil.copytree(CORPUS / "mirrors" / snapshot, mirrors / snapshot)
    shutil.move(mirrors / "develop-2025-05-25", tmp_path / "later")
    cs.build_dataset(mirrors, out=tmp_path / "dataset")
    shutil.move(tmp_path / "later", mirrors / "develop-2025-05-25")
    changes = cs.update_dataset(tmp_path / "dataset")
    assert changes.select("snapshot", "change", "specs_added").rows() == [("develop-2025-05-25", "came", 1413)]
    updated, fresh = cs.open_dataset(tmp_path / "dataset"), cs.build_dataset(mirrors, out=tmp_path / "fresh")
    assert bytes_of(updated) == bytes_of(fresh)
    found, pages = (column_bytes(dataset, OF_INDICES) for dataset in (updated, corpus))
    assert found == {name: pages[name] for name in found}


def test_pages_below_a_page_are_seen(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", name): page(name, "develop", [spec(f"{name:x<32}")]) for name in "ab"})
    (site / "_cache/develop/specs.md").write_text(page("top", "develop", [spec("t" * 32)]))
    for path in site.rglob("specs.md"):
        age(path, 0)
    cs.build_dataset(site, out=tmp_path / "dataset")
    assert cs.update_dataset(tmp_path / "dataset", prune=True).is_empty()
    write(site, {("develop", "a"): page("a", "develop", [spec("n" * 32)])})
    assert cs.update_dataset(tmp_path / "dataset").select("files_changed", "files_gone").rows() == [(1, 0)]


def test_an_archive_is_read_again_for_more_of_it(site: Path, tmp_path: Path) -> None:
    source = site_archive(site, tmp_path / "site.tar.gz", seed=1)
    age(source, 0)
    cs.build_dataset(source, out=tmp_path / "dataset", snapshots=["develop"])
    changes = cs.update_dataset(tmp_path / "dataset", source, snapshots=["develop", "v1.0"])
    assert changes.select("snapshot", "change").rows() == [("v1.0", "came")]


def test_a_member_that_an_archive_has_twice(tmp_path: Path) -> None:
    import io
    import tarfile

    source = tmp_path / "site.tar"
    with tarfile.open(source, "w") as tar:
        for hashes in (["a" * 32, "b" * 32], ["a" * 32]):
            text_ = page("zlib", "develop", [spec(one) for one in hashes]).encode()
            member = tarfile.TarInfo("_cache/develop/zlib/specs.md")
            member.size = len(text_)
            tar.addfile(member, io.BytesIO(text_))
    before = bytes_of(cs.build_dataset(source, out=tmp_path / "dataset"))
    for seconds in (0, 10):
        age(source, seconds)
        cs.update_dataset(tmp_path / "dataset", prune=True)
        assert bytes_of(cs.open_dataset(tmp_path / "dataset")) == before


def test_a_page_that_cannot_be_read_for_now_is_not_gone(site: Path, tmp_path: Path) -> None:
    before = bytes_of(cs.build_dataset(site, out=tmp_path / "dataset"))
    path = site / "_cache/develop/p3/specs.md"
    path.unlink()
    os.mkfifo(path)
    assert cs.update_dataset(tmp_path / "dataset", prune=True, max_rejected=1).is_empty()
    dataset = cs.open_dataset(tmp_path / "dataset")
    assert bytes_of(dataset) == before
    assert dataset.rejected.collect()["rule"].to_list() == ["unreadable"]


def test_a_mirror_that_moves_to_another_layout_is_the_same_stack(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop", index({G: GCC}, cached={G}))
    cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    shutil.rmtree(tmp_path / "mirrors/develop")
    other = node("b", "b" * 32)
    layout_3(tmp_path / "mirrors/develop", (8, index({"b" * 32: other}, cached={"b" * 32})))
    changes = cs.update_dataset(tmp_path / "dataset", allow_shrink=True)
    assert changes.select("change", "files_gone", "specs_added", "specs_removed").rows() == [("changed", 0, 1, 1)]
    assert cs.open_dataset(tmp_path / "dataset").specs.collect()["package"].to_list() == ["b"]


def test_an_index_whose_place_in_the_snapshot_changes_is_taken_again(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/nightly/e4s", index({G: GCC}, cached={G}))
    age(tmp_path / "mirrors/nightly/e4s/build_cache/index.json", 0)
    cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    assert set(cs.open_dataset(tmp_path / "dataset").specs.collect()["snapshot"]) == {"e4s"}
    layout_2(tmp_path / "mirrors/nightly", index({G: GCC}, cached={G}))
    cs.update_dataset(tmp_path / "dataset", prune=True)
    updated, fresh = (
        cs.open_dataset(tmp_path / "dataset"),
        cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "fresh"),
    )
    assert bytes_of(updated) == bytes_of(fresh)


def test_two_folders_of_one_name_are_two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in "12":
        write(tmp_path / number / "site", {(f"v{number}.0", "a"): page("a", f"v{number}.0", [spec(number * 32)])})
        monkeypatch.chdir(tmp_path / number)
        cs.build_dataset("site", out=tmp_path / "dataset")
    dataset = cs.open_dataset(tmp_path / "dataset")
    assert len(dataset.manifest.sources) == 2
    assert cs.update_dataset(dataset.path, prune=True).is_empty()


def test_what_another_version_read_is_read_again(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachestats.ingest import remember

    monkeypatch.setattr(remember, "__version__", "0.0.1")
    cs.build_dataset(site, out=tmp_path / "dataset")
    monkeypatch.undo()
    parsed: list[str] = []
    read_pages = reading.read_pages
    monkeypatch.setattr(
        reading,
        "read_pages",
        lambda pages, limits: read_pages([parsed.append(one.origin) or one for one in pages], limits),
    )
    cs.update_dataset(tmp_path / "dataset")
    assert len(parsed) == 20
    assert cs.open_dataset(tmp_path / "dataset").manifest.made_by["cachestats"] == cs.__version__


def test_a_source_whose_name_is_not_text_harms_no_dataset(site: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/s\xff")
    shutil.copytree(site, odd)
    dataset = cs.build_dataset(odd, out=tmp_path / "dataset")
    assert cs.open_dataset(dataset.path).manifest.tables == dataset.manifest.tables


@pytest.mark.parametrize("damage", ["no column", "other columns", "nulls", "no rows", "a list that leads out"])
def test_a_damaged_dataset_is_told(damage: str, site: Path, tmp_path: Path) -> None:
    path = cs.build_dataset(site, out=tmp_path / "dataset").path
    write(site, {("develop", "p3"): page("p3", "develop", [spec("n" * 32)])})
    inputs = pl.read_parquet(path / "inputs.parquet")
    if damage == "no column":
        inputs.drop("origin").write_parquet(path / "inputs.parquet")
    elif damage == "nulls":
        inputs.with_columns(origin=pl.lit(None, pl.String)).write_parquet(path / "inputs.parquet")
    elif damage == "other columns":
        for file in (path / "specs").iterdir():
            pl.DataFrame({"x": [1]}).write_parquet(file)
    elif damage == "no rows":
        change_manifest(path, lambda manifest: manifest["snapshots"]["develop"]["rows"].clear())
    else:
        (tmp_path / "canary").write_text("")
        (path / ".cachestats/commit.json").write_text('{"move": [], "remove": ["../canary"]}')
    with pytest.raises(DatasetError, match="expected"):
        cs.update_dataset(path)
    assert damage != "a list that leads out" or (tmp_path / "canary").exists()


def test_what_was_chosen_adds_up(site: Path, tmp_path: Path) -> None:
    for snapshot in ("develop", "v1.0"):
        cs.build_dataset(site, out=tmp_path / "dataset", snapshots=[snapshot])
    write(site, {("develop", "p3"): page("p3", "develop", [spec("n" * 32)])})
    assert cs.update_dataset(tmp_path / "dataset")["snapshot"].to_list() == ["develop"]
    one = site / "_cache/develop/p3/specs.md"
    with pytest.raises(SourceError, match=r"expected v1\.0 in .*, found no files of it"):
        cs.build_dataset(one, out=tmp_path / "one", snapshots=["v1.0"])


@pytest.mark.slow
def test_the_command_line_says_what_failed(tmp_path: Path) -> None:
    for snapshot in ("develop", "v1.0"):
        layout_2(tmp_path / "mirrors" / snapshot, index({G: GCC}, cached={G}))
    command = [sys.executable, "-m", "cachestats"]
    cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    (tmp_path / "mirrors/develop/build_cache/index.json").write_bytes(b"{}")
    done = subprocess.run(
        [*command, "update", tmp_path / "dataset", "--max-rejected", "60%"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 10, done.stderr
    assert "found some that could not be read completely: develop; the" in done.stderr
    assert "see them with: cachestats rejected" in done.stderr


def test_stacks_that_say_different_things_are_told_and_read_again(tmp_path: Path) -> None:
    a = node("a", "a" * 32, dependencies=[edge("gcc", G, ["build"], ["c"])])
    layout_2(tmp_path / "mirrors/develop/e4s", index({"a" * 32: a, G: GCC}, cached={"a" * 32}))
    layout_2(tmp_path / "mirrors/develop/radiuss", index({"a" * 32: a}, cached={"a" * 32}))
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    assert dataset.rejected.select("rule", "severity").collect().rows() == [("stacks-disagree", "warning")]
    shutil.rmtree(tmp_path / "mirrors/develop/e4s")
    layout_2(tmp_path / "mirrors/develop/e4s", index({G: GCC}, cached={G}))
    cs.update_dataset(dataset.path, prune=True)
    fresh = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "fresh")
    assert tables(cs.open_dataset(dataset.path)) == tables(fresh)


@pytest.mark.parametrize("seed", range(3))
def test_a_mirror_followed_under_two_names_has_a_snapshot_as_it_was_at_each(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    mirror, dataset = tmp_path / "site/develop", tmp_path / "dataset"
    options = {"max_rejected": 1, "allow_shrink": True}
    built: dict[str, Path] = {}
    current = ""
    for step in range(12):
        edit_mirrors(rng, tmp_path / "site", 10 * step)
        if not [*mirror.rglob("index.json")]:
            layout_2(mirror, DEFAULT)
        name = rng.choice(["week1", "week2", ""]) if current else "week1"
        if not current:
            cs.build_dataset(f"{name}={mirror}", out=dataset, **options)
        else:
            cs.update_dataset(dataset, *([f"{name}={mirror}"] if name else []), prune=True, **options)
        current = name or current
        fresh = tmp_path / f"fresh-{step}"
        built[current] = cs.build_dataset(f"{current}={mirror}", out=fresh, **options).path
        updated = cs.open_dataset(dataset)
        assert updated.manifest.snapshots.keys() == built.keys()
        files = bytes_of(updated)
        for snapshot, path in built.items():
            expected = {file: data for file, data in bytes_of(cs.open_dataset(path)).items() if snapshot in file}
            assert {file: data for file, data in files.items() if snapshot in file} == expected
        assert [one.name for one in updated.manifest.sources.values()] == [current]
        before = written(updated)
        assert cs.update_dataset(dataset, f"{current}={mirror}", **options).is_empty()
        assert written(updated) == before, "nothing is written"
    assert len(built) == 2


def test_a_mirror_that_gets_a_name_later_keeps_what_it_was(tmp_path: Path) -> None:
    dataset, mirror = tmp_path / "dataset", tmp_path / "develop"
    layout_2(mirror, DEFAULT)
    cs.build_dataset(mirror, out=dataset)
    layout_3_again(mirror, index({G: GCC}, cached={G}))
    first = {file: data for file, data in bytes_of(cs.open_dataset(dataset)).items() if "develop" in file}
    done = run("update", dataset, f"week1={mirror}", "--dry-run", "--format", "csv").stdout.decode()
    assert done.splitlines()[1:] == ["week1,read,new,1", "develop,keep,unchanged,1"]
    assert cs.update_dataset(dataset, f"week1={mirror}").select("snapshot", "change").rows() == [("week1", "came")]
    layout_3_again(mirror, DEFAULT)
    for options in ({}, {"snapshots": ["week1"]}):
        changes = cs.update_dataset(dataset, **options)
        assert changes["snapshot"].to_list() == ([] if options else ["week1"])
    after = bytes_of(cs.open_dataset(dataset))
    assert {file: data for file, data in after.items() if "develop" in file} == first
    (mirror / "v3/manifests/index/index.manifest.json").write_text("cut off")
    with pytest.raises(SourceError):
        cs.update_dataset(dataset, f"week2={mirror}")
    assert bytes_of(cs.open_dataset(dataset)) == after
    assert cs.open_dataset(dataset).manifest.snapshots.keys() == {"develop", "week1"}


def test_one_index_gets_a_new_name_in_place_of_that_which_the_option_gave(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(DEFAULT)
    dataset = cs.build_dataset(tmp_path / "index.json", out=tmp_path / "dataset", snapshots=["ours"], stacks=["gpu"])
    for name in ("week1", "week2"):
        assert cs.update_dataset(dataset.path, f"{name}={tmp_path / 'index.json'}")["snapshot"].to_list() == [name]
        assert cs.update_dataset(dataset.path).is_empty()
    names = cs.open_dataset(dataset.path).specs.select("snapshot", "stack").unique().collect()
    assert set(names.rows()) == {("ours", "gpu"), ("week1", "gpu"), ("week2", "gpu")}


def test_what_is_gone_from_a_named_snapshot_is_dropped_as_from_any(tmp_path: Path) -> None:
    for place in ("develop", "develop/e4s", "v1.0"):
        layout_2(tmp_path / "mirrors" / place, DEFAULT)
    dataset = cs.build_dataset(f"week1={tmp_path}/mirrors", out=tmp_path / "dataset", snapshots=["develop"]).path
    shutil.rmtree(tmp_path / "mirrors/develop/e4s")
    changes = cs.update_dataset(dataset, prune=True, allow_shrink=True)
    assert changes.select("snapshot", "change", "files_gone").rows() == [("week1", "changed", 1)]


def test_a_dated_name_of_a_mirror_on_a_server_is_not_read_again(
    tmp_path: Path, http_server: Callable[..., HttpServer]
) -> None:
    layout_2(tmp_path / "served/ours", DEFAULT)
    url = f"{http_server(tmp_path / 'served', listings='apache').url}/ours"
    dataset = cs.build_dataset(f"develop-2026-11-28={url}", out=tmp_path / "dataset").path
    shutil.rmtree(tmp_path / "served/ours")
    layout_2(tmp_path / "served/ours", index({G: GCC}, cached={G}))
    assert cs.update_dataset(dataset).is_empty()
    for name in ("develop-2026-12-05", "today"):
        assert cs.update_dataset(dataset, f"{name}={url}")["snapshot"].to_list() == [name]
    sizes = {name: one.num_specs for name, one in cs.open_dataset(dataset).manifest.snapshots.items()}
    assert sizes == {"develop-2026-11-28": 2, "develop-2026-12-05": 1, "today": 1}
    shutil.rmtree(tmp_path / "served/ours")
    layout_2(tmp_path / "served/ours", DEFAULT)
    assert cs.update_dataset(dataset)["snapshot"].to_list() == ["today"], "this name does not say when it was read"


def test_an_update_that_fails_is_the_only_writer_until_its_threads_have_ended(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = cs.build_dataset(site, out=tmp_path / "dataset").path
    new = write(
        tmp_path / "new", {("v9.1", "a"): page("a", "v9.1", [spec()]), ("v9.2", "a"): page("a", "v9.2", [spec()])}
    )
    is_locked: list[bool] = []

    def make(part: Part, *_: object) -> None:
        if part.snapshot == "v9.2":
            raise DatasetError("cannot write")
        time.sleep(0.3)
        try:
            filelock.FileLock(dataset / ".cachestats/lock").acquire(timeout=0)
        except filelock.Timeout:
            is_locked.append(True)

    monkeypatch.setattr("cachestats.ingest.make.make_part", make)
    monkeypatch.setattr("cachestats.ingest.make.snapshot_order", lambda name: name != "v9.2")
    with pytest.raises(DatasetError, match="cannot write"):
        cs.update_dataset(dataset, new, workers=2)
    assert is_locked == [True]


def test_runs_that_publish_are_remembered(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): page("zlib", "develop", [spec("a" * 32)])})
    cs.build_dataset(site, out=tmp_path / "dataset")
    assert cs.update_dataset(tmp_path / "dataset").is_empty()
    write(site, {("v1.0", "zlib"): page("zlib", "v1.0", [spec("b" * 32)]), ("v1.0", "broken"): "---\nno page"})
    cs.update_dataset(tmp_path / "dataset", max_rejected=1)
    first, second = cs.open_dataset(tmp_path / "dataset").manifest.runs
    assert (first.snapshots, first.num_specs, second.snapshots, second.num_specs) == (1, 1, 1, 2)
    assert first.ended <= second.ended
    assert 0 <= min(first.seconds, second.seconds) <= max(first.seconds, second.seconds) < 60
