"""Lists of specs as environments have them: references to named lists, and matrices, whose products are joined.

Source: `SpecList` and `SpecListParser` in Spack's lib/spack/spack/environment/list.py, and `Spec.constrain`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

from cachestats.errors import ArgumentError
from cachestats.expressions.parse import parse_expression
from cachestats.expressions.syntax import Dependency, Expression, Flags, Variant
from cachestats.targets import is_in_range
from cachestats.yaml_file import shown

MAX_SPECS = 10_000
"""A list with more specs is refused: a few lines of YAML could ask for any number."""

_MAX_STEPS = 100_000
_MAX_DEPTH = 10
_MATRIX, _EXCLUDE = "matrix", "exclude"
_SIGILS = ("^", "%")


class ListedSpec(NamedTuple):
    """A spec of a list: the constraints that are to be joined, as texts, and where the list has it."""

    constraints: tuple[str, ...]
    location: str

    def expression(self) -> Expression:
        """Return all constraints as one expression.

        Raises
        ------
        ArgumentError
            If one is not a spec, or they exclude one another.
        """
        joined, *others = map(_parsed, self.constraints)
        for other in others:
            joined = constrain(joined, other)
        return joined


class SpecLists:
    """Expands lists of specs, and notes what only Spack can expand.

    Attributes
    ----------
    notes : list of str
        What was not expanded, and where it is.
    faults : list of str
        What is wrong with the lists, and where it is.

    Examples
    --------
    >>> from cachestats.spec_lists import SpecLists
    >>> lists = SpecLists()
    >>> lists.define([{"mpis": ["mpich", "openmpi"]}], "definitions")
    >>> matrix = {"matrix": [["hdf5+mpi", "zlib"], ["$^mpis"]], "exclude": ["zlib"]}
    >>> [str(one.expression()) for one in lists.expand(["cmake", matrix], "specs")]
    ['cmake', 'hdf5+mpi ^mpich', 'hdf5+mpi ^openmpi']
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.faults: list[str] = []
        self._named: dict[str, list[ListedSpec]] = {}
        self._num_steps = 0

    def define(self, definitions: Any, location: str) -> None:
        """Add named lists; a list may refer to those before it, and its name may have several parts.

        Raises
        ------
        ArgumentError
            If they have too many specs.
        """
        parts: dict[str, list[tuple[Any, str]]] = {}
        for number, definition in enumerate(self._list(definitions, location)):
            at = f"{location}[{number}]"
            if not isinstance(definition, dict):
                self.faults.append(f"expected a name and a list of specs, found {shown(definition)}: {at}")
                continue
            for name, items in definition.items():
                if name == "when":
                    continue
                known = parts.setdefault(str(name), [])
                if "when" in definition:
                    self.notes.append(f"{at}.{name} is left out: only Spack can decide its condition 'when'")
                else:
                    known.append((items, f"{at}.{name}"))
        for name, several in parts.items():
            self._named[name] = [spec for items, at in several for spec in self.expand(items, at)]

    def expand(self, items: Any, location: str, *, depth: int = 0) -> list[ListedSpec]:
        """Return the specs of a list, in order.

        Raises
        ------
        ArgumentError
            If it has too many specs.
        """
        found: list[ListedSpec] = []
        for number, item in enumerate(self._list(items, location)):
            at = f"{location}[{number}]"
            self._count(1)
            if isinstance(item, str) and item.startswith("$"):
                found += self._referred(item, at)
            elif isinstance(item, str):
                found.append(ListedSpec((item,), at))
            elif isinstance(item, dict) and _MATRIX in item:
                found += self._combinations(item, at, depth)
            elif isinstance(item, dict) and len(item) == 1 and None in item.values():
                self.faults.append(f"expected a spec, found {shown(item)}, as YAML reads what ends with a colon: {at}")
            elif isinstance(item, dict):
                self.notes.append(f"{at} is left out: expected a spec or a matrix, found {shown([*item])}")
            else:
                self.faults.append(f"expected a spec, found {shown(item)}: {at}")
        if len(found) > MAX_SPECS:
            raise ArgumentError(f"expected at most {MAX_SPECS:,} specs, found more: {location}")
        return found

    def _list(self, items: Any, location: str) -> list[Any]:
        if isinstance(items, list | None):
            return items or []
        self.faults.append(f"expected a list, found {shown(items)}: {location}")
        return []

    def _count(self, steps: int) -> None:
        self._num_steps += steps
        if self._num_steps > _MAX_STEPS:
            raise ArgumentError(
                f"expected at most {MAX_SPECS:,} specs, found far more in lists, references or matrices"
            )

    def _referred(self, reference: str, location: str) -> list[ListedSpec]:
        """Return the specs of the list that `$name`, `$^name` or `$%name` refers to."""
        name = reference.removeprefix("$")
        sigil = name[0] if name.startswith(_SIGILS) else ""
        name = name.removeprefix(sigil)
        if name not in self._named:
            self.notes.append(f"{location} is left out: no definition before it is called {name!r}")
            return []
        self._count(len(self._named[name]))
        return [
            ListedSpec((f"{sigil}{first}", *others), location if sigil else at)
            for (first, *others), at in self._named[name]
        ]

    def _combinations(self, matrix: dict[Any, Any], location: str, depth: int) -> list[ListedSpec]:
        """Return every combination of a matrix that none of its exclusions excludes."""
        if depth == _MAX_DEPTH:
            raise ArgumentError(f"expected at most {_MAX_DEPTH} matrices inside one another, found more: {location}")
        if unknown := [key for key in matrix if key not in (_MATRIX, _EXCLUDE)]:
            self.notes.append(f"{location}: {shown(unknown)} is left out")
        rows = [
            [" ".join(one.constraints) for one in self.expand(row, f"{location}.{_MATRIX}[{number}]", depth=depth + 1)]
            for number, row in enumerate(self._list(matrix[_MATRIX], f"{location}.{_MATRIX}"))
        ]
        self._count(prod(map(len, rows)))
        excluded = self.expand(matrix.get(_EXCLUDE), f"{location}.{_EXCLUDE}", depth=depth + 1)
        try:
            exclusions = [one.expression() for one in excluded]
            combinations = [ListedSpec(row, location) for row in product(*rows)] if rows else []
            return [one for one in combinations if not _is_excluded(one.expression(), exclusions)]
        except ArgumentError as error:
            self.faults.append(f"{error.message}: {location}")
            return []


