"""How much of an environment is cached, now and in earlier snapshots, and why the rest is not."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.analysis.match import Summary, hit_rates, match, summary
from cachestats.dataset.dataset import with_dependencies
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.report.rows import Row


class EnvironmentFacts(NamedTuple):
    """How much of an environment is in the current snapshot, and in each snapshot."""

    name: str
    counts: Summary
    specs: pl.DataFrame
    """The result of `match`."""
    rates: pl.DataFrame
    """The result of `hit_rates`, the newest snapshot first; those without specs are there, too."""

    @property
    def before(self) -> Row | None:
        """The rates of the snapshot before the current one."""
        return self.rates.row(1, named=True) if self.rates.height > 1 else None


def look_at_environment(base: Subset, current: str, name: str, environment: Environment) -> EnvironmentFacts:
    """Ask what is cached of an environment."""
    here = base.at(current)
    knows_dependencies = bool(with_dependencies(base.dataset, [current]))
    matches = match(environment, here, dependencies=here.whole if knows_dependencies else None)
    counts = summary(matches)
    names = pl.DataFrame({"snapshot": base.names[::-1]}, {"snapshot": pl.String})
    rates = names.join(hit_rates(environment, base), on="snapshot", how="left", maintain_order="left").with_columns(
        pl.col("hits", "near", "root_hits").fill_null(0),
        pl.col("rate").fill_null(pl.lit(0.0 if counts.specs else None)),
        pl.col("root_rate").fill_null(pl.lit(0.0 if counts.roots else None)),
        specs=pl.lit(counts.specs),
        roots=pl.lit(counts.roots),
    )
    return EnvironmentFacts(name, counts, matches, rates)
