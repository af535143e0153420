"""The externals that a machine declares in Spack's configuration file `packages.yaml`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cachestats.errors import ArgumentError, SourceError
from cachestats.expressions.parse import parse_expression
from cachestats.expressions.syntax import Expression, Variant
from cachestats.naming import split_variant
from cachestats.requirement import External
from cachestats.version_ranges import VersionList
from cachestats.yaml_file import MAX_SHOWN, file_name, mapping, read_yaml, shown

_MOST_FAULTS = 20
_NOT_IN_EXTERNALS = frozenset({"patches", "dev_path"})
"""Variants that are not recorded for the externals of a cache."""
_UNCHECKED = ("namespace", "flags", "platform", "os", "targets", "hash_prefix")
"""Parts of an expression that are not recorded for them either, or not in a form that tells."""


@dataclass(frozen=True)
class DeclaredExternal:
    """An entry of `packages.yaml`: the externals that a machine has at one location.

    Examples
    --------
    >>> from cachestats.packages_yaml import DeclaredExternal
    >>> from cachestats.requirement import External
    >>> declared = DeclaredExternal.parse("cuda@12: ~dev", prefix="/usr/local/cuda")
    >>> declared.fits(External.parse("cuda@12.4.1 ~dev prefix=/usr/local/cuda"))
    True
    >>> declared.fits(External.parse("cuda@12.4.1 ~dev prefix=/opt/cuda"))
    False
    """

    name: str
    versions: VersionList | None = None
    """The versions; None for any."""
    variants: tuple[Variant, ...] = ()
    """Conditions on its variants."""
    prefix: str | None = None
    modules: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Further conditions of the entry that `fits` cannot check: compiler, dependencies, architecture, flags."""

    @classmethod
    def parse(cls, spec: str, *, prefix: str | None = None, modules: tuple[str, ...] = ()) -> DeclaredExternal:
        """Return the declaration of an entry, from its `spec`.

        It is read as in Spack since 1.0, so that everything after a `%` or `^` describes a dependency.

        Raises
        ------
        ExpressionError
            If the text is not a spec expression.
        ArgumentError
            If it does not name a package.

        Examples
        --------
        >>> from cachestats.packages_yaml import DeclaredExternal
        >>> declared = DeclaredExternal.parse("openmpi@4.1 fabrics=ofi %gcc@12 ^hwloc", prefix="/opt/openmpi")
        >>> declared.name, str(declared.versions), str(declared.variants[0]), declared.unchecked
        ('openmpi', '4.1', 'fabrics=ofi', ('%gcc@12', '^hwloc'))
        """
        found = parse_expression(spec)
        if found.name is None:
            raise ArgumentError(
                f"expected a spec such as cuda@12.4, found {shown(spec)}",
                hint="the spec of an external begins with its name",
            )
        others = [one for one in found.variants if one.is_propagated or one.name in _NOT_IN_EXTERNALS]
        parts = {name: part for name in _UNCHECKED if (part := getattr(found, name))}
        unchecked = [
            *map(str, others),
            *(str(replace(Expression(), **{name: part})) for name, part in parts.items()),
            *map(str, found.dependencies),
        ]
        variants = tuple(one for one in found.variants if one not in others)
        return cls(found.name, found.versions, variants, prefix, modules, tuple(unchecked))

    def fits(self, external: External) -> bool:
        """Return whether an external of a cache satisfies the spec and has the same location.

        The rule is that of `_is_reusable` in Spack's solver/reuse.py. A variant with several values must have all
        values that the spec names, and may have more unless they are written with `:=`.
        """
        if (self.name, self.prefix, self.modules) != (external.name, external.prefix, external.modules):
            return False
        if self.versions is not None and not self.versions.includes(external.version):
            return False
        values = {name: frozenset(found) for name, found in map(split_variant, external.variants)}
        return all(one.name in values and one.includes(values[one.name]) for one in self.variants)


