"""A subset of a dataset: some of its snapshots, and filters on its specs, as a value that is read when it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cachestats.codes import code_of
from cachestats.dataset.patterns import matching
from cachestats.errors import ArgumentError
from cachestats.naming import LEAVES_OUT, SNAPSHOT_WORDS, UNION_STACK, canonical_snapshot, snapshot_order
from cachestats.schema import SPECS
from cachestats.text import alternatives, counted, nearest

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.dataset import Dataset
    from cachestats.dataset.expressions import Alternatives

FILTER_COLUMNS = tuple(
    column.name
    for column in SPECS.columns
    if column.dtype == "string" and column.name not in {"variants", "version_key"}
)
"""Columns of `specs` by which a subset can be chosen; variants are compared by value, not as one text, and a
`version_key` follows from the version."""

Wanted = tuple[str | None, ...]
"""Values of a column that a subset has; None stands for no compiler, no stack, and so on."""
Asked: TypeAlias = "str | Iterable[str | None] | None"
"""Values of a column as a user writes them, with patterns and exclusions."""

_NOTHING = "none"
_NULLABLE = frozenset(column.name for column in SPECS.columns if column.nullable)


@dataclass(frozen=True)
class Subset:
    """Some snapshots of a dataset, and filters on its specs.

    `Dataset.at`, `Dataset.where` and `Dataset.newest` return it. It is what `--snapshot` and `--where` choose in the
    shell. Every analysis takes one. For anything else, `specs` and the other tables are Polars LazyFrames.

    Parameters
    ----------
    dataset, snapshots, filters, expressions
        The attributes; `at` and `where` set them.

    Attributes
    ----------
    dataset : Dataset
        The dataset.
    snapshots : tuple of str, optional
        Names of the snapshots, oldest first. None if none were chosen: the tables then have all of them, and analyses
        of a single snapshot take the newest.
    filters : mapping
        The values that each filtered column may have.
    expressions : tuple of cachestats.dataset.expressions.Alternatives
        Spec expressions that the specs must satisfy as well.

    Examples
    --------
    >>> import cachestats as cs
    >>> subset = cs.example_dataset().newest.where(package="hdf5", stack="e4s")
    >>> subset.specs.select("version").collect()["version"].value_counts(sort=True).rows()
    [('1.14.5', 5), ('1.8.23', 1)]
    """

    dataset: Dataset
    snapshots: tuple[str, ...] | None = None
    filters: Mapping[str, Wanted] = field(default_factory=dict)
    expressions: tuple[Alternatives, ...] = ()

    def __hash__(self) -> int:
        return hash((self.dataset.path, self.snapshots, tuple(self.filters.items()), self.expressions))

    def at(self, *names: str | Iterable[str]) -> Subset:
        """Return only these snapshots.

        Parameters
        ----------
        *names
            Names of snapshots, or lists of them. `newest` is `develop`, or the newest if there is no `develop`;
            `previous` is the one before it; `all` are all; `develop-2025-*` is a pattern; and a leading `!` leaves out
            what follows it. If a snapshot really has such a name, that snapshot is meant. `snapshots/NAME`, as some
            places spell dated snapshots, is `NAME`.

        Returns
        -------
        Subset
            These snapshots, with the same filters.

        Raises
        ------
        ArgumentError
            If a name or pattern stands for no snapshot, or none is left.

        Examples
        --------
        >>> import cachestats as cs
        >>> ds = cs.example_dataset()
        >>> ds.at("all").snapshots
        ('develop-2024-06-02', 'develop-2025-03-09')
        >>> ds.at("!newest").snapshots
        ('develop-2024-06-02',)
        """
        given = [_canonical(name) for one in names for name in ([one] if isinstance(one, str) else one)]
        if not given:
            raise ArgumentError("expected a snapshot, found none", hint="name one, or leave them out to take all")
        there = self.names
        words = dict(zip(SNAPSHOT_WORDS, (there[-1:], there[-2:-1], there), strict=True))
        found = matching(
            given, there, words=words, whole=there, refuse=partial(no_such_snapshot, self.dataset, there=there)
        )
        if not found:
            raise ArgumentError(
                f"expected a snapshot of {self.dataset.path}, found that all of the named ones are left out",
                hint=f"leave out fewer; there is {', '.join(there[-3:])}",
            )
        return replace(self, snapshots=tuple(name for name in there if name in found))

    def where(self, *, spec: str | Iterable[str] = (), **columns: Asked) -> Subset:
        """Return only the specs with these values, and those that satisfy spec expressions.

        Parameters
        ----------
        spec
            Spec expressions, such as `hdf5@1.14:+mpi %gcc`: several are alternatives, and those that begin with `not`
            leave specs out.
        **columns
            Columns of the table `specs` and the values that they may have: text, None for no value, or a list of these.
            `py-*` is a pattern, `none` the same as None, and a leading `!` leaves out what follows it. If a value is
            really spelled like this, that value is meant. `root`, the union of the stacks, is only meant by its name,
            not by a pattern.

        Returns
        -------
        Subset
            These specs of the same snapshots.

        Raises
        ------
        ExpressionError
            If a text is not a spec expression.
        ArgumentError
            If there is no such column; if no spec of the snapshots has one of the values, or matches one of the
            patterns; or if no spec has a package, variant, ... that an expression names.

        Examples
        --------
        >>> import cachestats as cs
        >>> newest = cs.example_dataset().newest
        >>> newest.where(package="lib*", target="!aarch64").num_specs
        5
        >>> newest.where(spec="hdf5@1.14: ^mpich@4").num_specs
        5
        >>> newest.where(target="zen4")
        Traceback (most recent call last):
            ...
        cachestats.errors.ArgumentError: expected a target of the specs in develop-2025-03-09, found 'zen4'
        hint: there is aarch64, x86_64_v3
        """
        return filtered((self,), columns, spec=spec)[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the snapshots, oldest first; all snapshots of the dataset if none were chosen."""
        return snapshot_names(self.dataset) if self.snapshots is None else self.snapshots

    @property
    def whole(self) -> Subset:
        """The same snapshots with all of their specs, without filters."""
        return replace(self, filters={}, expressions=())

    @property
    def is_whole(self) -> bool:
        """Whether it has all specs of its snapshots."""
        return not self.filters and not self.expressions

    @property
    def specs(self) -> pl.LazyFrame:
        """The rows of the table `specs` that pass the filters: one per (snapshot, stack, hash)."""
        import polars as pl

        frame = self.dataset.scan("specs", snapshots=self.snapshots)
        for column, wanted in self.filters.items():
            names = [one for one in wanted if one is not None]
            # Not `nulls_equal`: given a null, Polars panics on text that is stored without a dictionary.
            is_wanted = pl.col(column).is_in(names)
            frame = frame.filter(is_wanted if len(names) == len(wanted) else is_wanted | pl.col(column).is_null())
        if self.expressions:
            keys = replace(self, filters={}).encoded("snapshot", "hash").collect(engine="streaming")
            of_codes = self.dataset.names.of_codes("snapshot", keys["snapshot"], self.snapshots)
            snapshot = pl.col("snapshot").replace_strict(of_codes["code"], of_codes["name"], return_dtype=pl.String)
            frame = frame.join(keys.lazy().with_columns(snapshot), on=["snapshot", "hash"], how="semi")
        return frame

    @property
    def dependencies(self) -> pl.LazyFrame:
        """The table `dependencies` of the snapshots, in full: filters choose specs only."""
        return self.dataset.scan("dependencies", snapshots=self.snapshots)

    @property
    def variants(self) -> pl.LazyFrame:
        """The table `variants` of the snapshots, in full: filters choose specs only."""
        return self.dataset.scan("variants", snapshots=self.snapshots)

    @property
    def requirements(self) -> pl.LazyFrame:
        """The table `requirements` of the snapshots, in full: filters choose specs only."""
        return self.dataset.scan("requirements", snapshots=self.snapshots)

    def encoded(self, *columns: str) -> pl.LazyFrame:
        """Return columns of the table `encoded_specs`: one row per spec, names as codes (`dataset.names`).

        Parameters
        ----------
        *columns
            Names of the columns.

        Returns
        -------
        polars.LazyFrame
            The columns, for the specs that pass the filters.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.example_dataset().newest.where(package="hdf5").encoded("spec", "version").collect().height
        7
        """
        import polars as pl

        frame = self.dataset.scan("encoded_specs", snapshots=self.snapshots)
        for column, wanted in self.filters.items():
            if column == "hash":
                frame = frame.filter(pl.col("hash").is_in(list(wanted)))
            elif column == "stack":
                frame = frame.filter(pl.col("stacks").is_in(self._sets_with(wanted)))
            else:
                codes = [None if value is None else code_of(value) for value in wanted]
                frame = frame.filter(pl.col(column).is_in(codes, nulls_equal=True))
        for wanted_specs in self.expressions:
            found = self.dataset.satisfying(wanted_specs, self.names).rename({"hash": "spec"})
            # The filter lets Polars skip rows while it reads, which a join does not.
            frame = frame.filter(pl.col("spec").is_in(found["spec"].implode()))
            frame = frame.join(found.lazy(), on=["snapshot", "spec"], how="semi")
        return frame.select(*columns)

    @property
    def num_specs(self) -> int:
        """The number of specs; one that is in several snapshots counts in each."""
        import polars as pl

        return int(self.encoded("spec").select(pl.len()).collect(engine="streaming").item())

    def values(self, column: str) -> list[str]:
        """Return the values of a column of `specs` in the snapshots, sorted. Filters are ignored.

        Parameters
        ----------
        column
            The name of the column; one with text.

        Returns
        -------
        list of str
            The values, without nulls.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.example_dataset().newest.values("target")
        ['aarch64', 'x86_64_v3']
        """
        if column == "hash":
            frame = self.dataset.scan("encoded_specs", snapshots=self.snapshots).select("hash").unique()
            return sorted(frame.collect()["hash"])
        names = self.dataset.names
        if column == "stack":
            return sorted(names.stacks(self.snapshots)["stack"].drop_nulls().unique())
        return names.of(column, self.snapshots)["name"].to_list()

    def _sets_with(self, wanted: Wanted) -> list[int]:
        """Return the codes of the sets that hold one of these stacks; the empty set stands for None."""
        sets = self.dataset.names.stacks(self.snapshots)
        return sets.filter(sets["stack"].is_in(list(wanted), nulls_equal=True))["code"].unique().to_list()


