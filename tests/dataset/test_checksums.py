"""Damage of a dataset: what is read is what was written, or it is an error that names the file."""

from __future__ import annotations

import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import cachestats as cs
from cachestats.dataset.manifest import read_manifest
from cachestats.dataset.paths import file_records, stored_files
from cachestats.dataset.publication import STATE
from cachestats.errors import CachestatsError, DatasetError
from cachestats.schema import STORED_TABLES
from tests.support.datasets import state
from tests.support.site import page, spec, write

FLIPS = int(os.environ.get("CACHESTATS_FLIPS", "40"))
"""The number of bits to flip, one at a time."""

JOIN = (
    "SELECT s.package, d.dependency_package, count(*) AS n FROM specs s JOIN dependencies d USING (hash) GROUP BY ALL"
)
QUESTIONS: dict[str, Callable[[cs.Dataset], Any]] = {
    "coverage": lambda ds: cs.coverage(ds.at("all"), rows="package", columns="target").rows(),
    "holes": lambda ds: cs.holes(ds).rows(),
    "find": lambda ds: cs.find(ds.at("all"), "hdf5+mpi %gcc").rows(),
    "sql": lambda ds: sorted(ds.sql(JOIN).collect().rows(), key=str),
    "tables": lambda ds: [ds.scan(table).collect().rows() for table in STORED_TABLES],
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a checkout of two snapshots, one of which changed since a dataset was built from it."""
    pages = {(name, "zlib"): page("zlib", name, [spec(name[0] * 32), spec("9" * 32)]) for name in ("develop", "v1.0")}
    site = write(tmp_path / "site", pages)
    cs.build_dataset(site, out=tmp_path / "before")
    return write(site, {("develop", "hdf5"): page("hdf5", specs=[spec("c" * 32)])})


def damaged(folder: Path, scratch: Path, seed: int, flips: int = FLIPS) -> Iterator[tuple[str, Path]]:
    """Yield copies of a dataset in which one bit differs, and the file that has it."""
    choose = random.Random(seed)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*") if STATE not in path.parts)
    for number in range(flips):
        copy = scratch / f"{number}"
        shutil.copytree(folder, copy)
        file = copy / choose.choice(files)
        content = bytearray(file.read_bytes())
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
        file.write_bytes(content)
        yield file.relative_to(copy).as_posix(), copy
        shutil.rmtree(copy)


def answer_or_error(ask: Callable[[cs.Dataset], Any], folder: Path) -> tuple[Any, str]:
    """Return the answer to a question and no error, or none and the error."""
    try:
        return ask(cs.open_dataset(folder)), ""
    except DatasetError as error:
        return None, str(error)


def test_every_bit_that_flips_is_an_error_that_names_the_file_or_changes_no_answer(tmp_path: Path) -> None:
    example = cs.example_dataset()
    expected = {name: ask(example) for name, ask in QUESTIONS.items()}
    for file, copy in damaged(example.path, tmp_path, seed=1):
        for name, ask in QUESTIONS.items():
            found, error = answer_or_error(ask, copy)
            assert (file in error) if error else found == expected[name], f"{file}: {name}: {error}"
            assert error or name != "tables" or file == "spack.lock"


def test_an_update_of_a_damaged_dataset_copies_no_damage(site: Path, tmp_path: Path) -> None:
    def update(dataset: cs.Dataset) -> None:
        cs.update_dataset(dataset.path)

    shutil.copytree(tmp_path / "before", tmp_path / "after")
    update(cs.open_dataset(tmp_path / "after"))
    expected = state(cs.open_dataset(tmp_path / "after"))
    for file, copy in damaged(tmp_path / "before", tmp_path, seed=2, flips=FLIPS // 4):
        _, error = answer_or_error(update, copy)
        found, later = answer_or_error(state, copy)
        assert error or later or found == expected, file
        assert not error or file in error, error
        assert not later or file in later, later


def test_the_manifest_has_the_size_and_the_checksum_of_every_file(demo: cs.Dataset) -> None:
    records = file_records(demo.manifest)
    assert records.keys() == stored_files(demo.path)
    for name, record in records.items():
        content = (demo.path / name).read_bytes()
        assert (record.size, record.crc32) == (len(content), f"{zlib.crc32(content):08x}")
    first, rest = (demo.path / "manifest.json").read_bytes().split(b"\n", 1)
    assert first == b'{"crc32": "%08x",' % zlib.crc32(rest)


@pytest.mark.parametrize("kind", ["dataset", "export"])
def test_pages_have_checksums_that_other_programs_can_verify(kind: str, demo: cs.Dataset, tmp_path: Path) -> None:
    file = demo.files("specs")[0]
    if kind == "export":
        file = tmp_path / "specs.parquet"
        cs.export_table(demo, "specs", file)
    opened = pq.ParquetFile(file, page_checksum_verification=True)
    opened.read()
    chunk = opened.metadata.row_group(0).column(0)
    content = bytearray(file.read_bytes())
    content[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1] ^= 1
    (tmp_path / "damaged.parquet").write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pq.ParquetFile(tmp_path / "damaged.parquet", page_checksum_verification=True).read()


def test_a_file_that_was_read_is_read_again_only_if_it_changed(
    demo: cs.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = cs.open_dataset(shutil.copytree(demo.path, tmp_path / "dataset"))
    (file,) = dataset.files("snapshots")
    with monkeypatch.context() as patch:
        patch.setattr(zlib, "crc32", lambda *_: pytest.fail("it is read again"))
        assert dataset.files("snapshots") == [file]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(DatasetError, match=r"snapshots\.parquet.*it has the checksum"):
        dataset.files("snapshots")


def test_verify_names_every_damaged_missing_and_extra_file(demo: cs.Dataset, tmp_path: Path) -> None:
    path = shutil.copytree(demo.path, tmp_path / "dataset")
    (path / "specs/develop.parquet").unlink()
    with (path / "targets.parquet").open("ab") as file:
        file.write(b"more")
    (path / "specs/old.parquet").write_bytes(b"")
    (path / "notes.txt").write_text("mine")
    found = cs.verify(path)
    assert found.findings.select("severity", "check").rows() == [
        ("error", "file"), ("error", "file"), ("warning", "extra-file"),
    ]  # fmt: skip
    missing, larger, extra = found.findings["message"]
    assert "specs/develop.parquet" in missing
    assert missing.endswith("found nothing")
    assert "targets.parquet" in larger
    assert "bytes, not" in larger
    assert extra.endswith("specs/old.parquet")


def test_a_manifest_without_a_checksum_is_an_error(demo: cs.Dataset, tmp_path: Path) -> None:
    path = shutil.copytree(demo.path, tmp_path / "dataset")
    first, rest = (path / "manifest.json").read_bytes().split(b"\n", 1)
    (path / "manifest.json").write_bytes(b"{\n" + rest)
    with pytest.raises(CachestatsError, match="expected its checksum in the first line"):
        read_manifest(path)
    assert first
