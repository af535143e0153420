"""What machines can use of one package: its specs by operating system and target."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.dataset import Dataset
from cachestats.naming import natural_key
from cachestats.targets import runnable, target_order


class Cell(NamedTuple):
    """One cell: `native`, `usable`, `missing`, or `none` where the snapshot has nothing; and how many specs."""

    state: str
    specs: int


class Matrix(NamedTuple):
    """A row of cells for each operating system, in the order of the targets."""

    targets: list[str]
    rows: dict[str, list[Cell]]

    def best(self) -> dict[str, str]:
        """Return for each target the best that its machines can use, on whichever of the systems."""
        order = ("native", "usable", "missing", "none")
        found = {
            target: min((cells[place].state for cells in self.rows.values()), key=order.index)
            for place, target in enumerate(self.targets)
        }
        return {target: state for target, state in found.items() if state != "none"}


class Matrices:
    """The matrices of all packages of a snapshot."""

    def __init__(self, dataset: Dataset, snapshot: str) -> None:
        counts = (
            dataset.scan("specs", snapshots=[snapshot])
            .group_by("package", "platform", "os", "target")
            .agg(pl.col("hash").n_unique())
            .collect()
        )
        self._specs: dict[str, dict[str, dict[str, int]]] = {}
        self._pairs: set[tuple[str, str]] = set()
        platforms: dict[str, set[str]] = {}
        machines: dict[str, set[str]] = {}
        for package, platform, os, target, specs in counts.iter_rows():
            by_target = self._specs.setdefault(package, {}).setdefault(os, {})
            by_target[target] = by_target.get(target, 0) + specs
            self._pairs.add((os, target))
            platforms.setdefault(os, set()).add(platform)
            machines.setdefault(platform, set()).add(target)
        # That a target can run a binary says nothing where no machine has both: no Mac is a Neoverse.
        self._machines = {os: set().union(*(machines[one] for one in some)) for os, some in platforms.items()}
        self._targets = sorted({target for _, target in self._pairs}, key=target_order)
        self._runs = {target: runnable(target) for target in self._targets}

    def of(self, package: str) -> Matrix | None:
        """Return the matrix of one package, or None where the snapshot does not have it."""
        by_os = self._specs.get(package)
        if by_os is None:
            return None
        # Columns of machines that nothing of it was built for, on none of its systems, would be empty.
        targets = [
            target
            for target in self._targets
            if any((os, target) in self._pairs or self._usable(os, by_os[os], target) for os in by_os)
        ]
        rows = {os: [self._cell(os, by_os[os], target) for target in targets] for os in sorted(by_os, key=natural_key)}
        return Matrix(targets, rows)

    def _usable(self, os: str, specs: dict[str, int], target: str) -> bool:
        return target in self._machines[os] and any(built_for in specs for built_for in self._runs[target])

    def _cell(self, os: str, specs: dict[str, int], target: str) -> Cell:
        if target in specs:
            return Cell("native", specs[target])
        if self._usable(os, specs, target):
            return Cell("usable", 0)
        return Cell("missing" if (os, target) in self._pairs else "none", 0)
