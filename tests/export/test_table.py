"""Exports of single tables: of a dataset, and of subsets."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import cachestats as cs


@pytest.mark.parametrize(
    "filters", [{"spec": "+mpi ^mpich"}, {"stack": "e4s"}, {"spec": "not hdf5", "os": "ubuntu22.04"}]
)
def test_an_export_of_a_subset_has_the_rows_of_its_specs(
    sample: cs.Dataset, filters: dict[str, str], tmp_path: Path
) -> None:
    subset = sample.at("develop-2024-06-02", "develop-2025-05-25").where(**filters)
    keys = subset.specs.select("snapshot", "hash").unique()
    for table in ("specs", "variants", "dependencies"):
        rows = cs.export_table(subset, table, tmp_path / f"{table}.parquet")
        found = pl.read_parquet(tmp_path / f"{table}.parquet")
        expected = (
            subset.specs if table == "specs" else sample.scan(table).join(keys, on=["snapshot", "hash"], how="semi")
        )
        assert rows == found.height > 0
        assert found.sort(found.columns).equals(expected.select(found.columns).collect().sort(found.columns))
