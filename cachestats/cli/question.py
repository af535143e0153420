"""Which specs of a dataset a verb looks at: `--snapshot`, `--where` and `--spec`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from cachestats.cli.output import detail, talk
from cachestats.dataset.dataset import reuse_rules, with_dependencies
from cachestats.dataset.subset import Subset, filtered, find_snapshot, snapshot_names
from cachestats.errors import ArgumentError
from cachestats.naming import LEAVES_OUT, NOT, UNION_STACK
from cachestats.text import counted

_MOST_VALUES = 20  # that are named
ONLY_ROOT = "hint: the only stack is root, the union of the stacks; --union shows it"
PAGES_TELL_NONE = "pages do not list dependencies, only indices do"


class Question:
    """What a verb was asked. In the subsets `beside`, a name of a filter may be, too.

    Attributes
    ----------
    subset : Subset
        The specs that it looks at.
    among : Subset
        All specs of the chosen snapshots.
    wanted : dict
        For each filtered column the texts that were given.
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
        expressions: tuple[str, ...] = (),
        measure: str = "specs",
        denominator: str | None = None,
        union: bool = False,
        listed: list[str] | None = None,
        everything: bool = False,
        beside: tuple[Subset, ...] = (),
        **axes: Any,
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
        both = (self.among, *beside)
        in_list = self._in_list(listed or [])
        self.subset = filtered(both, self.wanted | in_list, spec=expressions)[0] if self.chosen else self.among
        # A filter that names root asks for it.
        self.union = union or UNION_STACK in self.subset.filters.get("stack", ())
        names = [name for axis in axes.values() for name in ((axis,) if isinstance(axis, str) else axis or ())]
        self._by_stack = "stack" in names and not self.union
        self.axes: dict[str, Any] = axes | {
            "measure": measure,
            "denominator": denominator or "row",
            "union": self.union,
        }
        words = [filter_in_words(column, values) for column, values in self.wanted.items()]
        words += [f"{len(names):,} of {counted(len(listed or ()), 'package')}" for names in in_list.values()]
        self.filters = ", ".join([*words, *expressions_in_words(expressions)])
        few = len(self.chosen) < 4
        self.names = " and ".join(self.chosen) if few else counted(len(self.chosen), "snapshot")
        if not self.chosen:
            self.names = f"{dataset.path}, which has no snapshots"
        detail(f"snapshots: {', '.join(self.chosen) or 'none'}")
        for column, values in self.subset.filters.items():
            detail(f"{column}: {some(values)}")
        self.words = f"{self.names}{', ' * bool(self.filters)}{self.filters}"

    def _in_list(self, packages: list[str]) -> dict[str, list[str]]:
        """Return a filter for those of the packages in a list that are in the snapshots, and say which are not."""
        if packages and "package" in self.wanted:
            raise ArgumentError("expected --packages or --where package, found both", hint="leave out one of them")
        there = {*self.among.values("package")} & {*packages}
        if missing := sorted({*packages} - there):
            talk(f"not in these snapshots: {some(missing)}")
        # If none is there, the filter says so.
        return {"package": [name for name in packages if name in there] or packages} if packages else {}

    @cached_property
    def unknown(self) -> list[str]:
        """The chosen snapshots whose dependencies are not known."""
        known = with_dependencies(self.among.dataset, self.chosen)
        return [name for name in self.chosen if name not in known]

    @property
    def dependencies(self) -> Subset | None:
        """The chosen snapshots, to take dependencies from; None if none of theirs are known."""
        return self.among if len(self.unknown) < len(self.chosen) else None

    def named(self, column: str) -> list[str | None]:
        """Return the values that a filter names, by themselves or by a pattern; none if it only leaves some out."""
        asks = any(not value.startswith(LEAVES_OUT) for value in self.wanted.get(column, ()))
        return [*self.subset.filters[column]] if asks else []

    @cached_property
    def has_only_root(self) -> bool:
        """Whether the answer is by stack, and there is only the union of the stacks, which it leaves out."""
        return self._by_stack and self.among.values("stack") == [UNION_STACK]

    def say_there_is_nothing(self) -> None:
        """Say that no specs were found and, if only the union of the stacks was there, how to see it."""
        talk(f"no specs in {self.words}")
        self.hint_at_union()

    def hint_at_union(self) -> None:
        """Say how to see the union of the stacks, if the answer is by stack and there are no others."""
        if self.has_only_root:
            talk(ONLY_ROOT)


def expressions_in_words(texts: tuple[str, ...]) -> list[str]:
    """Return spec expressions as `hdf5+mpi or zlib` and `not cmake`."""
    included = [text for text in texts if not text.startswith(NOT)]
    return [" or ".join(included)] * bool(included) + [text for text in texts if text.startswith(NOT)]


def some(values: Sequence[str | None]) -> str:
    """Return the first values of a filter, and how many others there are."""
    more = f" and {counted(len(values) - _MOST_VALUES, 'other')}" if len(values) > _MOST_VALUES else ""
    return ", ".join(value or "none" for value in values[:_MOST_VALUES]) + more


def filter_in_words(column: str, values: list[str]) -> str:
    """Return a filter as `os=rhel9 or rhel8, os!=sonoma`."""
    wanted = [value for value in values if not value.startswith(LEAVES_OUT)]
    words = [f"{column}={' or '.join(wanted)}"] if wanted else []
    return ", ".join(words + [f"{column}!={value[1:]}" for value in values if value.startswith(LEAVES_OUT)])


def sides(
    old_dataset: Any, old: str, new_dataset: Any, new: str, *, where: tuple[tuple[str, str], ...], **options: Any
) -> tuple[Question, Question]:
    """Return the two sides of a comparison: two snapshots with the same filters."""
    if any(column == "snapshot" for column, _ in where):
        raise ArgumentError(
            "expected other columns in --where, found snapshot", hint="a filter cannot choose the snapshots to compare"
        )
    before, after = (
        Subset(dataset).at(find_snapshot(dataset, name)) for dataset, name in ((old_dataset, old), (new_dataset, new))
    )
    return (
        Question(old_dataset, snapshot=before.snapshots or (), where=where, beside=(after,), **options),
        Question(new_dataset, snapshot=after.snapshots or (), where=where, beside=(before,), **options),
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
