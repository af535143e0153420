"""Mirrors and OCI caches without an index, or with a stale one: an index is made of their spec files.

Spec files are many and small, so that some are requested at a time, and those that were read are kept in a journal. If
there is an index all the same, the specs that it lacks, and those that only it has, become findings.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import msgspec

from cachestats.decode import JsonError
from cachestats.errors import SourceError
from cachestats.findings import Finding, Findings
from cachestats.sources.items import BinarySize, Content, Index, Mirror, Previous
from cachestats.sources.journal import Entry, Journal
from cachestats.sources.mirror import (
    SPEC_MANIFESTS,
    IndexLocation,
    Layout3,
    ManifestError,
    binary_size,
    locate_index,
    mirror_of,
    read_manifest,
    read_verified,
)
from cachestats.sources.request import SpecFileReading
from cachestats.sources.spec_files import (
    MAX_SPEC_FILE_BYTES,
    NoSpecError,
    SpecFile,
    SpecFiles,
    cached_specs,
    read_spec_file,
)
from cachestats.sources.storage.base import Entry as StorageEntry
from cachestats.sources.storage.base import Fingerprint, Storage
from cachestats.sources.storage.transfer import DamagedError, ForbiddenError, MissingError
from cachestats.text import counted

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_AHEAD = 64  # the most requests that are pending at a time, and the most answers that a killed run loses
_SPEC_FILES = (".spec.json", ".spec.json.sig")
_SPEC_MANIFEST = ".spec.manifest.json"
_SPEC = re.compile(r"application/vnd\.spack\.spec\.v([0-9]{1,4})\+json")
_NO_SPEC_FILES = "%s: this index is read, because there are no spec files that belong to it"
_UPDATE_INDEX = "let Spack write the index again: spack buildcache update-index"
_PUSH_AGAIN = "push it again: spack buildcache push --force; or remove it from the cache"


class SpecFileStore(Protocol):
    """The spec files of one mirror or cache."""

    @property
    def mirror(self) -> Mirror | None:
        """Tells the sizes of binaries whose spec files do not."""
        ...

    def names(self) -> Mapping[str, Fingerprint]:
        """Return the name of each spec file, with a fingerprint; "" if the name has the hash of the spec in it."""
        ...

    def read(self, name: str) -> SpecFile:
        """Return a spec file.

        Raises
        ------
        NoSpecError
            If there is something else.
        JsonError, ManifestError, MissingError, DamagedError
            If this one cannot be read, but others may.
        SourceError
            If the storage cannot be read.
        """
        ...


@dataclass(frozen=True)
class SpecFilesLocation(IndexLocation):
    """The location of spec files, of which an index is made, and of the index to compare with them, if there is one."""

    store: SpecFileStore
    reading: SpecFileReading
    listed: IndexLocation | None = None

    def index(self, previous: Previous) -> Index:
        """List the spec files, and return the index that can be made of them."""
        names = self.store.names()
        if not names and self.listed is not None:
            logger.warning(_NO_SPEC_FILES, self.listed.origin)
            return replace(self.listed, origin=self.origin).index(previous)
        if not names:
            raise SourceError(f"expected spec files in {self.origin}, found none", hint="check the path or URL")
        listed, look = self._look_at_listed(previous)
        sizes = _Sizes(self.store.mirror)
        read = partial(self._read, names, look, sizes, previous)
        mirror = None if self.store.mirror is None else sizes
        return Index(self.origin, self.snapshot, self.stack, _fingerprint(names, listed), read, mirror)

    def _look_at_listed(self, previous: Previous) -> tuple[Fingerprint, Callable[[], Content] | SourceError | None]:
        """Return the fingerprint of the index beside the spec files, and how to read it."""
        if self.listed is None:
            return "", None
        try:
            return self.listed.look(previous)
        except MissingError:
            return "", None
        except SourceError as error:
            return None, error

    def _read(
        self,
        names: Mapping[str, Fingerprint],
        listed: Callable[[], Content] | SourceError | None,
        sizes: _Sizes,
        previous: Previous,
    ) -> Content:
        """Return the index of the spec files. The other index is released before the first of them is read."""
        indexed, faults = self._indexed(listed)
        findings, found = Findings(faults), SpecFiles()
        # Files on a disk are read as fast as a journal is. The journal has the name of the place of the spec files, not
        # of their origin: of a cache that is given another name each week, only new spec files are read.
        folder = self.reading.folder if self.storage.is_remote else None
        with closing(Journal(folder, self.storage.name(self.path))) as journal:
            known: set[str] = set()
            if previous.recheck:
                journal.forget()
            else:
                known = journal.take(names, found, is_update=bool(previous.fingerprints))
            logger.info("%s: %s, %s of them known", self.origin, counted(len(names), "spec file"), f"{len(known):,}")
            for some in self._answers(sorted(names.keys() - known)):
                entries = []
                for name, answer in some.items():
                    if isinstance(answer, Finding):
                        findings.add(answer)
                        continue
                    fingerprint, new = names[name], found.add(answer)
                    if fingerprint is not None:
                        entries.append(Entry(name, fingerprint, msgspec.structs.replace(answer, nodes=new)))
                journal.write(entries)
            journal.finish()
        if not found.specs:
            first = next(iter(findings.all()), None)
            why = f": {first.message}" if first else ""
            raise SourceError(f"expected specs in {self.origin}, found none{why}", hint="check the path or URL")
        if indexed is not None:
            for one in self._differences(indexed, found):
                findings.add(one)
        sizes.known.update((key, BinarySize(one.size, one.is_signed)) for key, one in found.specs.items())
        told = sorted(f"{one.rule} {one.location}" for one in findings.all())
        return Content(found.index(), found.digest(told), findings.all())

    def _answers(self, names: Sequence[str]) -> Iterator[dict[str, SpecFile | Finding]]:
        """Yield what is in the spec files of these names, some at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for first in range(0, len(names), _AHEAD):
                if self.reading.stopping.is_set():
                    raise SourceError(
                        "stopped before all spec files were read", hint="run it again: it continues where it stopped"
                    )
                some = names[first : first + _AHEAD]
                yield dict(zip(some, pool.map(self._ask, some), strict=True))

    def _ask(self, name: str) -> SpecFile | Finding:
        try:
            return self.store.read(name)
        except NoSpecError:
            words, hint = f"expected a spec in {name}, found something else; it was passed over", "nothing to do"
            return Finding(self.origin, name, "no-spec", words, hint, snapshot=self.snapshot)
        except (ManifestError, MissingError, DamagedError) as error:
            words = error.message
        except JsonError as error:
            words = f"expected a spec file, found: {error}"
        return Finding(self.origin, name, "spec-file", words, _PUSH_AGAIN, num_specs=1, snapshot=self.snapshot)

    def _indexed(
        self, listed: Callable[[], Content] | SourceError | None
    ) -> tuple[Mapping[str, str] | None, list[Finding]]:
        """Return the cached specs in the index beside the spec files; None if there is none."""
        if listed is None:
            return None, []
        try:
            if isinstance(listed, SourceError):
                raise listed
            return cached_specs(listed().data, self.storage.limits.records), []
        except SourceError as error:
            words = error.message
        except JsonError as error:
            words = f"expected an index to compare with, found: {error}"
        hint = f"the spec files were read instead; {_UPDATE_INDEX}"
        return None, [Finding(self.origin, "index", "bad-index", words, hint, snapshot=self.snapshot)]

    def _differences(self, indexed: Mapping[str, str], found: SpecFiles) -> Iterator[Finding]:
        """Yield a finding for each spec that only the index or only the cache has."""
        for key, one in found.specs.items():
            if key not in indexed:
                words = f"expected {one.name}/{key} in the index, found only its spec file, which was read"
                yield self._difference(key, "unindexed", words, one.name)
        for key, package in indexed.items():
            if key not in found.specs:
                words = f"expected the spec file of {package}/{key}, found it only in the index; it was left out"
                yield self._difference(key, "only-indexed", words, package)

    def _difference(self, key: str, rule: str, words: str, package: str) -> Finding:
        return Finding(self.origin, key, rule, words, _UPDATE_INDEX, snapshot=self.snapshot, package=package or None)


