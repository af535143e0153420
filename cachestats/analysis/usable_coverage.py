"""Coverage by what hosts can use: native, usable or missing, for each row and each target."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cachestats.analysis.reuse import reused_requirements
from cachestats.analysis.spec_rows import SpecRows
from cachestats.analysis.usable import possible_hosts
from cachestats.axes import MISSING, NATIVE, USABLE
from cachestats.hosts import Host, as_host, as_named
from cachestats.spack_releases import Rules, checked_rules


def usable_cells(specs: SpecRows, rows: str, given: Host | str | None, spack: str | None) -> pl.DataFrame:
    """Classify, for each row and each target, what the hosts of the target can use, as `coverage` returns it."""
    rules, host = checked_rules(spack), None if given is None else as_host(given)
    built = specs.distinct(*dict.fromkeys([rows, "target", "platform", "os", "requirement"]))
    targets = sorted(built["target"].unique())
    if host is not None and host.is_complete:
        found = [_usable_by(built, rows, replace(as_named(host), target=target), rules) for target in targets]
    else:
        hosts = possible_hosts(built)
        if host is not None:
            hosts = [replace(one, externals=host.externals) for one in hosts if one.platform == host.platform]
        # If rows are operating systems, each row is matched only with hosts of that operating system.
        found = [
            _usable_by(built.filter(pl.col("os") == one.os) if rows == "os" else built, rows, one, rules)
            for one in hosts
        ]
    native = pl.col("is_native").any()
    best = pl.concat(found).group_by(rows, "target").agg(native) if found else None
    cells = built.select(rows).unique().join(pl.DataFrame({"target": targets}, {"target": pl.String}), how="cross")
    if best is None:
        return cells.with_columns(value=pl.lit(None, pl.String))
    value = pl.when("is_native").then(pl.lit(NATIVE)).when(pl.col("is_native").is_null()).then(pl.lit(MISSING))
    return (
        cells.join(best, on=[rows, "target"], how="left", nulls_equal=True)
        .select(rows, "target", value=value.otherwise(pl.lit(USABLE)))
        .sort(rows, "target", nulls_last=True)
    )


def _usable_by(built: pl.DataFrame, rows: str, host: Host, rules: Rules | None) -> pl.DataFrame:
    """Return the rows in which a host can reuse a spec, and whether one of the reusable specs is native."""
    reused = built.filter(pl.col("requirement").is_in(reused_requirements(built["requirement"], host, rules)))
    return (
        reused.group_by(rows)
        .agg(is_native=(pl.col("target") == host.target).any())
        .select(rows, pl.lit(host.target).alias("target"), "is_native")
    )
