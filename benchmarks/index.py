"""Read a big build-cache index with cachestats, with DuckDB and with orjson; compare what it takes.

    python -m benchmarks.index [--runs 5] [--megabytes 150] [--corpus ../shared/corpus] [--folder build/benchmark]

Measured as in `build.py`: every build is a process of its own, all of it counts, and the builds alternate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.build import (
    CACHESTATS,
    DUCKDB,
    DUCKDB_AT_ONCE,
    HERE,
    MIB,
    Build,
    alternate,
    cachestats,
    counts,
    equal_rows,
    peer,
    run,
)

TABLES = ("specs", "variants", "dependencies")
ORJSON = "orjson + pyarrow"


def main() -> None:
    """Compare the builds and print their table in Markdown."""
    root = HERE.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=root / "build" / "benchmark", help="of the index and of output")
    parser.add_argument("--corpus", type=Path, default=root.parent / "shared" / "corpus", help="of real indices")
    parser.add_argument("--megabytes", type=float, default=150, help="size of the index, at least")
    parser.add_argument("--runs", type=int, default=5, help="of each build")
    arguments = parser.parse_args()
    mirror = make_index(arguments.folder, arguments.corpus, arguments.megabytes)
    has = json.loads((mirror.parent / "counts.json").read_text())

    out = arguments.folder / "out"
    builds = {
        CACHESTATS: cachestats(mirror, out / "index-cachestats"),
        DUCKDB: peer("duckdb_index.py", mirror, out / "index-duckdb"),
        DUCKDB_AT_ONCE: peer("duckdb_index.py", "--plain", mirror, out / "index-duckdb-plain"),
        ORJSON: peer("orjson_index.py", mirror, out / "index-orjson"),
    }
    interpreter = run(Build([sys.executable, "-c", "pass"], out / "index-nothing"))
    costs = alternate(builds, arguments.runs)
    rows = equal_rows(
        builds[CACHESTATS].out, [build.out for name, build in builds.items() if name != CACHESTATS], TABLES
    )

    ours = costs[CACHESTATS]
    print(
        f"An index of {has['bytes'] / 1e6:.0f} MB, {has['specs']:,} specs, {has['edges']:,} edges, "
        f"{has['configurations']:,} distinct parameters; medians of {arguments.runs} runs; "
        "cachestats takes ... times what the others do:\n"
    )
    print("| build | CPU s | wall s | peak MiB | index sizes | CPU | wall | memory |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, cost in costs.items():
        sizes = (cost.memory - interpreter.memory) / (has["bytes"] / MIB)
        ratios = " | ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(ours, cost, strict=True))
        print(f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} | {sizes:.1f} | {ratios} |")
    print(
        f"\nAll rows are equal, order included: {counts(rows)}. Index sizes: peak memory above the "
        f"{interpreter.memory:.0f} MiB of an interpreter that does nothing, in times the index."
    )


def make_index(folder: Path, corpus: Path, megabytes: float, taken: str = "") -> Path:
    """Return a mirror with an index of that size, made unless it is there; `taken` as in `write_index`."""
    mirror = folder / f"index-{megabytes:g}{taken and '-without-'}{taken}" / "develop"
    done = mirror.parent / "counts.json"  # written last
    if not done.exists():
        options = ["--corpus", str(corpus), "--megabytes", str(megabytes), "--taken", taken]
        command = [sys.executable, str(HERE / "make_index.py"), str(mirror), *options]
        done.write_text(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return mirror


if __name__ == "__main__":
    main()