def filtered(
    subsets: Sequence[Subset], columns: Mapping[str, Asked], *, spec: str | Iterable[str] = ()
) -> tuple[Subset, ...]:
    """Return subsets with the same filters, as in `Subset.where`; a value may be in any of them.

    Raises
    ------
    ArgumentError
        As `Subset.where`.
    """
    found = tuple(subsets)
    for column, given in columns.items():
        asked = (given,) if given is None or isinstance(given, str) else tuple(given)
        if column == "snapshot":
            found = tuple(one.at(*(name or "" for name in asked)) for one in found)
            continue
        if column not in FILTER_COLUMNS:
            near = nearest([column], FILTER_COLUMNS, 1)
            raise ArgumentError(
                f"expected a column with text to filter by, found {column!r}",
                hint=f"try {near[0]}" if near else f"choose {alternatives(FILTER_COLUMNS)}",
            )
        there = {name for one in found for name in one.values(column)}
        wanted = find_values(column, asked, there, scope=_scope(found))
        found = tuple(_with_filter(one, column, wanted) for one in found)
    return _satisfying(found, spec) if spec else found


def _satisfying(subsets: Sequence[Subset], spec: str | Iterable[str]) -> tuple[Subset, ...]:
    from cachestats.dataset.expressions import Alternatives, EncodedSource, check_names

    wanted = Alternatives.parse(spec)
    check_names([EncodedSource(one.dataset, one.names) for one in subsets], wanted)
    return tuple(replace(one, expressions=(*one.expressions, wanted)) for one in subsets)


