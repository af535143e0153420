"""A folder that exports keep up to date: what they wrote is replaced or removed, all else is left alone.

The names of an export's files stand in a list in the folder, which is written before the files are: an export that was
killed leaves whole files only, and the next one finishes its work. Every file, the list too, is written beside its
place and renamed into it, so a tool that reads it meanwhile reads the old one to its end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import filelock

from cachestats.atomic import written
from cachestats.errors import BusyError, DatasetError
from cachestats.regular import open_regular, read_regular


class Folder:
    """The folder of an export, which one process writes at a time.

    Parameters
    ----------
    path
        The folder, which is made if it is not there.
    names
        The files that the export writes.
    listing
        The file, in a folder of its own, that lists them. Unfinished files are written beside it.
    own
        What a line of the list looks like. An export cannot have written others, so they are passed over.
    always
        The files that every export writes, whether they are among `names` or not.
    holds
        Words for what the folder holds.

    Raises
    ------
    DatasetError
        If the folder, or a file of one of these names in it, is not from an export.
    BusyError
        If another process is exporting to the folder.
    """

    def __init__(
        self,
        path: Path,
        names: set[str],
        *,
        listing: str,
        own: re.Pattern[str],
        always: Collection[str],
        holds: str,
    ) -> None:
        self.path, self.names, self.listing = path, names, listing
        self.own, self.always, self.holds = own, set(always), holds
        self.state = path / listing.partition("/")[0]
        self._lock = filelock.FileLock(self.state / "lock")

    def __enter__(self) -> Self:
        self._refuse_foreign()
        self.state.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BusyError(
                f"another process is exporting to {self.path}",
                hint="try again once it is done, or write to another folder",
            ) from None
        try:
            self._sweep()
            self.before = self._written_before()
            self._refuse_to_overwrite(self.names - self.before)
            self._list(self.names | self.before)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for name in self.before - self.names:
                    self._remove(name)
                self._list(self.names)
        finally:
            self._lock.release()

    def write(self, name: str, data: bytes) -> None:
        """Write a file, unless it has these bytes already."""
        with suppress(FileNotFoundError), open_regular(self.path / name) as file:
            if file.read() == data:
                return
        with self.replaced(name) as file:
            file.write(data)

    @contextmanager
    def replaced(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to write to, and put it into its place once it is whole."""
        with open(self.unfinished(name), "wb") as file:
            yield file
        self.put(name)

    def unfinished(self, name: str) -> str:
        """Return where to write a file before it is put into its place."""
        return f"{self.state}/{name.rpartition('/')[2]}"

    def put(self, name: str) -> None:
        """Put a file that was written into its place."""
        os.makedirs(f"{self.path}/{name.rpartition('/')[0]}", exist_ok=True)
        os.replace(self.unfinished(name), f"{self.path}/{name}")

    def _refuse_foreign(self) -> None:
        if not self.path.exists() or (self.path / self.listing).exists():
            return
        if others := sorted(path.name for path in self.path.iterdir() if path != self.state):
            raise DatasetError(
                f"expected an empty folder or {self.holds}, found {self.path} with {others[0]} in it",
                hint="give another folder to write to",
            )

    def _refuse_to_overwrite(self, names: set[str]) -> None:
        if foreign := sorted(name for name in names if os.path.lexists(f"{self.path}/{name}")):
            raise DatasetError(
                f"expected to write a new file {self.path / foreign[0]}, found one that no export wrote",
                hint="move it away, or give another folder to write to",
            )

    def _sweep(self) -> None:
        """Remove what an export that was killed left unfinished."""
        for path in self.state.iterdir():
            if path.name != "lock" and path != self.path / self.listing:
                path.unlink()

    def _written_before(self) -> set[str]:
        """Return the files that exports wrote, by the list.

        Cachestats once wrote the list in place, so a kill or a full disk could leave it empty or cut off. Then, if each
        file in the folder is one that an export can write, all of them count as written by one.
        """
        try:
            text = read_regular(self.path / self.listing).decode("utf-8", "replace")
        except FileNotFoundError:
            return set()
        listed = set(filter(self.own.fullmatch, text.splitlines()))
        if text.endswith("\n") and self.always & self.names <= listed:
            return listed
        found = self._found()
        foreign = sorted(name for name in found if not self.own.fullmatch(name))
        if foreign and found & self.names - listed:
            raise DatasetError(
                f"expected a list of the files that exports wrote in {self.path / self.listing}, found it cut off, and "
                f"{foreign[0]} among the files",
                hint="move the files that no export wrote out of the folder, or give another folder to write to",
            )
        return listed if foreign else found

    def _found(self) -> set[str]:
        """Return the files in the folder, and the links to folders, that belong in the list."""
        found: set[str] = set()
        for folder, folders, files in os.walk(self.path):
            if Path(folder) == self.path:
                folders.remove(self.state.name)
            links = [name for name in folders if Path(folder, name).is_symlink()]
            found.update(Path(folder, name).relative_to(self.path).as_posix() for name in (*files, *links))
        return found - (self.always - self.names)

    def _list(self, names: set[str]) -> None:
        with written(self.path / self.listing) as unfinished:
            # Never empty, so that an empty list is known to be one that was cut off.
            unfinished.write_text("\n".join(sorted(names)) + "\n", encoding="utf-8")

    def _remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # there is something else in the folder
            for folder in list(Path(name).parents)[:-1]:
                (self.path / folder).rmdir()
