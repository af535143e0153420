"""Where specs come from.

A source yields its pages in batches that one worker reads and parses at a time. What a source is, is found by looking
at it: a folder, an archive (by its first bytes, not its name), one page or one index.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cachestats.errors import SourceError
from cachestats.sources.archive import ArchiveSource, archive_kind
from cachestats.sources.base import Batch, Index, Item, Page, Source, is_page
from cachestats.sources.folder import FileSource, FolderSource, IndexSource
from cachestats.sources.mirror import is_index

__all__ = ["Batch", "Index", "Item", "Page", "Source", "open_sources"]

_EXPECTED = (
    "a checkout of the cache site, its `_cache` folder, one snapshot's folder, one page, an archive of these, or a "
    "folder of mirrors"
)


def open_sources(sources: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """Return a reader for each source; a place that is given twice, or lies inside another one, is read once.

    Raises
    ------
    SourceError
        If a source does not exist, cannot be read, or is nothing that cachestats reads.
    """
    if not sources:
        raise SourceError("expected at least one source, found none", hint=f"give {_EXPECTED}")
    readers = {Path(source).resolve(): _open(source) for source in sources}
    return [reader for place, reader in readers.items() if not any(_covers(other, place) for other in readers)]


def _covers(folder: Path, place: Path) -> bool:
    """Whether reading `folder` reads `place` too: it does not look into hidden folders, nor into archives."""
    if place == folder or not place.is_relative_to(folder):
        return False
    if not (place.is_dir() or is_page(str(place)) or is_index(str(place))):
        return False
    return not any(part.startswith(".") for part in place.relative_to(folder).parts)


def _open(source: str | os.PathLike[str]) -> Source:
    if not os.fspath(source):
        raise SourceError(f"expected {_EXPECTED}, found an empty path", hint="give '.' for the current folder")
    path = Path(source)
    try:
        if path.is_dir():
            return FolderSource(path)
        if not path.exists():
            raise SourceError(f"expected {_EXPECTED}, found nothing at {path}", hint="check the path")
        if not path.is_file():
            raise SourceError(f"expected {_EXPECTED}, found neither file nor folder at {path}", hint="give one of them")
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
    if is_index(str(path.absolute())):
        return IndexSource(path)
    if kind := archive_kind(head):
        return ArchiveSource(path, kind)
    if path.suffix == ".md" or head.lstrip(b"\xef\xbb\xbf").startswith(b"---"):
        return FileSource(path)
    raise SourceError(f"expected {_EXPECTED}, found a file that is none of them: {path}", hint="give one of these")
