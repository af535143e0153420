"""The order of the package, as docs/contributing/layout.toml has it: no arrow up, no cycle, few rooms reach outside."""

from __future__ import annotations

import ast
import graphlib
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

PACKAGE = ROOT / "cachestats"
ROOMS = tomllib.loads((ROOT / "docs" / "contributing" / "layout.toml").read_text())["room"]
RANK = {name: rank for rank, room in enumerate(ROOMS) for name in room["name"].split()}
OUTSIDE = {
    "disk": {"filelock", "io", "os", "pathlib", "shutil", "tempfile"},
    "network": {"aiohttp", "fsspec", "httpx", "requests", "s3fs", "socket", "urllib.request"},
    "this machine": {"platform", "subprocess"},
}
ENTRANCES = {"__init__", "__main__"}  # the public names, and where the command line starts


def modules() -> dict[str, Path]:
    """Return the files of the package by the dotted names of their modules."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("cachestats", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(path: Path, *, deferred: bool = True) -> tuple[str, ...]:
    """Return what a file imports, `from x import y` as `x.y`, and what functions import only if `deferred`."""
    return tuple(_imports(path, deferred))


def _imports(path: Path, deferred: bool) -> Iterator[str]:
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not deferred:
            continue
        elif deferred or not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_module_has_a_room() -> None:
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules().values()}
    assert found - ENTRANCES == RANK.keys()


def test_no_room_imports_from_below() -> None:
    for module, path in modules().items():
        if path.parent == PACKAGE and path.stem in ENTRANCES:
            continue
        for name in imports(path):
            if name.startswith("cachestats."):
                assert RANK[room_of(name)] <= RANK[room_of(module)], f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {
        module: {
            target
            for name in imports(path, deferred=False)
            for target in (name, name.rpartition(".")[0])
            if target in known and target != module
        }
        for module, path in known.items()
        if path.stem != "__init__"
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_only_some_rooms_touch_disk_or_network() -> None:
    for module, path in modules().items():
        if path.parent == PACKAGE and path.stem in ENTRANCES:
            continue
        touches = next(room.get("touches", "") for room in ROOMS if room_of(module) in room["name"].split())
        for what, names in OUTSIDE.items():
            used = {name for name in imports(path) for one in names if name == one or name.startswith(f"{one}.")}
            assert not used or what in touches, f"{module} imports {used}"


def test_no_test_imports_another() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not [name for name in imports(path) if name.startswith("tests.") and ".test_" in name], path
