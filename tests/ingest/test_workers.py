"""Workers: results in order from threads and processes, and a process that is killed."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import ArgumentError, WorkerError
from cachestats.ingest import workers
from cachestats.ingest.workers import Workers, checked_workers
from conftest import SEEDS
from tests.support.cli import run
from tests.support.datasets import bytes_of


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def stop(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_and_items_leave_from_a_number_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_HERE", 3)
    with Workers(2, None) as some:
        found = list(some.map(where, range(12), may_leave=lambda number: number % 2 == 0))
        assert [number for number, _ in found] == [*range(12)]
        # The first three that may leave, and all that may not, are processed here.
        assert [number for number, process in found if process == os.getpid()] == [0, 1, 2, 3, 4, 5, 7, 9, 11]
        assert list(some.map(where, range(8)))[-1] == (7, os.getpid())
    with Workers(1, None) as one:
        assert {process for _, process in one.map(where, range(9), may_leave=lambda _: True)} == {os.getpid()}


def test_items_are_taken_only_a_little_ahead_of_the_next_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_AHEAD", 2)
    taken = []
    free = threading.Event()

    def items() -> object:
        for number in range(10):
            taken.append(number)
            yield number

    with Workers(2, None) as some:
        results = some.map(lambda number: free.wait(60) and number, items())
        free.set()
        assert next(results) == 0
        assert len(taken) <= 5
        assert list(results) == [*range(1, 10)]


def test_a_killed_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_HERE", 0)
    with pytest.raises(WorkerError, match="found that it was killed") as raised, Workers(2, None) as some:
        list(some.map(stop, range(8), may_leave=lambda _: True))
    assert "--workers 1" in str(raised.value.hint)


def test_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: cs.Dataset) -> None:
    monkeypatch.setattr(workers, "_HERE", 0)
    assert bytes_of(cs.build_dataset(SEEDS, out=tmp_path / "dataset", workers=2)) == bytes_of(demo)


def test_a_build_whose_worker_is_killed_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_HERE", 0)
    monkeypatch.setattr("cachestats.ingest.make.make_part", stop_at_once)
    done = run("build", SEEDS, "--out", tmp_path / "dataset", "--workers", "2", code=16)
    assert b"expected a worker process to finish" in done.stderr
    assert not (tmp_path / "dataset/manifest.json").exists()


def stop_at_once(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_number_of_workers_is_checked() -> None:
    assert checked_workers(None) >= 1
    with pytest.raises(ArgumentError, match="expected at least one worker, found 0"):
        checked_workers(0)
