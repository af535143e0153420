"""The environments of users, to compare with what a cache holds."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.errors import SourceError
from cachestats.parse.lockfile import parse_lockfile
from cachestats.sources.base import printable

if TYPE_CHECKING:
    import polars as pl


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

    try:
        data = Path(path).read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(
            f"cannot read the lockfile {path}: {getattr(error, 'strerror', None) or error}", hint="check the path"
        ) from error
    table = parse_lockfile(data, origin=printable(str(path)))
    return pl.DataFrame(table)
