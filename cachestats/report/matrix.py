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


class Matrices:
    """The matrices of all packages of a snapshot."""

    def __init__(self, dataset: Dataset, snapshot: str) -> None:
        counts = (
            dataset.specs.filter(pl.col("snapshot") == snapshot)
            .group_by("package", "os", "target")
            .agg(pl.col("hash").n_unique())
            .collect()
        )
        self._specs: dict[str, dict[str, dict[str, int]]] = {}
        self._pairs: set[tuple[str, str]] = set()
        for package, os, target, specs in counts.iter_rows():
            self._specs.setdefault(package, {}).setdefault(os, {})[target] = specs
            self._pairs.add((os, target))
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
            if any((os, target) in self._pairs or self._usable(by_os[os], target) for os in by_os)
        ]
        rows = {os: [self._cell(os, by_os[os], target) for target in targets] for os in sorted(by_os, key=natural_key)}
        return Matrix(targets, rows)

    def _usable(self, specs: dict[str, int], target: str) -> bool:
        return any(built_for in specs for built_for in self._runs[target])

    def _cell(self, os: str, specs: dict[str, int], target: str) -> Cell:
        if target in specs:
            return Cell("native", specs[target])
        if self._usable(specs, target):
            return Cell("usable", 0)
        return Cell("missing" if (os, target) in self._pairs else "none", 0)
