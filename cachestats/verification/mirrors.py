"""Check what is in the storage of a mirror: a spec file and a binary of each spec in its index, and no others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import msgspec

from cachestats.decode import Decoder, JsonError
from cachestats.errors import SourceError, reported
from cachestats.regular import read_regular
from cachestats.sources.mirror import (
    BINARY,
    SPEC_MANIFESTS,
    IndexLocation,
    Layout3,
    ManifestError,
    is_index,
    mirror_of,
    read_manifest,
)
from cachestats.sources.oci import ImageOfIndex, Images, SpecFilesOfImages, read_image
from cachestats.sources.signature import is_signed, signed_text
from cachestats.sources.spec_files import MAX_SPEC_FILE_BYTES
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.transfer import ForbiddenError, MissingError
from cachestats.sources.without_index import SpecFilesOfLayout2, SpecFilesOfLayout3
from cachestats.text import counted
from cachestats.verification.checks import OF_MIRROR
from cachestats.verification.ledger import Ledger, Place
from cachestats.verification.signatures import Keyring

_AT_ONCE = 16
_AHEAD = 1024
_SAME_TIME = timedelta(hours=1)  # Spack pushes specs, then the index; a copy without their times has them in any order
_HASH = re.compile(r"-([a-z0-9]{32})(?:\.spec\.json(?:\.sig)?|\.spec\.manifest\.json|\.spack)$")
_BINARY_OF_LAYOUT_2 = ".spack"
_SIGNED = ".sig"


class File(NamedTuple):
    """A file of a spec: its path, and its checksum and length as far as they are known."""

    path: str
    is_binary: bool
    checksum: str | None = None
    length: int | None = None


class Contents(Protocol):
    """What is in the storage of a mirror."""

    storage: Storage
    has_signatures: bool
    """Whether specs in it may be signed."""

    def names(self) -> Iterable[str]:
        """Return the names of the spec files or manifests; each ends in the hash of its spec and a suffix."""
        ...

    def files(self, name: str) -> list[File]:
        """Return the files that belong to a spec file or manifest.

        Raises
        ------
        SourceError
            If it cannot be read.
        """
        ...

    def signed(self, name: str) -> bytes | None:
        """Return what is signed, with its signature; None if there is no signature.

        Raises
        ------
        SourceError
            If it cannot be read.
        """
        ...


class _Checksum(msgspec.Struct):
    hash_algorithm: str = ""
    hash: str = ""


class _SpecFile(msgspec.Struct):
    binary_cache_checksum: _Checksum | None = None


_decode_spec_file = Decoder(_SpecFile).decode


class ContentsOfLayout2:
    """A mirror of layout 1 or 2: spec files in `build_cache`, and binaries in folders below it."""

    has_signatures = True

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage, self._folder = storage, folder
        self._binaries: dict[str, str] = {}

    def names(self) -> Iterable[str]:
        """Return the names of the spec files."""
        self._binaries = {digest: path for path in _below(self.storage, self._folder) if (digest := hash_in(path))}
        return SpecFilesOfLayout2(self.storage, self._folder).names()

    def files(self, name: str) -> list[File]:
        """Return the binary, with the checksum that the spec file has."""
        path = self._binaries.get(hash_in(name) or "")
        if path is None:
            return [File(f"{self._folder}/...-{hash_in(name)}{_BINARY_OF_LAYOUT_2}", is_binary=True)]
        data = self._read(name)
        try:
            found = _decode_spec_file(signed_text(data) if is_signed(data) else data).binary_cache_checksum
        except JsonError as error:
            raise SourceError(f"expected a spec file at {name}, found: {error}", hint="push the spec again") from error
        is_known = found is not None and found.hash_algorithm == "sha256"
        return [File(path, is_binary=True, checksum=found.hash if is_known and found else None)]

    def signed(self, name: str) -> bytes | None:
        """Return the spec file if it is signed."""
        data = self._read(name) if name.endswith(_SIGNED) else b""
        return data if is_signed(data) else None

    def _read(self, name: str) -> bytes:
        return bytes(self.storage.read(f"{self._folder}/{name}", limit=MAX_SPEC_FILE_BYTES))


class ContentsOfLayout3:
    """A mirror of layout 3: manifests, and the blobs that they name."""

    has_signatures = True

    def __init__(self, mirror: Layout3) -> None:
        self.storage, self._mirror = mirror.storage, mirror

    def names(self) -> Iterable[str]:
        """Return the names of the manifests."""
        return SpecFilesOfLayout3(self.storage, self._mirror).names()

    def files(self, name: str) -> list[File]:
        """Return the blobs that a manifest names; the path of one is where its checksum says."""
        blobs, _ = read_manifest(self.storage, self._path(name))
        files = [
            File(
                self._mirror.blob(blob.sha256(name)),
                blob.media_type.startswith(BINARY),
                blob.checksum,
                blob.content_length,
            )
            for blob in blobs
        ]
        if not any(file.is_binary for file in files):
            files.append(File(f"{self._path(name)} (it names none)", is_binary=True))
        return files

    def signed(self, name: str) -> bytes | None:
        """Return the manifest if it is signed."""
        data = bytes(self.storage.read(self._path(name), limit=MAX_SPEC_FILE_BYTES))
        return data if is_signed(data) else None

    def _path(self, name: str) -> str:
        return f"{self._mirror.path}/{SPEC_MANIFESTS}/{name}"


class ContentsOfImages:
    """An OCI cache: the image of each spec, whose config is the spec file and whose last layer is the binary."""

    has_signatures = False

    def __init__(self, images: Images) -> None:
        self.storage, self._images = images.storage, images

    def names(self) -> Iterable[str]:
        """Return the tags of the specs."""
        return SpecFilesOfImages(self._images).names()

    def files(self, name: str) -> list[File]:
        """Return the config and the last layer of an image; other layers belong to other images, too."""
        manifest = read_image(self._images, name)
        if manifest.config is None:
            raise ManifestError(f"expected the image of a spec at {name}, found no config", hint="push the spec again")
        parts = [(manifest.config, False), *((layer, True) for layer in manifest.layers[-1:])]
        files = [File(self._images.blob(one.checksum), is_one, one.checksum, one.size) for one, is_one in parts]
        return files if manifest.layers else [*files, File(f"{name} (it has no layers)", is_binary=True)]

    def signed(self, name: str) -> bytes | None:
        """Return None: Spack does not sign images."""
        return None


def contents_of(location: IndexLocation) -> tuple[str, Contents] | None:
    """Return the name of the mirror that an index belongs to, and what is in it; None for an index without one."""
    if isinstance(location, ImageOfIndex):
        return location.images.name, ContentsOfImages(location.images)
    if isinstance(location.mirror, Layout3):
        return location.storage.name(location.mirror.path), ContentsOfLayout3(location.mirror)
    if not is_index(location.path):
        return None
    path = mirror_of(location.path)
    return location.storage.name(path), ContentsOfLayout2(location.storage, f"{path}/build_cache")


@dataclass
class Mirror:
    """A mirror to check, with what its indices list."""

    place: Place
    contents: Contents
    indexed: dict[str, str] = field(default_factory=dict)
    """The packages of the cached specs that any of its indices lists, by hash."""
    written: list[datetime | None] = field(default_factory=list)
    """When each of its indices was written; None if that is not known."""


@dataclass(frozen=True)
class Depth:
    """How deep to look at mirrors."""

    blobs: bool = False
    """Whether to read every file, and compare its checksum and its length."""
    keyring: Keyring | None = None
    """The keys to verify signatures with."""
    finished: Finished | None = None
    """Files that need not be read again."""


class Finished:
    """The files that were found whole, kept in a file until all were read, so that a run that was stopped continues."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # The last line may be cut off.
            self._names = {*read_regular(path).decode("utf-8", "replace").split("\n")[:-1]}
        except FileNotFoundError:
            self._names = set()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}", hint="give another file") from error
        with reported(path):
            self._file = path.open("a", encoding="utf-8")
            self._file.write("\n")

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember a file that is whole."""
        with reported(self._path):
            self._file.write(f"{name}\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Forget everything if the run is complete: the next one reads all files again."""
        self._file.close()
        if kind is None:
            self._path.unlink(missing_ok=True)


