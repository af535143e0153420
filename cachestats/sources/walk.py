"""A walk through folders on disk that leaves out the pages that have not changed since they were read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from cachestats.errors import SourceError
from cachestats.sources.items import Previous, page_folders
from cachestats.sources.look import folders_above
from cachestats.sources.request import Selection
from cachestats.sources.storage.disk import is_as_read


class Folder(NamedTuple):
    """The files of a folder, except hidden ones, and the unchanged pages in the folders inside it."""

    files: list[str]
    """Their paths, sorted."""
    unchanged: Collection[str] = ()
    """Origins of pages that need not be read; the folders that they are in are not entered."""
    inside: Sequence[os.DirEntry[str]] = ()
    """The folders that are to be entered, sorted by name."""
    num_settled: int = 0
    """The number of pages in it that a look has already found unchanged."""


class Walk:
    """Lists a folder and the folders inside it."""

    def __init__(self, top: str, origin: Callable[[str], str], previous: Previous, selection: Selection) -> None:
        self._top, self._origin, self._previous, self._selection = top, origin, previous, selection
        # Folders with pages further down than in the next folder: these are entered even if that one is unchanged.
        self._settled = previous.settled
        folders = {page.rsplit("/", 2)[0] for page in previous.fingerprints}
        self._above_pages = folders_above(folders | previous.settled.keys())

    def folders(self) -> Iterator[Folder]:
        """Yield the folders, sorted by path; the target of several links is listed once.

        Raises
        ------
        SourceError
            If a folder cannot be listed.
        """
        walked = {os.path.realpath(self._top)}
        waiting = [self._top]
        while waiting:
            path = waiting.pop()
            try:
                folder = self._list(path)
            except OSError as error:
                raise SourceError(f"cannot list {path}: {error.strerror}", hint="check its permissions") from error
            yield folder
            inside = []
            for entry in folder.inside:
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if any(_is_inside(target, location) for location in walked):
                        continue
                    walked.add(target)
                inside.append(entry.path)
            waiting += reversed(inside)

    def _list(self, path: str) -> Folder:
        if self._settled and (num_settled := self._settled.get(self._origin(path))):
            return Folder([], num_settled=num_settled)
        names = os.listdir(path)
        if names == ["specs.md"]:  # nearly every folder: no need for a closer look, as reading the page takes one
            return Folder([f"{path}/specs.md"])
        unchanged = self._unchanged(path, names)
        if len(unchanged) == len(names):
            return Folder([], unchanged.values())
        with os.scandir(path) as entries:
            wanted = (entry for entry in entries if entry.name[0] != "." and entry.name not in unchanged)
            found = sorted(wanted, key=attrgetter("name"))
        inside = [entry for entry in found if entry.name != "specs.md" and _is_folder(entry)]
        entered = {entry.name for entry in inside}
        return Folder([entry.path for entry in found if entry.name not in entered], unchanged.values(), inside)

    def _unchanged(self, path: str, names: list[str]) -> dict[str, str]:
        """Return the origins of unchanged pages by the names of the folders that they are in.

        There may be a hundred thousand of them, so this does as little as possible for each.
        """
        previous, prefix = self._previous, self._origin(path)
        is_selected = self._selection.takes(page_folders(f"{path}/package/specs.md")[0])
        if not previous.fingerprints or previous.recheck or not is_selected:
            return {}
        fingerprints, again, above_pages = previous.fingerprints, previous.again, self._above_pages
        unchanged = {}
        # Relative to the open folder: looking up each whole path again takes half as long as everything else here.
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for name in names:
                folder = f"{prefix}/{name}"
                origin = f"{folder}/specs.md"
                fingerprint = fingerprints.get(origin)
                if not fingerprint or origin in again or folder in above_pages:
                    continue
                try:
                    status = os.stat(f"{name}/specs.md", dir_fd=descriptor)
                except OSError:  # the page is gone, or the walk will find out why it cannot be read
                    continue
                if is_as_read(status, fingerprint):
                    unchanged[name] = origin
        finally:
            os.close(descriptor)
        return unchanged


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder
