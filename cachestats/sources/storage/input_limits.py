"""Limits for what sources may contain, so that no input can use up memory or go on without an end."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cachestats.errors import ArgumentError


@dataclass(frozen=True)
class InputLimits:
    """Limits for what sources may contain, so that no input can use up memory or go on without an end.

    They are far above anything real. What exceeds one is not read: the error, or the row in `rejected`, names the limit
    and the option that raises it. A high rate of compression alone is no fault.

    Parameters
    ----------
    file_bytes, archive_bytes, records, specs, listings
        The attributes.

    Attributes
    ----------
    file_bytes : int
        Bytes of one file, as it is sent and decompressed. An index is held in memory while it is read. Pages have a
        fixed limit, 128 MiB.
    archive_bytes : int
        Bytes of an archive when it is decompressed. It is never held in memory as a whole.
    records : int
        Records of one index, tags of one OCI cache, members of one archive, and files that one source lists.
    specs : int
        Specs of one page.
    listings : int
        Requests to list the folders of one source that is not on disk, or the tags of an OCI cache.

    Raises
    ------
    ArgumentError
        If a limit is below 1.

    Examples
    --------
    The limits are for `build_dataset` and other functions that read sources:

    >>> import cachestats as cs
    >>> limits = cs.InputLimits(file_bytes=10_000_000_000)
    >>> limits.records
    2000000
    """

    file_bytes: int = 10**9
    archive_bytes: int = 100 * 10**9
    records: int = 2 * 10**6
    specs: int = 200_000
    listings: int = 250_000

    def __post_init__(self) -> None:
        for one in fields(self):
            if (value := getattr(self, one.name)) < 1:
                raise ArgumentError(f"expected {one.name} above 0, found {value}", hint="leave it out")


def limit_hint(limit: str) -> str:
    """Return the hint of an error that says that something exceeds a limit."""
    return f"if you trust it, raise the limit with --max-{limit.replace('_', '-')}"
