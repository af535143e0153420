"""The page of each package, and its file for programs."""

from __future__ import annotations

from typing import Any

import polars as pl
from markupsafe import Markup

from cachestats.dataset.subset import Subset
from cachestats.naming import snapshot_kind
from cachestats.report.badges import badge
from cachestats.report.bars import bars
from cachestats.report.facts import Facts
from cachestats.report.matrix import Matrices
from cachestats.report.packages import Specs
from cachestats.report.pages import Pages
from cachestats.report.paths import NO_STACK, path_of
from cachestats.report.rows import Row, by_value, json_text, tuples
from cachestats.report.variant_matrix import variant_matrix
from cachestats.text import counted

_MOST_NEEDING = 24
_SHOWN_SPECS = 25
"""The number of specs in a page itself, for readers without scripts: as many as scripts show first."""
_NEWEST = 12
"""The number of snapshots in the history of a page itself, which scripts complete: all of them would be a quarter of a
report."""


class PackagePages:
    """The pages of the packages of any snapshot."""

    def __init__(self, subset: Subset, facts: Facts, pages: Pages) -> None:
        self._names, self._facts, self._pages = [*subset.names], facts, pages
        self._current = {row["package"]: row for row in facts.packages.to_dicts()}
        presence = facts.presence.join(facts.newest, on=["package", "snapshot"], how="left")
        self._series = tuples(presence.select("package", "snapshot", "value", "version"))
        self._events = tuples(_events(facts, self._names))
        self._versions, self._gaps = by_value(facts.versions, "package"), by_value(facts.gaps, "package")
        self._excess = dict(facts.duplicates.select("package", "excess").iter_rows())
        self._positions = {name: number for number, name in enumerate(self._names)}
        self._anchors = pages.links("snapshots", self._names, "../")
        self._matrices = Matrices(subset.at(facts.current))
        self._dependencies = _Dependencies(facts, pages.links("packages", self._series, "../"))

    def write(self, package: str, specs: Specs) -> None:
        """Write the page of a package, and its file for programs."""
        current = self._facts.current
        series = sorted(self._series[package], key=lambda row: self._positions[row[0]], reverse=True)
        about = self._current.get(package)
        matrix = self._matrices.of(package)
        last = newest_of_each_kind([snapshot for snapshot, *_ in series])
        stacks = self._versions.get(package, [])
        self._pages.write(
            path_of("packages", package),
            "package.html",
            package_name=package,
            row=about,
            matrix=matrix,
            variants=variant_matrix(specs, current),
            last=last,
            stacks=stacks,
            lacking=self._gaps.get(package, []),
            excess=self._excess.get(package, 0),
            dependencies=self._dependencies.of(package),
            series=series,
            newest=_NEWEST,
            anchors=self._anchors,
            bars=bars({snapshot: number for snapshot, number, _ in series}, self._names),
            num_snapshots=len(self._names),
            events=self._events.get(package, [])[::-1],
            specs=specs.first(current, _SHOWN_SPECS),
        )
        about_it = {
            "schema": 1,
            "package": package,
            "snapshot": current,
            "is_covered": about is not None,
            "newest_version": about and about["version"],
            "num_versions": about["versions"] if about else 0,
            "num_specs": about["specs"] if about else 0,
            "stacks": [row["stack"] for row in stacks if row["stack"] is not None],
            "targets": matrix.best() if matrix else {},
            **_built(specs, current),
            "history": {snapshot: number for snapshot, number, _ in series},
            "last_seen": last,
        }
        self._pages.save(path_of("api", package), json_text(about_it))
        self._pages.save(path_of("badges/packages", package), _badge(package, about, current))


def _badge(package: str, about: Row | None, snapshot: str) -> str:
    if about is None:
        return badge(package, f"not in {snapshot}", share=0)
    return badge(package, f"{about['version']} for {counted(about['targets'], 'target')}", share=1)


def _built(specs: Specs, snapshot: str) -> Row:
    """Return the number of specs of each version, newest first, and of each compiler, and the hashes."""
    compilers = [(compiler or NO_STACK, number) for (compiler,), number in specs.counts(snapshot, "compiler").items()]
    return {
        "versions": {version: number for (version,), number in specs.counts(snapshot, "version").items()},
        "compilers": dict(sorted(compilers, key=lambda one: (one[0] == NO_STACK, one[0]))),
        "hashes": sorted(specs.hashes[position] for position in specs.positions(snapshot)),
    }


def _events(facts: Facts, names: list[str]) -> pl.DataFrame:
    """Return the snapshots in which packages were added, removed or changed their versions, oldest first."""
    told = pl.col("change").is_in(["added", "removed", "updated", "representation"])
    parts = [
        facts.changes[name]
        .filter(told)
        .select("package", pl.lit(name).alias("snapshot"), "change", "old_versions", "new_versions")
        for name in names
        if name in facts.changes
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"package": pl.String})


class _Dependencies:
    """What each package of the current snapshot needs, and what needs it."""

    def __init__(self, facts: Facts, links: dict[str, Markup]) -> None:
        self._links = links
        self._every = dict(facts.packages.select("package", "specs").iter_rows())
        self._total = sum(self._every.values())
        self._counts: dict[str, Row] = {}
        self._needing: dict[str, list[tuple[Any, ...]]] = {}
        self._needed: dict[str, list[tuple[Any, ...]]] = {}
        if facts.needs is not None:
            self._counts = {row["package"]: row for row in facts.needs.dependents.iter_rows(named=True)}
            most_first = facts.needs.direct.sort("num_specs", "package", "needed", descending=[True, False, False])
            self._needing = tuples(most_first.select("needed", "package", "num_specs"))
            self._needed = tuples(most_first.select("package", "needed", "num_specs"))

    def of(self, package: str) -> Row | None:
        """Return the counts of what depends on a package, and what does directly; None if there is nothing to say.

        `needing` and `needed` are links to other packages, each with the share of specs for which the dependency is
        direct, such as `2 of 3 specs`; the highest numbers come first.
        """
        if package not in self._counts:
            return None
        total = self._every.get(package, 0)
        needing, needed = self._needing.get(package, []), self._needed.get(package, [])
        return self._counts[package] | {
            "num_other_specs": self._total - total,
            "needing": [self._part(name, specs, self._every[name]) for name, specs in needing[:_MOST_NEEDING]],
            # What is not cached has no page.
            "needed": [self._part(name, specs, total) for name, specs in needed],
        }

    def _part(self, name: str, num_specs: int, total: int) -> tuple[str, str]:
        return self._links.get(name, name), f"{num_specs:,} of {counted(total, 'spec')}"


def newest_of_each_kind(names: list[str]) -> list[str]:
    """Return the first snapshot of each kind, given newest first: releases have no date by which to compare them.

    Examples
    --------
    >>> from cachestats.report.package_pages import newest_of_each_kind
    >>> newest_of_each_kind(["develop-2025-03-09", "develop-2025-03-02", "v1.0.0", "v0.23.1"])
    ['develop-2025-03-09', 'v1.0.0']
    """
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(snapshot_kind(name)[0], name)
    return list(found.values())
