"""What a host can use, now and in earlier snapshots, and what stops the rest."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.analysis.reuse import reused_of
from cachestats.analysis.spec_rows import spec_rows
from cachestats.analysis.usable import judged, obstacles, summary, usable
from cachestats.dataset.subset import Subset
from cachestats.hosts import Host


class HostFacts(NamedTuple):
    """What a host can use of the current snapshot, and of each snapshot."""

    name: str
    """The host, such as `zen4:rhel9`."""
    words: str
    """The same with the libc, such as `zen4 with rhel9 (glibc 2.34)`."""
    num_usable: int
    num_packages: int
    versions: pl.DataFrame
    """The result of `usable`."""
    obstacles: pl.DataFrame
    series: pl.DataFrame
    """`snapshot`, `usable` and `packages`, the newest snapshot first."""


def look_at_host(base: Subset, current: str, host: Host) -> HostFacts:
    """Ask what a host can use.

    Raises
    ------
    ArgumentError
        If the host has neither an operating system nor a libc although one is compared.
    """
    versions = usable(base.at(current), host=host)
    counts = summary(versions) if versions.height else None
    return HostFacts(
        f"{host.target}:{host.os or host.libc or host.platform}",
        str(host),
        counts.num_usable if counts else 0,
        counts.num_packages if counts else 0,
        versions,
        obstacles(versions),
        _series(base, host),
    )


def _series(base: Subset, host: Host) -> pl.DataFrame:
    columns = ("snapshot", "package", "requirement")
    rows = spec_rows(base, columns, every_snapshot=True)
    reused = reused_of(judged(rows, host, None))
    found = rows.distinct(*columns).group_by("snapshot", "package").agg(pl.col("requirement").is_in(reused).any())
    counts = found.group_by("snapshot").agg(
        usable=pl.col("requirement").sum().cast(pl.Int64), packages=pl.len().cast(pl.Int64)
    )
    every = pl.DataFrame({"snapshot": base.names[::-1]}, {"snapshot": pl.String})
    series = every.join(counts, on="snapshot", how="left", maintain_order="left")
    return series.with_columns(pl.col("usable", "packages").fill_null(0))
