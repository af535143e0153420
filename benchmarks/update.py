"""Update a dataset of the archive's size after one page changed, and compare with building it again.

    python -m benchmarks.update [--runs 5] [--folder build/benchmark]

Measured as in `build.py`: every run is a process of its own, all of it counts. A checkout of 92 snapshots with 1,200
pages each is written first, 0.6 GB, one of them `develop` with a third of all specs.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from pathlib import Path

from benchmarks.build import HERE, Build, Cost, cachestats, make_corpus, run, size


def main() -> None:
    """Compare and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "benchmark", help="of corpus and output")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    corpus = make_corpus(arguments.folder, 91, specs=6.6, develop=315)
    out = arguments.folder / "out" / "updated"
    build = cachestats(corpus, out)
    snapshots = sorted(path.name for path in (corpus / "_cache").iterdir())

    costs: dict[str, list[Cost]] = {name: [] for name in ("build", "nothing", "weekly", "develop")}
    for number in range(arguments.runs):
        costs["build"].append(run(build))
        costs["nothing"].append(run(update(out)))
        for name, snapshot in (("weekly", snapshots[-1 - number]), ("develop", "develop")):
            change(sorted((corpus / "_cache" / snapshot).iterdir())[number] / "specs.md")
            costs[name].append(run(update(out)))
    medians = {name: Cost(*map(statistics.median, zip(*each, strict=True))) for name, each in costs.items()}
    print(f"{size(corpus)}; medians of {arguments.runs} runs:\n")
    print("| run | CPU s | wall s | peak MiB | build takes ... times its CPU | wall |")
    print("|---|--:|--:|--:|--:|--:|")
    words = {
        "build": "cachestats build",
        "nothing": "update, nothing changed",
        "weekly": "update, one page of a weekly snapshot changed",
        "develop": "update, one page of `develop` changed",
    }
    whole = medians["build"]
    for name, cost in medians.items():
        ratios = f"{whole.cpu / cost.cpu:.1f} | {whole.wall / cost.wall:.1f}"
        print(f"| {words[name]} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} | {ratios} |")


def update(dataset: Path) -> Build:
    """Return the update by the command line of cachestats; its own place to write to holds no more than a log."""
    return Build([sys.executable, "-m", "cachestats", "update", str(dataset)], dataset.with_name("update"))


def change(page: Path) -> None:
    """Give the first spec of a page another hash."""
    text = page.read_text()
    page.write_text(
        re.sub(r'("hash": ")(.)', lambda found: found[1] + ("b" if found[2] == "a" else "a"), text, count=1)
    )


if __name__ == "__main__":
    main()
