"""Faults at the system calls of a process, which a supervisor sees before the kernel carries them out.

The process is forked from a server that has imported everything, and has the kernel notify us of its calls (the user
notification of seccomp). So every call is seen, whichever thread makes it, and whether Python, Arrow or Polars do. Only
what is read from memory that is mapped from a file is no call; nothing here writes to such memory.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import platform
import select
import signal
import struct
import sys
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

linux_only = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="system calls have other numbers here"
)

# What the arguments of a call say of the file: a descriptor, a path, or the descriptor of a folder and a path.
_ON_DESCRIPTOR = {1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 77: "ftruncate"} | {
    **{285: "fallocate", 296: "pwritev", 328: "pwritev2"},
    **{0: "read", 17: "pread64", 19: "readv", 217: "getdents64"},
}
_ON_PATH = {2: "open", 82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 87: "unlink", 90: "chmod"}
_IN_FOLDER = {257: "openat", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 316: "renameat2"}
_NEW_NAMES = {86: ("link", 1, None), 88: ("symlink", 1, None), 265: ("linkat", 3, 2), 266: ("symlinkat", 2, 1)}
_COPIES = {40: "sendfile", 326: "copy_file_range"}  # their first or third descriptor is written to
_NAMES = _ON_DESCRIPTOR | _ON_PATH | _IN_FOLDER | _COPIES | {number: name for number, (name, *_) in _NEW_NAMES.items()}

READS = frozenset({"read", "pread64", "readv", "getdents64", "open for reading", "openat for reading"})
ALL = frozenset(_NAMES.values()) | READS
TAKES_SPACE = frozenset(
    {"write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate", "sendfile", "copy_file_range"}
    | {
        "open",
        "openat",
        "creat",
        "mkdir",
        "mkdirat",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
    }
    | {"fsync", "fdatasync"}
)

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, thread, flags, number of the call, architecture, pointer, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_HERE = -100  # AT_FDCWD

KILL = -1
"""The process is killed before the call happens."""


class Call(NamedTuple):
    """A system call: its name, and the file that it is about."""

    name: str
    path: str


class Fault(Protocol):
    """Decides what becomes of calls."""

    names: Collection[str]
    """The names of the calls to ask about: the fewer, the faster."""

    def __call__(self, call: Call) -> int | None:
        """Return the error that a call ends with, None if it happens, or `KILL`."""


class Ended(NamedTuple):
    """How a process ended: its exit code, minus the signal if it was killed by one, and what it wrote to stderr."""

    code: int
    messages: str


def run(
    arguments: Sequence[str],
    scratch: Path,
    watched: Path | None = None,
    fault: Fault | None = None,
    prepare: Callable[[], None] | None = None,
) -> Ended:
    """Run `cachestats` with these arguments; if there is a fault, ask it about the calls on files below a folder.

    The process calls `prepare` first.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.everything"])
    ours, theirs = context.Pipe()
    numbers = (
        []
        if fault is None
        else [number for number, name in _NAMES.items() if {name, f"{name} for reading"} & fault.names]
    )
    process = context.Process(
        target=_supervised, args=(theirs, [*arguments], scratch / "stderr", os.getpid(), numbers, prepare)
    )
    process.start()
    theirs.close()
    if fault is not None:
        listener = recv_handle(ours)
        try:
            _supervise(listener, process.pid or 0, f"{watched}", fault)
        finally:
            os.close(listener)
    process.join()
    ours.close()
    return Ended(process.exitcode or 0, (scratch / "stderr").read_text())


def _supervised(
    connection: Connection,
    arguments: list[str],
    messages: Path,
    supervisor: int,
    numbers: list[int],
    prepare: Callable[[], None] | None,
) -> None:
    from cachestats.cli import main

    if prepare is not None:
        prepare()
    sys.argv = ["cachestats", *arguments]
    for number, path in ((0, "/dev/null"), (1, "/dev/null"), (2, messages)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    if numbers:
        listener = _listen(numbers)
        send_handle(connection, listener, supervisor)
        os.close(listener)
    main()


def _listen(numbers: list[int]) -> int:
    """Have the kernel ask before such calls of this thread and of those that it starts; return whom it asks."""
    allow, notify, load_number, if_equal, answer = 0x7FFF0000, 0x7FC00000, 0x20, 0x15, 0x06
    jumps = [(if_equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program = [(load_number, 0, 0, 0), *jumps, (answer, 0, 0, allow), (answer, 0, 0, notify)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    library = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, set_filter, new_listener = 38, 317, 1, 8
    library.prctl(no_new_privileges, 1, 0, 0, 0)
    listener: int = library.syscall(seccomp, set_filter, new_listener, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _supervise(listener: int, process: int, watched: str, fault: Fault) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not poll.poll(60_000)[0][1] & select.POLLHUP:
        data = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, data)
            number, thread, _, name, _, _, *arguments = _NOTIFICATION.unpack(data)
            call = _call(thread, name, arguments)
            is_asked = call.name in fault.names and f"{call.path}/".startswith(f"{watched}/")
            error = fault(call) if is_asked else None
            if error == KILL:
                os.kill(process, signal.SIGKILL)
            elif error is None:
                fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, 0, _CONTINUE))
            else:
                fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, -error, 0))
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue


def _call(thread: int, number: int, arguments: list[int]) -> Call:
    if number in _ON_DESCRIPTOR:
        return Call(_ON_DESCRIPTOR[number], _opened(thread, arguments[0]))
    if number in _COPIES:
        return Call(_COPIES[number], _opened(thread, arguments[2 if number == 326 else 0]))
    name, at, folder = (
        _NEW_NAMES[number]
        if number in _NEW_NAMES
        else (_ON_PATH[number], 0, None)
        if number in _ON_PATH
        else (_IN_FOLDER[number], 1, 0)
    )
    base = _HERE if folder is None else ctypes.c_int32(arguments[folder] & 0xFFFFFFFF).value
    path = os.path.join(_opened(thread, base), os.fsdecode(_text(thread, arguments[at])))
    if name.startswith("open"):
        flags = arguments[at + 1]
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        name += "" if flags & writes else " for reading"
    return Call(name, os.path.normpath(path))


def _opened(thread: int, descriptor: int) -> str:
    return os.readlink(f"/proc/{thread}/cwd" if descriptor == _HERE else f"/proc/{thread}/fd/{descriptor}")


def _text(thread: int, address: int) -> bytes:
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        found = b""
        while b"\0" not in found:
            found += memory.read(4096 - (address + len(found)) % 4096)
        return found.partition(b"\0")[0]