@lru_cache(MAX_SPECS)
def _parsed(text: str) -> Expression:
    return parse_expression(text)


def _is_excluded(one: Expression, exclusions: Iterable[Expression]) -> bool:
    return any(implies(one, exclusion) for exclusion in exclusions)


def constrain(one: Expression, other: Expression) -> Expression:
    """Return the expression that asks for all that two expressions ask for.

    Raises
    ------
    ArgumentError
        If no spec can fulfil both.

    Examples
    --------
    >>> from cachestats.expressions.parse import parse_expression
    >>> from cachestats.spec_lists import constrain
    >>> one, other = map(parse_expression, ("hdf5@1.8: %gcc@12", "@:1.14 +mpi target=zen4"))
    >>> str(constrain(one, other))
    'hdf5@1.8:1.14+mpi target=zen4 %gcc@12'
    """
    versions = one.versions or other.versions
    if one.versions is not None and other.versions is not None:
        versions = one.versions.intersection(other.versions)
        if versions is None:
            raise _conflict(one, other, f"@{one.versions} and @{other.versions}")
    dependencies = dict.fromkeys([*one.dependencies, *other.dependencies])
    return Expression(
        name=_single(one, other, "name"),
        namespace=_single(one, other, "namespace"),
        versions=versions,
        variants=_all_variants(one, other),
        flags=_all_flags(one, other),
        platform=_single(one, other, "platform"),
        os=_single(one, other, "os"),
        targets=_common_targets(one, other),
        hash_prefix=_single(one, other, "hash_prefix"),
        dependencies=tuple(sorted(dependencies, key=lambda dependency: not dependency.is_direct)),
    )


