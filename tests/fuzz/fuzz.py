"""Feed parsers with mutated inputs for some time, one parser after the other, and find out which inputs fail.

An input fails if its parser raises anything but an error of cachestats, takes more than `HANGS_AFTER` seconds or
`MOST_BYTES` of memory, or ends the process. Parsers run in processes of their own, which a watchdog ends and starts.
Each input is made from the name of its parser, a seed and its number alone, so that it can be made again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cachestats as cs

HANGS_AFTER = 10.0
MOST_BYTES = 1 << 30
PARSERS = "tests.fuzz.parsers"
"""The module with the parsers."""

_SLICE = 0.2  # seconds until it is the next parser's turn
_POLL = 0.05


Mutate = Callable[[random.Random], bytes]


class Parser(NamedTuple):
    """A parser, and how to make an input for it."""

    mutate: Mutate
    parse: Callable[[bytes], object]
    """Read an input. It may raise errors of cachestats; it fails with any other one, or if two readers disagree."""


class Failure(NamedTuple):
    """An input that failed, and how."""

    parser: str
    seed: int
    number: int
    what: str

    @property
    def again(self) -> str:
        """The command that reads the input again."""
        return f"python -m tests.fuzz --seed {self.seed} --parser '{self.parser}' --input {self.number}"

    @property
    def data(self) -> bytes:
        """The input."""
        return make_input(parsers()[self.parser], self)

    def save(self, folder: Path) -> Path:
        """Write the input to a file, and what is known about it to another one beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.parser.replace(' ', '-')}-{self.seed}-{self.number}"
        path.write_bytes(self.data)
        path.with_suffix(".txt").write_text(f"{self.again}\n\n{self.what}\n", encoding="utf-8", errors="replace")
        return path


@dataclass
class Outcome:
    """How many inputs each parser was given, and the failures: one of each kind, with how many there were of it."""

    inputs: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, failure: Failure) -> None:
        """Add a failure; of failures that look alike, the first is kept."""
        kind = f"{failure.parser}: {failure.what.splitlines()[-1][:100]}"
        self.failures.setdefault(kind, failure)
        self.counts[kind] += 1


class Input(NamedTuple):
    """Which input of which parser."""

    parser: str
    seed: int
    number: int


def parsers(module: str = PARSERS) -> Mapping[str, Parser]:
    """Return the parsers of a module."""
    found: Mapping[str, Parser] = import_module(module).PARSERS
    return found


def make_input(parser: Parser, which: Input | Failure) -> bytes:
    """Return an input, which is the same one each time."""
    return parser.mutate(random.Random(f"{which.parser} {which.seed} {which.number}"))


def read(parser: Parser, which: Input) -> Failure | None:
    """Have an input read."""
    data = make_input(parser, which)
    try:
        parser.parse(data)
    except cs.CachestatsError:
        return None
    except Exception:
        return Failure(*which, traceback.format_exc())
    return None


def fuzz(
    seconds: float, *, seed: int = 0, processes: int = 1, only: str | None = None, module: str = PARSERS
) -> Outcome:
    """Feed the parsers of a module, or only one of them, for some time."""
    outcome = Outcome()
    names = [name for name in parsers(module) if only in (None, name)]
    workers = [_Worker(place, processes, names, seed, module) for place in range(processes)]
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(_POLL)
            for worker in workers:
                worker.look(outcome)
    finally:
        for worker in workers:
            worker.end(outcome)
    return outcome


class _Progress(NamedTuple):
    """What a process and its watchdog share."""

    numbers: Any
    """The next number of each parser; that of the current one is being read."""
    counts: Any
    """The number of inputs that each parser was given."""
    now: Any
    """The place of the current parser, -1 if there is none yet, and when its input was begun."""
    failures: Any
    """A queue."""


class _Worker:
    """A process that reads inputs, and the watchdog beside it."""

    def __init__(self, place: int, step: int, names: list[str], seed: int, module: str) -> None:
        self.names, self.seed, self.module, self.step = names, seed, module, step
        self.context: Any = multiprocessing.get_context("spawn")
        make = self.context.Array
        self.shared = _Progress(
            numbers=make("q", [place] * len(names), lock=False),
            counts=make("q", len(names), lock=False),
            now=make("d", [-1, 0], lock=False),
            failures=self.context.SimpleQueue(),
        )
        self.start(0)

    def start(self, first: int) -> None:
        """Start a process, which begins with the parser at this place."""
        self.shared.now[0] = -1
        # A process that was killed may hold the lock of the queue.
        self.shared = self.shared._replace(failures=self.context.SimpleQueue())
        places = [*range(first, len(self.names)), *range(first)]
        arguments = (self.names, places, self.seed, self.module, self.step, self.shared)
        self.process = self.context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        self.memory = 0

    def look(self, outcome: Outcome) -> None:
        """Take failures; if the process hangs, is too large or has ended, note that, and start another one."""
        self._take(outcome)
        place, since = int(self.shared.now[0]), self.shared.now[1]
        memory = _memory(self.process.pid)
        if place < 0:
            if not self.process.is_alive():
                raise RuntimeError("a process ended before it read anything; its stderr says why")
            self.memory = memory
            return
        what = ""
        if time.monotonic() - since > HANGS_AFTER:
            what = f"takes more than {HANGS_AFTER:.0f} s"
        elif memory - self.memory > MOST_BYTES:
            what = f"takes more than {MOST_BYTES:,} bytes of memory"
        elif not self.process.is_alive():
            what = f"ends the process with {self.process.exitcode}"
        if what:
            self.process.kill()
            self.process.join()
            self._take(outcome)
            outcome.add(Failure(self.names[place], self.seed, self.shared.numbers[place], what))
            self.shared.numbers[place] += self.step
            self.start((place + 1) % len(self.names))

    def end(self, outcome: Outcome) -> None:
        self.process.kill()
        self.process.join()
        self._take(outcome)
        outcome.inputs.update(dict(zip(self.names, self.shared.counts, strict=True)))

    def _take(self, outcome: Outcome) -> None:
        while not self.shared.failures.empty():
            outcome.add(self.shared.failures.get())


def _memory(process: int | None) -> int:
    """Return the bytes that a process has in memory; 0 where the system does not tell."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _work(names: list[str], places: list[int], seed: int, module: str, step: int, shared: _Progress) -> None:
    logging.disable(logging.CRITICAL)
    known = parsers(module)
    for name in names:  # what is imported and written once is not counted
        make_input(known[name], Input(name, seed, 0))
    numbers, counts, now, failures = shared
    while True:
        for place in places:
            name = names[place]
            until = time.monotonic() + _SLICE
            now[1] = time.monotonic()
            now[0] = place
            while now[1] < until:
                if failure := read(known[name], Input(name, seed, numbers[place])):
                    failures.put(failure)
                numbers[place] += step
                counts[place] += 1
                now[1] = time.monotonic()
