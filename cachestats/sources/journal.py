"""The spec files of a cache that were read: kept so that an update reads only new ones, and a killed run continues.

Two files: one of the last complete reading, and one of a reading that is not finished. Both are compressed lines of
JSON, each after its checksum. A node that an earlier line has is not repeated. What cannot be read, such as a line that
was cut off, and all that follows it, is read from the cache again.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from cachestats.decode import Decoder, JsonError
from cachestats.errors import reported
from cachestats.regular import open_regular
from cachestats.sources.spec_files import SpecFile, SpecFiles
from cachestats.sources.storage.base import Fingerprint
from cachestats.text import file_stem

_FASTEST = 1


class Entry(msgspec.Struct, frozen=True):
    """A spec file, its name in the cache, and the fingerprint with which it was read."""

    key: str
    fingerprint: str
    spec: SpecFile


_decode = Decoder(Entry).decode


class Journal:
    """The spec files that were read from one place; without a folder it is empty, and keeps nothing."""

    def __init__(self, folder: Path | None, place: str) -> None:
        self._complete = folder / f"{file_stem(place)}.json.gz" if folder else None
        self._unfinished = folder / f"{file_stem(place)}.part.json.gz" if folder else None
        self._file: IO[bytes] | None = None
        self._lines: gzip.GzipFile | None = None

    def take(self, names: Mapping[str, Fingerprint], found: SpecFiles, *, is_update: bool) -> set[str]:
        """Add the spec files that need not be read to those found, begin a new reading, and return their names.

        A build reads everything, but continues a reading that was not finished; an update also knows the last one.
        """
        paths = (self._complete, self._unfinished) if is_update else (self._unfinished,)
        usable = {}
        for entry in (entry for path in paths if path for entry in _entries(path)):
            found.add_nodes(entry.spec.nodes)
            if names.get(entry.key) == entry.fingerprint and found.has_nodes(entry.spec.hashes):
                usable[entry.key] = entry
        for entry in usable.values():
            found.add(entry.spec)
        self._begin(usable.values(), found)
        return {*usable}

    def forget(self) -> None:
        """Begin a new reading, in which everything is read."""
        self._begin([], SpecFiles())

    def write(self, entries: Iterable[Entry]) -> None:
        """Keep some spec files."""
        if self._lines is not None and self._unfinished is not None:
            with reported(self._unfinished):
                self._lines.writelines(map(_line, entries))
                self._lines.flush()

    def finish(self) -> None:
        """Make this reading the last complete one."""
        self.close()
        if self._unfinished is not None and self._complete is not None:
            with reported(self._complete):
                os.replace(self._unfinished, self._complete)

    def close(self) -> None:
        """Close the file, which is then one of an unfinished reading."""
        for file in (self._lines, self._file):
            if file is not None:
                file.close()
        self._lines = self._file = None

    def _begin(self, entries: Iterable[Entry], nodes: SpecFiles) -> None:
        if self._unfinished is None:
            return
        draft = self._unfinished.with_suffix(".new")
        with reported(draft):
            draft.parent.mkdir(parents=True, exist_ok=True)
            self._file = draft.open("wb")
            self._lines = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=_FASTEST, mtime=0)
        written: set[str] = set()
        self.write(_with_nodes(entry, nodes, written) for entry in entries)
        with reported(draft):
            os.replace(draft, self._unfinished)


def _line(entry: Entry) -> bytes:
    """Return the line of an entry; gzip would tell that it is damaged only at the end of the file."""
    text = msgspec.json.encode(entry)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _with_nodes(entry: Entry, nodes: SpecFiles, written: set[str]) -> Entry:
    """Return an entry with those of its nodes that no entry before it has."""
    own = {key: nodes.node(key) for key in entry.spec.hashes if key not in written}
    written |= own.keys()
    return msgspec.structs.replace(entry, spec=msgspec.structs.replace(entry.spec, nodes=own))


def _entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file up to the first that cannot be read."""
    try:
        with open_regular(path) as file, gzip.GzipFile(fileobj=file) as lines:
            for line in lines:
                checksum, _, text = line.rstrip(b"\n").partition(b" ")
                if checksum != b"%08x" % zlib.crc32(text):
                    return
                yield _decode(text)
    except (OSError, EOFError, zlib.error, JsonError):
        return