class _Seen(NamedTuple):
    """What was found of one spec."""

    name: str
    faults: list[tuple[str, str]]
    """Checks that failed, and messages."""
    checked: list[str]
    """Checks that were made, once for each file."""
    whole: list[str]
    """Names of files that were read and are whole."""
    unknown: list[str]
    """Names of files whose checksums are not known."""
    pushed: list[datetime | None]
    """When the binary was written; None if that is not known."""


def check_mirror(mirror: Mirror, depth: Depth, ledger: Ledger) -> Iterator[None]:
    """Check the storage of a mirror; yield after each spec, for the progress."""
    names = {digest: name for name in mirror.contents.names() if (digest := hash_in(name))}
    if not names and not mirror.contents.storage.has_local_paths:
        for check in OF_MIRROR:
            ledger.skip(check, "server lists no files", len(mirror.indexed))
        return
    _compare(mirror, names, ledger)
    if depth.keyring is not None and not mirror.contents.has_signatures:
        for check in ("signature", "unsigned"):
            ledger.skip(check, "Spack signs nothing in OCI caches", len(names))
    pushed: dict[str, datetime | None] = {}
    for seen in _each(partial(_look, mirror.contents, depth), sorted(names.values())):
        _write_down(seen, mirror, ledger)
        pushed.update((seen.name, when) for when in seen.pushed)
        if depth.finished is not None:
            for whole in seen.whole:
                depth.finished.add(whole)
        yield
    _check_age(mirror, pushed, ledger)


