"""Workers, threads and processes, and the progress they report.

Threads share the interpreter, which much of reading and making tables holds, so that the second core idles. From a size
where it pays, such work goes to processes instead: what they are told and what they answer is small, and tables stay in
files. Loky rather than the standard library's pool, whose processes run the user's script again when they start.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from functools import cached_property
from threading import Event
from typing import Any, Protocol, Self, TypeVar

from cachestats.errors import ArgumentError, WorkerError

T = TypeVar("T")
R = TypeVar("R")

_HERE = 24
"""Items that are processed in threads before processes are started, which takes each as long as some ten items."""

_AHEAD = 16
"""Items for each worker that are taken ahead of the next result: pages of `develop` take as long as ten other tasks."""

_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Lets processes take memory from Linux in pages of 2 MiB, which saves a tenth of the time: large arrays come and go.

It must be set before a process starts, so this process does without it. Other systems ignore it.
"""


class Progress(Protocol):
    """Anything that wraps an iterable and shows its progress, such as `tqdm.tqdm`."""

    def __call__(self, iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
        """Return an iterable over the same items; `total` is their number, if known."""
        ...


class Workers:
    """A few workers that process items in order."""

    def __init__(self, count: int, progress: Progress | None, stopping: Event | None = None) -> None:
        self.count = count
        self.stopping = stopping or Event()
        """Set once something failed or the user interrupted: long-running work may check it."""
        self.progress = progress or _no_progress
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()
        if "_processes" in self.__dict__:
            self._processes.shutdown(kill_workers=error[0] is not None)

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        may_leave: Callable[[T], bool] = lambda _: False,
    ) -> Iterator[R]:
        """Apply a function to items, in order, taking items only a little ahead of the next result.

        Parameters
        ----------
        function, items
            What to do, and with what.
        may_leave
            Whether an item may be processed by another process: then it and the function can be pickled.

        Raises
        ------
        WorkerError
            If a process was killed.
        """
        waiting: deque[Future[R]] = deque()
        leaving = 0
        try:
            for item in items:
                leaving += self.count > 1 and may_leave(item)
                is_elsewhere = may_leave(item) and (leaving > _HERE or "_processes" in self.__dict__)
                pool = self._processes if is_elsewhere else self._threads
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD * self.count:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        except BaseException:
            self.stopping.set()
            raise
        finally:
            for future in waiting:
                future.cancel()

    @cached_property
    def _processes(self) -> Any:
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(
            self.count,
            initializer=gc.set_threshold,
            initargs=gc.get_threshold(),
            env={"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", _HUGE_PAGES)},
        )


def _result(future: Future[R]) -> R:
    """Return what a worker answered."""
    try:
        return future.result()
    except BrokenExecutor as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise WorkerError(
            f"expected a worker process to finish, found that it was killed: {reason}",
            hint="it may have run out of memory: free some, or use fewer workers, such as --workers 1",
        ) from None


def _no_progress(iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
    return iterable


def checked_workers(workers: int | None) -> int:
    """Return the number of workers: by default one for each CPU that this process may use.

    Raises
    ------
    ArgumentError
        If it is below one.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise ArgumentError(f"expected at least one worker, found {workers}", hint="leave workers out")
    return workers
