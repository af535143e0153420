"""Exports, and faults at their steps."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cachestats as cs

Export = Callable[[cs.Dataset, Path], object]
EXPORTS: dict[str, tuple[Export, str]] = {
    "site": (cs.export_site, ".cachestats-site/pages.txt"),
    "package": (cs.export_package, ".cachestats-package/files.txt"),
}


@contextmanager
def faults(step: Callable[[], None]) -> Iterator[None]:
    """Call `step` before whatever takes space on the disk, and once more when a file was opened but not yet written."""

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            step()
            return function(*arguments, **options)

        return call

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        is_write = not {"w", "a", "x"}.isdisjoint(mode)
        if is_write:
            step()
        found = plain_open(file, mode, *arguments, **options)
        if is_write:
            try:
                step()  # what was there before is lost now
            except BaseException:
                found.close()
                raise
        return found

    plain_open = io.open
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "mkdir"):
            patch.setattr(os, name, before(getattr(os, name)))
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        yield


class Steps:
    """Counts steps, and lets one of them fail, and those after it."""

    def __init__(self, deadly: int, fail: Callable[[], None]) -> None:
        self.count, self.deadly, self.fail = 0, deadly, fail

    def __call__(self) -> None:
        self.count += 1
        if self.count >= self.deadly:
            self.fail()
