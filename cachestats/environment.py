"""Environments: the concrete specs of users, to be compared with the contents of a cache."""

from __future__ import annotations

import gzip
import html
import os
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.errors import ArgumentError, SourceError
from cachestats.parse.lockfile import Parsed, parse_environments
from cachestats.regular import open_regular
from cachestats.roots import Root, roots_of_lockfile
from cachestats.schema import DEPENDENCIES, SPECS
from cachestats.sources.signature import is_signed, signed_text
from cachestats.text import counted, storable

if TYPE_CHECKING:
    import polars as pl

MAX_BYTES = 256 << 20
"""Larger files are refused. A spec takes a few kilobytes, and no environment has so many specs."""

# The files that are read in place of a folder, in order of preference.
_IN_FOLDERS = ("spack.lock", ".spack-db/index.json", "index.json")


@dataclass(frozen=True, eq=False)
class Environment:
    """Concrete specs that a user has or wants, with their dependencies.

    `read_environment` returns it. To select some of its specs, use `dataclasses.replace(environment, specs=...)`.

    Parameters
    ----------
    specs, dependencies, nodes, kind, spack, roots
        The attributes.

    Attributes
    ----------
    specs : polars.DataFrame
        One row per spec except externals, sorted by (package, hash): the columns of the table `specs` with canonical
        names, and `is_root`, whether the spec was requested by name. `snapshot`, `snapshot_date`, `stack`, `size_bytes`
        and `requirement` are null.
    dependencies : polars.DataFrame
        One row per (hash, dependency_hash), sorted by these: the columns of the table `dependencies`, with `snapshot`
        null. The dependencies of externals are left out.
    nodes : mapping of str to bytes
        By hash, the JSON of each spec as in the file, including externals and the build specs of spliced specs.
    kind : str
        The kind of its source: `lockfile`, `spec file`, `list of specs` or `database`; several are joined by `and`.
    spack : str, optional
        The version of Spack that wrote it, or a range of possible versions, such as `0.18 to 0.20`; None if it is not
        known. Several are joined by `and`.
    roots : tuple of cachestats.roots.Root
        What its roots were concretized from, as a lockfile says; empty for other files, which do not tell.

    Examples
    --------
    >>> import cachestats as cs
    >>> environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    >>> environment
    <Environment: 42 specs, 1 root; lockfile of Spack 0.23.0.dev0>
    >>> environment.specs.filter(is_root=True).select("package", "version", "target").rows()
    [('hdf5', '1.14.3', 'x86_64_v3')]
    >>> [root.text for root in environment.roots]
    ['hdf5+mpi']
    """

    specs: pl.DataFrame
    dependencies: pl.DataFrame
    nodes: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    kind: str = "specs"
    spack: str | None = None
    roots: tuple[Root, ...] = ()

    def __repr__(self) -> str:
        return f"<Environment: {self._words()}>"

    def _repr_html_(self) -> str:
        """Return the representation for Jupyter."""
        return f"<b>Environment</b>: {html.escape(self._words())}"

    def _words(self) -> str:
        counts = f"{counted(self.specs.height, 'spec')}, {counted(int(self.specs['is_root'].sum()), 'root')}"
        return f"{counts}; {self.kind}" + (f" of Spack {self.spack}" if self.spack else "")


