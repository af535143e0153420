"""Where nearly everything is tied, answers and reports are the same bytes, whatever the order and the threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cachestats as cs
from conftest import ROOT
from tests.support.answers import OF_FRAMES, answers, tied_cache


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    return tied_cache(tmp_path_factory.mktemp("tied"))


def test_the_order_of_the_rows_changes_no_answer(tied: cs.Dataset) -> None:
    frames = tied.specs.collect(), tied.dependencies.collect()
    expected = answers(*(frame.lazy() for frame in frames), OF_FRAMES)
    for seed in range(3):
        shuffled = (frame.sample(fraction=1, shuffle=True, seed=seed).lazy() for frame in frames)
        found = answers(*shuffled, OF_FRAMES)
        assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.slow
def test_the_number_of_threads_changes_no_byte_of_answers_reports_and_exports(tied: cs.Dataset, tmp_path: Path) -> None:
    # Small pieces, so that threads have work to share, and groups are made in parts, although the data are few.
    shared = {"POLARS_MAX_THREADS": "4", "POLARS_IDEAL_MORSEL_SIZE": "20", "POLARS_FORCE_PARTITION": "1"}
    found = []
    for name, threads in (("alone", {"POLARS_MAX_THREADS": "1"}), ("shared", shared), ("again", shared)):
        command = [sys.executable, "-m", "tests.support.answers", str(tied.path), str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, env=os.environ | threads, check=True, timeout=300)
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        found.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert len(found[0]) > 60
    for other in found[1:]:
        assert [str(name) for name in found[0] | other if found[0].get(name) != other.get(name)] == []