@dataclass(frozen=True)
class _Sizes:
    """The sizes of binaries: those that came with the spec files, and the rest from the mirror."""

    mirror: Mirror | None
    known: dict[str, BinarySize] = field(default_factory=dict)

    def size(self, package: str, version: str, hash_: str) -> BinarySize | None:
        known = self.known.get(hash_)
        if (known and known.num_bytes is not None) or self.mirror is None:
            return known
        return self.mirror.size(package, version, hash_)


def _fingerprint(names: Mapping[str, Fingerprint], listed: Fingerprint) -> Fingerprint:
    """Return a checksum of the names and fingerprints of spec files and of an index, or None if one has none."""
    if listed is None or None in names.values():
        return None
    lines = [f"{name}\0{fingerprint}" for name, fingerprint in sorted(names.items())]
    return hashlib.sha256("\n".join([listed, *lines]).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class SpecFilesOfLayout2:
    """The spec files of a mirror of layout 1 or 2, in the folder `build_cache`; nothing in them tells a size."""

    storage: Storage
    folder: str
    mirror: Mirror | None = None

    def names(self) -> Mapping[str, Fingerprint]:
        """Return the names of the spec files."""
        entries = _entries(self.storage, self.folder)
        return {
            entry.path.rpartition("/")[2]: _fingerprint_of(self.storage, entry)
            for entry in entries
            if not entry.is_folder and entry.path.endswith(_SPEC_FILES)
        }

    def read(self, name: str) -> SpecFile:
        """Return a spec file."""
        return read_spec_file(read_verified(self.storage, f"{self.folder}/{name}", limit=MAX_SPEC_FILE_BYTES).data)


@dataclass(frozen=True)
class SpecFilesOfLayout3:
    """The spec files of a mirror of layout 3: blobs named by the manifests of the specs, which tell sizes, too."""

    storage: Storage
    mirror: Layout3

    def names(self) -> Mapping[str, Fingerprint]:
        """Return the paths of the manifests, with the folders of their packages."""
        top = f"{self.mirror.path}/{SPEC_MANIFESTS}"
        folders = [entry.path for entry in _entries(self.storage, top) if entry.is_folder]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            entries: list[StorageEntry] = []
            for number, some in enumerate(pool.map(partial(_entries, self.storage), folders), 1):
                entries += (entry for entry in some if entry.path.endswith(_SPEC_MANIFEST))
                self.storage.check_listed(self.storage.name(top), number, len(entries))
        return {entry.path[len(top) + 1 :]: _fingerprint_of(self.storage, entry) for entry in entries}

    def read(self, name: str) -> SpecFile:
        """Return the spec file that a manifest names."""
        blobs, has_signature = read_manifest(self.storage, f"{self.mirror.path}/{SPEC_MANIFESTS}/{name}")
        files = ((blob, match) for blob in blobs if (match := _SPEC.fullmatch(blob.media_type)))
        blob, media_type = next(files, (None, None))
        if blob is None or media_type is None:
            raise ManifestError(f"expected a spec file in the manifest {name}, found none", hint=_PUSH_AGAIN)
        path = self.mirror.blob(blob.sha256(name))
        data = read_verified(self.storage, path, blob.checksum, blob.content_length, limit=MAX_SPEC_FILE_BYTES).data
        found, size = read_spec_file(data, version=int(media_type[1])), binary_size(blobs, has_signature)
        return msgspec.structs.replace(found, digest=blob.checksum, size=size.num_bytes, is_signed=has_signature)


def locate_spec_files(
    storage: Storage,
    indices: Collection[str],
    expected: Collection[str],
    origin: Callable[[str], str],
    reading: SpecFileReading,
) -> list[IndexLocation]:
    """Return the locations of the spec files of mirrors, and those of indices without spec files.

    Parameters
    ----------
    storage
        Where the mirrors are.
    indices
        The paths of the indices that there are.
    expected
        The paths of the indices of the mirrors that have spec files, whether these indices exist or not.
    origin
        Returns the origin of a path.
    reading
        What their reading needs.
    """
    mirrors = {mirror_of(path) for path in expected}
    result: list[IndexLocation] = []
    for path in sorted({*indices, *expected}):
        found = locate_index(storage, path, origin(path), mirrors)
        if path not in expected:
            logger.warning(_NO_SPEC_FILES, found.origin)
            result.append(found)
            continue
        mirror = Layout3(storage, mirror_of(path))
        folder = f"{mirror.path}/{SPEC_MANIFESTS if found.mirror else 'build_cache'}"
        store: SpecFileStore = (
            SpecFilesOfLayout3(storage, mirror) if found.mirror else SpecFilesOfLayout2(storage, folder)
        )
        listed = found if path in indices else None
        result.append(
            SpecFilesLocation(storage, path, origin(folder), found.snapshot, found.stack, store, reading, listed)
        )
    return result


def _entries(storage: Storage, folder: str) -> list[StorageEntry]:
    """Return the entries of a folder; none if there is no such folder."""
    try:
        return storage.entries(folder)
    except (MissingError, ForbiddenError):
        return []


def _fingerprint_of(storage: Storage, entry: StorageEntry) -> Fingerprint:
    return storage.fingerprint(entry.path) if storage.has_local_paths else entry.fingerprint or ""
