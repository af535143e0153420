"""Parsers with faults, for the tests of the fuzzer itself."""

from __future__ import annotations

import os
import random
import time

from cachestats.errors import SourceError
from tests.fuzz.fuzz import Parser


def _every(count: int, fail: object) -> Parser:
    """Return a parser that fails with each input that ends so."""

    def parse(data: bytes) -> None:
        if not int.from_bytes(data) % count:
            assert callable(fail)
            fail()

    return Parser(lambda draw: draw.randbytes(4), parse)


def _refuse() -> None:
    raise SourceError("expected a source, found none")


def _fail() -> None:
    raise KeyError("version")


def _fill() -> None:
    kept = []
    while True:
        kept.append(random.randbytes(16 << 20))


PARSERS = {
    "sound": _every(1, _refuse),
    "wrong error": _every(50, _fail),
    "endless": _every(50, lambda: time.sleep(60)),
    "deadly": _every(50, lambda: os._exit(3)),
    "greedy": _every(50, _fill),
}
