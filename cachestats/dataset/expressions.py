"""Spec expressions asked of a dataset: which of its specs satisfy them, and which names in them it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, Protocol

import polars as pl

from cachestats.codes import BASE32, HASH_LENGTH, code_of, code_of_hash
from cachestats.dataset.satisfying import (
    LANGUAGES,
    SpecTables,
    is_compiler,
    is_name_and_version,
    needed_satisfying,
    needs_dependencies,
    satisfying,
)
from cachestats.errors import ArgumentError
from cachestats.expressions.parse import parse_expressions
from cachestats.expressions.syntax import ANY_VALUE, Expression, Variant
from cachestats.naming import NOT, variant_names
from cachestats.spack_releases import RULES, canonical_compiler
from cachestats.targets import is_in_range, known_targets
from cachestats.text import counted, nearest

if TYPE_CHECKING:
    from cachestats.dataset.dataset import Dataset


@dataclass(frozen=True)
class Alternatives:
    """Spec expressions of which a spec must satisfy one, and others of which it must satisfy none.

    Examples
    --------
    >>> from cachestats.dataset.expressions import Alternatives
    >>> wanted = Alternatives.parse(["hdf5+mpi", "not os=ubuntu20.04"])
    >>> [*map(str, wanted.included)], [*map(str, wanted.excluded)]
    (['hdf5+mpi'], ['os=ubuntu20.04'])
    """

    included: tuple[Expression, ...] = ()
    """Alternatives; if there are none, all specs are included."""
    excluded: tuple[Expression, ...] = ()

    @classmethod
    def parse(cls, texts: str | Iterable[str]) -> Alternatives:
        """Return what texts ask for: each has one or more spec expressions, or begins with `not `.

        Raises
        ------
        ExpressionError
            If one of them is not a spec expression.
        """
        included: list[Expression] = []
        excluded: list[Expression] = []
        for text in [texts] if isinstance(texts, str) else texts:
            if not isinstance(text, str):
                raise ArgumentError(f"expected a spec as text, found {text!r}", hint="such as 'hdf5@1.14:+mpi'")
            body = text.lstrip()
            found = parse_expressions(body.removeprefix(NOT))
            if not found:
                raise ArgumentError(f"expected a spec, found {text!r}", hint="such as 'hdf5@1.14:+mpi'")
            (excluded if body.startswith(NOT) else included).extend(found)
        return cls(tuple(included), tuple(excluded))

    def __str__(self) -> str:
        return " or ".join(map(str, self.included)) + "".join(f" not {one}" for one in self.excluded)


class EncodedTables:
    """The specs of a dataset and their dependencies, with codes in place of names."""

    def __init__(self, dataset: Dataset, snapshots: tuple[str, ...]) -> None:
        self._dataset = dataset
        self._snapshots = snapshots

    @property
    def specs(self) -> pl.LazyFrame:
        """One row per spec."""
        return self._dataset.scan("encoded_specs", snapshots=self._snapshots).drop("hash").rename({"spec": "hash"})

    @property
    def edges(self) -> pl.LazyFrame:
        """One row per dependency."""
        edges = self._dataset.scan("encoded_dependencies", snapshots=self._snapshots if self._has_edges else ())
        return edges.rename({"spec": "hash", "dependency": "dependency_hash"})

    def key(self, name: str) -> int:
        """Return the code of a name."""
        return code_of(name)

    def begins(self, column: str, prefix: str) -> pl.Expr:
        """Return whether a hash can begin with a prefix: its first 64 bits do."""
        if len(prefix) > HASH_LENGTH or not {*prefix} <= {*BASE32}:
            return pl.lit(False)
        low, high = (code_of_hash(prefix.ljust(HASH_LENGTH, character)) for character in (BASE32[0], BASE32[-1]))
        return pl.col(column).is_between(low, high)

    def named(self, column: str, keys: pl.Series) -> pl.DataFrame:
        """Return the names of some codes."""
        names = self._dataset.names
        if column in {"hash", "dependency_hash"}:
            return names.of_hashes(keys, self._snapshots)
        return names.of_codes(column, keys, self._snapshots)

    @cached_property
    def packages(self) -> set[str]:
        """The packages of the specs and of their dependencies."""
        columns = ("package", "dependency_package") if self._has_edges else ("package",)
        return {name for column in columns for name in self._dataset.names.of(column, self._snapshots)["name"]}

    @cached_property
    def virtuals(self) -> set[str]:
        """The virtual packages that dependencies provide."""
        if not self._has_edges:
            return set()
        return {one for text in self._dataset.names.of("virtuals", self._snapshots)["name"] for one in text.split(",")}

    @cached_property
    def _has_edges(self) -> bool:
        """Whether there is any dependency in these snapshots."""
        snapshots = self._dataset.manifest.snapshots
        return any(snapshots[name].rows["dependencies"] for name in self._snapshots)

    def values(self, column: str) -> list[str]:
        """Return the names in a column."""
        return self._dataset.names.of(column, self._snapshots)["name"].to_list()


class SpecSource(Protocol):
    """Where specs come from: a dataset, or frames."""

    @property
    def snapshots(self) -> list[SnapshotFacts]:
        """The snapshots to look at."""

    def tables(self, snapshots: tuple[str, ...]) -> SpecTables:
        """Return the tables of some snapshots."""


class SnapshotFacts(NamedTuple):
    """What decides how expressions are read in a snapshot."""

    name: str
    is_spack_1: bool
    """Whether it goes by the rules of Spack since 1.0."""
    has_dependencies: bool


class EncodedSource:
    """Some snapshots of a dataset."""

    def __init__(self, dataset: Dataset, snapshots: tuple[str, ...]) -> None:
        self._dataset = dataset
        self._names = snapshots

    @cached_property
    def snapshots(self) -> list[SnapshotFacts]:
        """The snapshots to look at."""
        facts = self._dataset.snapshots.select("snapshot", "reuse_rules", "has_dependencies").collect()
        return [
            SnapshotFacts(name, rules == RULES[-1], has_dependencies)
            for name, rules, has_dependencies in facts.iter_rows()
            if name in self._names
        ]

    def tables(self, snapshots: tuple[str, ...]) -> SpecTables:
        """Return the tables of some snapshots."""
        return EncodedTables(self._dataset, snapshots)


def specs_satisfying(source: SpecSource, wanted: Alternatives) -> pl.DataFrame:
    """Return the specs that satisfy one of some alternatives: the columns `snapshot` and `hash`.

    Of snapshots whose dependencies are not known, no spec satisfies an expression about dependencies.

    Raises
    ------
    ArgumentError
        If an expression is about dependencies, and those of all the snapshots are unknown.
    """
    if wanted.included:
        found = pl.concat([_satisfying(source, expression) for expression in wanted.included]).unique()
    else:
        specs = _all_tables(source).specs
        found = specs.select("snapshot", "hash").unique().collect(engine="streaming")
    for expression in wanted.excluded:
        found = found.join(_satisfying(source, expression), on=["snapshot", "hash"], how="anti")
    return found


def nodes_satisfying(source: SpecSource, wanted: Alternatives) -> pl.Series:
    """Return the hashes of the specs that satisfy one of some alternatives, and of dependencies that are not cached.

    The dependencies of all snapshots must be known.

    Raises
    ------
    ArgumentError
        If an expression asks for something that the tables do not tell.
    """
    found = pl.concat([_nodes(source, expression) for expression in wanted.included or (Expression(),)]).unique()
    for expression in wanted.excluded:
        found = found.filter(~found.is_in(_nodes(source, expression).implode()))
    return found


def _nodes(source: SpecSource, expression: Expression) -> pl.Series:
    parts = []
    for name, is_spack_1, _ in source.snapshots:
        tables = source.tables((name,))
        parts.append(satisfying(tables, expression, is_spack_1=is_spack_1)["hash"])
        parts.append(needed_satisfying(tables, expression, is_spack_1=is_spack_1))
    return pl.concat(parts)


def _all_tables(source: SpecSource) -> SpecTables:
    return source.tables(tuple(one.name for one in source.snapshots))


def _satisfying(source: SpecSource, expression: Expression) -> pl.DataFrame:
    every = _all_tables(source)
    if not expression.dependencies and not needs_dependencies(expression, is_spack_1=True):
        return satisfying(every, expression, is_spack_1=True)  # it means the same by all rules
    parts = [every.specs.select("snapshot", "hash").clear().collect()]
    unknown: list[str] = []
    for is_spack_1, has_dependencies in product((False, True), repeat=2):
        names = tuple(one.name for one in source.snapshots if one[1:] == (is_spack_1, has_dependencies))
        is_about_edges = needs_dependencies(expression, is_spack_1=is_spack_1)
        if is_about_edges and not has_dependencies and not _is_told_by_pages(expression):
            unknown += names
            continue
        one_by_one = is_about_edges and has_dependencies
        parts.extend(
            satisfying(source.tables(some), expression, is_spack_1=is_spack_1)
            for some in ([(name,) for name in names] if one_by_one else [names] * bool(names))
        )
    if unknown and len(unknown) == len(source.snapshots):
        named = f"{', '.join(unknown[:3])}{f' and {len(unknown) - 3:,} more' if len(unknown) > 3 else ''}"
        raise ArgumentError(
            f"expected dependencies for {expression}, found none in {named}: pages do not list them, only indices do",
            hint="build the dataset from the indices of the build cache, or leave the condition out",
        )
    return pl.concat(parts)


def _is_told_by_pages(expression: Expression) -> bool:
    """Return whether only names and versions of compilers are asked for, which pages have."""
    return not any(variant.is_propagated for variant in expression.variants) and all(
        is_compiler(one) and is_name_and_version(one.expression) and (one.when is None or _is_told_by_pages(one.when))
        for one in expression.dependencies
    )


def check_names(sources: Sequence[SpecSource], wanted: Alternatives) -> None:
    """Raise if an expression names something that no spec of any source has.

    Raises
    ------
    ArgumentError
        If it does; the hint has the nearest names.
    """
    for expression in (*wanted.included, *wanted.excluded):
        faults = [fault for fault in (_fault(source, expression) for source in sources) if fault is not None]
        if faults and len(faults) == len(sources):
            raise faults[0]


def _fault(source: SpecSource, expression: Expression) -> ArgumentError | None:
    """Return the error that an expression names something that no spec of a source has, if it does."""
    if not any(one.has_dependencies for one in source.snapshots):
        # What is below the specs has no names to compare with.
        compilers = tuple(filter(is_compiler, expression.dependencies))
        expression = replace(expression, dependencies=compilers)
    try:
        among = source.snapshots[0].name if len(source.snapshots) == 1 else counted(len(source.snapshots), "snapshot")
        _check_expression(_all_tables(source), expression, among)
    except ArgumentError as error:
        return error
    return None


def _check_expression(tables: SpecTables, expression: Expression, among: str) -> None:
    for dependency in expression.dependencies:
        inner = dependency.expression
        if is_compiler(dependency) and inner.name is not None:
            compilers = {*tables.values("compiler_name")}
            if canonical_compiler(inner.name)[1] not in compilers:
                there = compilers | tables.packages | tables.virtuals
                kind = "a compiler or direct dependency" if tables.virtuals else "a compiler (others are unknown)"
                _check(inner.name, there, f"{kind} of the specs in {among}")
            inner = replace(inner, name=None)
        for virtual in sorted({*dependency.virtuals} - LANGUAGES):  # before Spack 1.0, languages were no virtuals
            _check(virtual, tables.virtuals, f"a virtual package that a spec in {among} depends on")
        _check_expression(tables, inner, among)
        if dependency.when is not None:
            _check_expression(tables, dependency.when, among)
    _check_node(tables, expression, among)


def _check_node(tables: SpecTables, expression: Expression, among: str) -> None:
    prefix = expression.hash_prefix or ""
    if not {*prefix} <= {*BASE32} or len(prefix) > HASH_LENGTH:
        raise ArgumentError(
            f"expected the first characters of a hash, found /{prefix}",
            hint=f"a hash has {HASH_LENGTH} characters, which are small letters and the digits 2 to 7",
        )
    if expression.name is not None and expression.name not in tables.values("package"):
        there = tables.packages | tables.virtuals
        _check(expression.name, there, f"a package or virtual package of the specs in {among}")
    for column, name in (("namespace", expression.namespace), ("platform", expression.platform), ("os", expression.os)):
        if name is not None:
            _check(name, tables.values(column), f"a value of {column} of the specs in {among}")
    _check_targets(tables, expression.targets)
    if expression.name is not None and expression.variants:
        _check_variants(tables, expression.name, expression.variants, among)


def _check_targets(tables: SpecTables, targets: Iterable[str]) -> None:
    for target in sorted({end for one in targets for end in one.split(":") if end}):
        _check(target, known_targets() | {*tables.values("target")}, "a target that archspec or the dataset knows")
    for low, high in (one.split(":") for one in targets if one.count(":") == 1):
        if low and high and low != high and is_in_range(low, f"{high}:"):
            raise ArgumentError(
                f"expected a range of targets from an ancestor to one that runs its binaries, found {low}:{high}",
                hint=f"try target={high}:{low}",
            )


def _check_variants(tables: SpecTables, package: str, variants: Iterable[Variant], among: str) -> None:
    is_named = pl.col("package").eq(tables.key(package))
    codes = tables.specs.filter(is_named).select("variants").unique().collect()["variants"]
    texts = tables.named("variants", codes)["name"]
    there = variant_names(texts)
    for variant in variants if len(codes) else ():
        _check(variant.name, there, f"a variant of {package} in {among}")


def _check(name: str | None, there: Iterable[str], what: str) -> None:
    if name is None or name == ANY_VALUE or name in there:
        return
    known = sorted(there)
    near = nearest([name], known)
    few = f"there is {', '.join(known[:5])}{f' and {len(known) - 5:,} more' if len(known) > 5 else ''}"
    raise ArgumentError(
        f"expected {what}, found {name!r}", hint=f"try {', '.join(near)}" if near else few if known else None
    )
