"""Large snapshots in buckets: the same rows, and an update that writes only the buckets that changed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.errors import DatasetError
from cachestats.export import table
from cachestats.ingest import buckets
from cachestats.ingest.buckets import bucket_count, bucket_of
from cachestats.schema import STORED_TABLES, TABLES
from conftest import in_corpus
from tests.support.datasets import bytes_of
from tests.support.site import page, spec, write

PACKAGES = [f"package-{letter}" for letter in "abcdefghijkl"]
IN_BUCKETS = [table.name for table in STORED_TABLES.values() if table.in_buckets]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide snapshots into buckets of two entries."""
    monkeypatch.setattr(buckets, "_SMALLEST_SPLIT", 8)
    monkeypatch.setattr(buckets, "_ENTRIES", 2)


@given(st.integers(0, 10_000_000))
def test_the_number_of_buckets_is_a_power_of_two_that_suits(entries: int) -> None:
    count = bucket_count(entries)
    assert count & (count - 1) == 0
    assert count == 1 if entries < 65_536 else entries / count <= 16_384 < 2 * entries / count


def specs_of(package: str, numbers: range | list[int], **others: Any) -> list[dict[str, Any]]:
    """Return specs of a package with hashes that no other package has."""
    letter = package[-1]
    return [spec(f"{letter}{chr(ord('a') + number) * 31}", **others) for number in numbers]


def site_of(folder: Path, snapshot: str = "develop", packages: list[str] | None = None) -> Path:
    pages = {
        (snapshot, name): page(name, snapshot, specs_of(name, range(1 + place % 3)))
        for place, name in enumerate(PACKAGES if packages is None else packages)
    }
    return write(folder, pages)


def rows(dataset: cs.Dataset) -> dict[str, pl.DataFrame]:
    """Return the rows of all tables of specs, in one order."""
    return {
        name: dataset.scan(name).drop("read_at", "fingerprint", strict=False).collect().sort(pl.all())
        for name in (*TABLES, "encoded_specs", "encoded_dependencies")
    }


def test_buckets_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of(tmp_path / "site")
    plain = cs.build_dataset(site, out=tmp_path / "plain")
    monkeypatch.setattr(buckets, "_SMALLEST_SPLIT", 8)
    monkeypatch.setattr(buckets, "_ENTRIES", 2)
    divided = cs.build_dataset(site, out=tmp_path / "divided")
    assert len(plain.files("specs")) == 1
    assert [path.name for path in divided.files("specs")] == [f"develop~{number:03}.parquet" for number in range(16)]
    for path, record in zip(divided.files("specs"), divided.manifest.snapshots["develop"].buckets, strict=True):
        frame = pl.read_parquet(path)
        assert {bucket_of(name, 16) for name in frame["package"]} <= {int(path.stem[-3:])}
        assert (frame["hash"].n_unique(), frame["package"].n_unique(), frame.height) == (
            record.num_specs,
            record.num_packages,
            record.rows["specs"],
        )
    for (name, one), other in zip(rows(plain).items(), rows(divided).values(), strict=True):
        assert one.equals(other), name
    assert pl.scan_parquet(f"{divided.path}/specs/*.parquet").collect().height == plain.manifest.tables["specs"]
    coverage = [cs.coverage(dataset, rows="package", columns="target") for dataset in (plain, divided)]
    assert coverage[0].equals(coverage[1])


