"""The page of each environment that a report is for."""

from __future__ import annotations

import polars as pl

from cachestats.report.bars import bars
from cachestats.report.environment_facts import EnvironmentFacts
from cachestats.report.pages import Pages
from cachestats.report.paths import path_of
from cachestats.report.rows import Row


def write_environment_page(found: EnvironmentFacts, packages: frozenset[str], pages: Pages) -> None:
    """Write the page of an environment; `packages` are those that have a page."""
    oldest_first = found.rates.reverse()
    hits = dict(oldest_first.select("snapshot", "hits").iter_rows())
    pages.write(
        path_of("environments", found.name),
        "environment.html",
        found=found,
        cached=packages,
        rates=found.rates.to_dicts(),
        bars=bars(hits, [*hits], most=found.counts.specs),
        misses=found.specs.filter(pl.col("status") != "hit").to_dicts(),
        hits=found.specs.filter(status="hit").to_dicts(),
    )


def environment_json(found: EnvironmentFacts) -> Row:
    """Return what `report.json` says about an environment."""
    names = ("specs", "hits", "near", "missing", "roots", "root_hits", "to_build")
    return {name: getattr(found.counts, name) for name in names} | {
        "history": dict(found.rates.select("snapshot", "hits").iter_rows())
    }
