"""Read regular files only: a pipe may keep a reader waiting, and a device may have no end."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


def open_descriptor(path: str | os.PathLike[str]) -> tuple[int, os.stat_result]:
    """Open a regular file for reading and return its descriptor and status.

    Raises
    ------
    OSError
        If there is no such file, it cannot be read, or it is not a regular file.
    """
    # The file is opened first and then examined, so that nobody can replace it with a pipe in between. Without
    # O_NONBLOCK, opening a pipe waits for a writer; without O_NOCTTY, a terminal may become the process's own.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        os.set_blocking(descriptor, True)  # for file systems that fetch a file from tape on reading
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading.

    Raises
    ------
    OSError
        As `open_descriptor`.
    """
    return os.fdopen(open_descriptor(path)[0], "rb")


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    OSError
        As `open_descriptor`.
    """
    with open_regular(path) as file:
        return file.read()