def _check_age(mirror: Mirror, pushed: Mapping[str, datetime | None], ledger: Ledger) -> None:
    """Compare the time of the index with those of the binaries."""
    written = [one for one in mirror.written if one is not None]
    times = {name: when for name, when in pushed.items() if when is not None}
    if not written:
        ledger.skip("age", "storage does not tell when the index was written", len(pushed))
        return
    if len(times) < len(pushed):
        ledger.skip("age", "storage does not tell when the binary was written", len(pushed) - len(times))
    ledger.count("age", len(times))
    index = max(written)
    later = {name: when for name, when in times.items() if when - index > _SAME_TIME}
    if not later:
        return
    newest = max(later, key=lambda name: (later[name], name))
    not_in_it = sum(hash_in(name) not in mirror.indexed for name in later)
    ledger.find(
        "age",
        mirror.place,
        f"expected an index that is as new as its specs, found one of {index:%Y-%m-%d %H:%M}, "
        f"{_age_in_words(later[newest] - index)} older than {newest}; {counted(len(later), 'spec')} came after it, "
        f"and it lacks {not_in_it:,} of them",
    )


def _age_in_words(age: timedelta) -> str:
    return counted(age.days, "day") if age.days else counted(age.seconds // 3600, "hour")


def _compare(mirror: Mirror, names: Mapping[str, str], ledger: Ledger) -> None:
    """Compare the specs that the indices list with those that are there, whose names are given by their hashes."""
    ledger.count("no-manifest", len(mirror.indexed))
    ledger.count("unindexed", len(names))
    if mirror.indexed and not names:
        message = f"expected spec files or manifests of {counted(len(mirror.indexed), 'spec')}, found none at all"
        ledger.find("no-manifest", mirror.place, message, hint="check that the mirror was copied whole")
        return
    for digest in mirror.indexed.keys() - names.keys():
        message = "expected a spec file or manifest of a spec in the index, found none"
        ledger.find("no-manifest", mirror.place, message, package=mirror.indexed[digest] or None, digest=digest)
    for digest in names.keys() - mirror.indexed.keys():
        message = f"expected the spec in the index, found only {names[digest]}"
        ledger.find("unindexed", mirror.place, message, package=_package(mirror, names[digest]), digest=digest)


def _write_down(seen: _Seen, mirror: Mirror, ledger: Ledger) -> None:
    digest = hash_in(seen.name) or ""
    for check in seen.checked:
        ledger.count(check)
    if seen.unknown:
        ledger.skip("blob", "checksum not known", len(seen.unknown))
    for check, message in seen.faults:
        ledger.find(check, mirror.place, message, package=_package(mirror, seen.name), digest=digest)


def _package(mirror: Mirror, name: str) -> str | None:
    """Return the package of a spec; of one that no index has, only layout 3 tells it, with the folder."""
    return mirror.indexed.get(hash_in(name) or "") or name.rpartition("/")[0] or None


def hash_in(path: str) -> str | None:
    """Return the hash in the name of a spec file, a manifest, a binary or a tag.

    Examples
    --------
    >>> from cachestats.verification.mirrors import hash_in
    >>> hash_in("zlib/zlib-1.3.1-hlcpgi6pqe5zzc7l4oyiewk73mmxoqmt.spec.manifest.json")
    'hlcpgi6pqe5zzc7l4oyiewk73mmxoqmt'
    """
    match = _HASH.search(path)
    return match[1] if match else None


def _look(contents: Contents, depth: Depth, name: str) -> _Seen:
    seen = _Seen(name, [], ["no-binary"], [], [], [])
    try:
        if depth.keyring is not None and contents.has_signatures:
            _check_signature(contents, depth.keyring, seen)
        files = contents.files(name)
    except SourceError as error:
        seen.faults.append(("unreadable", error.message))
        return seen
    for file in files:
        _check_file(contents.storage, file, depth, seen)
    return seen


def _check_signature(contents: Contents, keyring: Keyring, seen: _Seen) -> None:
    data = contents.signed(seen.name)
    if data is None:
        seen.checked.append("unsigned")
        seen.faults.append(("unsigned", f"expected a signature in {seen.name}, found none"))
        return
    seen.checked.extend(("signature", "unsigned"))
    if fault := keyring.fault(data):
        seen.faults.append(("signature", f"expected a valid signature in {seen.name}, found {fault}"))


def _check_file(storage: Storage, file: File, depth: Depth, seen: _Seen) -> None:
    name = storage.name(file.path)
    is_read = depth.blobs and (file.checksum or file.length is not None)
    try:
        if is_read and depth.finished is not None and name in depth.finished:
            seen.checked.append("blob")
        elif is_read:
            seen.checked.append("blob")
            fault = _fault_of(storage, file)
            seen.faults.extend([("blob", f"{fault} in {name}")] if fault else [])
            seen.whole.extend([] if fault else [name])
        else:
            seen.unknown.extend([name] if depth.blobs else [])
        if file.is_binary or not is_read:  # which also shows that it is there
            when = storage.modified(file.path)
            seen.pushed.extend([when] if file.is_binary else [])
    except (MissingError, ForbiddenError):
        what = "binary" if file.is_binary else "spec file"
        seen.faults.append(("no-binary", f"expected the {what} {name}, found none"))
    except SourceError as error:
        seen.faults.append(("unreadable", error.message))


def _fault_of(storage: Storage, file: File) -> str | None:
    """Return in what a file differs from its checksum and its length, or None."""
    digest, length = hashlib.sha256(), 0
    for chunk in storage.chunks(file.path):
        digest.update(chunk)
        length += len(chunk)
    if file.length not in {None, length}:
        return f"expected {counted(file.length, 'byte')}, found {length:,}"
    if file.checksum not in {None, digest.hexdigest()}:
        return f"expected the sha256 checksum {file.checksum:.12}..., found {digest.hexdigest():.12}..."
    return None


def _each(look: Callable[[str], _Seen], names: list[str]) -> Iterator[_Seen]:
    """Yield what is found of each spec, some at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(names), _AHEAD):
            yield from pool.map(look, names[first : first + _AHEAD])


def _below(storage: Storage, folder: str) -> Iterator[str]:
    """Yield the paths of the binaries below a folder."""
    waiting = [folder]
    num_folders = num_entries = 0
    while waiting:
        try:
            entries = storage.entries(waiting.pop())
        except (MissingError, ForbiddenError):
            continue
        num_folders, num_entries = num_folders + 1, num_entries + len(entries)
        storage.check_listed(storage.name(folder), num_folders, num_entries)
        waiting += [entry.path for entry in entries if entry.is_folder]
        yield from (entry.path for entry in entries if entry.path.endswith(_BINARY_OF_LAYOUT_2))
