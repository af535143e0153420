"""The verb and the function: sources and datasets, what is not checked, exit codes, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import ArgumentError, DamagedError, SourceError
from cachestats.verification.checks import CHECKS
from conftest import SEEDS
from tests.support import spec_files
from tests.support.cli import run
from tests.support.indices import index
from tests.support.mirrors import layout_2
from tests.support.servers import RegistryServer
from tests.support.whole import KEYS, NODES, changed, compact, counts, found, messages, write_index


@pytest.fixture
def dataset(tmp_path: Path) -> cs.Dataset:
    """Return a dataset of two snapshots, in which a hash has two contents and one spec is missing."""
    write_index(tmp_path / "mirrors/develop")
    write_index(tmp_path / "mirrors/v1.0.0", changed("hdf5", version="1.1"), cached={KEYS["hdf5"]})
    return cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")


def test_a_whole_dataset_has_no_findings(tmp_path: Path) -> None:
    dataset = cs.build_dataset(write_index(tmp_path / "develop"), out=tmp_path / "dataset")
    verified = cs.verify(dataset.path)
    assert verified.findings.is_empty()
    assert [counts(verified, check)[:3] for check in ("hole", "unusable")] == [(2, 0, 0)] * 2
    assert counts(verified, "hash")[2] is None, "only the sources have the nodes"
    assert repr(verified) == "<Verification: 0 errors, 0 warnings>"


def test_the_snapshots_of_a_dataset_are_checked_and_compared(dataset: cs.Dataset) -> None:
    verified = cs.verify(dataset.path)
    assert found(verified) == [("contradiction", "hdf5"), ("hole", "zlib")]
    assert verified.findings["snapshot"].to_list() == ["develop", "v1.0.0"]
    assert "found different version in" in messages(verified)


def test_a_damaged_file_of_a_dataset_is_an_error(dataset: cs.Dataset) -> None:
    file = dataset.files("specs")[0]
    file.write_bytes(file.read_bytes()[:-100])
    for damage in (lambda: None, file.unlink):
        damage()
        verified = cs.verify(dataset.path)
        assert found(verified) == [("file", None)]
        assert str(file) in messages(verified)


def test_a_dataset_that_lost_its_manifest_can_be_repaired(dataset: cs.Dataset) -> None:
    (dataset.path / "manifest.json").unlink()
    for function in (cs.verify, cs.open_dataset):
        with pytest.raises(DamagedError, match=r"expected a manifest in .*\nhint: .*SOURCE\.\.\. --out .* --repair"):
            function(dataset.path)


def test_holes_of_pages_are_not_checked(demo: cs.Dataset) -> None:
    specs = sum(record.num_specs for record in demo.manifest.snapshots.values())
    assert counts(cs.verify(demo.path), "hole") == (0, 0, specs, "dependencies not known")


def test_a_dataset_is_given_alone(dataset: cs.Dataset) -> None:
    for sources, options in (
        ((dataset.path, dataset.path), {}),
        ((dataset.path,), {"deep": True}),
        ((dataset.path,), {"snapshots": ["develop"]}),
    ):
        with pytest.raises(ArgumentError, match="expected a dataset alone"):
            cs.verify(*sources, **options)


def test_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected the indices of a build cache, found pages"):
        cs.verify(SEEDS)


def test_a_source_with_nothing_to_check_is_refused() -> None:
    with pytest.raises(SourceError, match="found none to check\nhint: check --snapshot"):
        cs.verify(SEEDS, snapshots=["develop-2025-03-90"])
    run("verify", SEEDS, "--snapshot", "develop-2025-03-90", code=10)


def test_an_index_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    write_index(tmp_path / "mirrors/develop")
    write_index(tmp_path / "mirrors/v1.0.0")
    path = tmp_path / "mirrors/v1.0.0/build_cache/index.json"
    path.write_bytes(path.read_bytes()[:-10])
    verified = cs.verify(tmp_path / "mirrors")
    assert found(verified) == [("unreadable", None)]
    assert "sha256" in messages(verified)
    assert counts(verified, "unreadable")[:2] == (2, 1)
    assert counts(verified, "hash") == (2, 0, None, "index that cannot be read")
    assert counts(verified, "no-manifest") == (0, 0, None, "without deep")
    layout_2(tmp_path / "other/develop", b'{"database": {}}')
    assert found(cs.verify(tmp_path / "other")) == [("unreadable", None)]


def test_what_is_odd_is_a_warning(tmp_path: Path) -> None:
    verified = cs.verify(write_index(tmp_path / "develop", version="99"))
    assert ("odd", None) in found(verified)
    assert verified.count("error") == 0


def test_an_installation_or_an_index_needs_no_names(tmp_path: Path) -> None:
    records = {
        key: {"spec": node, "path": "/opt", "installed": True, "explicit": True, "ref_count": 0}
        for key, node in NODES.items()
    }
    (tmp_path / ".spack-db").mkdir()
    database = json.dumps({"database": {"version": "8", "installs": records}})
    (tmp_path / ".spack-db/index.json").write_text(database)
    alone = (write_index(tmp_path / "develop") / "build_cache/index.json").replace(tmp_path / "some.json")
    for source in (tmp_path, tmp_path / ".spack-db/index.json", alone, f"develop={alone}"):
        verified = cs.verify(source)
        assert verified.findings.is_empty()
        assert counts(verified, "hash") == (2, 0, 0, None)
        verified = cs.verify(source, deep=True)
        assert counts(verified, "no-manifest") == (0, 0, 2, "no mirror around the index")


def test_stacks_and_snapshots_can_be_chosen(tmp_path: Path) -> None:
    write_index(tmp_path / "develop")
    write_index(tmp_path / "v1.0.0", changed("zlib", version="1.1"))
    assert cs.verify(tmp_path, snapshots=["develop"]).findings.is_empty()
    assert found(cs.verify(tmp_path, snapshots=["v1.0.0"])) == [("hash", "zlib")]


def test_the_verb_fails_if_there_are_errors(tmp_path: Path) -> None:
    mirror = write_index(tmp_path / "develop", changed("zlib", version="1.1"))
    done = run("verify", mirror, code=1)
    assert re.search(rf"error +hash +zlib +{KEYS['zlib'][:7]} +expected content", done.stdout.decode())
    words = done.stderr.decode()
    assert "hash: 1 finding in 2\nhint for hash: push the spec again from an installation, and all" in words
    assert "not checked: no-manifest, no-binary, unindexed, age (without --deep)\n" in words
    assert f"{mirror}: 1 error, 0 warnings" in words
    rows = json.loads(run("verify", mirror, "--format", "json", code=1).stdout)
    assert rows[0]["hash"] == KEYS["zlib"]
    assert rows[0]["hint"].startswith("push the spec again")


def test_the_verb_succeeds_if_there_are_only_warnings(tmp_path: Path) -> None:
    nodes = {KEYS["zlib"]: NODES[KEYS["zlib"]]}
    write_index(tmp_path / "develop", nodes)
    write_index(tmp_path / "develop/e4s")
    assert b"union" in run("verify", tmp_path).stdout


def test_a_source_that_does_not_exist_has_its_own_exit_code(tmp_path: Path) -> None:
    run("verify", tmp_path / "nothing", code=10)
    run("verify", write_index(tmp_path / "develop"), "--resume", tmp_path / "file", code=2)


def test_an_index_that_cannot_be_read_leaves_checks_out(
    tmp_path: Path, registry: Callable[..., RegistryServer]
) -> None:
    server = registry()
    spec_files.push(server, compact(NODES), listed=None)
    words = run("verify", server.cache, "--blobs", code=1).stderr.decode()
    assert "unreadable: 1 finding in 1\nhint for unreadable: read its spec files with `cachestats build" in words
    assert re.search(
        r"\nnot checked: record, hash, .*hole, .*no-manifest, .*blob \(index that cannot be read\)\n", words
    )
    assert "by 1 check (unreadable)\n" in words
    write_index(tmp_path / "mirrors/one")
    (write_index(tmp_path / "mirrors/two") / "build_cache/index.json").write_text("{")
    words = run("verify", tmp_path / "mirrors", code=1).stderr.decode()
    assert re.search(r"\nin part not checked: record, hash, .*hole, unusable \(index that cannot be read\)\n", words)


def test_the_table_says_where_a_finding_is_if_there_are_several_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        write_index(tmp_path / "mirrors" / name)
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / "mirrors", "mirrors"):
        done = run("verify", source, "--deep", code=1).stdout.decode()
        found = re.findall(r"no-manifest +(\w+) +- +- +(\S+) +expected spec files", done)
        assert found == [("one", "one"), ("two", "two")]
    mirrors = [tmp_path / "mirrors" / name for name in ("one", "two")]
    done = run("verify", *mirrors, "--deep", code=1).stdout.decode()
    assert re.findall(r"no-manifest .* (\S+) +expected spec files", done) == [*map(str, mirrors)]
    done = run("verify", mirrors[0], "--deep", code=1).stdout.decode()
    assert "source" not in done


def test_findings_do_not_depend_on_the_order_of_sources(tmp_path: Path) -> None:
    one = write_index(tmp_path / "one", changed("zlib", version="1.1"))
    two = write_index(tmp_path / "two", changed("hdf5", version="1.1"))
    first, second = cs.verify(one, two), cs.verify(two, one)
    assert first.findings.select("check", "hash").equals(second.findings.select("check", "hash"))
    assert first.checks.equals(second.checks)


def test_every_check_has_words() -> None:
    for check in CHECKS.values():
        assert check.meaning.endswith(".")
        assert check.remedy.endswith(".")


def test_an_index_with_white_space_and_a_nul_is_no_traceback(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop", index(NODES, cached=set(NODES)).replace(b'"zlib"', b'"zl\\u0000b"'))
    assert {check for check, _ in found(cs.verify(tmp_path / "develop"))} >= {"hash"}
