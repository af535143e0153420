"""The page of each host that a report is for."""

from __future__ import annotations

import polars as pl

from cachestats.report.bars import Bars, bars
from cachestats.report.host_facts import HostFacts
from cachestats.report.pages import Pages
from cachestats.report.paths import path_of
from cachestats.report.rows import Row


def write_host_page(found: HostFacts, pages: Pages) -> None:
    """Write the page of a host."""
    missing = found.versions.filter(cell="missing")
    reached = found.versions.filter(pl.col("cell") != "missing")
    lacking = missing.filter(~pl.col("package").is_in(reached["package"].unique().implode()))
    pages.write(
        path_of("hosts", found.name.replace(":", "-")),
        "host.html",
        found=found,
        obstacles=found.obstacles.to_dicts(),
        series=found.series.to_dicts(),
        bars=_bars(found),
        reached=_by_package(reached),
        lacking=_by_package(lacking),
    )


def host_json(found: HostFacts) -> Row:
    """Return what `report.json` says about a host."""
    return {"num_usable": found.num_usable, "num_packages": found.num_packages}


def _bars(found: HostFacts) -> Bars:
    oldest_first = found.series.reverse()
    return bars(dict(oldest_first.select("snapshot", "usable").iter_rows()), oldest_first["snapshot"].to_list())


def _by_package(versions: pl.DataFrame) -> list[Row]:
    """Return a row for each package: its newest version, how it fits, and how many versions there are."""
    newest = versions.group_by("package", maintain_order=True).agg(pl.all().last(), num_versions=pl.len())
    return newest.to_dicts()
