"""Which specs satisfy a spec expression, as Spack's `satisfies` decides it.

Sources: `_satisfies` and its callees in Spack's lib/spack/spack/spec.py and variant.py. Spack 1.0 changed what the
sigils mean, so the specs of a snapshot are judged by the rules of the Spack that wrote them:

- Before 1.0, `%` names the compiler, and what follows it describes the package; `^` is any dependency below.
- Since 1.0, `%` is a direct dependency, and what follows it describes that; `^` is a direct dependency, or one that is
  reached by link and run dependencies alone (Spack's issue 51146). A spec that was first written before 1.0 counts
  its compiler as a direct build dependency that provides all languages, and of which only name and version are known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import polars as pl

from cachestats.dataset.levels import levels
from cachestats.errors import ArgumentError
from cachestats.expressions.syntax import ANY_VALUE, Dependency, Expression, Variant, split_flags
from cachestats.naming import split_variant, split_variants
from cachestats.requirement import External
from cachestats.spack_releases import FORMAT_OF_SPACK_1, canonical_compiler
from cachestats.targets import is_in_range

LANGUAGES = frozenset({"c", "cxx", "fortran"})
_QUOTED = r"['\"\\]"
_VALUE_OF_SIGN = {"+": "true", "~": "false"}
_Test = Callable[[pl.Series], pl.Series]
"""Which of some names will do."""
_Condition = tuple[str, _Test]
"""A column, and which names in it will do."""


class SpecTables(Protocol):
    """Specs and their dependencies as frames, with names as text or as codes."""

    @property
    def specs(self) -> pl.LazyFrame:
        """The columns of the table `specs`, a row for each spec or for each of its stacks."""

    @property
    def edges(self) -> pl.LazyFrame:
        """The columns of the table `dependencies`."""

    def key(self, name: str) -> Any:
        """Return a name as the columns have it."""

    def begins(self, column: str, prefix: str) -> pl.Expr:
        """Return whether a column of hashes can have one that begins with a prefix."""

    def named(self, column: str, keys: pl.Series) -> pl.DataFrame:
        """Return the names of some values of a column: the columns `code` and `name`."""

    @property
    def packages(self) -> set[str]:
        """The packages of the specs and of their dependencies."""

    @property
    def virtuals(self) -> set[str]:
        """The virtual packages that dependencies provide."""

    def values(self, column: str) -> list[str]:
        """Return the names in a column of the specs."""


def satisfying(tables: SpecTables, expression: Expression, *, is_spack_1: bool) -> pl.DataFrame:
    """Return the specs that satisfy an expression: the columns `snapshot` and `hash`.

    They must all be from one snapshot if the expression is about dependencies (`needs_dependencies`).

    Raises
    ------
    ArgumentError
        If the expression asks for something that the tables do not tell.
    """
    found = _Evaluation(tables, is_spack_1=is_spack_1).specs(expression)
    return found.select("snapshot", "hash").unique()


def needed_satisfying(tables: SpecTables, expression: Expression, *, is_spack_1: bool) -> pl.Series:
    """Return the hashes of dependencies, cached or not, that satisfy an expression; they are from one snapshot.

    Raises
    ------
    ArgumentError
        As `satisfying`.
    """
    return _Evaluation(tables, is_spack_1=is_spack_1).needed(expression)


def needs_dependencies(expression: Expression, *, is_spack_1: bool) -> bool:
    """Return whether the dependencies of a spec decide whether it satisfies an expression."""
    return any(variant.is_propagated for variant in expression.variants) or any(
        is_spack_1
        or not is_compiler(one)
        or needs_dependencies(one.expression, is_spack_1=is_spack_1)
        or (one.when is not None and needs_dependencies(one.when, is_spack_1=is_spack_1))
        for one in expression.dependencies
    )


def is_compiler(dependency: Dependency) -> bool:
    """Return whether a condition can mean the compiler, which Spack before 1.0 did not count among the dependencies."""
    return dependency.is_direct and not dependency.deptypes and LANGUAGES.issuperset(dependency.virtuals)


def is_name_and_version(expression: Expression) -> bool:
    """Return whether an expression asks for nothing else, which is all that is known of a compiler."""
    return replace(expression, name=None, versions=None) == Expression()


def _may_be_older_compiler(dependency: Dependency) -> bool:
    """Return whether the compiler of a spec from before Spack 1.0 may be a dependency since then."""
    return (
        is_name_and_version(dependency.expression)
        and LANGUAGES.issuperset(dependency.virtuals)
        and {"build"}.issuperset(dependency.deptypes)
    )


def _about_package(expression: Expression, *, is_spack_1: bool) -> list[Expression]:
    """Return an expression and, before Spack 1.0, what follows its compiler and describes the package."""
    compilers = [] if is_spack_1 else [one for one in expression.dependencies if is_compiler(one) and one.when is None]
    return [expression, *map(_described, compilers)]


def _described(compiler: Dependency) -> Expression:
    """Return what a condition on the compiler says of the package, before Spack 1.0."""
    return replace(compiler.expression, name=None, versions=None)


class _Evaluation:
    def __init__(self, tables: SpecTables, *, is_spack_1: bool) -> None:
        self._tables = tables
        self._is_spack_1 = is_spack_1

    def _is_virtual(self, name: str) -> bool:
        return name in self._tables.virtuals and name not in self._tables.packages

    def specs(self, expression: Expression, *, among: pl.Series | None = None) -> pl.DataFrame:
        """Return the specs that satisfy an expression; with `among`, only those with these hashes."""
        found = self._nodes(expression, among)
        for dependency in expression.dependencies:
            if found.is_empty():
                return found
            has_it = self._depends(found, dependency)
            if dependency.when is not None:
                if is_compiler(dependency) and not self._is_spack_1:
                    described = self.specs(_described(dependency), among=found["hash"])
                    has_it &= pl.col("hash").is_in(described["hash"].implode())
                applies = self.specs(dependency.when, among=found["hash"])
                has_it |= ~pl.col("hash").is_in(applies["hash"].implode())
            found = found.filter(has_it)
        parts = _about_package(expression, is_spack_1=self._is_spack_1)
        for variant in (variant for part in parts for variant in part.variants):
            if variant.is_propagated:
                found = found.filter(~pl.col("hash").is_in(self._contradicting(variant).implode()))
        return found

    def needed(self, expression: Expression) -> pl.Series:
        """Return the dependencies that satisfy an expression; of those that are not cached, little is known."""
        return self._edges_to(Dependency(expression, is_direct=False))["dependency_hash"].unique()

    def _nodes(self, expression: Expression, among: pl.Series | None) -> pl.DataFrame:
        """Return the specs that fulfil the conditions on the node itself."""
        parts = _about_package(expression, is_spack_1=self._is_spack_1)
        conditions = [condition for part in parts for condition in _conditions(part)]
        prefixes = [part.hash_prefix for part in parts if part.hash_prefix is not None]
        specs = self._tables.specs
        if among is not None:
            specs = specs.filter(pl.col("hash").is_in(among.implode()))
        if expression.name is not None:
            specs = specs.filter(self._is_named(expression))
        specs = specs.filter(*(self._tables.begins("hash", prefix) for prefix in prefixes))
        conditions += [("hash", _begins_with(prefix)) for prefix in prefixes]
        # Specs have many more variants than other names, which are read only of those that fulfil the other conditions.
        conditions.sort(key=lambda condition: condition[0] == "variants")
        columns = dict.fromkeys(["snapshot", "hash", "compiler", "spec_format", *(column for column, _ in conditions)])
        found: pl.DataFrame = specs.select(*columns).collect(engine="streaming")
        for column, test in conditions:
            if found.height and found[column].null_count() == found.height:
                raise ArgumentError(
                    f"expected the {column} of the specs for {expression}, found none: pages do not list them",
                    hint="build the dataset from the indices of the build cache, or leave the condition out",
                )
            found = found.filter(self._fulfils(found, column, test))
        return found

    def _is_named(self, expression: Expression) -> pl.Expr:
        name = str(expression.name)
        if not self._is_virtual(name):
            return pl.col("package").eq(self._tables.key(name))
        _check_virtual(expression)
        edges = self._tables.edges.select("dependency_package", "virtuals").unique().collect()
        providing = edges.filter(self._fulfils(edges, "virtuals", _provides({name})))
        return pl.col("package").is_in(providing["dependency_package"].unique().implode())

    def _fulfils(self, frame: pl.DataFrame, column: str, test: _Test) -> pl.Expr:
        """Return whether the name in a column will do; null never does."""
        keys = frame[column].unique().drop_nulls()
        names = self._tables.named(column, keys)
        names = names.filter(names["code"].is_in(keys.implode()))
        return pl.col(column).is_in(names["code"].filter(test(names["name"])).implode())

    def _depends(self, found: pl.DataFrame, dependency: Dependency) -> pl.Expr:
        """Return whether specs have a dependency."""
        if not self._is_spack_1 and is_compiler(dependency):
            return self._fulfils(found, "compiler", _each(_is_compiler_of(dependency.expression)))
        has_dependency = pl.col("hash").is_in(self._dependents(dependency, found["hash"]).implode())
        if not self._is_spack_1 or not _may_be_older_compiler(dependency):
            return has_dependency
        expression = dependency.expression
        if expression.name in LANGUAGES and expression.versions is None:
            expression = Expression()  # a compiler provides all of them
        has_compiler = self._fulfils(found, "compiler", _each(_is_compiler_of(expression)))
        is_older = pl.col("spec_format").is_null() | (pl.col("spec_format") < FORMAT_OF_SPACK_1)
        return is_older & has_compiler | has_dependency

    def _dependents(self, dependency: Dependency, among: pl.Series) -> pl.Series:
        """Return the specs that have a dependency, directly or, with `^`, at all; those `among` some at least."""
        edges = self._edges_to(dependency, among if dependency.is_direct else None)
        direct = edges["hash"].unique()
        if dependency.is_direct:
            return direct
        return pl.concat([direct, _and_above(edges.filter("passes")["hash"].unique(), self._passing_links)])

    def _edges_to(self, dependency: Dependency, among: pl.Series | None = None) -> pl.DataFrame:
        """Return the edges to what a condition describes: `hash`, and whether `^` sees through them, `passes`.

        With `among`, only the edges from these specs, which are read in a fraction of the time.
        """
        expression, virtuals = dependency.expression, {*dependency.virtuals}
        edges = self._tables.edges
        if among is not None:
            edges = edges.filter(pl.col("hash").is_in(among.implode()))
        if expression.name is None:
            pass
        elif self._is_virtual(expression.name):
            _check_virtual(expression)
            virtuals.add(expression.name)
        elif not dependency.is_direct:
            edges = edges.filter(pl.col("dependency_package") == self._tables.key(expression.name))
        elif expression.name not in virtuals:
            compiler = canonical_compiler(expression.name)[1]  # a package may be called by the name of its compiler
            named = [name for name in self._tables.packages if canonical_compiler(name)[1] == compiler]
            edges = edges.filter(pl.col("dependency_package").is_in([self._tables.key(name) for name in named]))
        if dependency.deptypes:
            edges = edges.filter(pl.all_horizontal(*(f"is_{deptype}" for deptype in dependency.deptypes)))
        columns = ["hash", "dependency_package", "dependency_hash", "dependency_version", "virtuals", "external"]
        found = edges.select(*columns, passes=self._passes()).collect(engine="streaming")
        if virtuals:
            found = found.filter(self._fulfils(found, "virtuals", _provides(virtuals)))
        return found.filter(self._lead_to(found, replace(expression, name=None)))

    def _lead_to(self, edges: pl.DataFrame, expression: Expression) -> pl.Expr:
        """Return whether edges lead to what satisfies an expression, whatever its name.

        Of what is not in the cache, only its version and hash are known and, if it is an external, its variants.
        """
        leads: pl.Expr = pl.lit(True)
        if expression.versions is not None:
            leads &= self._fulfils(edges, "dependency_version", _each(expression.versions.includes))
        if expression.hash_prefix is not None:
            begins = edges.filter(self._tables.begins("dependency_hash", expression.hash_prefix))
            leads &= self._fulfils(begins, "dependency_hash", _begins_with(expression.hash_prefix))
        rest = replace(expression, versions=None, hash_prefix=None)
        if rest == Expression():
            return leads
        satisfying = self.specs(rest, among=edges["dependency_hash"].unique())
        is_satisfying = pl.col("dependency_hash").is_in(satisfying["hash"].implode())
        if replace(rest, variants=()) == Expression():
            has_variants = _each(lambda text: _has(External.parse(text).variants, rest.variants))
            is_satisfying |= self._fulfils(edges, "external", has_variants)
        return leads & is_satisfying

    def _contradicting(self, variant: Variant) -> pl.Series:
        """Return the specs in whose graph something has a variant with other values."""
        specs = self._tables.specs.select("hash", "variants").collect(engine="streaming")
        contradict = _each(lambda text: not _has(split_variants(text), [variant]))
        wrong = specs.filter(self._fulfils(specs, "variants", contradict))
        edges = self._tables.edges.select("hash", "external").drop_nulls().collect(engine="streaming")
        is_wrong = _each(lambda text: not _has(External.parse(text).variants, [variant]))
        to_wrong = edges.filter(self._fulfils(edges, "external", is_wrong))
        return _and_above(pl.concat([wrong["hash"], to_wrong["hash"]]).unique(), self._links)

    def _passes(self) -> pl.Expr:
        """Return whether `^` sees what is below an edge."""
        return pl.col("is_link") | pl.col("is_run") if self._is_spack_1 else pl.lit(True)

    @cached_property
    def _links(self) -> pl.DataFrame:
        return self._tables.edges.select("hash", "dependency_hash").collect(engine="streaming")

    @cached_property
    def _passing_links(self) -> pl.DataFrame:
        links = self._tables.edges.filter(self._passes()).select("hash", "dependency_hash")
        return links.collect(engine="streaming")


def _and_above(start: pl.Series, links: pl.DataFrame) -> pl.Series:
    """Return some specs and all that lead to them by some links."""
    return pl.concat([start, *(level["hash"] for level in levels(start, links))]).unique()


def _check_virtual(expression: Expression) -> None:
    """Raise if versions of a virtual package are asked for."""
    if expression.versions is not None:
        raise ArgumentError(
            f"expected the virtual package {expression.name} without versions, found @{expression.versions}",
            hint="caches do not record versions of virtual packages; name a package that provides it instead",
        )


def _conditions(expression: Expression) -> list[_Condition]:
    """Return the conditions on columns of `specs`, but for the package and the hash."""
    conditions: list[_Condition] = []
    if expression.versions is not None:
        conditions.append(("version", _each(expression.versions.includes)))
    if expression.namespace is not None:
        conditions.append(("namespace", _each(expression.namespace.__eq__)))
    keys = {"platform": expression.platform, "os": expression.os}
    conditions += [(column, _each(_is_value(wanted))) for column, wanted in keys.items() if wanted is not None]
    if expression.targets:
        is_wanted = _each(lambda target: any(is_in_range(target, one) for one in expression.targets))
        conditions.append(("target", is_wanted))
    variants = [variant for variant in expression.variants if not variant.is_propagated]
    if variants:
        conditions.append(("variants", lambda texts: _have_variants(texts, variants)))
    if expression.flags:
        wanted_flags = {one.name: {*one.flags} for one in expression.flags}
        conditions.append(("flags", _each(lambda text: _has_flags(text, wanted_flags))))
    return conditions


def _each(condition: Callable[[str], bool]) -> _Test:
    """Return the test that asks about one name after another."""
    return lambda names: pl.Series([condition(name) for name in names], dtype=pl.Boolean)


def _is_value(wanted: str) -> Callable[[str], bool]:
    return lambda value: wanted in (value, ANY_VALUE)


def _begins_with(prefix: str) -> _Test:
    return lambda names: names.str.starts_with(prefix)


def _provides(virtuals: set[str]) -> _Test:
    return _each(lambda text: virtuals.issubset(text.split(",")))


def variant_values(texts: pl.Series, name: str) -> pl.Series:
    """Return the value of a variant in some values of the column `variants`; null where it is missing.

    A cache may have hundreds of thousands of them, so that they are not split one by one unless they are quoted.

    Examples
    --------
    >>> import polars as pl
    >>> from cachestats.dataset.satisfying import variant_values
    >>> variant_values(pl.Series(["~mpi api=v18", "+shared"]), "mpi").to_list()
    ['false', None]
    """
    pattern = rf"(?:^| )(?:(?<sign>[+~]){re.escape(name)}|{re.escape(name)}=(?<value>[^ ]*))(?: |$)"
    parts = texts.str.extract_groups(pattern).struct.unnest()
    sign = parts["sign"].replace_strict(_VALUE_OF_SIGN, default=None, return_dtype=pl.String)
    values = sign.zip_with(sign.is_not_null(), parts["value"])
    is_quoted = texts.str.contains(_QUOTED)
    if not is_quoted.any():
        return values
    split = [
        dict(map(split_variant, split_variants(text))) if quoted else {}
        for text, quoted in zip(texts, is_quoted, strict=True)
    ]
    others = pl.Series([",".join(found[name]) if name in found else None for found in split], dtype=pl.String)
    return others.zip_with(is_quoted, values)


def _have_variants(texts: pl.Series, wanted: Sequence[Variant]) -> pl.Series:
    """Return which values of the column `variants` fulfil all of some conditions."""
    fulfils = pl.repeat(True, len(texts), eager=True)
    for variant in wanted:
        values = variant_values(texts, variant.name)
        kept = [text for text in values.drop_nulls().unique() if variant.includes(frozenset(text.split(",")))]
        fulfils &= values.is_in(kept)
    return fulfils


def _has(variants: Iterable[str], wanted: Iterable[Variant]) -> bool:
    """Return whether canonical variants fulfil all of some conditions; what is propagated need not be there."""
    values = {name: frozenset(found) for name, found in map(split_variant, variants)}
    return all(
        variant.includes(values[variant.name]) if variant.name in values else variant.is_propagated
        for variant in wanted
    )


def _has_flags(text: str, wanted: dict[str, set[str]]) -> bool:
    """Return whether a value of the column `flags` has certain flags."""
    found = {name: {*split_flags(value)} for name, _, value in (part.partition("=") for part in shlex.split(text))}
    return all(flags <= found.get(name, set()) for name, flags in wanted.items())


def _is_compiler_of(expression: Expression) -> Callable[[str], bool]:
    wanted = canonical_compiler(expression.name)[1]

    def fulfils(compiler: str) -> bool:
        name, _, version = compiler.partition("@")
        is_named = expression.name is None or name == wanted
        return is_named and (expression.versions is None or expression.versions.includes(version))

    return fulfils
