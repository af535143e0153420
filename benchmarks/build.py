"""Build the same tables with cachestats, with DuckDB, with PyYAML and Polars, and at the floor; compare what it takes.

    python benchmarks/build.py [--runs 5] [--folder build/benchmark]    side by side, on 12,000 pages
    python benchmarks/build.py --memory                                 cachestats on 2, 5, 10 and 20 snapshots
    python benchmarks/build.py --archive                                cachestats on a corpus of the archive's size

Every build is a process of its own, and what is measured is the whole of it, from start-up to exit: CPU of user and
system, wall time, and peak resident memory, as the kernel accounts for them. The builds alternate, so that whatever
else the machine does falls on all of them. Corpora are kept in the folder; each build writes to a new place.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
TABLES = ("specs", "variants")

CACHESTATS = "cachestats build"
FLOOR = "floor: read, simdjson, write"
DUCKDB = "DuckDB"
DUCKDB_AT_ONCE = "DuckDB, all snapshots at once"
YAML = "PyYAML + Polars"

MIB = 1 << 20
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Cost(NamedTuple):
    """What one process took: seconds, seconds and MiB."""

    cpu: float
    wall: float
    memory: float


def main() -> None:
    """Run the benchmark that the command line names and print its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=HERE.parent / "build" / "benchmark", help="of corpora and output"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each build")
    parser.add_argument("--snapshots", type=int, default=10, help="of 1,200 pages each, for the comparison")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--memory", action="store_true", help="peak memory against the number of snapshots")
    chosen.add_argument("--archive", action="store_true", help="build a corpus of the archive's size")
    arguments = parser.parse_args()
    if arguments.memory:
        print_by_snapshots(arguments.folder, arguments.runs)
    elif arguments.archive:
        print_archive(arguments.folder, arguments.runs)
    else:
        print_comparison(arguments.folder, arguments.runs, arguments.snapshots)


