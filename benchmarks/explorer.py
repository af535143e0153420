"""Time what the explorer of a report does in a browser, with the dataset of `questions.py`.

    python -m benchmarks.explorer [--runs 5] [--dataset build/benchmark/questions-archive] [--report FOLDER]

The times are measured in the page, which is opened from disk in Chromium: until the first answer is drawn, to load
another snapshot, and from the change of a question to the drawn answer. They are printed with their aims.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.build import HERE

CHANGES = {
    "packages by stack and target": "rows=stack&columns=target",
    "specs by package and version": "rows=package&columns=version&measure=specs",
    "with two filters": "rows=stack&columns=target&os=ubuntu22.04&platform=linux",
    "for a host": "rows=stack&columns=target&host=zen4:ubuntu22.04",
    "of an expression": "rows=stack&columns=os&spec=@2:%20target=x86_64_v3:",
}
MOST = {"large": 500, "small": 100}  # milliseconds until a change is drawn
DRAW = """async (question) => {
    const before = cachestats.explorer.took;
    location.hash = question;
    while (cachestats.explorer.took === before) await new Promise((resolve) => requestAnimationFrame(resolve));
    return cachestats.explorer.took;
}"""


def main() -> None:
    """Write the report, open it and print a table of times."""
    import cachestats as cs

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dataset", type=Path, default=HERE.parent / "build/benchmark/questions-archive")
    parser.add_argument("--report", type=Path, help="a report of the dataset that exists already")
    asked = parser.parse_args()
    dataset = cs.open_dataset(asked.dataset)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.report or Path(temporary) / "report"
        if asked.report is None:
            cs.write_report(dataset, folder)
        measure(folder, list(dataset.at("all").names), asked.runs)


def measure(folder: Path, snapshots: list[str], runs: int) -> None:
    """Open the explorer as often as there are runs, and print the medians."""
    from playwright.sync_api import sync_playwright

    large, small = snapshots[-1], snapshots[-2]
    times: dict[tuple[str, int], list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(runs):
            for name, most, milliseconds in session(browser, folder, large, small):
                times.setdefault((name, most), []).append(milliseconds)
        browser.close()
    code = sum(path.stat().st_size for path in (folder / "assets").glob("*.js") if path.name != "datatables.js")
    print(f"{code / 1000:.0f} kB of scripts; medians of {runs} runs\n\n| what | ms | aim |\n|---|--:|--:|")
    for (name, most), found in times.items():
        print(f"| {name} | {median(found):,.0f} | {most:,} |")


def session(browser: Any, folder: Path, large: str, small: str) -> list[tuple[str, int, float]]:
    """Return what one visit takes: names, aims and milliseconds."""
    page = browser.new_page()
    page.goto((folder / "explorer.html").as_uri())
    page.wait_for_selector("#explorer[aria-busy=false]")
    found = [("open the page", 2000, page.evaluate("cachestats.explorer.startedAfter"))]
    found += [(f"{small}, for the first time", 1000, page.evaluate(DRAW, f"snapshot={small}"))]
    for snapshot, size in ((large, "large"), (small, "small")):
        # The first change of a question may load something; a second, equal one shows what it takes to count and draw.
        for words, question in CHANGES.items():
            page.evaluate(DRAW, f"{question}&snapshot={snapshot}")
            page.evaluate(DRAW, f"snapshot={snapshot}&view=bars")
            found.append((f"{snapshot}: {words}", MOST[size], page.evaluate(DRAW, f"{question}&snapshot={snapshot}")))
    compared = f"rows=stack&columns=target&measure=specs&snapshot={large}&before={small}"
    found.append((f"{large}, compared with {small}", MOST["large"], page.evaluate(DRAW, compared)))
    page.close()
    return found


if __name__ == "__main__":
    main()
