"""The environments of users, to compare with what a cache holds."""

from __future__ import annotations

import gzip
import os
import zlib
from typing import TYPE_CHECKING

from cachestats.errors import SourceError
from cachestats.parse.lockfile import parse_environment, parse_lockfile, parse_lockfile_dependencies
from cachestats.regular import open_regular
from cachestats.sources.base import printable

if TYPE_CHECKING:
    import polars as pl

MAX_LOCKFILE_BYTES = 256 << 20
"""Larger files are refused. A spec takes some kilobytes: no environment has so many."""


def read_lockfile(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read the concrete specs of an environment.

    Parameters
    ----------
    path
        A `spack.lock` of version 1 to 8, which may be gzipped. Newer ones are read with a warning.

    Returns
    -------
    One row per concrete spec, those of included environments among them and externals left out, sorted by (package,
    hash): the columns of the table `specs` in canonical names, of which `snapshot`, `snapshot_date`, `stack` and
    `size_bytes` are null, and `is_root`, whether the spec was asked for by name.

    Raises
    ------
    SourceError
        If the file cannot be read, is no lockfile, or is cut off.

    Examples
    --------
    >>> import cachestats as cs
    >>> _ = (tmp / "spack.lock").write_text('''{
    ...     "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
    ...     "roots": [{"hash": "abc", "spec": "zlib-ng"}],
    ...     "concrete_specs": {"abc": {"name": "zlib-ng", "version": "2.2", "hash": "abc",
    ...         "arch": {"platform": "linux", "platform_os": "rhel9", "target": "zen4"}}}}''')
    >>> cs.read_lockfile(tmp / "spack.lock").select("package", "version", "target", "is_root").rows()
    [('zlib-ng', '2.2', 'zen4', True)]
    """
    import polars as pl

    return pl.DataFrame(parse_lockfile(_bytes(path), origin=printable(str(path))))


def read_lockfile_dependencies(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read which specs of an environment depend on which.

    Parameters
    ----------
    path
        A `spack.lock`, as for `read_lockfile`.

    Returns
    -------
    One row per (hash, dependency_hash), sorted by them: the columns of the table `dependencies`, of which `snapshot`
    is null. What externals depend on is left out; `is_external` says which dependencies are externals.

    Raises
    ------
    SourceError
        As `read_lockfile`, or if specs depend on each other in a circle.

    Examples
    --------
    >>> import cachestats as cs
    >>> _ = (tmp / "spack.lock").write_text('''{
    ...     "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
    ...     "roots": [{"hash": "abc", "spec": "zlib-ng"}],
    ...     "concrete_specs": {"abc": {"name": "zlib-ng", "version": "2.2", "hash": "abc",
    ...         "arch": {"platform": "linux", "platform_os": "rhel9", "target": "zen4"},
    ...         "dependencies": [{"name": "gmake", "hash": "def", "parameters": {"deptypes": ["build"]}}]}}}''')
    >>> frame = cs.read_lockfile_dependencies(tmp / "spack.lock")
    >>> frame.select("hash", "dependency_hash", "dependency_package", "is_build", "is_link").rows()
    [('abc', 'def', 'gmake', True, False)]
    """
    import polars as pl

    return pl.DataFrame(parse_lockfile_dependencies(_bytes(path), origin=printable(str(path))))


def read_environment(path: str | os.PathLike[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what `read_lockfile` and `read_lockfile_dependencies` do, reading the file once.

    Raises
    ------
    SourceError
        As `read_lockfile_dependencies`.
    """
    import polars as pl

    specs, dependencies = parse_environment(_bytes(path), origin=printable(str(path)))
    return pl.DataFrame(specs), pl.DataFrame(dependencies)


def _bytes(path: str | os.PathLike[str]) -> bytes:
    """Return what is in a file, unpacked where it is gzipped."""
    try:
        with open_regular(path) as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if is_packed else file).read(MAX_LOCKFILE_BYTES + 1)
        if len(data) > MAX_LOCKFILE_BYTES:
            raise OSError(f"it has more than {MAX_LOCKFILE_BYTES:,} bytes")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceError(
            f"cannot read the lockfile {printable(str(path))}: {getattr(error, 'strerror', None) or error}",
            hint="check the path",
        ) from error
    return data
