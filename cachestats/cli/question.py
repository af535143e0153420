"""Which specs of a dataset a verb looks at: `--snapshot` and `--where`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

from cachestats.cli.output import talk
from cachestats.dataset.dataset import reuse_rules, with_dependencies
from cachestats.dataset.subset import Subset, find_snapshot, snapshot_names
from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK
from cachestats.text import alternatives, counted, nearest

PAGES_TELL_NONE = "pages do not list dependencies, only indices do"


class Question:
    """What a verb was asked.

    Attributes
    ----------
    subset : Subset
        The specs that it looks at.
    among : Subset
        All specs of the chosen snapshots.
    axes : dict
        Further arguments for the analysis.
    chosen : tuple of str
        Names of the chosen snapshots, oldest first.
    names, words, filters : str
        The snapshots, all of the subset, and only its filters, for messages.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        snapshot: tuple[str, ...],
        where: tuple[tuple[str, str], ...],
        measure: str = "specs",
        denominator: str | None = None,
        union: bool = False,
        everything: bool = False,
        **axes: str,
    ) -> None:
        if denominator and measure != "share":
            raise ArgumentError(
                f"expected --denominator with --measure share, found it with {measure}", hint="leave out --denominator"
            )
        self.wanted: dict[str, list[str]] = {}
        for column, value in where:
            self.wanted.setdefault(column, []).append(value)
        snapshots = [*snapshot, *self.wanted.pop("snapshot", ())]
        self.among = chosen_snapshots(dataset, snapshots, everything=everything or "snapshot" in axes.values())
        self.chosen = self.among.snapshots or ()
        # Not `where`, which refuses a name that matches nothing: here the answer is then empty, and `hints` says why.
        self.subset = Subset(dataset, self.chosen, {name: _or_none(values) for name, values in self.wanted.items()})
        # A filter that names root asks for it.
        self.union = union or UNION_STACK in self.wanted.get("stack", ())
        self.axes: dict[str, Any] = axes | {
            "measure": measure,
            "denominator": denominator or "row",
            "union": self.union,
        }
        self.filters = ", ".join(f"{column}={' or '.join(values)}" for column, values in self.wanted.items())
        few = len(self.chosen) < 4
        self.names = " and ".join(self.chosen) if few else counted(len(self.chosen), "snapshot")
        if not self.chosen:
            self.names = f"{dataset.path}, which has no snapshots"
        self.words = f"{self.names}{', ' * bool(self.filters)}{self.filters}"

    @cached_property
    def unknown(self) -> list[str]:
        """The chosen snapshots whose dependencies are not known."""
        known = with_dependencies(self.among.dataset, self.chosen)
        return [name for name in self.chosen if name not in known]

    @property
    def dependencies(self) -> Subset | None:
        """The chosen snapshots, to take dependencies from; None if none of theirs are known."""
        return self.among if len(self.unknown) < len(self.chosen) else None

    def hints(self) -> list[str]:
        """Return, for each filter that matches nothing, what would match."""
        hints = [
            _no_such(column, values, self.among.values(column)) + self._by_name(column, values)
            for column, values in self.wanted.items()
            if not replace(self.among, filters={column: _or_none(values)}).num_specs
        ]
        if "stack" in self.axes.values() and self.among.values("stack") == [UNION_STACK]:
            hints.append("the only stack is root, the union of the stacks; --union shows it")
        return hints

    def _by_name(self, column: str, values: list[str]) -> str:
        """Return how to ask for any version of a compiler, if a filter names one without a version."""
        named = [value for value in values if column == "compiler" and value in self.among.values("compiler_name")]
        return f"; for any version, use --where compiler_name={named[0]}" if named else ""

    def say_there_is_nothing(self) -> None:
        """Say that no specs were found, and what to ask for instead."""
        talk(f"no specs in {self.words}")
        for hint in self.hints():
            talk(f"hint: {hint}")

    def say_what_is_unknown(self, column: str, names: Iterable[str]) -> None:
        """Say which names are not in the chosen snapshots, and which similar ones are."""
        there = self.among.values(column)
        if unknown := sorted({*names}.difference(there)):
            talk(f"hint: {_no_such(column, unknown, there)}")


def _no_such(column: str, values: list[str], there: list[str]) -> str:
    """Return that a column has none of the values, and which of those in `there` to try."""
    near = close_names(values, there)
    return f"there is no {column} {alternatives(values)}" + (f"; try {near}" if near else "")


def close_names(values: list[str], there: list[str]) -> str:
    """Return a few of the names in `there`: if possible, those that resemble the values."""
    versions = [name for name in there if name.partition("@")[0] in values]
    return ", ".join(versions[-3:] or nearest(values, there) or there[:3])


def sides(
    old_dataset: Any, old: str, new_dataset: Any, new: str, *, where: tuple[tuple[str, str], ...], union: bool
) -> tuple[Question, Question]:
    """Return the two sides of a comparison: two snapshots with the same filters."""
    if any(column == "snapshot" for column, _ in where):
        raise ArgumentError(
            "expected other columns in --where, found snapshot", hint="a filter cannot choose the snapshots to compare"
        )
    return (
        Question(old_dataset, snapshot=(find_snapshot(old_dataset, old),), where=where, union=union),
        Question(new_dataset, snapshot=(find_snapshot(new_dataset, new),), where=where, union=union),
    )


def chosen_snapshots(dataset: Any, asked: list[str], *, everything: bool = False) -> Subset:
    """Return the snapshots asked for; by default `develop`, or the newest if there is no `develop`."""
    names = snapshot_names(dataset)
    if not asked:
        return Subset(dataset, names if everything else names[-1:])
    return Subset(dataset, names).at(asked)


def known_snapshots(chosen: Subset) -> list[str]:
    """Return those of the chosen snapshots whose dependencies are known.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    dataset, names = chosen.dataset, chosen.snapshots or ()
    if known := with_dependencies(dataset, names):
        return known
    others = with_dependencies(dataset, snapshot_names(dataset))
    raise ArgumentError(
        f"expected dependencies, found none for {' and '.join(names) or dataset.path}: {PAGES_TELL_NONE}",
        hint=f"try --snapshot {others[-1]}" if others else "build the dataset from the indices of the build cache",
    )


def rules_in_words(dataset: Any, asked: Question, spack: str | None) -> str:
    """Return which rules decide what can be reused, such as `by the rules of Spack 0.23`."""
    if spack is not None:
        return f"by the rules of Spack {spack}"
    rules = reuse_rules(dataset, asked.chosen)
    return f"by the rules of Spack {' and '.join(rules)}{', each for its own snapshots' * (len(rules) > 1)}"


def _or_none(values: list[str]) -> tuple[str | None, ...]:
    """Return the values of a filter; in the shell, `none` stands for no compiler, no stack, and so on."""
    return (*values, None) if "none" in values else tuple(values)
