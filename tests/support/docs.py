"""The documentation, as the tests of it read it."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from conftest import ROOT

DOCS = ROOT / "docs"


def make() -> ModuleType:
    """Return docs/make.py as a module."""
    spec = importlib.util.spec_from_file_location("make", DOCS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: str) -> str:
    """Return a page of the documentation."""
    return (DOCS / path).read_text()
