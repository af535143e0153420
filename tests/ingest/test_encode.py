"""The tables of the engine hold what the flat tables do, in numbers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats import codes
from cachestats.codes import BASE32, code_of, code_of_hash, name_of_set, stacks_of_set
from cachestats.errors import DatasetError
from cachestats.ingest import encode
from cachestats.schema import COMMONLY_NAMED, DEPENDENCIES, SPECS
from tests.support.datasets import bytes_of
from tests.support.site import page, spec, write

dag_hashes = st.text(BASE32, min_size=32, max_size=32)


@given(st.lists(dag_hashes, max_size=20), st.lists(st.text(max_size=40), max_size=3))
def test_hashes_are_coded_all_at_once_as_one_by_one(hashes: list[str], others: list[str]) -> None:
    for texts in (hashes, hashes + others):
        column = pa.array(["x" * 32, *texts], pa.string()).slice(1)  # with an offset into its buffer
        assert encode._codes_of_hashes(column).to_pylist() == list(map(code_of_hash, texts))


@given(dag_hashes, dag_hashes)
def test_codes_sort_as_hashes_do(one: str, other: str) -> None:
    assert (code_of_hash(one) < code_of_hash(other)) == (one < other)
    assert -(2**63) <= code_of_hash(one) < 2**63


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1, unique=True))
def test_a_set_of_stacks_has_one_name(stacks: list[str | None]) -> None:
    named = [stack for stack in stacks if stack is not None]
    assert stacks_of_set(name_of_set(stacks)) == (sorted(named) or [None])
    assert name_of_set(stacks) == name_of_set(reversed(stacks))


def decoded(dataset: cs.Dataset, table: str, columns: dict[str, str]) -> pl.DataFrame:
    """Return an encoded table with its codes looked up, file by file; `columns` maps coded ones to their new names."""
    frames = []
    for path, names_path in zip(dataset.files(table), dataset.files("names"), strict=True):
        names = pl.read_parquet(names_path)
        assert not names.select("column", "code").is_duplicated().any()
        frame = pl.read_parquet(path)
        specs = pl.read_parquet(path.parent.with_name("encoded_specs") / path.name)
        hashes = dict(specs.select("spec", "hash").iter_rows())
        for column, name in columns.items():
            known = dict(names.filter(column=column).select("code", "name").iter_rows())
            known = hashes | known if column in {"spec", "dependency"} else known
            texts = [None if code is None else known[code] for code in frame[column]]
            frame = frame.with_columns(pl.Series(name, texts, dtype=pl.String))
        frames.append(frame)
    return pl.concat(frames)


@pytest.mark.parametrize("name", ["demo", "mixed", "sample"])
def test_the_encoded_tables_hold_what_the_flat_ones_do(name: str, request: pytest.FixtureRequest) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    texts = {column.name for column in SPECS.columns if column.dtype == "string"} - {"hash", "stack", "version_key"}
    specs = decoded(dataset, "encoded_specs", {text: text for text in texts} | {"stacks": "set"})
    flat = dataset.specs.collect()
    facts = [name for name in SPECS.polars() if name not in {"stack", "snapshot_date", "version_key"}]
    expected = flat.group_by(facts, maintain_order=True).agg(pl.col("stack").sort())
    expected = expected.with_columns(set=pl.Series(map(name_of_set, expected["stack"].to_list()), dtype=pl.String))
    assert specs.select(*facts, "set").equals(expected.select(*facts, "set"))
    assert specs["spec"].to_list() == list(map(code_of_hash, specs["hash"]))
    assert specs["package"].to_list() != [code_of(package) for package in specs["package"]]

    texts = {column.name for column in DEPENDENCIES.columns if column.dtype == "string"} - {"hash", "dependency_hash"}
    renamed = {text: text for text in texts} | {"spec": "hash", "dependency": "dependency_hash"}
    edges = decoded(dataset, "encoded_dependencies", renamed)
    assert edges.select(DEPENDENCIES.polars().names()).equals(dataset.dependencies.collect())


@pytest.mark.parametrize("name", ["demo", "mixed", "sample"])
def test_common_names_are_those_of_all_files(name: str, request: pytest.FixtureRequest) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    names = pl.concat([pl.read_parquet(path) for path in dataset.files("names")])
    counts = names.filter(pl.col("column").is_in(COMMONLY_NAMED)).group_by("column", "code", "name").len("num_files")
    expected = counts.with_columns(pl.col("num_files").cast(pl.Int64)).sort("column", "name")
    assert dataset.scan("common_names").collect().equals(expected)


def test_more_stacks_than_bits(tmp_path: Path) -> None:
    every = [f"stack-{number:03}" for number in range(130)]
    lists = (every, every[60:70], every[::7], [])
    specs = [spec(letter * 32, stacks=stacks) for letter, stacks in zip("abcd", lists, strict=True)]
    dataset = cs.build_dataset(
        write(tmp_path / "site", {("develop", "a"): page("a", specs=specs)}), out=tmp_path / "dataset"
    )
    found = cs.overlap_sets(dataset)
    assert found.equals(cs.overlap_sets(dataset.specs))
    assert sorted(found.filter(pl.col("hashes") > 0)["members"]) == [1, 10, 19, 130]
    coverage = cs.coverage(dataset, rows="stack", columns="os")
    assert coverage.equals(cs.coverage(dataset.specs, rows="stack", columns="os"))


def test_two_names_with_one_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {("develop", name): page(name, specs=[spec(letter * 32)]) for name, letter in (("one", "a"), ("two", "b"))}
    site = write(tmp_path / "site", pages)
    monkeypatch.setattr(encode, "digest_of", lambda name: len(name).to_bytes(8, "little"))
    with pytest.raises(DatasetError, match="found 3 for 'one' and 'two'"):
        cs.build_dataset(site, out=tmp_path / "dataset")
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_names_of_replaced_files_are_forgotten(tmp_path: Path) -> None:
    days = {"develop": "a", "develop-2025-03-09": "b", "develop-2025-03-16": "c"}
    pages = {(name, "zlib"): page("zlib", name, [spec(letter * 32)]) for name, letter in days.items()}
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    write(tmp_path / "site", {("develop", "zlib"): page("zlib", specs=[spec("d" * 32, target="zen5")])})
    cs.update_dataset(dataset.path)
    updated, fresh = cs.open_dataset(dataset.path), cs.build_dataset(tmp_path / "site", out=tmp_path / "fresh")
    assert bytes_of(updated) == bytes_of(fresh)
    assert updated.newest.where(target="zen5").specs.collect()["hash"].unique().to_list() == ["d" * 32]


def test_codes_depend_on_the_name_alone() -> None:
    assert pc.unique(pa.array([codes.code_of("zlib"), codes.code_of("zlib")])).to_pylist() == [-9128161940791227565]
