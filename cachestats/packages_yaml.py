"""The externals that a machine declares in Spack's configuration file `packages.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cachestats.errors import ArgumentError, SourceError
from cachestats.naming import canonical_variant, split_variant
from cachestats.requirement import External
from cachestats.version_ranges import VersionList
from cachestats.yaml_file import MAX_SHOWN, file_name, mapping, read_yaml, shown

_MOST_FAULTS = 20
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*+"
_VERSION = r"[A-Za-z0-9_][A-Za-z0-9_.-]*+"
_RANGE = rf"(?:{_VERSION})?+:(?:{_VERSION}(?!\s*=))?"  # a name followed by `=` is the next key
_ONE = rf"=?(?:git\.[A-Za-z0-9_./-]++|{_VERSION})(?:={_VERSION})?"
_VERSIONS = rf"(?:{_RANGE}|{_ONE})(?:\s*,\s*(?:{_RANGE}|{_ONE}))*"
_VALUE = r"'[^']*'|\"[^\"]*\"|[^\s%^~+@'\"]+"
# The parts of a spec except its dependencies, as in Spack's lib/spack/spack/spec_parser.py.
_PART = re.compile(
    rf"\s+|@\s*(?P<versions>{_VERSIONS})"
    rf"|(?P<inherited>(?:\+\+|~~|--)\s*{_NAME}|{_NAME}:?==(?:{_VALUE}))"
    rf"|(?P<sign>[+~-])\s*(?P<flag>{_NAME})"
    rf"|(?P<key>{_NAME})(?P<equals>:?=)(?P<value>{_VALUE})"
    r"|(?P<hash>/[a-z0-9]+)"
)
_FULL_NAME = re.compile(rf"\s*(?:(?P<namespace>{_NAME}(?:\.{_NAME})*)\.)?(?P<name>{_NAME})(?!:?=)")
_DEPENDENCY_OR_QUOTED = re.compile(r"(?P<sign>[%^])|'[^']*'|\"[^\"]*\"")
_SIGNS = {"true": "+", "false": "~"}  # `debug=True` is another spelling of `+debug`
# Keys that are not recorded for the externals of a cache.
_NOT_IN_EXTERNALS = frozenset(
    {"arch", "platform", "os", "operating_system", "target", "namespace", "patches", "dev_path"}
    | {"cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"}
)


@dataclass(frozen=True)
class DeclaredExternal:
    """An entry of `packages.yaml`: the externals that a machine has at one location.

    Examples
    --------
    >>> declared = DeclaredExternal.parse("cuda@12: ~dev", prefix="/usr/local/cuda")
    >>> declared.fits(External.parse("cuda@12.4.1 ~dev prefix=/usr/local/cuda"))
    True
    >>> declared.fits(External.parse("cuda@12.4.1 ~dev prefix=/opt/cuda"))
    False
    """

    name: str
    versions: VersionList | None = None
    """The versions; None for any."""
    variants: tuple[str, ...] = ()
    """The variants that it has, as in the column `variants`."""
    prefix: str | None = None
    modules: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Further conditions of the entry that `fits` cannot check: compiler, dependencies, architecture, flags."""

    @classmethod
    def parse(cls, spec: str, *, prefix: str | None = None, modules: tuple[str, ...] = ()) -> DeclaredExternal:
        """Return the declaration of an entry, from its `spec`.

        Everything after a `%` or `^` describes a dependency, as in Spack since 1.0.

        Raises
        ------
        ArgumentError
            If the text is not a spec that names a package.

        Examples
        --------
        >>> declared = DeclaredExternal.parse("openmpi@4.1 fabrics=ofi %gcc@12 ^hwloc", prefix="/opt/openmpi")
        >>> declared.name, str(declared.versions), declared.variants, declared.unchecked
        ('openmpi', '4.1', ('fabrics=ofi',), ('%gcc@12', '^hwloc'))
        """
        head, *dependencies = _nodes(spec)
        found = _FULL_NAME.match(head)
        if found is None:
            raise ArgumentError(
                f"expected a spec such as cuda@12.4, found {shown(spec)}",
                hint="the spec of an external begins with its name",
            )
        versions: VersionList | None = None
        variants: list[str] = []
        unchecked = [f"namespace={found['namespace']}"] if found["namespace"] else []
        position = found.end()
        while position < len(head):
            part = _PART.match(head, position)
            if part is None or (part["versions"] and versions is not None):
                raise ArgumentError(
                    f"expected versions, variants or keys after {shown(head[:position].strip())}, "
                    f"found {shown(head[position:].strip())}",
                    hint="write it as `spack spec` accepts it, such as 'cuda@12.4 ~dev'",
                )
            if part["versions"]:
                versions = VersionList.parse(part["versions"])
            elif part["flag"]:
                variants.append(("+" if part["sign"] == "+" else "~") + part["flag"])
            elif part["key"] and part["value"].lower() in _SIGNS:
                variants.append(_SIGNS[part["value"].lower()] + part["key"])
            elif part["key"] and part["key"] not in _NOT_IN_EXTERNALS and part["value"] != "*":
                variants.append(canonical_variant(f"{part['key']}{part['equals']}{part['value']}"))
            elif not part[0].isspace():
                unchecked.append(part[0])
            position = part.end()
        return cls(found["name"], versions, tuple(variants), prefix, modules, (*unchecked, *dependencies))

    def fits(self, external: External) -> bool:
        """Return whether an external of a cache satisfies the spec and has the same location.

        The rule is that of `_is_reusable` in Spack's solver/reuse.py. A variant with several values must have all
        values that the spec names, and may have more.
        """
        if (self.name, self.prefix, self.modules) != (external.name, external.prefix, external.modules):
            return False
        if self.versions is not None and not self.versions.includes(external.version):
            return False
        values = dict(map(split_variant, external.variants))
        return all(set(wanted) <= set(values.get(variant, ())) for variant, wanted in map(split_variant, self.variants))


def read_packages(*paths: str | os.PathLike[str]) -> tuple[DeclaredExternal, ...]:
    """Read the externals that a machine declares.

    Parameters
    ----------
    paths
        Files in the form of Spack's `packages.yaml`, or environments (`spack.yaml`) with such a section. Their
        declarations are combined. Files that they include are not read, and variables in paths are not expanded.

    Returns
    -------
    The entries under `externals`, in the order of the files and within each file.

    Raises
    ------
    SourceError
        If a file cannot be read or is not YAML in UTF-8, or if entries have the wrong form; the message names them all.

    Examples
    --------
    >>> import cachestats as cs
    >>> _ = (tmp / "packages.yaml").write_text('''
    ... packages:
    ...   cuda:
    ...     externals:
    ...     - spec: cuda@12.4
    ...       prefix: /usr/local/cuda
    ...     buildable: false
    ... ''')
    >>> [(entry.name, str(entry.versions), entry.prefix) for entry in cs.read_packages(tmp / "packages.yaml")]
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
            faults.append(SourceError(f"{error.message}: {location} in {name}", hint=error.hint))
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


def _nodes(spec: str) -> list[str]:
    """Split a spec into parts about one package each: first its own, then those of its dependencies."""
    starts = [found.start() for found in _DEPENDENCY_OR_QUOTED.finditer(spec) if found["sign"]]
    own, *dependencies = (spec[start:end] for start, end in pairwise([0, *starts, len(spec)]))
    return [own, *map(str.strip, dependencies)]
