"""Which specs of a dataset a verb looks at: `--snapshot` and `--where`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cachestats.cli.output import talk
from cachestats.dataset.dataset import reuse_rules, with_dependencies
from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK, snapshot_order
from cachestats.text import alternatives, counted, nearest

if TYPE_CHECKING:
    import polars as pl


PAGES_TELL_NONE = "pages do not list dependencies, only indices do"


class Question:
    """What a verb was asked: the specs, the arguments for the analysis, and a description for messages."""

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
        self.chosen = chosen_snapshots(dataset, snapshots, everything=everything or "snapshot" in axes.values())
        self.in_snapshots = matching(dataset.specs, "snapshot", self.chosen)
        self.specs = self.in_snapshots
        for column, values in self.wanted.items():
            self.specs = matching(self.specs, column, values)
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

    def names_of(self, column: str) -> list[str]:
        """Return the values of a column in the chosen snapshots."""
        return sorted(self.in_snapshots.select(column).unique().collect()[column].drop_nulls())

    def count_specs(self) -> int:
        """Return the number of distinct specs of each snapshot, summed."""
        import polars as pl

        return int(self.specs.select("snapshot", "hash").unique().select(pl.len()).collect().item())

    def hints(self) -> list[str]:
        """Return, for each filter that matches nothing, what would match."""
        hints = [
            _no_such(column, values, self.names_of(column)) + self._by_name(column, values)
            for column, values in self.wanted.items()
            if matching(self.in_snapshots, column, values).select(column).head(1).collect().is_empty()
        ]
        if "stack" in self.axes.values() and self.names_of("stack") == [UNION_STACK]:
            hints.append("the only stack is root, the union of the stacks; --union shows it")
        return hints

    def _by_name(self, column: str, values: list[str]) -> str:
        """Return how to ask for any version of a compiler, if a filter names one without a version."""
        named = [value for value in values if column == "compiler" and value in self.names_of("compiler_name")]
        return f"; for any version, use --where compiler_name={named[0]}" if named else ""

    def say_there_is_nothing(self) -> None:
        """Say that no specs were found, and what to ask for instead."""
        talk(f"no specs in {self.words}")
        for hint in self.hints():
            talk(f"hint: {hint}")

    def say_what_is_unknown(self, column: str, names: Iterable[str]) -> None:
        """Say which names are not in the chosen snapshots, and which similar ones are."""
        there = self.names_of(column)
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
        Question(old_dataset, snapshot=(old,), where=where, union=union),
        Question(new_dataset, snapshot=(new,), where=where, union=union),
    )


def chosen_snapshots(dataset: Any, asked: list[str], *, everything: bool = False) -> list[str]:
    """Return the snapshots asked for, oldest first; by default `develop`, or the newest if there is no `develop`."""
    names = sorted(dataset.manifest.snapshots, key=snapshot_order)
    if "all" in asked or (everything and not asked):
        return names
    for name in asked:
        if name not in names:
            near = nearest([name], names) or names[-3:]
            raise ArgumentError(
                f"expected one of the {counted(len(names), 'snapshot')} of {dataset.path}, found {name!r}",
                hint=f"try {', '.join([*near, 'all'])}",
            )
    return [name for name in names if name in asked] if asked else names[-1:]


def known_snapshots(dataset: Any, chosen: list[str]) -> list[str]:
    """Return those of the chosen snapshots whose dependencies are known.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if known := with_dependencies(dataset, chosen):
        return known
    others = with_dependencies(dataset, sorted(dataset.manifest.snapshots, key=snapshot_order))
    raise ArgumentError(
        f"expected dependencies, found none for {' and '.join(chosen) or dataset.path}: {PAGES_TELL_NONE}",
        hint=f"try --snapshot {others[-1]}" if others else "build the dataset from the indices of the build cache",
    )


def edges_of(dataset: Any, asked: Question) -> tuple[list[str], pl.LazyFrame | None]:
    """Return the chosen snapshots whose dependencies are known, and these dependencies, if any."""
    known = with_dependencies(dataset, asked.chosen)
    return known, matching(dataset.dependencies, "snapshot", known) if known else None


def rules_in_words(dataset: Any, asked: Question, spack: str | None) -> str:
    """Return which rules decide what can be reused, such as `by the rules of Spack 0.23`."""
    if spack is not None:
        return f"by the rules of Spack {spack}"
    rules = reuse_rules(dataset, asked.chosen)
    return f"by the rules of Spack {' and '.join(rules)}{', each for its own snapshots' * (len(rules) > 1)}"


def matching(specs: pl.LazyFrame, column: str, values: list[str]) -> pl.LazyFrame:
    """Return the specs that have one of the values; `none` stands for no compiler or no stack."""
    import polars as pl

    matches = pl.col(column).is_in(values)
    return specs.filter(matches | pl.col(column).is_null() if "none" in values else matches)