def find_values(column: str, asked: Sequence[str | None], there: Iterable[str], *, scope: str) -> Wanted:
    """Return the values of a column that some texts stand for, sorted, None last.

    Parameters
    ----------
    column
        The column.
    asked
        The texts; without any, there are no values.
    there
        The values that the column has.
    scope
        Where the column has them, for the error.

    Raises
    ------
    ArgumentError
        If a text stands for none of the values.
    """
    names = sorted(there)
    # Not by a pattern: with the union, no other stack would be left out.
    others = [name for name in names if column != "stack" or name != UNION_STACK]
    words: dict[str, list[str | None]] = {name: [name] for name in names if name not in others}
    nothing: list[str | None] = [None] if column in _NULLABLE else []
    if nothing and _NOTHING not in names:
        words[_NOTHING] = nothing

    def refuse(value: str) -> ArgumentError:
        return ArgumentError(
            f"expected {'an' if column[0] in 'aeiou' else 'a'} {column} of the specs in {scope}, found {value!r}",
            hint=_advice(value, names),
        )

    if not asked:
        return ()
    found = matching(asked, others, words=words, whole=[*others, *nothing], refuse=refuse)
    return (*(name for name in names if name in found), *([None] if None in found else []))


def _canonical(text: str) -> str:
    """Return the name or pattern of a snapshot, which may be left out, in its one spelling."""
    sign = LEAVES_OUT if text.startswith(LEAVES_OUT) else ""
    return sign + canonical_snapshot(text.removeprefix(sign))