def read_environment(*paths: str | os.PathLike[str]) -> Environment:
    """Read the concrete specs of an environment, and their dependencies.

    Parameters
    ----------
    *paths
        One or more of these, in any combination; any file may be gzipped:

        - a `spack.lock` of version 1 to 8, or the folder of an environment that contains one. Environments that it
          includes are read as well.
        - a spec file, `spec.json`, or `spec.json.sig`, signed as in build caches.
        - a file with the output of `spack spec --json` or `spack find --json`. `spack find` lists dependencies only
          with `--deps`; without it, nothing is known about them but their names.
        - the database of an installation, `.spack-db/index.json`, or the folder that contains it, for the installed
          specs. The roots are the specs that were installed by name.

        Newer versions are read with a warning.

    Returns
    -------
    Environment
        The specs of all files; a spec is a root if it is a root in any of them. The build spec of a spliced spec is not
        a spec of the environment, and neither are dependencies that only the build spec needs.

    Raises
    ------
    SourceError
        If a file cannot be read, is not one of these, is not UTF-8, is truncated or was edited: a root or dependency is
        missing, or dependencies or build specs form a cycle. (In lists and databases, dependencies may be missing.)
    ArgumentError
        If no path is given.

    Examples
    --------
    >>> import cachestats as cs
    >>> environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    >>> environment.specs.filter(package="mpich").select("version", "os", "target", "is_root").rows()
    [('4.2.1', 'ubuntu22.04', 'x86_64_v3', False)]
    >>> environment.dependencies.filter(dependency_package="zlib-ng", is_link=True).height
    9
    >>> environment.spack
    '0.23.0.dev0'
    """
    if not paths:
        raise ArgumentError("expected the path of an environment, found none", hint="pass a spack.lock")
    parts: list[Environment] = []
    for path in paths:
        for parsed in parse_environments(_read(path), origin=storable(str(path))):
            roots, notes = roots_of_lockfile(parsed.root_texts, storable(str(path)))
            for note in [*([parsed.warning] if parsed.warning else []), *notes]:
                warnings.warn(note, stacklevel=2)
            parts.append(_environment(parsed, roots))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _environment(parsed: Parsed, roots: tuple[Root, ...]) -> Environment:
    import polars as pl

    specs = pl.DataFrame(parsed.specs, schema={**SPECS.polars(), "is_root": pl.Boolean})
    dependencies = pl.DataFrame(parsed.dependencies, schema=DEPENDENCIES.polars())
    return Environment(specs, dependencies, parsed.nodes, parsed.kind, parsed.spack, roots)


def _joined(parts: list[Environment]) -> Environment:
    """Return one environment with the specs of all; if several have a hash, the first takes precedence."""
    import polars as pl

    specs = pl.concat(part.specs for part in parts).with_columns(pl.col("is_root").any().over("hash"))
    dependencies: list[pl.DataFrame] = []
    nodes: dict[str, bytes] = {}
    known = pl.Series(dtype=pl.String)
    for part in parts:
        # In lockfiles of versions 2 and 3, specs with one hash may have been built with different dependencies.
        dependencies.append(part.dependencies.filter(~pl.col("hash").is_in(known.implode())))
        known = known.append(part.specs["hash"])
        nodes = {**part.nodes, **nodes}
    return Environment(
        specs.unique("hash", keep="first", maintain_order=True).sort("package", "hash"),
        pl.concat(dependencies).sort("hash", "dependency_hash"),
        nodes,
        " and ".join(dict.fromkeys(part.kind for part in parts)),
        " and ".join(dict.fromkeys(part.spack for part in parts if part.spack)) or None,
        tuple({root.text: root for part in reversed(parts) for root in reversed(part.roots)}.values())[::-1],
    )


def _read(path: str | os.PathLike[str]) -> bytes:
    """Return the contents of a file, or of the file in a folder, decompressed and without its signature."""
    try:
        file = _file_of(Path(path))
        with open_regular(file) as stored:
            is_packed = stored.read(2) == b"\x1f\x8b"
            stored.seek(0)
            data = (gzip.GzipFile(fileobj=stored) if is_packed else stored).read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OSError(f"it has more than {MAX_BYTES:,} bytes")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceError(
            f"cannot read the environment {storable(str(path))}: {getattr(error, 'strerror', None) or error}",
            hint="check the path",
        ) from error
    return signed_text(data) if is_signed(data) else data


def _file_of(path: Path) -> Path:
    """Return the file to read: for a folder, the file that makes it the folder of an environment or installation."""
    if not path.is_dir():
        return path
    for name in _IN_FOLDERS:
        if (path / name).exists():
            return path / name
    raise OSError(f"it is a folder without {' or '.join(_IN_FOLDERS[:2])}")
