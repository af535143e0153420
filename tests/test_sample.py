"""The dataset in data/sample is what cachestats makes of the corpus, and small enough to commit."""

from __future__ import annotations

import polars as pl
import pytest

import cachestats as cs
from cachestats.schema import TABLES
from conftest import ROOT, SAMPLE


@pytest.mark.slow
def test_the_sample_is_what_the_corpus_gives(indexed: cs.Dataset) -> None:
    for table in (table for table in TABLES.values() if table.by_snapshot):
        made, committed = (folder / table.name for folder in (indexed.path, SAMPLE))
        names = sorted(path.name for path in made.iterdir())
        assert names == sorted(path.name for path in committed.iterdir())
        for name in names:
            assert (made / name).read_bytes() == (committed / name).read_bytes(), f"run `make sample`: {name} differs"
    frames = [cs.open_dataset(path).snapshots.drop("read_at", "source").collect() for path in (indexed.path, SAMPLE)]
    assert frames[0].equals(frames[1])


def test_the_sample_is_small_and_names_no_place_on_the_machine_that_made_it() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    sample = cs.open_dataset(SAMPLE)
    assert sample.snapshots.select("source").collect()["source"].unique().to_list() == ["../shared/corpus/mirrors"]
    locations = {name: source.location for name, source in sample.manifest.sources.items()}
    assert locations == {"../shared/corpus/mirrors": "../../../shared/corpus/mirrors"}


def test_the_environment_is_a_stack_of_the_sample() -> None:
    environment = cs.read_environment(ROOT / "data" / "developer-tools.spack.lock.gz")
    rates = cs.hit_rates(environment, cs.open_dataset(SAMPLE).specs, by="stack")
    assert rates.filter(pl.col("rate") == 1.0)["stack"].to_list() == ["developer-tools"]
