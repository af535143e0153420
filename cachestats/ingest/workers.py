"""Worker threads, and the progress they report."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Protocol, TypeVar

from cachestats.errors import ArgumentError

T = TypeVar("T")
R = TypeVar("R")


class Progress(Protocol):
    """Anything that wraps an iterable and shows its progress, such as `tqdm.tqdm`."""

    def __call__(self, iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
        """Return an iterable over the same items; `total` is their number, if known."""
        ...


class Workers:
    """A few threads that process items in order."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int, progress: Progress | None) -> None:
        self.pool, self.threads = pool, threads
        self.stopping = Event()
        """Set once something failed or the user interrupted: long-running work may check it."""
        self.progress = progress or _no_progress

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function in the threads, in order, taking items only as fast as they are processed."""
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self.pool.submit(function, item))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            self.stopping.set()
            raise
        finally:
            for future in waiting:
                future.cancel()


def _no_progress(iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
    return iterable


def checked_threads(threads: int | None) -> int:
    """Return the number of threads: by default one for each CPU that this process may use.

    Raises
    ------
    ArgumentError
        If it is below one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ArgumentError(f"expected at least one thread, found {threads}", hint="leave threads out")
    return threads
