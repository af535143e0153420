"""Read pages and answer questions on Spark, and on one machine without it; compare what it takes as the work grows.

    python -m benchmarks.spark [--runs 3] [--folder build/benchmark]    pages a second
    python -m benchmarks.spark --rows 3 30 300                          the analyses on so many million generated rows

Every run is a process, all of it counts, start-up too, with the processes that it starts: CPU of all, wall time, and
the peak of the memory of all at one time, sampled. The runs alternate. Pages are those of `make_corpus.py`; the files
and the answers of Spark are compared with those of one machine. With `--rows`, rows are kept below the folder, about
14 MB a million.

    python -m benchmarks.spark --job ENGINE NAME IN OUT    one run, in this process
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.build import (
    ENVIRONMENT,
    HERE,
    MIB,
    Build,
    Cost,
    cachestats,
    corpus_counts,
    equal_rows,
    make_corpus,
    size,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    import pyarrow as pa

    Ids = npt.NDArray[np.uint64]

LOCAL = "cachestats build"
SPARK = {"Spark, 1 worker": "local[1]", "Spark, 2 workers": "local[2]"}
POLARS = "polars"
QUESTIONS = ("coverage", "overlap", "history", "versions")
TICK = 0.1

SPECS_A_SNAPSHOT = 110_000  # as `develop` has
STACKS = [f"stack-{number}" for number in range(20)]
NEW_A_SNAPSHOT = 22_000  # specs; the others were there a week before


def main() -> None:
    """Run the benchmark that the command line names and print its table in Markdown, or do one job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "benchmark", help="of input and output")
    parser.add_argument("--runs", type=int, default=3, help="of each job")
    parser.add_argument("--snapshots", type=int, nargs="+", default=[2, 10, 40], help="of 1,200 pages each")
    parser.add_argument("--rows", type=int, nargs="+", help="ask questions of so many million rows")
    parser.add_argument("--question", action="append", help="only this one; may be repeated")
    parser.add_argument("--job", nargs=4, metavar=("ENGINE", "NAME", "IN", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        engine, name, *paths = arguments.job
        do_job(engine, name, *map(Path, paths))
    elif arguments.rows:
        print_questions(arguments.folder, arguments.runs, arguments.rows, arguments.question)
    else:
        print_pages(arguments.folder, arguments.runs, arguments.snapshots)


def print_pages(folder: Path, runs: int, snapshots: list[int]) -> None:
    """Compare how many pages a second are read and written as a dataset, and check that the rows are equal."""
    print(f"Pages to a dataset; {os.cpu_count()} cores, medians of {runs} runs:\n")
    print("| input | build | pages a second | CPU s | wall s | peak MiB |\n|---|---|--:|--:|--:|--:|")
    for number in snapshots:
        corpus, out = make_corpus(folder, number), folder / "out"
        builds = {LOCAL: cachestats(corpus, out / "cachestats")}
        builds |= {name: job(master, "pages", corpus, out / f"spark-{master[6]}") for name, master in SPARK.items()}
        costs = alternate(builds, runs)
        equal_rows(builds[LOCAL].out, [builds[name].out for name in SPARK])
        for name, cost in costs.items():
            print(f"| {size(corpus)} | {name} | {corpus_counts(corpus)['pages'] / cost.wall:,.0f} | {told(cost)} |")


def print_questions(folder: Path, runs: int, millions: list[int], only: list[str] | None) -> None:
    """Compare the answers of Polars and Spark as rows grow, and check that they are equal."""
    print(f"Questions asked of generated specs; {os.cpu_count()} cores, medians of {runs} runs:\n")
    print("| million rows | question | engine | CPU s | wall s | peak MiB |\n|--:|---|---|--:|--:|--:|")
    for number in millions:
        rows = folder / f"specs-{number}"
        if not (rows / "finished").exists():
            run(job(POLARS, "rows", Path(str(number)), rows))
        for question in only or QUESTIONS:
            engines = {POLARS: POLARS, "Spark, 2 workers": "local[2]"}
            jobs = {
                name: job(engine, question, rows, folder / "out" / f"{question}-{name[:5]}")
                for name, engine in engines.items()
            }
            for name, cost in alternate(jobs, runs).items():
                print(f"| {number} | {question} | {name} | {told(cost)} |", flush=True)
            answers = [(one.out / "answer.csv").read_bytes() for one in jobs.values()]
            if len(set(answers)) > 1 or not answers[0]:
                raise SystemExit(f"expected equal answers to {question} in {folder / 'out'}, found others")


def told(cost: Cost) -> str:
    """Return what a run took as cells of a table."""
    return f"{cost.cpu:.1f} | {cost.wall:.1f} | {cost.memory:,.0f}"


def job(engine: str, name: str, source: Path, out: Path) -> Build:
    """Return a run of this script."""
    words = ["--job", engine, name, str(source), str(out)]
    return Build([sys.executable, "-m", "benchmarks.spark", *words], out)


def alternate(builds: dict[str, Build], runs: int) -> dict[str, Cost]:
    """Run all builds, one after the other, `runs` times; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in builds}
    for _ in range(runs):
        for name, build in builds.items():
            costs[name].append(run(build))
    return {name: Cost(*map(statistics.median, zip(*measured, strict=True))) for name, measured in costs.items()}


def run(build: Build) -> Cost:
    """Run one build as a process, and return what it and the processes that it started took."""
    shutil.rmtree(build.out, ignore_errors=True)
    build.out.parent.mkdir(parents=True, exist_ok=True)
    environment = ENVIRONMENT | {"PYSPARK_PYTHON": sys.executable}
    with build.out.with_suffix(".log").open("w") as log:
        started = time.perf_counter()
        process = subprocess.Popen(build.command, stdout=log, stderr=log, env=environment)
        peak = [0]
        threading.Thread(target=watch, args=(process, peak), daemon=True).start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(build.command)} failed; see {log.name}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak[0] / MIB)


def watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """Note the most memory that a process and those below it have at one time; what they share counts once."""
    while process.returncode is None:
        peak[0] = max(peak[0], sum(map(memory, below(process.pid))))
        time.sleep(TICK)


def below(process: int) -> Iterator[int]:
    """Yield a process and those that it started."""
    yield process
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from below(int(child))
    except OSError:
        return  # it ended


def memory(process: int) -> int:
    """Return the bytes that a process has in memory, its share of what others have too."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def do_job(engine: str, name: str, source: Path, out: Path) -> None:
    """Do one job in this process."""
    if name == "rows":
        make_rows(out, int(str(source)))
        return
    if engine == POLARS:
        import polars as pl

        write_answer(questions()[name](pl.scan_parquet(source / "*.parquet")), out)
        return
    from pyspark.sql import SparkSession

    options = {"driver.host": "127.0.0.1", "ui.enabled": "false", "driver.memory": "4g", "sql.shuffle.partitions": "8"}
    builder = SparkSession.builder.master(engine)
    for option, value in options.items():
        builder = builder.config(f"spark.{option}", value)
    spark = builder.getOrCreate()
    if name == "pages":
        from cachestats.spark import read_site, write_dataset

        write_dataset(read_site(spark, source), out)
    else:
        write_answer(questions()[name](spark.read.parquet(str(source))), out)
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()  # else its CPU is not ours


def write_answer(answer: pl.DataFrame, out: Path) -> None:
    """Write an answer as text, to be compared."""
    out.mkdir(parents=True)
    answer.write_csv(out / "answer.csv")


def questions() -> dict[str, Callable[[Any], pl.DataFrame]]:
    """Return the questions by name."""
    import cachestats as cs

    return {
        "coverage": lambda specs: cs.coverage(specs, rows="stack", columns="target"),
        "overlap": lambda specs: cs.overlap(specs),
        "history": lambda specs: cs.history(specs),
        "versions": lambda specs: cs.versions(specs),
    }


def make_rows(folder: Path, millions: int) -> None:
    """Write specs of as many dated snapshots as it takes, a file each; of a week's specs most are there a week on."""
    import datetime

    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rows, number = 0, 0
    while rows < millions * 1_000_000:
        day = datetime.date(2000, 1, 2) + datetime.timedelta(weeks=number)
        table = specs_of(day, number * NEW_A_SNAPSHOT)
        pq.write_table(table, folder / f"{day}.parquet", compression="zstd")
        rows, number = rows + table.num_rows, number + 1
    (folder / "finished").touch()


def specs_of(day: Any, first: int) -> pa.Table:
    """Return the table `specs` of one snapshot: specs by number, from `first` on; all in a row follows from it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from cachestats.schema import SPECS

    numbers = np.arange(first, first + SPECS_A_SNAPSHOT, dtype=np.uint64)
    rows = 2 + (mixed(numbers, 1) % np.uint64(3)).astype(np.int64)  # of `root` and of one to three stacks
    spec = np.repeat(np.arange(len(numbers)), rows)
    place = np.arange(len(spec)) - np.searchsorted(spec, spec)
    stack = (mixed(numbers[spec], 2) + place.astype(np.uint64)) % np.uint64(len(STACKS))
    stack[place == 0] = len(STACKS)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
    digits = np.stack([mixed(numbers, seed) for seed in range(3, 7)], axis=1).view(np.uint8) & 31
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    hashes = pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters[digits].copy()))

    def names(count: int, seed: int, name: str) -> pa.Array:
        codes = (mixed(numbers, seed) % np.uint64(count)).astype(np.int32)
        return pa.array([name.format(code) for code in range(count)]).take(pa.array(codes))

    compiler_version = names(8, 12, "{}.1.0")
    of_spec = {
        "package": names(7_000, 8, "package-{}"),
        "version": names(40, 9, "1.{}"),
        "hash": hashes,
        "os": names(6, 10, "os-{}"),
        "target": names(12, 11, "target-{}"),
        "compiler": pc.binary_join_element_wise(pa.scalar("gcc"), compiler_version, "@"),
        "compiler_version": compiler_version,
        "variants": names(5_000, 13, "+option-{} build_system=cmake"),
    }
    columns = {name: column.take(pa.array(spec)) for name, column in of_spec.items()}
    columns["stack"] = pa.array([*STACKS, "root"]).take(pa.array(stack.astype(np.int32)))
    same = {"snapshot": f"develop-{day}", "snapshot_date": day, "platform": "linux", "compiler_name": "gcc"}
    columns |= {name: pa.repeat(pa.scalar(value), len(spec)) for name, value in same.items()}
    columns["size_bytes"] = pa.nulls(len(spec), pa.int64())
    return pa.table({name: columns[name] for name in SPECS.arrow().names}).cast(SPECS.arrow())


def mixed(numbers: Ids, seed: int) -> Ids:
    """Return numbers that look random, the same for the same (splitmix64)."""
    import numpy as np

    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed * 0x632BE59BD9B4E019 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


if __name__ == "__main__":
    main()
