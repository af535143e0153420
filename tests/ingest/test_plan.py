"""Plans, from a few literal inputs; and what a dry run prints is what is then done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.dataset.manifest import Manifest, SnapshotRecord
from cachestats.errors import RejectedError
from cachestats.findings import Finding, rejected_table
from cachestats.ingest.existing import Existing
from cachestats.ingest.inputs import Input, Inputs, inputs_table
from cachestats.ingest.limits import Limits
from cachestats.ingest.make import StagedSnapshot
from cachestats.ingest.plan import Plan, plan_frame, plan_of_build, plan_of_update, plan_with_whole
from cachestats.ingest.plausible import check
from cachestats.ingest.read import ReadResult
from cachestats.sources.request import Selection
from tests.support.cli import run
from tests.support.datasets import bytes_of
from tests.support.mirrors import DEFAULT, layout_2
from tests.support.site import page, spec, write

SITE: Any = SimpleNamespace(name="site", selection=Selection())


def input_(package: str, snapshot: str | None = "develop", **fields: Any) -> Input:
    values = {"stack": None, "generation": "g4", "num_specs": 1, "is_copy": False, "is_gone": False}
    values |= {"fingerprint": "1", "digest": f"old {package}"} | fields
    return Input("site", f"site/{snapshot}/{package}", snapshot, package, **values)


def existing(*inputs: Input, findings: tuple[Finding, ...] = ()) -> Existing:
    table = inputs_table(inputs)
    found = Existing(Path("dataset"))
    vars(found).update(_inputs=(Inputs(table), table.slice(0, 0)), rejected=rejected_table(findings))  # as if read
    return found


def result(*inputs: Input, unchanged: tuple[Input, ...] = (), **fields: Any) -> ReadResult:
    return ReadResult(inputs={one.origin: one for one in inputs}, unchanged={one.origin for one in unchanged}, **fields)


def actions(plan: Plan, found: ReadResult, before: Existing) -> list[tuple[Any, ...]]:
    return plan_frame(plan, found, before).rows()


A, B, C = (input_(name) for name in "abc")
NEW_A = A._replace(digest="new")


def test_a_build_replaces_whole_snapshots() -> None:
    before = existing(A, B, input_("a", "v1.0"), input_("x", None))
    found = result(NEW_A, C)
    plan = plan_of_build(found, before.inputs, ["site"])
    assert {name: (one.read, one.kept) for name, one in plan.snapshots.items()} == {"develop": ((NEW_A, C), ())}
    # What could not be read before, and is in no snapshot, is forgotten.
    assert [one.origin for one in before.inputs.take(plan.dropped)] == [
        "site/develop/a", "site/develop/b", "site/None/x",
    ]  # fmt: skip
    assert actions(plan, found, before) == [
        ("v1.0", "keep", "unchanged", 1),
        ("develop", "drop", "read again", 1),
        ("develop", "drop", "replaced", 1),
        ("develop", "read", "changed", 1),
        ("develop", "read", "new", 1),
        (None, "drop", "replaced", 1),
    ]


@pytest.mark.parametrize("prune", [False, True])
def test_an_update_keeps_what_did_not_change(prune: bool) -> None:
    before = existing(A, B, C)
    found = result(NEW_A, unchanged=(B,))
    plan = plan_of_update(found, before, [SITE], prune=prune)
    planned = plan.snapshots["develop"]
    assert (planned.read, planned.kept) == ((NEW_A,), (B,) if prune else (B, C))
    assert planned.dropped == ((A, C) if prune else (A,))
    assert [one.package for one in before.inputs.take(plan.is_gone)] == ["c"]
    assert plan.ready.snapshots.keys() == {"develop"}


def test_an_input_that_was_moved_is_not_gone() -> None:
    before = existing(A)
    moved = A._replace(origin="site/other/a")
    plan = plan_of_update(result(moved), before, [SITE], prune=False)
    assert plan.snapshots["develop"].dropped == (A,)
    assert not plan.is_gone.any()


def test_a_snapshot_that_could_not_be_read_completely_stays() -> None:
    before = existing(A, B)
    found = result(NEW_A, unchanged=(B,), incomplete={"develop"})
    for plan in (plan_of_update(found, before, [SITE], prune=True), plan_of_build(found, before.inputs, ["site"])):
        assert not plan.snapshots
        assert not plan.dropped.any()
        assert actions(plan, found, before)[0] == ("develop", "keep", "unchanged", 2)


@pytest.mark.parametrize("why", ["a copy", "a rule", "two pages", "a page beside an index"])
def test_what_depends_on_other_inputs_is_read_whole(why: str) -> None:
    finding = Finding(B.origin, "file", "second-page", "", "", snapshot="develop", package="b")
    kept = {
        "a copy": B._replace(is_copy=True),
        "a rule": B,
        "two pages": B._replace(package="a"),
        "a page beside an index": B._replace(package=None, stack="e4s"),
    }[why]
    before = existing(A, kept, findings=(finding,) if why == "a rule" else ())
    found = result(NEW_A, unchanged=(kept,))
    plan = plan_of_update(found, before, [SITE], prune=False)
    assert plan.to_read_whole == {"develop"}
    assert not plan.ready.snapshots
    assert ("develop", "read whole", "the kept files depend on those read", 1) in actions(plan, found, before)

    whole = result(NEW_A, kept, fragments={"develop": [Path("x")]})
    plan, merged = plan_with_whole(plan, found, whole, before.inputs, {"develop"})
    assert plan.snapshots["develop"].read == (NEW_A, kept)
    assert plan.dropped.all()
    assert merged.fragments == whole.fragments
    assert not found.fragments, "what was read first stays as it was"

    plan = plan_of_update(found, before, [SITE], prune=False)
    plan, merged = plan_with_whole(plan, found, result(NEW_A), before.inputs, {"develop"})
    assert (dict(plan.snapshots), merged.incomplete) == ({}, {"develop"}), "one of its inputs is gone meanwhile"


def test_too_many_rejections_or_losses_are_refused() -> None:
    finding = Finding(A.origin, "line 1", "encoding", "expected UTF-8", "write it again", None)
    found = result(A, B, findings=[finding])
    found.files["site"] = 2
    with pytest.raises(RejectedError, match=r"at most 49\.0% of the files to be rejected, found 1 of 2"):
        check(found, {}, existing(), Limits(0.49))
    check(found, {}, existing(), Limits(0.5))
    of_spec = finding._replace(rule="field", num_specs=1)
    with pytest.raises(RejectedError, match="of the specs to be rejected, found 1 of 2"):
        check(result(A, B, findings=[of_spec]), {}, existing(), Limits(0.49))
    manifest = Manifest(snapshots={"develop": SnapshotRecord(10, {}, [])})
    before = Existing(Path("dataset"), manifest)
    staged = {"develop": StagedSnapshot(row={"num_specs": 4})}
    check(result(), staged, before, Limits(allow_shrink=True))
    check(result(), {"develop": StagedSnapshot(row={"num_specs": 5})}, before, Limits())


def test_a_dry_run_says_what_is_then_done_and_writes_nothing(tmp_path: Path) -> None:
    pages = {("develop", name): page(name, specs=[spec(32 * name)]) for name in "abc"}
    site, path = write(tmp_path / "site", pages), tmp_path / "dataset"
    done = run("build", site, "--out", path, "--dry-run")
    assert done.stdout.decode().splitlines()[2].split() == ["develop", "read", "new", "3"]
    assert f"{path}: 1 snapshot would change; nothing was written" in done.stderr.decode()
    assert not path.exists()

    dataset = cs.build_dataset(site, out=path)
    write(site, {("develop", "a"): page("a", specs=[spec("d" * 32)]), ("v1.0", "a"): page("a", "v1.0")})
    (site / "_cache/develop/c/specs.md").unlink()
    before = bytes_of(dataset)
    plan = cs.plan_update(path, prune=True)
    assert plan.rows() == [
        ("v1.0", "read", "new", 1),
        ("develop", "drop", "gone from its source", 1),
        ("develop", "drop", "read again", 1),
        ("develop", "keep", "unchanged", 1),
        ("develop", "read", "changed", 1),
    ]
    assert run("update", path, "--prune", "--dry-run", "--format", "csv").stdout.decode() == plan.write_csv()
    assert bytes_of(cs.open_dataset(path)) == before
    changes = cs.update_dataset(path, prune=True)
    assert set(changes["snapshot"]) == set(plan.filter(pl.col("action") != "keep")["snapshot"])


@pytest.mark.parametrize("verb", ["build", "update"])
def test_a_dry_run_finishes_a_publication_that_was_cut_off_and_plans_from_there(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, path = write(tmp_path / "site", {("develop", "a"): page("a", specs=[spec("a" * 32)])}), tmp_path / "dataset"
    cs.build_dataset(site, out=path)
    write(site, {("v1.0", "a"): page("a", "v1.0")})
    with monkeypatch.context() as patch:  # as a process that is killed as soon as its publication is decided
        patch.setattr("cachestats.dataset.writer.move_published", lambda path: None)
        cs.update_dataset(path)
    assert (path / ".cachestats/commit.json").exists()
    plan = cs.plan_build(site, out=path) if verb == "build" else cs.plan_update(path)
    expected = [("drop", "read again"), ("read", "changed")] if verb == "build" else [("keep", "unchanged")]
    assert plan.rows() == [(snapshot, *row, 1) for snapshot in ("v1.0", "develop") for row in expected]
    assert not (path / ".cachestats/commit.json").exists()
    assert cs.open_dataset(path).manifest.snapshots.keys() == {"develop", "v1.0"}


def test_a_dry_run_counts_no_snapshot_that_stays_as_it_was(tmp_path: Path) -> None:
    for name in ("develop", "v1.0"):
        layout_2(tmp_path / "mirrors" / name, DEFAULT)
    cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    (tmp_path / "mirrors/develop/build_cache/index.json").write_bytes(b"cut off")
    done = run("update", tmp_path / "dataset", "--dry-run", "--format", "csv")
    assert done.stdout.decode().splitlines()[1:] == [
        "v1.0,keep,unchanged,1",
        "develop,keep,unchanged,1",
        "develop,leave,not all of it could be read,0",
    ]
    assert "0 snapshots would change; nothing was written" in done.stderr.decode()
