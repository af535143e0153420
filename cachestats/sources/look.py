"""A look at folders of pages on disk: whether all pages of a folder are as they were read, by one checksum.

To compare each of a hundred thousand pages with its row in the table `inputs`, that table must be read and held by
origin. Instead, a dataset remembers a checksum for each folder of pages, which covers what `is_as_read` compares: the
names, sizes and dates of its pages. A folder with the same checksum is settled, and only the others are walked through.

The look can be fooled as the walk can: by a page that was written again with the same size and the same date, as some
tools set dates back. A page that had only just been written when it was read has no fingerprint, because it may be
written again within the same tick of the clock; then its folder has no checksum.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from cachestats.sources.storage.disk import size_and_date


class Look(NamedTuple):
    """What a look at a source found."""

    settled: Mapping[str, int]
    """Folders, by their paths inside the source, whose pages are as they were read, and the numbers of their pages."""
    passed_over: int = 0
    """Files that are neither pages nor indices."""
    is_all: bool = False
    """Whether the source has no other pages or indices, so that nothing in it changed."""


def look_at(
    top: str,
    checksums: Mapping[str, str],
    is_input: Callable[[str], bool],
    *,
    is_whole: bool,
    settle: Callable[[Collection[str]], Mapping[str, int]] | None = None,
) -> Look:
    """Look at the folders of pages in a folder, and for other pages if all of these are settled.

    Parameters
    ----------
    top
        The path of the folder.
    checksums
        The checksum of each folder of pages, by its path inside the folder; "" is the folder itself.
    is_input
        Whether a path is that of a page or an index.
    is_whole
        Whether everything that was read is in these folders.
    settle
        Another way to settle folders that have another checksum; it returns the numbers of pages of those it settles.
    """
    settled: dict[str, int] = {}
    others = _Others(is_input)
    above = {inside[:end] for inside in checksums for end in _ends(inside)}
    doubtful: list[str] = []
    waiting = [(top, "")]
    try:
        while waiting:
            path, inside = waiting.pop()
            if inside in checksums:
                if (count := _count_as_read(path, checksums[inside])) is not None:
                    settled[inside] = count
                else:
                    doubtful.append(inside)
                continue
            for entry in _entries(path):
                name = f"{inside}/{entry.name}" if inside else entry.name
                # A folder behind a link is left to the walk, which follows each target once.
                if (name in checksums or name in above) and entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, name))
                else:
                    others.add(entry)
        if doubtful and settle:
            settled |= settle(doubtful)
        if is_whole and len(settled) == len(checksums) and others.are_no_inputs():
            return Look(settled, others.passed_over, is_all=True)
    except OSError:  # the walk says which folder cannot be listed
        pass
    return Look(settled)


class _Others:
    """Files and folders outside the folders of pages."""

    def __init__(self, is_input: Callable[[str], bool]) -> None:
        self._is_input = is_input
        self._folders: list[str] = []
        self._is_clear = True
        self.passed_over = 0

    def add(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir():
            self._folders.append(entry.path)
            self._is_clear = self._is_clear and not entry.is_symlink()
        else:
            self.passed_over += 1
            self._is_clear = self._is_clear and not self._is_input(entry.path)

    def are_no_inputs(self) -> bool:
        """Look into all of the folders; a link to a folder might lead to inputs."""
        while self._is_clear and self._folders:
            for entry in _entries(self._folders.pop()):
                self.add(entry)
        return self._is_clear


def pages_in(path: str) -> dict[str, os.stat_result] | None:
    """Return the pages of a folder by the names of their own folders, or None if it has anything else."""
    try:
        return {entry.name: os.stat(f"{path}/{entry.name}/specs.md") for entry in _entries(path)}
    except OSError:
        return None


def checksum(pages: Iterable[tuple[str, str]]) -> str:
    """Return the checksum of the pages of a folder, given their names and fingerprints, in any order."""
    return _checksum([f"{name}/{fingerprint}" for name, fingerprint in pages])


def folders_above(folders: set[str]) -> set[str]:
    """Return folders and all folders above them."""
    result = set()
    while folders:
        result |= folders
        folders = {folder.rpartition("/")[0] for folder in folders} - result - {""}
    return result


def _count_as_read(path: str, expected: str) -> int | None:
    """Return the number of pages in a folder, or None if it has another checksum."""
    stat = os.stat  # this loop is two thirds of an update of a hundred thousand pages that finds nothing
    # Relative to the open folder: looking up each whole path again takes half as long as everything else here.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        lines = []
        for name in os.listdir(descriptor):
            if name[0] != ".":
                status = stat(f"{name}/specs.md", dir_fd=descriptor)
                lines.append(f"{name}/{size_and_date(status)}")
    except OSError:  # not a page, or it is gone
        return None
    finally:
        os.close(descriptor)
    return len(lines) if _checksum(lines) == expected else None


def _checksum(lines: list[str]) -> str:
    # A name has no slash, and nothing that follows one has a line break: no two folders have the same text.
    lines.sort()
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from (entry for entry in entries if entry.name[0] != ".")


def _ends(path: str) -> Iterator[int]:
    """Yield where the paths of the folders above a path end in it."""
    end = path.find("/")
    while end > 0:
        yield end
        end = path.find("/", end + 1)
