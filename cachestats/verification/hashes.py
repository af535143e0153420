"""Recompute the DAG hash of every node of an index, which covers everything below it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cachestats.decode import FAULTS, Decoder, JsonError
from cachestats.hashing import dag_hash, is_as_hashed
from cachestats.parse.nodes import dependency, parse_node
from cachestats.spack_releases import spec_format_of_database
from cachestats.text import counted
from cachestats.verification.ledger import Ledger, Place

_FIRST_HASHED = 3
"""The first format whose nodes have all that their hash was computed from."""
_MOST_NAMED = 3


class _Record(msgspec.Struct, gc=False):
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class _Database(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _Index(msgspec.Struct):
    database: _Database


_decode_index = Decoder(_Index).decode


def check_hashes(data: bytes | bytearray, place: Place, ledger: Ledger) -> None:
    """Check the hash of every node of an index, also of those that are only dependencies.

    An index that is none is left to its reader, which says what is wrong with it.
    """
    try:
        database = _decode_index(data).database
    except JsonError:
        return
    own_format = spec_format_of_database(str(database.version)) or 0
    wrong: dict[str, str] = {}
    for key, record in database.installs.items():
        node = bytes(record.spec)
        if is_as_hashed(node, key):
            ledger.count("hash")
            continue
        try:
            found = json.loads(node)
        except (ValueError, RecursionError):
            continue
        if not isinstance(found, dict):
            continue
        if why := _why_not(found, own_format):
            ledger.skip("hash", why, 1)
            continue
        ledger.count("hash")
        try:
            computed = dag_hash(found)
        except (AttributeError, KeyError, TypeError, RecursionError):  # a build spec in another form
            computed = "none"
        named = found.get("hash", key)
        if computed != key:
            wrong[key] = f"found that of {computed}"
        elif named != key:
            wrong[key] = f"found a node that says {named!s:.40}"
    if wrong:
        _report(wrong, database.installs, place, ledger)


def _why_not(node: Mapping[str, Any], own_format: int) -> str | None:
    """Return why the hash of a node cannot be computed; None if it can."""
    annotations = node.get("annotations")
    first = annotations.get("original_specfile_version") if isinstance(annotations, dict) else None
    if isinstance(first, int) and first < own_format:
        return f"first written in format {first}"
    if own_format < _FIRST_HASHED or "name" not in node or isinstance(node.get("dependencies"), dict):
        return "in a format that leaves out what was hashed"
    if own_format == _FIRST_HASHED and "package_hash" not in node:  # of Spack 0.17, whose databases have this version
        return "in a format that leaves out what was hashed"
    return None


def _report(wrong: Mapping[str, str], records: Mapping[str, _Record], place: Place, ledger: Ledger) -> None:
    names: dict[str, str] = {}
    above: dict[str, list[str]] = {}
    for key, record in records.items():
        names[key], needs = _needs(record.spec)
        for end in needs:
            above.setdefault(end, []).append(key)
    for key, found in wrong.items():
        dependents = [*_upwards(key, above)]
        shown = ", ".join(f"{names[one]}/{one[:7]}" for one in dependents[:_MOST_NAMED])
        more = ", ..." if len(dependents) > _MOST_NAMED else ""
        by = f"; {counted(len(dependents), 'spec')} above it: {shown}{more}" if dependents else ""
        ledger.find(
            "hash",
            place,
            f"expected content with this hash, {found}{by}",
            package=names[key] or None,
            digest=key,
        )


def _needs(spec: msgspec.Raw) -> tuple[str, list[str]]:
    """Return the package of a node, and the hashes of its dependencies."""
    try:
        node = parse_node(spec)
        return node.name, [dependency(edge).hash for edge in node.dependencies]
    except FAULTS:
        return "", []


def _upwards(key: str, above: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the specs that depend on a spec, the nearest first."""
    seen, level = {key}, [key]
    for one in level:
        for other in above.get(one, ()):
            if other not in seen:
                seen.add(other)
                level.append(other)
                yield other
