"""Make the dataset that `cachestats.example_dataset` opens: `make example`.

It is the corpus's indices, cut down to the specs of a few packages in some stacks of two snapshots, and what these need
to link and run. Nothing else is changed: hashes, edges and recipes are those that Spack wrote. Beside the tables stands
a lockfile, cut down in the same way, for the questions about an environment.

The package brings these files along, so the example is small. Its 20 Parquet files take less than 100 kB in the wheel,
and 60 kB of these are metadata, such as the descriptions of columns, which do not shrink with the rows.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cachestats as cs

STACKS = {
    "develop-2024-06-02": ("e4s", "e4s-neoverse_v1", "ml-linux-x86_64-cpu", "radiuss"),
    "develop-2025-03-09": ("e4s", "ml-darwin-aarch64-mps", "radiuss"),
}
SPECS = ("hdf5~mpi", "hdf5 ^mpich", "zlib-ng")
ENVIRONMENT = "reuse.spack.lock"
ROOT = "hdf5+mpi"
INDEX = "build_cache/index.json"


def make_example(corpus: Path, out: Path) -> cs.Dataset:
    """Make the example from the corpus in a new or empty folder."""
    corpus, out = corpus.resolve(), out.resolve()
    with TemporaryDirectory() as scratch, chdir(scratch):  # so that the manifest names no folder of this machine
        for snapshot, stacks in STACKS.items():
            _cut_snapshot(corpus / "mirrors" / snapshot, Path("mirrors") / snapshot, stacks)
        made = cs.build_dataset("mirrors", out="dataset")
        shutil.copytree(made.path, out, ignore=shutil.ignore_patterns(".cachestats"), dirs_exist_ok=True)
    lockfile = _cut_lockfile(json.loads((corpus / "environments" / ENVIRONMENT).read_text()))
    (out / "spack.lock").write_text(json.dumps(lockfile, separators=(",", ":")))
    return cs.open_dataset(out)


def _cut_snapshot(snapshot: Path, out: Path, stacks: Iterable[str]) -> None:
    """Write the indices of some stacks of a snapshot, and that of their union, with what `SPECS` needs."""
    with TemporaryDirectory() as scratch:
        whole = cs.build_dataset(snapshot, out=Path(scratch) / "dataset")
        wanted = {*cs.find(whole, SPECS)["hash"]}
    kept: set[str] = set()
    for stack in stacks:
        index = json.loads((snapshot / stack / INDEX).read_text())
        installs = index["database"]["installs"]
        nodes = {key: record["spec"] for key, record in installs.items()}
        found = _closure(nodes, wanted & nodes.keys(), {"link", "run"})
        _write_index(out / stack, index, found)
        kept |= found
    _write_index(out, json.loads((snapshot / INDEX).read_text()), kept)


def _write_index(mirror: Path, index: dict[str, Any], kept: set[str]) -> None:
    installs = {key: record for key, record in index["database"]["installs"].items() if key in kept}
    (mirror / INDEX).parent.mkdir(parents=True, exist_ok=True)
    (mirror / INDEX).write_text(json.dumps({"database": {**index["database"], "installs": installs}}))


def _cut_lockfile(lockfile: dict[str, Any]) -> dict[str, Any]:
    """Return a lockfile with one of its roots, and all that is needed to build it."""
    nodes = lockfile["concrete_specs"]
    roots = [root for root in lockfile["roots"] if root["spec"] == ROOT]
    found = _closure(nodes, {root["hash"] for root in roots}, {"build", "link", "run"})
    return {**lockfile, "roots": roots, "concrete_specs": {key: node for key, node in nodes.items() if key in found}}


def _closure(nodes: Mapping[str, dict[str, Any]], start: set[str], deptypes: set[str]) -> set[str]:
    """Return the hashes of some nodes and of all that they depend on."""
    found, waiting = {*start}, [*start]
    while waiting:
        for edge in nodes[waiting.pop()].get("dependencies", ()):
            if edge["hash"] in nodes.keys() - found and deptypes.intersection(edge["parameters"]["deptypes"]):
                found.add(edge["hash"])
                waiting.append(edge["hash"])
    return found


if __name__ == "__main__":
    print(make_example(Path(sys.argv[1]), Path(sys.argv[2])))
