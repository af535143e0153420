"""Ask a dataset of the archive's size the same questions with cachestats and with DuckDB; compare what it takes.

    python -m benchmarks.questions [--runs 5] [--question NAME] [--corpus ../shared/corpus] [--folder build/benchmark]

Measured as in `build.py`: every answer is a process of its own, all of it counts, start-up too, and the two alternate.
Both read the same Parquet files and write their answer as Parquet; the answers are compared. The queries stand in
`peers/questions.sql`. What dependencies answer is asked of one big index, all else of pages of 92 snapshots.

A third process, `bare`, gives no answer: it imports Polars and reads the columns that cachestats needs, once. That is
the part that no cleverer analysis can save.

    python -m benchmarks.questions --answer cachestats|duckdb|bare NAME DATASET OUT    one answer, in this process
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.build import HERE, Build, Cost, alternate, cachestats, make_corpus, run, size
from benchmarks.index import make_index

if TYPE_CHECKING:
    import polars as pl

ENGINES = ("cachestats", "duckdb")
BARE = "bare"
START = "nothing"  # opens the dataset and reads its smallest table: what every question takes as well
OF_INDEX = {"gaps_weighed", "holes", "duplicates_differs", "find_below", "dependents"}  # what dependencies answer
OF_ENVIRONMENT = {"match", "hit_rates"}  # what an environment of the user answers
OLD, NEW = "develop-2025-02-23", "develop-2025-03-02"
ENVIRONMENT = 300  # specs of `OLD` that stand for an environment; of every second the hash is not in the cache
PACKAGE = "libpackage-0004"
FOUND = ["snapshot", "package", "version", "hash"]
TAKEN = "a"  # specs whose hash begins with it are not in the cache, which makes holes: one of 32


def questions() -> dict[str, Callable[[Any, Any], pl.DataFrame]]:
    """Return how cachestats answers, from the dataset and the environment, by the names of the queries."""
    import cachestats as cs

    def every(ds: Any) -> Any:
        return ds.at(ds.manifest.snapshots)

    return {
        START: lambda ds, _: ds.snapshots.select("snapshot").collect(),
        "coverage": lambda ds, _: cs.coverage(every(ds), rows="stack", columns="target"),
        "coverage_packages": lambda ds, _: cs.coverage(every(ds), rows="stack", columns="snapshot", measure="packages"),
        "usable": lambda ds, _: cs.usable(every(ds), host="zen4:ubuntu22.04").select(
            "package", "version", "cell", "num_specs"
        ),
        "gaps": lambda ds, _: cs.gaps(every(ds), by="stack").select("stack", "package", "num_columns"),
        "compare": lambda ds, _: cs.compare_counts(ds.at(OLD), ds.at(NEW)).drop("representation"),
        "history": lambda ds, _: cs.history(ds, by="stack").select(
            "stack", "snapshot", "packages", "specs", "kept", "new", "gone"
        ),
        "lifespans": lambda ds, _: cs.lifespans(ds).drop("first_date", "last_date", "is_current"),
        "overlap": lambda ds, _: cs.overlap(every(ds)),
        "overlap_sets": lambda ds, _: cs.overlap_sets(every(ds)).drop("combination"),
        "duplicates": lambda ds, _: cs.duplicates(every(ds)),
        "versions": lambda ds, _: cs.versions(every(ds)),
        "match": lambda ds, environment: cs.match(environment, every(ds)).select(
            "package", "hash", "status", "near_hash"
        ),
        "hit_rates": lambda ds, environment: cs.hit_rates(environment, ds, by="stack").select(
            "snapshot", "stack", "hits", "near"
        ),
        "gaps_weighed": lambda ds, _: cs.gaps(ds, by="target", dependencies=ds),
        "holes": lambda ds, _: cs.holes(ds).select("package", "version", "hash", "missing", "missing_hash"),
        "duplicates_differs": lambda ds, _: cs.duplicates(ds, dependencies=ds).drop("excess_bytes", "causes"),
        "find": lambda ds, _: cs.find(every(ds), f"{PACKAGE}@3: target=x86_64_v3:").select(FOUND),
        "find_anywhere": lambda ds, _: cs.find(every(ds), "@6: build_system=cmake target=x86_64_v3: %gcc@12:").select(
            FOUND
        ),
        "find_below": lambda ds, _: cs.find(ds, "^mpich").select(FOUND),
        "dependents": lambda ds, _: cs.dependents(ds, "zlib-ng", by="os"),
    }


def needed() -> dict[str, dict[str, str]]:
    """Return the columns that a question needs, by question and table in numbers."""
    visible = "package version platform os target compiler variants flags namespace"
    whole = f"{visible} package_hash spec_format"
    edges = "spec dependency dependency_package"
    return {
        START: {},
        "coverage": {"encoded_specs": "stacks target"},
        "coverage_packages": {"encoded_specs": "snapshot stacks package"},
        "usable": {"encoded_specs": "snapshot spec package version requirement"},
        "gaps": {"encoded_specs": "stacks package"},
        "compare": {"encoded_specs": whole},
        "history": {"encoded_specs": "snapshot spec package stacks"},
        "lifespans": {"encoded_specs": "snapshot package version target"},
        "overlap": {"encoded_specs": "spec package stacks"},
        "overlap_sets": {"encoded_specs": "spec package stacks"},
        "duplicates": {"encoded_specs": f"snapshot spec size_bytes {visible}"},
        "versions": {"encoded_specs": "stacks package version"},
        "match": {"encoded_specs": f"spec {whole}"},
        "hit_rates": {"encoded_specs": "snapshot spec package stacks"},
        "gaps_weighed": {"encoded_specs": "spec package target", "encoded_dependencies": edges},
        "holes": {
            "encoded_specs": "spec package version",
            "encoded_dependencies": f"{edges} is_link is_run is_external",
        },
        "duplicates_differs": {
            "encoded_specs": f"spec size_bytes package_hash {visible}",
            "encoded_dependencies": edges,
        },
        "find": {"encoded_specs": "snapshot spec package version target"},
        "find_anywhere": {"encoded_specs": "snapshot spec package version target compiler variants"},
        "find_below": {"encoded_specs": "spec package version", "encoded_dependencies": f"{edges} is_link is_run"},
        "dependents": {"encoded_specs": "spec package os", "encoded_dependencies": edges},
    }


def main() -> None:
    """Compare the answers and print a table in Markdown, or give one answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "benchmark", help="of datasets, output")
    parser.add_argument("--corpus", type=Path, default=HERE.parent.parent / "shared" / "corpus", help="of real indices")
    parser.add_argument("--megabytes", type=float, default=450, help="size of the index, at least")
    parser.add_argument("--runs", type=int, default=5, help="of each answer")
    parser.add_argument("--question", action="append", help="only this one; may be repeated")
    parser.add_argument("--answer", nargs=4, metavar=("ENGINE", "NAME", "DATASET", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        engine, name, *paths = arguments.answer
        give_answer(engine, name, *map(Path, paths))
        return
    archive = make_corpus(arguments.folder, 91, specs=6.6, develop=315)
    datasets = [
        make_dataset(archive, arguments.folder / "questions-archive"),
        make_dataset(
            make_index(arguments.folder, arguments.corpus, arguments.megabytes, TAKEN),
            arguments.folder / "questions-index",
        ),
    ]
    out = arguments.folder / "out"
    if not environment_file(datasets[0]).exists():
        # In a process of its own: none that this one starts seems to need less memory than it has itself by then.
        run(answer("environment", "match", datasets[0], out))
    costs = {
        name: alternate(
            {engine: answer(engine, name, datasets[name in OF_INDEX], out) for engine in (*ENGINES, BARE)},
            arguments.runs,
        )
        for name in asked(arguments.question or [])
    }
    cold = alternate({"": shell(datasets[0], out)}, arguments.runs)[""]
    print_costs(costs, out, f"{size(archive)}; medians of {arguments.runs} runs")
    print(f"\n`cachestats coverage` from a cold shell, of `develop`: {cold.cpu:.2f} s of CPU, {cold.wall:.2f} s")


def asked(names: list[str]) -> list[str]:
    """Return the names of the questions that are asked, all by default: those of the queries."""
    every = list(queries())
    if unknown := set(names) - set(every):
        raise SystemExit(f"expected some of {', '.join(every)} as questions, found {', '.join(unknown)}")
    return names or every


def make_dataset(source: Path, out: Path) -> Path:
    """Return the dataset of a source, built unless it is there."""
    if not (out / "manifest.json").exists():
        run(cachestats(source, out))
    return out


def answer(engine: str, name: str, dataset: Path, out: Path) -> Build:
    """Return the process that gives one answer."""
    folder = out / f"{name}-{engine}"
    words = [sys.executable, "-m", "benchmarks.questions", "--answer", engine, name, str(dataset), str(folder)]
    return Build(words, folder)


def shell(dataset: Path, out: Path) -> Build:
    """Return the verb `coverage` as a person types it."""
    words = ["coverage", str(dataset), "--rows", "stack", "--columns", "target", "--measure", "packages"]
    return Build([sys.executable, "-m", "cachestats", *words], out / "shell")


def give_answer(engine: str, name: str, dataset: Path, out: Path) -> None:
    """Answer one question and write the answer."""
    out.mkdir()
    if engine == BARE:
        read_only(name, dataset)
        return
    if engine == "environment":
        make_environment(dataset)
        return
    if engine == "cachestats":
        import cachestats as cs

        ds = cs.open_dataset(dataset)
        environment = read_environment(dataset) if name in OF_ENVIRONMENT else None
        questions()[name](ds, environment).write_parquet(out / "answer.parquet")
        return
    import duckdb

    for table in ("specs/*", "dependencies/*", "requirements/*", "snapshots", "targets"):
        duckdb.execute(f"CREATE VIEW {table.removesuffix('/*')} AS FROM '{dataset}/{table}.parquet'")
    if name in OF_ENVIRONMENT:
        duckdb.execute(f"CREATE VIEW environment AS FROM '{environment_file(dataset)}'")
    duckdb.execute(f"COPY ({queries()[name]}) TO '{out}/answer.parquet'")


def read_only(name: str, dataset: Path) -> None:
    """Read what a question needs, and do nothing with it."""
    import polars as pl

    names = (OLD, NEW) if name == "compare" else ("*",)
    for table, columns in needed()[name].items():
        files = [dataset / table / f"{snapshot}.parquet" for snapshot in names]
        pl.scan_parquet(files).select(columns.split()).max().collect(engine="streaming")


def environment_file(dataset: Path) -> Path:
    """Return where the environment that is looked up in a dataset is kept."""
    return dataset.with_name(f"{dataset.name}-environment.parquet")


def make_environment(dataset: Path) -> None:
    """Write the specs of an environment, which both engines read from the same file."""
    import polars as pl

    import cachestats as cs

    specs = cs.open_dataset(dataset).at(OLD).specs.unique("hash").sort("hash").head(ENVIRONMENT)
    changed = pl.when(pl.int_range(pl.len()) % 2 == 1).then(pl.lit("-") + pl.col("hash").str.slice(1))
    specs.with_columns(hash=changed.otherwise("hash"), is_root=pl.lit(True)).sink_parquet(environment_file(dataset))


def read_environment(dataset: Path) -> Any:
    """Return the environment as cachestats has it."""
    import polars as pl

    import cachestats as cs

    edges = pl.DataFrame(schema=cs.open_dataset(dataset).dependencies.collect_schema())
    return cs.Environment(pl.read_parquet(environment_file(dataset)), edges)


def queries() -> dict[str, str]:
    """Return the queries by name; every one can use the common tables that stand before the first."""
    text = (HERE / "peers" / "questions.sql").read_text()
    parts = text.split("\n-- question: ")[1:]
    named = {part.split("\n")[0].strip(): part.partition("\n")[2].strip().rstrip(";") for part in parts}
    return {name: query.replace("$OLD", OLD).replace("$NEW", NEW) for name, query in named.items()}


def print_costs(costs: dict[str, dict[str, Cost]], out: Path, title: str) -> None:
    """Compare the answers and print what they took, and the ratios."""
    rows = {
        name: equal_answers(name, *(out / f"{name}-{engine}" / "answer.parquet" for engine in ENGINES))
        for name in costs
    }
    print(f"{title}; cachestats takes ... times what DuckDB does:\n")
    print(
        "| question | rows | CPU s | DuckDB's | bare | wall s | DuckDB's | MiB | DuckDB's | CPU | wall | memory | net |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    starts = [costs[START][engine].cpu for engine in ENGINES] if START in costs else None
    for name, measured in costs.items():
        ours, theirs = (measured[engine] for engine in ENGINES)
        figures = [f"{ours.cpu:.2f}", f"{theirs.cpu:.2f}", f"{measured[BARE].cpu:.2f}"]
        figures += [f"{ours.wall:.2f}", f"{theirs.wall:.2f}", f"{ours.memory:.0f}", f"{theirs.memory:.0f}"]
        figures += [f"{mine / other:.2f}" for mine, other in zip(ours, theirs, strict=True)]
        beyond = "" if name == START or not starts else f"{(ours.cpu - starts[0]) / (theirs.cpu - starts[1]):.2f}"
        print(f"| {name} | {rows[name]:,} | {' | '.join(figures)} | {beyond} |")


def equal_answers(name: str, ours: Path, theirs: Path) -> int:
    """Check that two answers hold the same rows, in any order; return their number."""
    import polars as pl

    mine, other = (pl.read_parquet(path) for path in (ours, theirs))
    if mine.columns != other.columns:
        raise SystemExit(f"{name}: expected the columns {mine.columns}, found {other.columns}")
    other = other.cast(dict(mine.schema)).sort(pl.all())
    if not mine.sort(pl.all()).equals(other):
        raise SystemExit(f"{name}: expected the rows of {ours}, found others in {theirs}")
    return mine.height


if __name__ == "__main__":
    main()
