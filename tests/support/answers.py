"""Every question about a cache in which nearly everything is tied, and the answers as bytes.

As a program, `python -m tests.support.answers DATASET OUT`, it writes the answers and the report of a dataset.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import cachestats as cs
from tests.support.indices import Record, edge_to, glibc, index_of, needs_libc, node_record

SNAPSHOTS = ("develop-2026-06-01", "develop-2026-06-04", "develop")
STACKS = ("", "a", "b", "c")
HOST = "zen4:ubuntu22.04"
_BUILDS = (("zen3", "ubuntu22.04"), ("x86_64_v3", "rhel8"), ("zen4", "rhel9"), ("zen4", "rhel9"))
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"

Question = Callable[[Any, Any], pl.DataFrame]
"""A question about specs and dependencies: a dataset twice, or two frames."""


def _snapshot(number: int) -> Callable[[Any], Any]:
    name = SNAPSHOTS[number]
    return lambda specs: specs.filter(pl.col("snapshot") == name) if isinstance(specs, pl.LazyFrame) else specs.at(name)


OLD, NEW = _snapshot(0), _snapshot(1)
OF_FRAMES: dict[str, Question] = {
    "compare": lambda specs, _: cs.compare(OLD(specs), NEW(specs), by="stack"),
    "compare_counts": lambda specs, _: cs.compare_counts(OLD(specs), NEW(specs)),
    "compare_specs": lambda specs, _: cs.compare_specs(OLD(specs), NEW(specs)),
    "coverage": lambda specs, _: cs.coverage(specs, rows="package", columns="target"),
    "dependents": lambda specs, edges: cs.dependents(NEW(specs), "p00", dependencies=NEW(edges)),
    "duplicates": lambda specs, _: cs.duplicates(specs),
    "duplicates by cause": lambda specs, edges: cs.duplicates(NEW(specs), dependencies=NEW(edges), by="cause"),
    "gaps": lambda specs, edges: cs.gaps(NEW(specs), by="stack", dependencies=NEW(edges)),
    "column_coverage": lambda specs, _: cs.column_coverage(NEW(specs), by="stack"),
    "history": lambda specs, _: cs.history(specs, by="stack"),
    "lifespans": lambda specs, _: cs.lifespans(specs),
    "holes": lambda specs, edges: cs.holes(specs, edges),
    "holes by missing": lambda specs, edges: cs.holes(specs, edges, by="missing"),
    "losses": lambda specs, _: cs.losses(OLD(specs), NEW(specs)),
    "overlap": lambda specs, _: cs.overlap(NEW(specs)),
    "overlap_sets": lambda specs, _: cs.overlap_sets(NEW(specs)),
    "reusable": lambda specs, _: cs.reusable(NEW(specs), host=HOST),
    "usable": lambda specs, _: cs.usable(NEW(specs), host=HOST),
    "usable_by_system": lambda specs, _: cs.usable_by_system(NEW(specs), host="zen4"),
    "versions": lambda specs, _: cs.versions(NEW(specs)),
    "why": lambda specs, edges: cs.why(NEW(specs), "p09", "p00", dependencies=NEW(edges)),
}
OF_DATASETS: dict[str, Question] = {
    "find": lambda specs, _: cs.find(specs.at("all"), "p01"),
    "match_roots": lambda specs, _: cs.match_roots(["p01", "p02", "p03"], NEW(specs)),
    "retain": lambda specs, _: cs.retain(specs, newest=1).specs,
    "retention_curve": lambda specs, _: cs.retention_curve(specs),
}


def tied_cache(folder: Path) -> cs.Dataset:
    """Build a dataset of packages that have as many specs, versions, dependents and holes as each other."""
    for number, snapshot in enumerate(SNAPSHOTS):
        for place, stack in enumerate(STACKS):
            path = folder / "mirrors" / snapshot / stack / "build_cache/index.json"
            path.parent.mkdir(parents=True)
            path.write_bytes(index_of(_records(number, place), "8"))
    return cs.build_dataset(folder / "mirrors", out=folder / "dataset")


def _records(snapshot: int, stack: int) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for build, (target, os) in enumerate(_BUILDS):
        libc = glibc(f"2.3{build}")
        records.update([libc])
        below: list[Record] = []
        for package in range(12):
            digest = "".join(_BASE32[one] for one in (build, package, snapshot if package % 2 else 0))
            record = node_record(
                f"p{package:02}",
                digest,
                needs_libc(libc),
                *(edge_to(one, "build", "link") for one in below[-2:]),
                target=target,
                os=os,
                version=f"1.{package % 3}",
                package_hash=f"p{build}====",
                cached=package % 5 != snapshot + 2 and (not stack or package % 4 != stack),
            )
            records.update([record])
            below.append(record)
    return records


def answers(specs: Any, edges: Any, questions: dict[str, Question]) -> dict[str, bytes]:
    """Return the answers to some questions as JSON."""
    found = {}
    for name, question in questions.items():
        answer = question(specs, edges)
        assert answer.height > 1, f"{name} has nothing to sort"
        answer.write_json(data := io.BytesIO())
        found[name] = data.getvalue()
    return found


def main(path: Path, out: Path) -> None:
    """Write the answers to all questions about a dataset, and its report."""
    dataset = cs.open_dataset(path)
    cs.write_report(dataset, out / "report")
    cs.export_package(dataset, out / "package")
    cs.export_site(dataset, out / "site")
    for name, answer in answers(dataset, dataset, OF_FRAMES | OF_DATASETS).items():
        (out / f"{name}.json").write_bytes(answer)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
