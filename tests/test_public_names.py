"""The public names: each with words, each imported on first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version

import pytest

import cachestats as cs
from conftest import ROOT


def test_everything_public_is_there_and_nothing_heavy_is_imported() -> None:
    code = "import sys, cachestats; print(sorted({'matplotlib', 'polars', 'pyarrow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert set(dir(cs)) == set(cs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cs.nothing


def test_every_line_of_the_public_stub_is_read() -> None:
    stub = ast.parse((ROOT / "cachestats" / "__init__.pyi").read_text())
    lines = [ast.unparse(one) for one in stub.body if isinstance(one, (ast.Import, ast.ImportFrom))]
    names = [line.rpartition(" as ")[2] for line in lines]
    assert len(names) == len(set(names)), "a name has two lines in cachestats/__init__.pyi"
    unread = [line for line, name in zip(lines, names, strict=True) if name not in cs.__all__]
    assert not unread, f"write `from .module import name as name`, a name a line, in cachestats/__init__.pyi: {unread}"


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {version('cachestats')}" in (ROOT / "CHANGELOG.md").read_text()
