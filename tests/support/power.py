"""A model of a disk that loses power: what was not synced is gone, or is there with empty files."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Tree = dict[str, bytes | None]
"""The contents of files by their paths; None is a folder."""


class Disk:
    """What is left of a folder if the power goes, after each change of it.

    A sync of a file keeps its contents, and that of a folder its entries; neither keeps the other. What a file system
    does by itself is in between two extremes: it has written down nothing else, or all entries but no contents.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states: list[Tree] = []
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, int]] = {}
        self._kinds: dict[int, bool] = {}
        self._lock = threading.Lock()
        for folder, _, files in os.walk(root):  # what was there before
            self._sync(folder)
            for name in files:
                self._sync(os.path.join(folder, name))

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record a state after each change and each sync inside the folder."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "rename", "unlink", "mkdir", "rmdir"):
                patch.setattr(os, name, self._noted(getattr(os, name)))
            plain = os.fsync

            def fsync(descriptor: int) -> None:
                plain(descriptor)
                with self._lock:
                    self._sync(os.readlink(f"/proc/self/fd/{descriptor}"))
                    self._note()

            patch.setattr(os, "fsync", fsync)
            yield

    def _noted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found = function(*arguments, **options)
            with self._lock:
                self._note()
            return found

        return call

    def _sync(self, path: str | os.PathLike[str]) -> None:
        status = os.stat(path)
        self._kinds[status.st_ino] = stat.S_ISDIR(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            self._entries[status.st_ino] = self._listed(path)
        else:
            self._contents[status.st_ino] = Path(path).read_bytes()

    def _listed(self, folder: str | os.PathLike[str]) -> dict[str, int]:
        found = {}
        for entry in os.scandir(folder):
            found[entry.name] = entry.inode()
            self._kinds[entry.inode()] = entry.is_dir(follow_symlinks=False)
        return found

    def _note(self) -> None:
        for is_least in (True, False):
            tree: Tree = {}
            self._collect(tree, "", os.stat(self.root).st_ino, is_least)
            if tree not in self.states[-2:]:
                self.states.append(tree)

    def _collect(self, tree: Tree, place: str, folder: int, is_least: bool) -> None:
        entries = self._entries.get(folder, {}) if is_least else self._listed_or_nothing(place)
        for name, inode in sorted(entries.items()):
            path = f"{place}/{name}" if place else name
            if self._kinds[inode]:
                tree[path] = None
                self._collect(tree, path, inode, is_least)
            else:
                tree[path] = self._contents.get(inode, b"")

    def _listed_or_nothing(self, place: str) -> dict[str, int]:
        return self._listed(self.root / place) if (self.root / place).is_dir() else {}


def write_tree(folder: Path, tree: Tree) -> None:
    """Write what is left of a folder into a new one."""
    folder.mkdir()
    for path, data in tree.items():
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
