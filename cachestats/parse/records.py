"""Records, the form of specs between parser and tables: one per spec, with names as the source spells them.

Names repeat a lot, so all text except the hash is dictionary-encoded; canonical names are then computed once per
distinct name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pyarrow as pa

from cachestats.findings import Finding

NAME = pa.dictionary(pa.int32(), pa.string())

INDEX_ONLY = ("flags", "namespace", "package_hash", "libc", "libc_version", "spec_format", "build_spec_hash")
"""Columns that an index has and a page does not."""

RECORDS = pa.schema(
    {
        "page": pa.int32(),  # index into Fragment.pages
        "position": pa.int32(),  # index into the page's spec_details
        "hash": pa.string(),
        "os": NAME,
        "platform": NAME,
        "target": NAME,
        "version": NAME,
        "compiler": NAME,
        "size_bytes": pa.int64(),
        "flags": NAME,
        "namespace": NAME,
        "package_hash": NAME,
        "libc": NAME,
        "libc_version": NAME,
        "spec_format": pa.int64(),
        "build_spec_hash": NAME,
        "stacks": pa.list_(NAME),
        "variants": pa.list_(NAME),
    }
)

DEPENDENCY_RECORDS = pa.schema(
    {
        "hash": NAME,
        "dependency_hash": NAME,
        "dependency_package": NAME,
        "dependency_version": NAME,
        "is_build": pa.bool_(),
        "is_link": pa.bool_(),
        "is_run": pa.bool_(),
        "is_test": pa.bool_(),
        "virtuals": NAME,
        "is_external": pa.bool_(),
        "external": NAME,
    }
)

Generation = Literal["g1", "g2", "g3", "g4"]


class PageInfo(msgspec.Struct, frozen=True):
    """Information about one page, or about the specs of one package in an index, besides the specs themselves."""

    origin: str
    package: str
    generation: str
    num_specs: int
    """Entries in `spec_details`, including rejected ones; in an index, cached specs of the package."""


@dataclass(frozen=True)
class Fragment:
    """Some parsed pages of one snapshot: their specs as `RECORDS`, and the findings about them."""

    snapshot: str
    pages: list[PageInfo]
    records: pa.Table
    findings: list[Finding] = field(default_factory=list)
    dependencies: pa.Table = field(default_factory=DEPENDENCY_RECORDS.empty_table)
    """The edges from these specs, as `DEPENDENCY_RECORDS`; pages have none."""
    is_part_of_stacks: bool = False
    """Whether the records name only one stack, so that they must be joined with those of other fragments by hash."""
    generation: str | None = None
    """The generation of an index, which may have no records; each page has its own."""


def generation(*, sorted_keys: bool, tarball: bool, old_compilers: bool) -> Generation:
    """Return the generation of a page that carries hashes.

    `g1` has the keys of a spec in insertion order, `g2` has them sorted, `g3` has no `tarball`, and `g4` has the
    compilers of Spack 1.0 (`gcc@13.2.0` where there was `gcc@=13.2.0`).
    """
    if not sorted_keys:
        return "g1"
    if tarball:
        return "g2"
    return "g3" if old_compilers else "g4"
