"""The coverage of one package: what hosts can use, by operating system and target."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from cachestats.analysis.reuse import REUSED, reused_requirements
from cachestats.analysis.spec_rows import SpecsLike, spec_rows
from cachestats.analysis.usable import possible_hosts
from cachestats.axes import MISSING, NATIVE, STATES, USABLE, State
from cachestats.naming import natural_key
from cachestats.targets import target_order

_NONE: Final = "none"


class Cell(NamedTuple):
    """One cell: its state, or `none` if the snapshot has nothing; and the number of native specs."""

    state: State | Literal["none"]
    specs: int


class Matrix(NamedTuple):
    """A row of cells for each operating system, in the order of the targets."""

    targets: list[str]
    rows: dict[str, list[Cell]]

    def best(self) -> dict[str, str]:
        """Return, for each target, the best state on any of the operating systems."""
        order = (*STATES, _NONE)
        found = {
            target: min((cells[number].state for cells in self.rows.values()), key=order.index)
            for number, target in enumerate(self.targets)
        }
        return {target: state for target, state in found.items() if state != _NONE}


class Matrices:
    """The matrices of all packages in the specs of a snapshot, under the rules of the Spack that wrote it."""

    def __init__(self, specs: SpecsLike) -> None:
        by = ("package", "platform", "os", "target", "requirement")
        counts = spec_rows(specs, (*by, "hash")).count(*by, of=["hash"])
        self._specs: dict[str, list[tuple[str, str, str, int]]] = {}
        for package, _, os, target, requirement, number in counts.sort(by).iter_rows():
            self._specs.setdefault(package, []).append((os, target, requirement, number))
        pairs = counts.select("platform", "os", "target").unique()
        self._pairs = set(pairs.select("os", "target").rows())
        self._oses = sorted(pairs["os"].unique(), key=natural_key)
        self._targets = sorted(pairs["target"].unique(), key=target_order)
        self._reused: dict[tuple[str | None, str], set[str]] = {}
        for host in possible_hosts(pairs):
            # An operating system may belong to several platforms, as sles15 does to cray and linux.
            reused = reused_requirements(counts["requirement"], host)
            self._reused.setdefault((host.os, host.target), set()).update(reused)

    def of(self, package: str) -> Matrix | None:
        """Return the matrix of one package, or None if the snapshot does not have it."""
        specs = self._specs.get(package)
        if specs is None:
            return None
        cells = {os: [self._cell(os, target, specs) for target in self._targets] for os in self._oses}
        # Leave out machines that can use none of its specs and for which it was not built: their cells would be empty.
        own = {os for os, *_ in specs}
        rows = {os: row for os, row in cells.items() if os in own or any(_is_there(cell) for cell in row)}
        kept = [
            number
            for number, target in enumerate(self._targets)
            if any((os, target) in self._pairs or _is_there(row[number]) for os, row in rows.items())
        ]
        return Matrix(
            [self._targets[number] for number in kept],
            {os: [row[number] for number in kept] for os, row in rows.items()},
        )

    def _cell(self, os: str, target: str, specs: list[tuple[str, str, str, int]]) -> Cell:
        reused = self._reused.get((os, target), ())
        native = sum(count for _, built_for, needs, count in specs if needs in reused and built_for == target)
        if native:
            return Cell(NATIVE, native)
        if any(needs in reused for _, _, needs, _ in specs):
            return Cell(USABLE, 0)
        return Cell(MISSING if (os, target) in self._pairs else _NONE, 0)


def _is_there(cell: Cell) -> bool:
    return cell.state in REUSED
