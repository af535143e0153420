"""Pages inside a .tar, .tar.gz, .tar.zst or .zip, read one by one and never unpacked to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Self, cast

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.regular import open_regular
from cachestats.sources.items import (
    MAX_PAGE_BYTES,
    ArchiveKind,
    Page,
    Previous,
    ReadTask,
    Source,
    SourceKind,
    Unchanged,
    is_page,
    make_page,
    too_large,
    unreadable,
)
from cachestats.sources.mirror import is_index
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Fingerprint, Storage
from cachestats.sources.storage.compression import GZIP, ZSTD
from cachestats.sources.storage.input_limits import limit_hint
from cachestats.text import counted, storable

_BATCH_BYTES = 8 << 20

_MAX_HEADER_BYTES = 1 << 20  # of one member: tarfile holds a long name, or the map of a sparse file, in memory


def archive_kind(head: bytes) -> ArchiveKind | None:
    """Return the kind of archive that begins with these (at least 512) bytes, or None if it is not an archive."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(GZIP):
        return "tar.gz"
    if head.startswith(ZSTD):
        return "tar.zst"
    return "tar" if head[257:262] == b"ustar" else None


class ArchiveSource(Source):
    """All pages of one archive, in archive order."""

    is_sequential = True

    def __init__(self, name: str, storage: Storage, path: str, kind: ArchiveKind, selection: Selection) -> None:
        self.name = name
        self.kind: SourceKind = kind
        self.passed_over = self._num_indices = 0
        self._storage, self._path, self.selection = storage, path, selection
        self._fingerprint: Fingerprint = None
        self._times: Counter[str] = Counter()

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield tasks with pages that are already read, since an archive can only be read sequentially."""
        self.passed_over = self._num_indices = 0
        self._times.clear()
        self._fingerprint = self._storage.fingerprint(self._path)
        members = [origin for origin in previous.fingerprints if origin.startswith(f"{self.name}!")]
        if members and all(previous.has(origin, self._fingerprint) for origin in members):
            self.selection.check_pages(self.name)
            yield partial(iter, (Unchanged(members),))
            return
        batch: list[Page | Finding] = []
        size = 0
        folder: str | None = None
        has_pages = False
        for item in self._members():
            if not has_pages:
                self.selection.check_pages(self.name)
                has_pages = True
            data, snapshot = (item.data, item.folder_snapshot) if isinstance(item, Page) else (b"", folder)
            if not self.selection.takes(snapshot):
                self.passed_over += 1
                continue
            if batch and (size + len(data) > _BATCH_BYTES or snapshot != folder):
                yield partial(iter, batch)
                batch, size = [], 0
            batch.append(item)
            size += len(data)
            folder = snapshot
        if not has_pages:
            raise self._nothing_found()
        yield partial(iter, batch)

    def _nothing_found(self) -> SourceError:
        expected = f"expected pages `_cache/<snapshot>/<package>/specs.md` in {self.name}"
        if self._num_indices:
            found = f"{self._num_indices:,} {'index' if self._num_indices == 1 else 'indices'} of mirrors"
            return SourceError(f"{expected}, found {found}", hint="unpack it, and give its folder")
        return SourceError(
            f"{expected}, found {counted(self.passed_over, 'other member')}",
            hint="give an archive of a checkout of the cache site",
        )

    def _members(self) -> Iterator[Page | Finding]:
        try:
            if self.kind == "zip":
                yield from self._zip_members()
            else:
                yield from self._tar_members()
        except SourceError:
            raise
        except Exception as error:  # the readers of a dozen formats raise as many kinds of errors for damaged files
            raise self._damaged(str(error) or type(error).__name__) from error

    def _tar_members(self) -> Iterator[Page | Finding]:
        size = self._storage.size(self._path) if self.kind == "tar" else None
        with (
            self._storage.stream(self._path) as raw,
            _Bounded(self._decompressed(raw), self.limits.archive_bytes, self._too_large) as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive,
        ):
            for number, member in enumerate(archive, 1):
                self._check_number(number)
                # tarfile keeps every member that it has seen, which for a whole site takes as much as the archive.
                archive.members = []  # type: ignore[attr-defined]
                end = member.offset_data + member.size
                if size is not None and not 0 <= end <= size:
                    raise self._damaged(f"{storable(member.name)} would have {member.size:,} bytes")
                if not 0 <= end <= self.limits.archive_bytes:
                    raise self._too_large()
                if member.isdir():
                    continue
                kind = _unusual(member)
                if not self._is_page(member.name):
                    continue
                content = archive.extractfile(member) if kind is None else None
                yield self._refused(member.name, member.size, kind) or self._page(
                    member.name, content.read() if content else b""
                )
            # Read to the very end, where the checksums of gzip and zstd are, and where more data may follow.
            while rest := archive.fileobj.read(1 << 16):
                if rest.strip(b"\0"):
                    raise self._damaged("there is more data after its end")

    def _zip_members(self) -> Iterator[Page | Finding]:
        with self._seekable() as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            self._check_number(len(members))
            if sum(member.file_size for member in members if is_page(member.filename)) > self.limits.archive_bytes:
                raise self._too_large()
            for member in members:
                if member.is_dir():
                    continue
                unix_type = member.external_attr >> 28
                kind = None if unix_type in {0, 0o10} else "a link or device"
                if self._is_page(member.filename):
                    yield self._refused(member.filename, member.file_size, kind) or self._zip_page(archive, member)

    @contextmanager
    def _seekable(self) -> Iterator[IO[bytes]]:
        """Return a seekable file, since a .zip has its directory at the end; one without a local path is copied."""
        if self._storage.has_local_paths:
            with open_regular(self._path) as file:
                yield file
            return
        with tempfile.TemporaryFile() as copy:
            for chunk in self._storage.chunks(self._path):
                try:
                    copy.write(chunk)
                except OSError as error:
                    raise SourceError(
                        f"cannot copy {self.name} to {tempfile.gettempdir()}: {error.strerror}",
                        hint="free space there, or set TMPDIR to another folder",
                    ) from error
                if copy.tell() > self.limits.archive_bytes:
                    raise self._too_large()
            yield cast("IO[bytes]", copy)

    def _zip_page(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Page | Finding:
        origin = self._origin(member.filename)
        try:
            with archive.open(member) as content:
                data = content.read(MAX_PAGE_BYTES + 1)
        except Exception as error:  # see _members; here only one member is damaged, encrypted, ...
            return unreadable(origin, str(error) or type(error).__name__)
        return too_large(origin, len(data)) if len(data) > MAX_PAGE_BYTES else self._page(member.filename, data)

    def _is_page(self, name: str) -> bool:
        found = is_page(name)
        if found:
            self._times[name] += 1
        self.passed_over += not found
        self._num_indices += is_index(f"/{name}")
        return found

    def _refused(self, name: str, size: int, kind: str | None) -> Finding | None:
        """Return the finding for a page that must not be read, or None if it may be read."""
        path, origin = PurePosixPath(name), self._origin(name)
        if kind:
            return unreadable(origin, f"{kind} instead of a regular file")
        if path.is_absolute() or ".." in path.parts:
            return Finding(
                origin,
                "member name",
                "unsafe-path",
                "expected a path inside the archive, found one that leads out of it",
                "make the archive again with relative paths",
                num_specs=None,
            )
        return too_large(origin, size) if size > MAX_PAGE_BYTES else None

    def _page(self, name: str, data: bytes) -> Page:
        return make_page(self._origin(name), name, data, self._fingerprint)

    def _check_number(self, members: int) -> None:
        if members > self.limits.records:
            raise SourceError(
                f"expected an archive of at most {self.limits.records:,} files, found more in {self.name}",
                hint=limit_hint("records"),
            )

    def _too_large(self) -> SourceError:
        return SourceError(
            f"expected an archive of at most {self.limits.archive_bytes:,} bytes when decompressed, found more in "
            f"{self.name}",
            hint=limit_hint("archive_bytes"),
        )

    def _damaged(self, problem: str) -> SourceError:
        return SourceError(
            f"expected a complete {self.kind} archive, found {self.name} cut off or damaged: {problem}",
            hint="fetch it again",
        )

    def _origin(self, name: str) -> str:
        """Return the origin of a member; an archive may have several members of the same name."""
        origin = f"{self.name}!{storable(name)}"
        return f"{origin}#{self._times[name]}" if self._times[name] > 1 else origin

    def _decompressed(self, raw: IO[bytes]) -> IO[bytes]:
        if self.kind == "tar.gz":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        if self.kind == "tar.zst":
            import pyarrow as pa

            return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))
        return raw


class _Bounded(io.BytesIO):
    """A stream that fails after a number of bytes, and earlier in the headers of a member, which tarfile holds."""

    def __init__(self, stream: IO[bytes], most: int, error: Callable[[], SourceError]) -> None:
        super().__init__()
        self._stream, self._most, self._error = stream, most, error
        self._total = 0
        self._end_of_headers: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        data = bytes(self._stream.read(-1 if size is None else size))
        self._total += len(data)
        if self._total > self._most:
            raise self._error()
        if self._end_of_headers is not None and self._total > self._end_of_headers:
            raise tarfile.ReadError(f"a member has more than {_MAX_HEADER_BYTES:,} bytes of headers")
        return data

    @contextmanager
    def headers(self) -> Iterator[None]:
        """Read the headers of a member, each of which may lead to another one."""
        before = self._end_of_headers
        if before is None:
            self._end_of_headers = self._total + _MAX_HEADER_BYTES
        try:
            yield
        finally:
            self._end_of_headers = before


class _StrictTarInfo(tarfile.TarInfo):
    """Members of an archive that must be complete: tarfile itself takes a broken header for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            with tarfile_.fileobj.fileobj.headers():  # type: ignore[attr-defined]
                return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _unusual(member: tarfile.TarInfo) -> str | None:
    """Return what a member is if it is not a regular file."""
    if member.issym() or member.islnk():
        return "a link"
    if member.issparse():
        return "a sparse file"
    return None if member.isreg() else "a device"
