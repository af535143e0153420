"""Update a dataset of the archive's size after one page changed, and compare with building it again.

    python -m benchmarks.update [--runs 5] [--folder build/benchmark]

Measured as in `build.py`: every run is a process of its own, all of it counts. A checkout of 92 snapshots with 1,200
pages each is written first, 0.6 GB, one of them `develop` with a third of all specs. For `update --git` it is committed
and cloned, which takes a minute and as much space again.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
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

    words = {
        "build": "cachestats build",
        "nothing": "update, nothing changed",
        "dated": "update, one page of a dated snapshot changed",
        "develop": "update, one page of `develop` changed",
        "git nothing": "update --git, nothing changed",
        "git dated": "update --git, one page of a dated snapshot changed and committed",
        "git clone": "update --git, all pages with new dates",
        "clone": "update, all pages with new dates",
    }
    clone = make_clone(corpus, arguments.folder / "clone")
    cloned = arguments.folder / "out" / "cloned"
    run(cachestats(clone, cloned))
    run(update(cloned, "--git"))
    costs: dict[str, list[Cost]] = {name: [] for name in words}
    for number in range(arguments.runs):
        costs["build"].append(run(build))
        costs["nothing"].append(run(update(out)))
        for name, snapshot in (("dated", snapshots[-1 - number]), ("develop", "develop")):
            change(sorted((corpus / "_cache" / snapshot).iterdir())[number] / "specs.md")
            costs[name].append(run(update(out)))
        costs["git nothing"].append(run(update(cloned, "--git")))
        change(sorted((clone / "_cache" / snapshots[-1 - number]).iterdir())[number] / "specs.md")
        git(clone, "commit", "-qam", "change")
        costs["git dated"].append(run(update(cloned, "--git")))
        renew(clone, number)
        costs["git clone"].append(run(update(cloned, "--git")))
        costs["clone"].append(run(update(cloned)))
        run(update(cloned, "--git"))  # what was read without git is compared with it again
    medians = {name: Cost(*map(statistics.median, zip(*each, strict=True))) for name, each in costs.items()}
    print(f"{size(corpus)}; medians of {arguments.runs} runs:\n")
    print("| run | CPU s | wall s | peak MiB | build takes ... times its CPU | wall |")
    print("|---|--:|--:|--:|--:|--:|")
    whole = medians["build"]
    for name, cost in medians.items():
        ratios = f"{whole.cpu / cost.cpu:.1f} | {whole.wall / cost.wall:.1f}"
        print(f"| {words[name]} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory:.0f} | {ratios} |")


def update(dataset: Path, *options: str) -> Build:
    """Return the update by the command line of cachestats; its own place to write to holds no more than a log."""
    return Build([sys.executable, "-m", "cachestats", "update", str(dataset), *options], dataset.with_name("update"))


def make_clone(corpus: Path, clone: Path) -> Path:
    """Return a clone of a repository with a corpus, unless it is there already."""
    if not clone.exists():
        repository = clone.with_name("repository.git")
        clone.with_name("repository.git").mkdir()
        git(repository, "init", "-q", "--bare")
        for words in (("add", "_cache"), ("commit", "-qm", "pages")):
            git(repository, f"--work-tree={corpus.resolve()}", f"--git-dir={repository.resolve()}", *words, cwd=corpus)
        git(repository, "clone", "-q", str(repository.resolve()), str(clone.resolve()))
    return clone


def renew(clone: Path, number: int) -> None:
    """Give all pages of a clone new dates that are not too new, as a fresh clone would have some seconds later."""
    then = (clone / ".git").stat().st_mtime - 1000 + number
    for page in (clone / "_cache").glob("*/*/specs.md"):
        os.utime(page, (then, then))
    git(clone, "update-index", "-q", "--refresh")


def git(repository: Path, *words: str, cwd: Path | None = None) -> None:
    """Run git in a repository."""
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org", "-c", "gc.auto=0")
    subprocess.run(["git", *who, *words], cwd=cwd or repository, check=True, timeout=600)


def change(page: Path) -> None:
    """Give the first spec of a page another hash."""
    text = page.read_text()
    page.write_text(
        re.sub(r'("hash": ")(.)', lambda found: found[1] + ("b" if found[2] == "a" else "a"), text, count=1)
    )


if __name__ == "__main__":
    main()