def print_comparison(folder: Path, runs: int, snapshots: int) -> None:
    """Compare the builds on one corpus, PyYAML on its first snapshot, and check that the rows are equal."""
    corpus, sample = make_corpus(folder, snapshots), make_corpus(folder, 1)
    finished = folder / "finished"
    out = {
        name: folder / "out" / str(number)
        for number, name in enumerate([CACHESTATS, DUCKDB, DUCKDB_AT_ONCE, FLOOR, YAML])
    }
    on_sample = folder / "out" / "sample"
    run(cachestats(corpus, out[CACHESTATS]), out[CACHESTATS])
    run(python("peers/floor.py", "--prepare", out[CACHESTATS], finished), finished)
    run(cachestats(sample, on_sample), on_sample)
    costs = alternate(
        {
            CACHESTATS: (cachestats(corpus, out[CACHESTATS]), out[CACHESTATS]),
            DUCKDB: (python("peers/duckdb_build.py", corpus, out[DUCKDB]), out[DUCKDB]),
            DUCKDB_AT_ONCE: (
                python("peers/duckdb_build.py", corpus, out[DUCKDB_AT_ONCE], "--all-at-once"),
                out[DUCKDB_AT_ONCE],
            ),
            FLOOR: (python("peers/floor.py", corpus, finished, out[FLOOR]), out[FLOOR]),
            YAML: (python("peers/yaml_polars_build.py", sample, out[YAML]), out[YAML]),
        },
        runs,
    )
    rows = equal_rows(out[CACHESTATS], [out[DUCKDB], out[DUCKDB_AT_ONCE], out[FLOOR]])
    sample_rows = equal_rows(on_sample, [out[YAML]])
    measured = costs[YAML]
    costs[YAML] = measured._replace(cpu=measured.cpu * snapshots, wall=measured.wall * snapshots)

    ours = costs[CACHESTATS]
    print(f"{size(corpus)}; medians of {runs} runs; cachestats takes ... times what the others do:\n")
    print("| build | CPU s | wall s | peak MiB | CPU | wall | memory |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, cost in costs.items():
        ratios = " | ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(ours, cost, strict=True))
        print(f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} | {ratios} |")
    print(
        f"\nAll rows are equal, order included: {counts(rows)}. {YAML} read a sample, one snapshot of 1,200 pages "
        f"(equal: {counts(sample_rows)}), in {measured.cpu:.2f} s of CPU and {measured.wall:.2f} s; these two figures "
        f"are scaled by {snapshots}, the ratio of the pages, and its memory is that of the sample."
    )


def print_by_snapshots(folder: Path, runs: int) -> None:
    """Show how the cost of cachestats grows with the number of snapshots."""
    corpora = {snapshots: make_corpus(folder, snapshots) for snapshots in (2, 5, 10, 20)}
    out = folder / "out" / "memory"
    costs = alternate({str(snapshots): (cachestats(corpus, out), out) for snapshots, corpus in corpora.items()}, runs)
    print(f"cachestats build, 1,200 pages a snapshot; medians of {runs} runs:\n")
    print("| snapshots | specs | CPU s | wall s | peak MiB |\n|--:|--:|--:|--:|--:|")
    for (name, cost), corpus in zip(costs.items(), corpora.values(), strict=True):
        specs = corpus_counts(corpus)["specs"]
        print(f"| {name} | {specs:,} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} |")


def print_archive(folder: Path, runs: int) -> None:
    """Build a corpus with the size and the shape of the public archive, where `develop` has a third of all specs."""
    corpora = {
        "91 weekly snapshots and `develop`": make_corpus(folder, 91, specs=6.6, develop=315),
        "92 weekly snapshots": make_corpus(folder, 92, specs=10),
    }
    out = folder / "out" / "archive"
    costs = alternate({name: (cachestats(corpus, out), out) for name, corpus in corpora.items()}, runs)
    print(f"cachestats build; medians of {runs} runs:\n")
    print("| corpus | pages | specs | MB | CPU s | wall s | peak MiB |\n|---|--:|--:|--:|--:|--:|--:|")
    for (name, cost), corpus in zip(costs.items(), corpora.values(), strict=True):
        has = corpus_counts(corpus)
        print(
            f"| {name} | {has['pages']:,} | {has['specs']:,} | {has['bytes'] / 1e6:.0f} "
            f"| {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} |"
        )


def make_corpus(folder: Path, snapshots: int, *, specs: float = 16, develop: float = 0) -> Path:
    """Return a corpus of 1,200 pages a snapshot, made unless it is there."""
    corpus = folder / f"corpus-{snapshots}-{specs:g}-{develop:g}"
    if not (corpus / "counts.json").exists():  # written last
        options = ("--snapshots", snapshots, "--specs", specs, "--develop", develop)
        command = python("make_corpus.py", corpus, *options)
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        (corpus / "counts.json").write_text(made.stdout)
    return corpus


def corpus_counts(corpus: Path) -> dict[str, int]:
    """Return the numbers of snapshots, pages, specs, rows and bytes of a corpus."""
    return json.loads((corpus / "counts.json").read_text())


def size(corpus: Path) -> str:
    """Return the size of a corpus in words."""
    has = corpus_counts(corpus)
    return f"{has['pages']:,} pages, {has['specs']:,} specs, {has['bytes'] / 1e6:.0f} MB, {os.cpu_count()} cores"


def python(script: str, *arguments: object) -> list[str]:
    """Return the command that runs a script of this folder."""
    return [sys.executable, str(HERE / script), *map(str, arguments)]


def cachestats(corpus: Path, out: Path) -> list[str]:
    """Return the command that builds a dataset."""
    return [sys.executable, "-m", "cachestats", "build", str(corpus), "--out", str(out)]


def alternate(builds: dict[str, tuple[list[str], Path]], runs: int) -> dict[str, Cost]:
    """Run all builds, one after the other, `runs` times; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in builds}
    for _ in range(runs):
        for name, (command, out) in builds.items():
            costs[name].append(run(command, out))
    return {name: Cost(*map(statistics.median, zip(*measured, strict=True))) for name, measured in costs.items()}


def run(command: list[str], out: Path) -> Cost:
    """Run one build as a process, into a folder that is new, and return what it took."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    # This process must stay small, so nothing large is imported above: until it starts a program, a child counts the
    # memory of its parent as its own.
    started = time.perf_counter()
    with (out.parent / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed; see {log.name}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * MAXRSS_UNIT / MIB)


def equal_rows(expected: Path, others: list[Path]) -> dict[str, int]:
    """Check that datasets hold equal tables, columns, types and order of rows included; return the numbers of rows."""
    import polars as pl

    rows = dict.fromkeys(TABLES, 0)
    for table in TABLES:
        names = sorted(file.name for file in (expected / table).iterdir())
        for other in others:
            found = sorted(file.name for file in (other / table).iterdir())
            if found != names:
                raise SystemExit(f"expected the files {names} in {other / table}, found {found}")
        for name in names:
            frame = pl.read_parquet(expected / table / name)
            rows[table] += frame.height
            for other in others:
                frame_there = pl.read_parquet(other / table / name)
                if frame_there.schema != frame.schema or not frame_there.equals(frame):
                    raise SystemExit(f"expected the rows of {expected / table / name}, found others in {other}")
    return rows


def counts(rows: dict[str, int]) -> str:
    """Return numbers of rows in words."""
    return " and ".join(f"{number:,} in `{table}`" for table, number in rows.items())


if __name__ == "__main__":
    main()