def _conflict(one: Expression, other: Expression, what: str) -> ArgumentError:
    return ArgumentError(f"expected constraints that go together, found {what} of {one} and {other}")


def _single(one: Expression, other: Expression, field: str) -> str | None:
    first: str | None = getattr(one, field)
    second: str | None = getattr(other, field)
    if first is not None and second is not None and first != second:
        raise _conflict(one, other, f"{first} and {second}")
    return first if second is None else second


def _all_variants(one: Expression, other: Expression) -> tuple[Variant, ...]:
    found = {variant.name: variant for variant in one.variants}
    for variant in other.variants:
        before = found.setdefault(variant.name, variant)
        values = {*before.values, *variant.values}
        if values == {*before.values}:
            continue
        if before.is_exact or variant.is_exact or values & {"true", "false"}:
            raise _conflict(one, other, f"{before} and {variant}")
        found[variant.name] = replace(before, values=tuple(sorted(values)))
    return tuple(found[name] for name in sorted(found))


def _all_flags(one: Expression, other: Expression) -> tuple[Flags, ...]:
    found = {flags.name: flags for flags in one.flags}
    for flags in other.flags:
        before = found.setdefault(flags.name, flags)
        found[flags.name] = replace(before, flags=tuple(dict.fromkeys([*before.flags, *flags.flags])))
    return tuple(found[name] for name in sorted(found))


def _common_targets(one: Expression, other: Expression) -> tuple[str, ...]:
    if not one.targets or not other.targets:
        return one.targets or other.targets
    common = [
        target
        for here, there in ((one.targets, other.targets), (other.targets, one.targets))
        for target in here
        if any(_is_target_within(target, wide) for wide in there)
    ]
    if not common:
        raise _conflict(one, other, f"target={','.join(one.targets)} and target={','.join(other.targets)}")
    return tuple(dict.fromkeys(common))


def _is_target_within(target: str, wide: str) -> bool:
    return target == wide or (":" not in target and is_in_range(target, wide))


def implies(one: Expression, other: Expression) -> bool:
    """Return whether every spec that fulfils an expression also fulfils another one.

    Examples
    --------
    >>> from cachestats.expressions.parse import parse_expression
    >>> from cachestats.spec_lists import implies
    >>> one = parse_expression("hdf5@1.14.3+mpi ^openmpi@4.1")
    >>> [implies(one, parse_expression(text)) for text in ("@1.14", "+mpi ^openmpi", "+mpi~cxx", "^mpich")]
    [True, True, False, False]
    """
    fields = ("name", "namespace", "platform", "os")
    if any(getattr(other, field) not in (None, getattr(one, field)) for field in fields):
        return False
    if other.versions is not None and (one.versions is None or not one.versions.is_within(other.versions)):
        return False
    if other.hash_prefix is not None and not (one.hash_prefix or "").startswith(other.hash_prefix):
        return False
    values = {variant.name: frozenset(variant.values) for variant in one.variants}
    if not all(variant.name in values and variant.includes(values[variant.name]) for variant in other.variants):
        return False
    flags = {found.name: {*found.flags} for found in one.flags}
    if not all({*wanted.flags} <= flags.get(wanted.name, set()) for wanted in other.flags):
        return False
    if other.targets and not (
        one.targets and all(any(_is_target_within(target, wide) for wide in other.targets) for target in one.targets)
    ):
        return False
    return all(any(_leads_to(found, wanted) for found in one.dependencies) for wanted in other.dependencies)


def _leads_to(found: Dependency, wanted: Dependency) -> bool:
    return (
        found.is_direct >= wanted.is_direct
        and {*wanted.virtuals} <= {*found.virtuals}
        and implies(found.expression, wanted.expression)
    )
