"""What a source is: found out from what is there, and an error that says so where it is none."""

from __future__ import annotations

import gzip
import pickle
import socket
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import SourceError
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous
from cachestats.sources.request import SourceRequest
from tests.support.mirrors import DEFAULT, layout_2
from tests.support.site import page, spec

GOOD = page(specs=[spec(), spec("b" * 32)])


def test_sources_that_are_none_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(b"hello"))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    for name, message in (
        ("nowhere", "found nothing"),
        ("empty", "found 0 other files"),
        ("readme.txt", "another kind of file"),
        ("zipped.gz", "cut off or damaged"),
        ("socket", "neither file nor folder"),
    ):
        with pytest.raises(SourceError, match=message):
            cs.build_dataset(tmp_path / name, out=tmp_path / "dataset")
    listening.close()
    with pytest.raises(SourceError, match="at least one source"):
        cs.build_dataset(out=tmp_path / "dataset")
    with pytest.raises(SourceError, match="an empty path"):
        cs.build_dataset("", out=tmp_path / "dataset")


def test_one_page_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "saved.md").write_text(GOOD)
    dataset = cs.build_dataset(tmp_path / "saved.md", out=tmp_path / "dataset")
    assert dataset.manifest.snapshots["develop"].num_specs == 2


def test_one_index_may_be_given_alone(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop/e4s", DEFAULT)
    dataset = cs.build_dataset(tmp_path / "develop/e4s/build_cache/index.json", out=tmp_path / "dataset")
    assert set(dataset.specs.select("snapshot", "stack").collect().rows()) == {("develop", "e4s")}
    (tmp_path / "index.json").write_bytes(DEFAULT)
    with pytest.raises(SourceError, match="expected one name for the snapshot of"):
        cs.build_dataset(tmp_path / "index.json", out=tmp_path / "dataset")
    named = cs.build_dataset(tmp_path / "index.json", out=tmp_path / "named", snapshots=["v1.0"], stacks=["ours"])
    assert set(named.specs.select("snapshot", "stack").collect().rows()) == {("v1.0", "ours")}


def test_tasks_can_be_sent_to_other_processes_unless_a_source_is_sequential(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop", DEFAULT)
    (tmp_path / "saved.md").write_text(GOOD)
    for kind, path in (
        ("folder", tmp_path),
        ("page", tmp_path / "saved.md"),
        ("index", tmp_path / "develop/build_cache/index.json"),
    ):
        (source,) = open_sources([SourceRequest(str(path))])
        assert (source.kind, source.is_sequential) == (kind, False)
        for task in source.batches(Previous()):
            assert len([*pickle.loads(pickle.dumps(task))()]) == 1


def test_an_index_inside_another_source_is_read_once(tmp_path: Path) -> None:
    layout_2(tmp_path / "develop", DEFAULT)
    inside = tmp_path / "develop/build_cache/index.json"
    dataset = cs.build_dataset(tmp_path / "develop", inside, out=tmp_path / "dataset")
    assert [source.files for source in dataset.manifest.sources.values()] == [1]
