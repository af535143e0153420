"""Roots: the specs that an environment asks for, before they are concretized."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cachestats.errors import ArgumentError, ExpressionError, SourceError
from cachestats.expressions.parse import parse_expressions
from cachestats.expressions.syntax import Expression
from cachestats.spec_lists import ListedSpec, SpecLists
from cachestats.yaml_file import MAX_SHOWN, file_name, mapping, read_yaml

_MOST_FAULTS = 20
_IN_FOLDERS = "spack.yaml"
_KINDS = ("spack", "env")
_NOT_READ = {
    "include": "files that it includes are not read",
    "include_concrete": "environments that it includes are not read",
    "toolchains": "names of toolchains in specs are not replaced",
    "develop": "what is developed is not taken into account",
}


@dataclass(frozen=True)
class Root:
    """A spec that is asked for.

    Attributes
    ----------
    expression : Expression
        What is asked for.
    text : str
        The same as it is written; for a combination of a matrix, as Spack would write it.
    location : str
        Where it is written, such as `spack.specs[3] in spack.yaml`; empty for one that was given as text.
    """

    expression: Expression
    text: str
    location: str = ""

    def __str__(self) -> str:
        return self.text


RootsLike: TypeAlias = "str | Root | Expression | Iterable[str | Root | Expression]"
"""Roots as values, or as text, of which each may hold several specs."""


def read_roots(*paths: str | os.PathLike[str]) -> tuple[Root, ...]:
    """Read the specs that environments ask for.

    Parameters
    ----------
    *paths
        Files in the form of Spack's `spack.yaml`, or folders that contain one. Definitions without `when` are put in
        place of their names, and matrices are expanded. Requirements and preferences are not applied, and files that
        the environment includes are not read; a warning names each of these, and what cannot be expanded.

    Returns
    -------
    tuple of cachestats.roots.Root
        The roots, in the order of the files and within each file. `match_roots` and `root_rates` take them.

    Raises
    ------
    SourceError
        If a file cannot be read or is no environment, or if specs are wrong; the message names them all.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> size = Path("spack.yaml").write_text('''
    ... spack:
    ...   definitions:
    ...   - compilers: ["%gcc@12", "%gcc@13"]
    ...   specs:
    ...   - cmake@3.27
    ...   - matrix: [[hdf5+mpi], [$compilers]]
    ... ''')
    >>> [root.text for root in cs.read_roots("spack.yaml")]
    ['cmake@3.27', 'hdf5+mpi %gcc@12', 'hdf5+mpi %gcc@13']
    """
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise ArgumentError(f"expected paths, found {path!r}", hint="such as read_roots('spack.yaml')")
    roots: list[Root] = []
    for path in map(Path, paths):
        found, notes = _read(path / _IN_FOLDERS if path.is_dir() else path)
        roots += found
        for note in notes:
            warnings.warn(note, stacklevel=2)
    return tuple(roots)


def as_roots(roots: RootsLike) -> tuple[Root, ...]:
    """Return roots that are given as values or as text.

    Raises
    ------
    ArgumentError
        If text is not a spec, or there is none.

    Examples
    --------
    >>> from cachestats.roots import as_roots
    >>> [root.text for root in as_roots("hdf5+mpi ^mpich zlib")]
    ['hdf5+mpi ^mpich', 'zlib']
    """
    given = [roots] if isinstance(roots, str | Root | Expression) else [*roots]
    found = tuple(root for one in given for root in _as_roots(one))
    if not found:
        raise ArgumentError("expected a spec, found none", hint="such as 'hdf5@1.14+mpi'")
    return found


def _as_roots(one: object) -> list[Root]:
    if isinstance(one, Root):
        return [one]
    if isinstance(one, Expression):
        return [Root(one, str(one))]
    if not isinstance(one, str):
        raise ArgumentError(f"expected a spec as text, found {one!r}", hint="such as 'hdf5@1.14+mpi'")
    found = parse_expressions(one)
    return [Root(expression, one.strip() if len(found) == 1 else str(expression)) for expression in found]


def _read(path: Path) -> tuple[list[Root], list[str]]:
    """Return the roots in a file, and what cannot be told of it."""
    name = file_name(path)
    top = mapping(read_yaml(path), "the top level", name)
    kind = next((kind for kind in _KINDS if kind in top), None)
    if kind is None:
        raise SourceError(
            f"expected 'spack:' at the top, found {', '.join(top)[:MAX_SHOWN] or 'nothing'}: {name}",
            hint="give a spack.yaml",
        )
    settings = mapping(top[kind], kind, name)
    lists = SpecLists()
    try:
        lists.define(settings.get("definitions"), f"{kind}.definitions")
        listed = lists.expand(settings.get("specs"), f"{kind}.specs")
        roots = [*_roots(listed, lists.faults, name)]
    except ArgumentError as error:
        raise SourceError(f"{error.message}: {name}", hint="write fewer specs") from None
    if lists.faults:
        first = [f"{fault} in {name}" for fault in lists.faults[:_MOST_FAULTS]]
        more = [f"and {len(lists.faults) - _MOST_FAULTS:,} more"] if len(lists.faults) > _MOST_FAULTS else []
        raise SourceError("\n".join([*first, *more]), hint="write specs as `spack spec` accepts them")
    if not roots and not lists.notes and "include" not in settings:
        raise SourceError(f"expected specs, found none: {kind}.specs in {name}", hint="add what you want to install")
    notes = [*lists.notes, *_not_applied(settings, kind, name)]
    return roots, [f"{note} in {name}" for note in notes]


def _roots(listed: Iterable[ListedSpec], faults: list[str], name: str) -> Iterator[Root]:
    for one in listed:
        try:
            expression = one.expression()
        except ArgumentError as error:
            faults.append(f"{error.message}: {one.location}")
            continue
        text = one.constraints[0].strip() if len(one.constraints) == 1 else str(expression)
        yield Root(expression, text, f"{one.location} in {name}")


def _not_applied(settings: dict[str, Any], kind: str, name: str) -> Iterator[str]:
    """Yield what an environment says about its specs and is not taken into account."""
    for key, words in _NOT_READ.items():
        if settings.get(key):
            yield f"{kind}.{key}: {words}"
    packages = mapping(settings.get("packages"), f"{kind}.packages", name)
    required = [package for package, rules in packages.items() if isinstance(rules, dict) and "require" in rules]
    if required:
        shown = f"{', '.join(required[:3])}{f' and {len(required) - 3:,} more' if len(required) > 3 else ''}"
        yield f"{kind}.packages: requirements ('require') of {shown} are not applied"


def roots_of_lockfile(texts: Iterable[str], origin: str) -> tuple[tuple[Root, ...], list[str]]:
    """Return the specs that a lockfile says its roots were concretized from, and what cannot be told of them.

    Examples
    --------
    >>> from cachestats.roots import roots_of_lockfile
    >>> roots, notes = roots_of_lockfile(["hdf5+mpi", "zlib@@"], "spack.lock")
    >>> [root.text for root in roots], notes
    (['hdf5+mpi'], ["expected a spec at roots[1] in spack.lock, found 'zlib@@'; it is left out of the roots"])
    """
    roots: list[Root] = []
    notes: list[str] = []
    for number, text in enumerate(texts):
        location = f"roots[{number}] in {origin}"
        try:
            (expression,) = parse_expressions(text, most=1)
        except (ExpressionError, ValueError):
            notes.append(f"expected a spec at {location}, found {text[:MAX_SHOWN]!r}; it is left out of the roots")
            continue
        roots.append(Root(expression, text, location))
    return tuple(roots), notes