@pytest.mark.usefixtures("small")
def test_an_update_writes_only_the_buckets_that_changed(tmp_path: Path) -> None:
    site = site_of(tmp_path / "site")
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    before = {path: path.stat().st_ino for name in IN_BUCKETS for path in dataset.files(name)}
    changed = PACKAGES[4]
    write(site, {("develop", changed): page(changed, specs=specs_of(changed, range(2), target="zen5"))})
    changes = cs.update_dataset(dataset.path)
    assert changes.select("change", "files_changed", "specs_added", "specs_removed").rows() == [("changed", 1, 0, 0)]
    updated = cs.open_dataset(dataset.path)
    written = {path.stem for path, inode in before.items() if path.stat().st_ino != inode}
    assert written == {f"develop~{bucket_of(changed, 16):03}"}
    assert bytes_of(updated) == bytes_of(cs.build_dataset(site, out=tmp_path / "fresh"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(8))
def test_updates_of_any_kind_equal_a_fresh_build(seed: int, tmp_path: Path) -> None:
    chosen = random.Random(seed)
    site = site_of(tmp_path / "site")
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    for step in range(4):
        for name in chosen.sample(PACKAGES, chosen.choice((1, 3, 9))):
            file = site / f"_cache/develop/{name}/specs.md"
            if chosen.random() < 0.4:
                file.unlink(missing_ok=True)
            else:
                # Now and then a package takes a hash of another one, which may be in another bucket.
                owner = chosen.choice(PACKAGES) if chosen.random() < 0.2 else name
                numbers = sorted(chosen.sample(range(9), chosen.choice((1, 2, 5))))
                write(site, {("develop", name): page(name, specs=specs_of(owner, numbers, target=f"zen{step}"))})
        if not list(site.rglob("specs.md")):
            site_of(site, packages=PACKAGES[:1])
        cs.update_dataset(dataset.path, prune=True, allow_shrink=True, max_rejected=1)
        fresh = cs.build_dataset(site, out=tmp_path / f"fresh-{step}", max_rejected=1)
        updated = cs.open_dataset(dataset.path)
        assert bytes_of(updated) == bytes_of(fresh), step
        assert updated.manifest.snapshots == fresh.manifest.snapshots
        files = {path.name for name in IN_BUCKETS for path in (updated.path / name).iterdir()}
        assert files == {path.name for path in updated.files("specs")}, "files of earlier buckets are gone"


def test_exports_do_not_tell_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_ROW_GROUP", 20)
    site = site_of(tmp_path / "site")
    site_of(site, "develop-2025-06-01", PACKAGES[:3])
    exports = []
    for name, smallest in (("plain", 1 << 16), ("divided", 8)):
        monkeypatch.setattr(buckets, "_SMALLEST_SPLIT", smallest)
        monkeypatch.setattr(buckets, "_ENTRIES", 2)
        dataset = cs.build_dataset(site, out=tmp_path / name)
        cs.export_site(dataset, tmp_path / f"{name}-site")
        cs.export_package(dataset, tmp_path / f"{name}-csv", format="csv", tables=["specs", "variants", "dependencies"])
        cs.export_package(dataset, tmp_path / f"{name}-parquet", tables=["specs", "variants", "dependencies"])
        files = [path for path in tmp_path.glob(f"{name}-*/**/*") if path.suffix in {".md", ".csv", ".yaml"}]
        texts = {str(path.relative_to(tmp_path)).removeprefix(name): path.read_bytes() for path in files}
        frames = [
            pl.read_parquet(tmp_path / f"{name}-parquet/{table}.parquet").to_dict() for table in ("specs", "variants")
        ]
        exports.append((texts, [{key: column.to_list() for key, column in frame.items()} for frame in frames]))
    assert len(dataset.files("specs")) == 17
    assert exports[0] == exports[1]
    # Row groups have as many rows as they may, of several snapshots if these are small.
    file = pq.ParquetFile(tmp_path / "divided-parquet/specs.parquet")
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert len(sizes) > 1
    assert max(sizes) <= 20
    assert file.read_row_group(len(sizes) - 1)["snapshot"].unique().to_pylist() == ["develop", "develop-2025-06-01"]


@pytest.mark.usefixtures("small")
def test_a_hash_in_two_buckets_is_found(tmp_path: Path) -> None:
    one, other = PACKAGES[0], next(name for name in PACKAGES if bucket_of(name, 8) != bucket_of(PACKAGES[0], 8))
    pages = {("develop", name): page(name, specs=specs_of(name, range(2))) for name in PACKAGES[:6]}
    pages["develop", other] = page(other, specs=[*specs_of(other, [5]), *specs_of(one, [0])])
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset", max_rejected=1)
    assert "duplicate-hash" in dataset.rejected.collect()["rule"].to_list()
    hashes = dataset.specs.select("hash", "package").unique().collect()
    assert hashes["hash"].n_unique() == hashes.height


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_an_index_in_buckets_keeps_its_dependencies(tmp_path: Path, sample: cs.Dataset) -> None:
    dataset = cs.build_dataset(in_corpus("mirrors/develop-2024-03-17"), out=tmp_path / "dataset")
    assert len(dataset.files("dependencies")) == 1024
    of_sample = sample.at("develop-2024-03-17")
    for name in ("specs", "variants", "dependencies", "requirements"):
        expected = sample.scan(name, snapshots=["develop-2024-03-17"]).collect().sort(pl.all())
        assert dataset.scan(name).collect().sort(pl.all()).equals(expected), name
    assert cs.holes(dataset).equals(cs.holes(of_sample))


@pytest.mark.usefixtures("small")
def test_a_bucket_that_is_missing_or_cut_is_named(tmp_path: Path) -> None:
    dataset = cs.build_dataset(site_of(tmp_path / "site"), out=tmp_path / "dataset")
    name = PACKAGES[0]
    bucket = dataset.files("specs")[bucket_of(name, 16)]
    content = bucket.read_bytes()
    bucket.unlink()
    with pytest.raises(DatasetError, match="as the manifest of the dataset describes it, found nothing") as raised:
        dataset.specs.collect()
    assert str(bucket) in str(raised.value)
    bucket.write_bytes(content[: len(content) // 2])
    write(tmp_path / "site", {("develop", name): page(name, specs=specs_of(name, [7]))})
    with pytest.raises(DatasetError, match="found a damaged one") as raised:
        cs.update_dataset(dataset.path)
    assert str(bucket) in str(raised.value)
