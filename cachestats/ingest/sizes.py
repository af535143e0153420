"""The sizes of binaries, which only the manifests of mirrors of layout 3 and of OCI caches have, a small file per spec.

Many manifests are requested at a time. Each answer is written to a journal at once, so that a build that was killed
continues where it stopped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.errors import SourceError, reported
from cachestats.findings import Finding
from cachestats.ingest.workers import Workers
from cachestats.naming import UNION_STACK
from cachestats.regular import read_regular
from cachestats.sources.items import Mirror
from cachestats.text import counted

logger = logging.getLogger(__name__)

NO_SIZE = "no-size"
"""The rule for specs whose sizes are not available."""

_AT_ONCE = 16
_AHEAD = 1024  # the most requests that are pending at a time


class _Answer(NamedTuple):
    """The answer for one spec; its size is None if the spec has no manifest, or the manifest names no binary."""

    hash: str
    size: int | None
    is_signed: bool


@dataclass(frozen=True)
class Sizes:
    """Reads the sizes of a snapshot's specs, given the mirrors of its stacks."""

    snapshot: str
    origin: str
    """An index of the snapshot, to which findings refer."""
    mirrors: Mapping[str, Mirror]
    journal: Path
    """File to which answers are written."""
    workers: Workers

    def fill(self, specs: pa.Table, known: Mapping[str, int]) -> tuple[pa.Table, list[Finding]]:
        """Return the table `specs` with the missing sizes filled in, and findings about those not found.

        Sizes that are `known`, by hash, are not requested.

        Raises
        ------
        SourceError
            If an existing manifest cannot be read.
        """
        specs = _with_sizes(specs, known)
        lacking = specs.filter(pc.is_null(specs.column("size_bytes")))
        wanted: dict[str, tuple[str, str, list[str]]] = {}
        columns = (lacking.column(name).to_pylist() for name in ("hash", "package", "version", "stack"))
        for hash_, package, version, stack in zip(*columns, strict=True):
            if stack in self.mirrors:
                # The mirror of the whole snapshot has nearly all manifests, and is tried first.
                _, _, stacks = wanted.setdefault(hash_, (package, version, []))
                stacks.insert(0 if stack == UNION_STACK else len(stacks), stack)
        answers = {answer.hash: answer for answer in self._answers(wanted)}
        sizes = {hash_: answer.size for hash_, answer in answers.items() if answer.size is not None}
        signed = sum(answer.is_signed for answer in answers.values())
        logger.info(
            "%s: sizes of %s of %s; %s signed (signatures are not verified)",
            *(self.snapshot, f"{len(sizes):,}", counted(len(wanted), "spec"), counted(signed, "manifest")),
        )
        return _with_sizes(specs, sizes), self._say(sorted(wanted.keys() - sizes.keys()))

    def _answers(self, wanted: Mapping[str, tuple[str, str, list[str]]]) -> Iterator[_Answer]:
        """Yield an answer for each spec, first those known from a run that was killed."""
        known = {answer.hash: answer for answer in self._read_journal() if answer.hash in wanted}
        yield from known.values()
        left = [hash_ for hash_ in wanted if hash_ not in known]
        with reported(self.journal.parent):
            self.journal.parent.mkdir(exist_ok=True)
            with self.journal.open("a", encoding="utf-8") as journal, ThreadPoolExecutor(_AT_ONCE) as pool:
                answers = _bounded(pool, lambda hash_: self._ask(hash_, *wanted[hash_]), left)
                label = f"sizes of {self.snapshot}"
                for answer in self.workers.progress(answers, desc=label, total=len(left), unit="manifest"):
                    if answer.size is not None:
                        journal.write(f"{answer.hash} {answer.size} {answer.is_signed:d}\n")
                    yield answer

    def _ask(self, hash_: str, package: str, version: str, stacks: list[str]) -> _Answer:
        if self.workers.stopping.is_set():
            raise SourceError("stopped before all sizes were read", hint="run it again: it continues where it stopped")
        for stack in stacks:
            if (size := self.mirrors[stack].size(package, version, hash_)) is not None:
                return _Answer(hash_, *size)
        return _Answer(hash_, None, False)

    def _read_journal(self) -> Iterator[_Answer]:
        try:
            lines = read_regular(self.journal).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise SourceError(f"cannot read {self.journal}: {error.strerror or error}", hint="remove it") from error
        for line in lines:
            # The last line may be cut off.
            if match := re.fullmatch(r"(\S+) ([0-9]{1,18}) ([01])", line):
                yield _Answer(match[1], int(match[2]), match[3] == "1")

    def _say(self, missing: list[str]) -> list[Finding]:
        if not missing:
            return []
        return [
            Finding(
                self.origin,
                "manifests",
                NO_SIZE,
                f"expected a manifest with a size for each spec, found none for {counted(len(missing), 'spec')}, "
                f"such as {missing[0]}",
                "their sizes stay unknown; once the mirror has them, look again: cachestats update DATASET --sizes",
                snapshot=self.snapshot,
            )
        ]


def _with_sizes(specs: pa.Table, sizes: Mapping[str, int]) -> pa.Table:
    hashes = specs.column("hash").combine_chunks()
    found = pa.array([sizes.get(hash_) for hash_ in hashes.dictionary.to_pylist()], pa.int64()).take(hashes.indices)
    column = pc.coalesce(specs.column("size_bytes"), found)
    return specs.set_column(specs.column_names.index("size_bytes"), "size_bytes", column)


def _bounded(pool: ThreadPoolExecutor, ask: Callable[[str], _Answer], hashes: list[str]) -> Iterator[_Answer]:
    """Yield the answers in order, with a bounded number of pending requests."""
    for first in range(0, len(hashes), _AHEAD):
        yield from pool.map(ask, hashes[first : first + _AHEAD])
