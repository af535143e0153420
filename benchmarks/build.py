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
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

HERE = Path(__file__).resolve().parent
TABLES = ("specs", "variants")

CACHESTATS = "cachestats build"
FLOOR = "floor: read, simdjson, write"
DUCKDB = "DuckDB, tuned"
DUCKDB_AT_ONCE = "DuckDB script"
YAML = "PyYAML + Polars"

# As `cachestats` does for itself: no build needs NumPy's linear algebra, which starts a thread for each core on import.
# And modules are compiled once, as those of installed packages are: some environments compile a checkout on every run.
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}

MIB = 1 << 20
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Build(NamedTuple):
    """One way to build: a command, and the folder that it writes, which must not exist."""

    command: list[str]
    out: Path


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
    out, finished = folder / "out", folder / "finished"
    builds = {
        CACHESTATS: cachestats(corpus, out / "cachestats"),
        DUCKDB: peer("duckdb_build.py", corpus, out / "duckdb"),
        DUCKDB_AT_ONCE: peer("duckdb_build.py", "--all-at-once", corpus, out / "duckdb-at-once"),
        FLOOR: peer("floor.py", corpus, finished, out / "floor"),
        YAML: peer("yaml_polars_build.py", sample, out / "yaml"),
    }
    of_sample = cachestats(sample, out / "sample")
    for build in (builds[CACHESTATS], peer("floor.py", "--prepare", builds[CACHESTATS].out, finished), of_sample):
        run(build)
    costs = alternate(builds, runs)
    rows = equal_rows(builds[CACHESTATS].out, [builds[name].out for name in (DUCKDB, DUCKDB_AT_ONCE, FLOOR)])
    sample_rows = equal_rows(of_sample.out, [builds[YAML].out])
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
    costs = alternate({str(snapshots): cachestats(corpus, out) for snapshots, corpus in corpora.items()}, runs)
    print(f"cachestats build, 1,200 pages a snapshot; medians of {runs} runs:\n")
    print("| snapshots | specs | CPU s | wall s | peak MiB |\n|--:|--:|--:|--:|--:|")
    for (name, cost), corpus in zip(costs.items(), corpora.values(), strict=True):
        specs = corpus_counts(corpus)["specs"]
        print(f"| {name} | {specs:,} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} |")


def print_archive(folder: Path, runs: int) -> None:
    """Build a corpus with the size and the shape of the public archive, where `develop` has a third of all specs."""
    corpora = {
        "91 dated snapshots and `develop`": make_corpus(folder, 91, specs=6.6, develop=315),
        "92 dated snapshots": make_corpus(folder, 92, specs=10),
    }
    out = folder / "out" / "archive"
    costs = alternate({name: cachestats(corpus, out) for name, corpus in corpora.items()}, runs)
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
        numbers = {"--snapshots": snapshots, "--specs": specs, "--develop": develop}
        options = [str(part) for option in numbers.items() for part in option]
        command = [sys.executable, str(HERE / "make_corpus.py"), str(corpus), *options]
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        (corpus / "counts.json").write_text(made.stdout)
    return corpus


def corpus_counts(corpus: Path) -> dict[str, int]:
    """Return the numbers of snapshots, pages, specs, rows and bytes of a corpus."""
    numbers: dict[str, int] = json.loads((corpus / "counts.json").read_text())
    return numbers


def size(corpus: Path) -> str:
    """Return the size of a corpus in words."""
    has = corpus_counts(corpus)
    return f"{has['pages']:,} pages, {has['specs']:,} specs, {has['bytes'] / 1e6:.0f} MB, {os.cpu_count()} cores"


def cachestats(corpus: Path, out: Path) -> Build:
    """Return the build by the command line of cachestats."""
    return Build([sys.executable, "-m", "cachestats", "build", str(corpus), "--out", str(out)], out)


def peer(script: str, *arguments: str | Path) -> Build:
    """Return the build by a script of `peers`, whose last argument is where it writes."""
    return Build([sys.executable, str(HERE / "peers" / script), *map(str, arguments)], Path(arguments[-1]))


def alternate(builds: dict[str, Build], runs: int) -> dict[str, Cost]:
    """Run all builds, one after the other, `runs` times; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in builds}
    for _ in range(runs):
        for name, build in builds.items():
            costs[name].append(run(build))
    return {name: Cost(*map(statistics.median, zip(*measured, strict=True))) for name, measured in costs.items()}


def run(build: Build) -> Cost:
    """Run one build as a process and return what it took."""
    shutil.rmtree(build.out, ignore_errors=True)
    build.out.parent.mkdir(parents=True, exist_ok=True)
    with build.out.with_suffix(".log").open("w") as log:
        started = time.perf_counter()
        # This process must stay small, so it imports nothing large before all builds have run: until it starts its
        # program, a child counts the memory of its parent as its own.
        process = subprocess.Popen(build.command, stdout=log, stderr=log, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(build.command)} failed; see {log.name}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * MAXRSS_UNIT / MIB)


def equal_rows(expected: Path, others: list[Path], tables: tuple[str, ...] = TABLES) -> dict[str, int]:
    """Check that datasets hold equal tables, types and order of rows included; return the numbers of rows.

    The others lack columns: what a page does not tell, what a host needs, and the keys by which versions sort.
    """
    rows = dict.fromkeys(tables, 0)
    for table in tables:
        names = snapshots_in(expected / table)
        for other in others:
            if (found := snapshots_in(other / table)).keys() != names.keys():
                raise SystemExit(f"expected the snapshots {sorted(names)} in {other / table}, found {sorted(found)}")
        for name in names:
            frame = snapshot_of(expected, table, name)
            rows[table] += frame.height
            for other in others:
                frame_there = snapshot_of(other, table, name)
                same = frame.select(frame_there.columns)
                if frame_there.schema != same.schema or not frame_there.equals(same):
                    raise SystemExit(f"expected the rows of {expected / table / name}, found others in {other}")
    return rows


def snapshots_in(folder: Path) -> dict[str, list[Path]]:
    """Return the files in the folder of a table by snapshot; cachestats divides large ones into buckets."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        found.setdefault(file.stem.partition("~")[0], []).append(file)
    return found


def snapshot_of(dataset: Path, table: str, name: str) -> pl.DataFrame:
    """Return the rows of one snapshot of a table, in the order of the table if they are in several files."""
    import polars as pl

    from cachestats.schema import TABLES

    files = snapshots_in(dataset / table)[name]
    frame = pl.concat([pl.read_parquet(file) for file in files])
    return frame if len(files) == 1 else frame.sort(TABLES[table].sort, nulls_last=True)


def counts(rows: dict[str, int]) -> str:
    """Return numbers of rows in words."""
    *others, last = (f"{number:,} in `{table}`" for table, number in rows.items())
    return f"{', '.join(others)} and {last}"


if __name__ == "__main__":
    main()
