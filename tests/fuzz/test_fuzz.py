"""No input, however it is damaged, makes a parser fail otherwise than it should, or makes two readers disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz
from tests.fuzz.fuzz import Failure, Input, make_input, parsers

pytestmark = pytest.mark.slow

SECONDS = 60


def test_mutated_inputs_are_read_or_refused() -> None:
    outcome = fuzz.fuzz(SECONDS)
    failures = [f"{outcome.counts[kind]} times: {one.again}\n{one.what}" for kind, one in outcome.failures.items()]
    assert not failures, "\n\n".join(failures)
    assert min(outcome.inputs.values()) > 0


def test_what_fails_is_found_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fuzz, "HANGS_AFTER", 4.0)  # what is greedy takes its time on a busy machine
    monkeypatch.setattr(fuzz, "MOST_BYTES", 1 << 28)
    outcome = fuzz.fuzz(30, module="tests.fuzz.faulty")
    words = {
        "wrong error": "KeyError: 'version'",
        "endless": "takes more than 4 s",
        "deadly": "ends the process with 3",
        "greedy": "takes more than 268,435,456 bytes of memory",
    }
    assert {*outcome.failures} == {f"{name}: {what}" for name, what in words.items()}
    faulty = parsers("tests.fuzz.faulty")
    for failure in outcome.failures.values():
        assert int.from_bytes(make_input(faulty[failure.parser], failure)) % 50 == 0


@pytest.mark.parametrize("name", parsers())
def test_an_input_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    parser = parsers()[name]
    inputs = [make_input(parser, Input(name, 1, number)) for number in range(20)]
    assert inputs == [make_input(parser, Input(name, 1, number)) for number in range(20)]
    assert len({*inputs}) > 5
    path = Failure(name, 1, 7, "Error: what\nKeyError: 'x'").save(tmp_path)
    assert path.read_bytes() == inputs[7]
    assert f"--seed 1 --parser '{name}' --input 7" in path.with_suffix(".txt").read_text()
