"""Lint and types are part of the tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["ruff check", "ruff format --check", "mypy"],
)
def test_clean(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Data flows one way: a module may import what stands in an earlier line, or in its own.
HOUSE = (
    "version axes atomic decode errors regular schema text naming",
    "folder rejection spack_releases targets version_ranges",
    "requirement",
    "packages_yaml",
    "hosts",
    "sources",
    "parse",
    "dataset hashing environment",
    "export ingest",
    "spark",
    "analysis",
    "plots",
    "report",
    "cli",
)


def test_modules_import_only_leftwards() -> None:
    rank = {part: place for place, parts in enumerate(HOUSE) for part in parts.split()}
    for path in sorted((ROOT / "cachestats").rglob("*.py")):
        part = path.relative_to(ROOT / "cachestats").parts[0].removesuffix(".py")
        if part in ("__init__", "__main__"):
            continue
        for module, _ in imports(path):
            package, _, imported = module.partition(".")
            if package == "cachestats" and imported:
                assert rank[imported.split(".")[0]] <= rank[part], f"{path} imports {module}"


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the modules that a file imports, and the names that it imports from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)


def test_only_the_edges_touch_the_disk() -> None:
    for part in ("parse", "analysis"):
        for path in (ROOT / "cachestats" / part).rglob("*.py"):
            used = {module for module, _ in imports(path)}
            assert not {"os", "pathlib", "shutil", "io", "tempfile"} & used, f"{path} imports {used}"