def _with_filter(subset: Subset, column: str, wanted: Wanted) -> Subset:
    before = subset.filters.get(column)
    both = wanted if before is None else tuple(value for value in wanted if value in before)
    return replace(subset, filters={**subset.filters, column: both})


def _scope(subsets: Sequence[Subset]) -> str:
    """Return the snapshots of subsets in words."""
    names = [name for one in subsets for name in one.names]
    return " and ".join(names) if len(names) == 1 or len(subsets) > 1 else counted(len(names), "snapshot")


def find_snapshot(dataset: Dataset, name: str) -> str:
    """Return the one snapshot that a name, a word or a pattern stands for, as in `Subset.at`.

    Raises
    ------
    ArgumentError
        If it stands for none, or for several.
    """
    found = Subset(dataset).at(name).snapshots or ()
    if len(found) > 1:
        more = f" and {counted(len(found) - 3, 'other')}" if len(found) > 3 else ""
        raise ArgumentError(
            f"expected one snapshot, found {len(found)} that {name!r} stands for: {', '.join(found[:3])}{more}",
            hint=f"name one, such as {found[-1]}",
        )
    return found[0]


def no_such_snapshot(dataset: Dataset, name: str, there: Sequence[str]) -> ArgumentError:
    """Return the error for a name that none of some snapshots of a dataset has."""
    near = nearest([name], there) or there[-3:]
    choice = "the only snapshot" if len(there) == 1 else f"one of the {counted(len(there), 'snapshot')}"
    return ArgumentError(
        f"expected {choice} of {dataset.path}, found {name!r}",
        hint=f"try {', '.join(near) or 'another dataset'}",
    )


def as_subset(specs: Dataset | Subset) -> Subset:
    """Return a dataset as the subset of all its specs, and a subset as it is."""
    return specs if isinstance(specs, Subset) else Subset(specs)


def snapshot_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of a dataset's snapshots, oldest first, `develop` last."""
    return tuple(sorted(dataset.manifest.snapshots, key=snapshot_order))


def _advice(value: str, there: list[str]) -> str:
    versions = [name for name in there if name.partition("@")[0] == value]
    if near := versions[-3:] or nearest([value.strip("*?")], there):
        return f"try {', '.join(near)}{f', or {value}@* for any version' if versions else ''}"
    more = f" and {counted(len(there) - 3, 'other')}" if len(there) > 3 else ""
    return f"there is {', '.join(there[:3]) or 'none'}{more}"