def read_packages(*paths: str | os.PathLike[str]) -> tuple[DeclaredExternal, ...]:
    """Read the externals that a machine declares.

    Parameters
    ----------
    *paths
        Files in the form of Spack's `packages.yaml`, or environments (`spack.yaml`) with such a section. Their
        declarations are combined. Files that they include are not read, and variables in paths are not expanded.

    Returns
    -------
    tuple of cachestats.packages_yaml.DeclaredExternal
        The entries under `externals`, in the order of the files and within each file. `Host` takes them.

    Raises
    ------
    SourceError
        If a file cannot be read or is not YAML in UTF-8, or if entries have the wrong form; the message names them all.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> size = Path("packages.yaml").write_text('''
    ... packages:
    ...   cuda:
    ...     externals:
    ...     - spec: cuda@12.4
    ...       prefix: /usr/local/cuda
    ...     buildable: false
    ... ''')
    >>> [(entry.name, str(entry.versions), entry.prefix) for entry in cs.read_packages("packages.yaml")]
    [('cuda', '12.4', '/usr/local/cuda')]
    """
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise ArgumentError(f"expected paths, found {path!r}", hint="such as read_packages('packages.yaml')")
    return tuple(entry for path in paths for entry in _read(Path(path)))


def _read(path: Path) -> list[DeclaredExternal]:
    name = file_name(path)
    declared, faults = [], []
    for location, entry in _entries(read_yaml(path), name):
        try:
            declared.append(_declared(entry))
        except ArgumentError as error:
            what, *pointer = error.message.split(":\n", 1)
            faults.append(SourceError(":\n".join([f"{what}: {location} in {name}", *pointer]), hint=error.hint))
    if faults:
        first = [fault.message for fault in faults[:_MOST_FAULTS]]
        more = [f"and {len(faults) - _MOST_FAULTS:,} more"] if len(faults) > _MOST_FAULTS else []
        raise SourceError("\n".join([*first, *more]), hint=faults[0].hint)
    return declared


def _entries(values: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a file, each with its location in the file."""
    prefix, top = "", mapping(values, "the top level", name)
    if "spack" in top:
        prefix, top = "spack.", {"packages": None} | mapping(top["spack"], "spack", name)
    if "packages" in top:
        prefix, packages = f"{prefix}packages.", mapping(top["packages"], f"{prefix}packages", name)
    elif top and not any(isinstance(settings, dict) and "externals" in settings for settings in top.values()):
        raise SourceError(
            f"expected 'packages:' or packages with 'externals:', found {', '.join(top)[:MAX_SHOWN]}: {name}",
            hint="use a packages.yaml or a spack.yaml",
        )
    else:
        packages = top
    seen: set[int] = set()
    for package, value in packages.items():
        location = f"{prefix}{package}"
        settings = mapping(value, location, name)
        if "paths" in settings:
            raise SourceError(
                f"expected 'externals:', found 'paths:' from before Spack 0.16: {location} in {name}",
                hint="convert it with `spack config update packages`",
            )
        externals = settings.get("externals")
        if not isinstance(externals, list | None):
            raise SourceError(
                f"expected a list, found {shown(externals)}: {location}.externals in {name}",
                hint="write each external as '- spec: ...'",
            )
        if id(externals) in seen:  # an alias of a list that was already read
            continue
        seen.add(id(externals))
        for number, entry in enumerate(externals or ()):
            yield f"{location}.externals[{number}]", entry


def _declared(entry: Any) -> DeclaredExternal:
    if not isinstance(entry, dict):
        raise ArgumentError(
            f"expected an external with 'spec' and 'prefix', found {shown(entry)}", hint="write it as '- spec: ...'"
        )
    spec, prefix, modules = (entry.get(key) for key in ("spec", "prefix", "modules"))
    if not isinstance(spec, str):
        raise ArgumentError(
            f"expected 'spec' to be a spec such as cuda@12.4, found {shown(spec)}",
            hint="name the package and its version",
        )
    if not isinstance(prefix, str | None):
        raise ArgumentError(f"expected 'prefix' to be a path, found {shown(prefix)}", hint="put it in quotes")
    if prefix is not None and "$" in prefix:
        raise ArgumentError(
            f"expected 'prefix' to be a plain path, found {shown(prefix)}",
            hint="only Spack knows the values of its variables: write the path out",
        )
    if not isinstance(modules, list | None) or not all(isinstance(module, str) for module in modules or ()):
        raise ArgumentError(
            f"expected 'modules' to be a list of names, found {shown(modules)}", hint="write them as [cuda/12.4]"
        )
    if prefix is None and not modules:
        raise ArgumentError(
            f"expected 'prefix' or 'modules' next to the spec {shown(spec)}, found neither",
            hint="add the location where it is installed",
        )
    return DeclaredExternal.parse(spec, prefix=prefix, modules=tuple(modules or ()))
