"""Write a report: run the analyses, draw the charts, render the pages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from cachestats.atomic import replaced_folder
from cachestats.axes import STATES
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.paths import arrow_path
from cachestats.dataset.subset import Subset, as_subset
from cachestats.decode import JsonError, decode
from cachestats.export.table import export_table
from cachestats.naming import snapshot_kind
from cachestats.regular import read_regular
from cachestats.report.badges import badge
from cachestats.report.charts import draw_overview, draw_stack
from cachestats.report.datatables import write_widget
from cachestats.report.facts import Facts, gather, most_needed
from cachestats.report.matrix import Matrices
from cachestats.report.packages import Row, SpecValues, write_specs
from cachestats.report.pages import Pages
from cachestats.report.paths import path_of
from cachestats.report.summary import stack_counts, summary_markdown
from cachestats.schema import SCHEMA_VERSION, TABLES, dictionary_markdown
from cachestats.text import counted

_FOLDERS = ("assets", "charts", "packages", "stacks", "snapshots", "tables", "badges", "api", "specs", "cells")
_MARK = "report.json"
"""The file that identifies a folder as a report."""
_OWN_KEY = "dataset_schema_version"
_FILES = ("index.html", "packages.html", "data.html", "summary.md", _MARK)
_SHOWN_SPECS = 25
"""The number of specs in the page of a package itself, for readers without scripts: as many as scripts show first."""
_TABLES = {name: table for name, table in TABLES.items() if name != "variants"}
"""The tables to download. `variants` has what `specs.variants` has, in other rows, and is as large as all of these."""
_MOST_GAPS = 30
_MOST_NEEDING = 24
_MOST = 10


def write_report(specs: Dataset | Subset, out: str | os.PathLike[str], *, title: str = "Spack build cache") -> int:
    """Write a dataset and its analyses as a folder of pages that opens in a browser, and return the number of pages.

    The folder needs no server and no network: `index.html` opens from disk, and the folder can be published unchanged.
    It contains an overview, a searchable table of packages with filters, a page for each package, stack and snapshot,
    the tables as Parquet files with their dictionary, a badge for each stack, and files for programs: a JSON file for
    each package, `report.json`, and `summary.md`, a short summary of the changes. The same dataset always gives the
    same bytes.

    Parameters
    ----------
    specs
        The dataset, or a subset of it: the report is about its snapshots and specs. Coverage is reported for `develop`
        if it exists, otherwise for the newest snapshot.
    out
        The folder: a new one, an empty one, or an earlier report, which is replaced once the new one is complete.
    title
        The name of the cache, shown on every page.

    Returns
    -------
    int
        The number of pages.

    Raises
    ------
    ArgumentError
        If the dataset has no snapshots.
    DatasetError
        If `out` is something else, or it cannot be written.
    BusyError
        If another process is writing the report.
    CachestatsError
        If the extra `report` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> cs.write_report(cs.example_dataset().where(package=["hdf5", "zlib-ng"]), "report")
    12
    >>> sorted(path.name for path in Path("report/packages").iterdir())
    ['hdf5.html', 'zlib-ng.html']
    """
    subset = as_subset(specs)
    facts = gather(subset)
    with replaced_folder(arrow_path(out), holds="an earlier report", foreign=_foreign) as folder:
        for name in _FOLDERS:
            (folder / name).mkdir()
        return _Report(subset, facts, folder, title).write()


class _Report:
    """A report that is being written."""

    def __init__(self, subset: Subset, facts: Facts, folder: Path, title: str) -> None:
        self.subset, self.facts, self.folder = subset, facts, folder
        self.names = [*subset.names]
        self.about = facts.snapshots.row(by_predicate=pl.col("snapshot") == facts.current, named=True)
        self.pages = Pages(
            folder, site=title, current=facts.current, about=self.about, before=facts.before, states=STATES
        )
        self.num_pages = 0

    def write(self) -> int:
        """Write everything and return the number of pages."""
        self._assets()
        specs = write_specs(self.subset, self.folder, shown=_SHOWN_SPECS)
        # Write the Parquet files in parallel: everything else is Python code, which does not use a second core. The
        # specs took both cores, and as much memory.
        with ThreadPoolExecutor(1) as pool:
            tables = pool.submit(self._tables)
            self._overview()
            self._packages(specs)
            self._stacks()
            self._snapshots()
            self._data(tables.result())
        self._write("summary.md", summary_markdown(self.facts))
        self._write(_MARK, _json(self._about()))
        return self.num_pages

    def _page(self, path: str, template: str, **values: Any) -> None:
        self.pages.write(path, template, **values)
        self.num_pages += 1

    def _write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text, encoding="utf-8", newline="\n")

    def _assets(self) -> None:
        for asset in (files("cachestats.report") / "assets").iterdir():
            (self.folder / "assets" / asset.name).write_bytes(asset.read_bytes())
        write_widget(self.folder / "assets")

    def _tables(self) -> list[Row]:
        """Write the tables and their dictionary, and return a list of the downloads."""
        self._write("tables/DICTIONARY.md", dictionary_markdown())
        found = {}
        # `specs`, the first, takes the most memory, and comes last: by then the memory of the scripts is free.
        for table in reversed(_TABLES.values()):
            path = f"tables/{table.name}.parquet"
            rows = export_table(self.subset, table.name, self.folder / path)
            size = (self.folder / path).stat().st_size
            found[table.name] = {"name": table.name, "path": path, "rows": rows, "size": size, "grain": table.grain}
        return [found[name] for name in _TABLES]

    def _data(self, tables: list[Row]) -> None:
        snapshots = self.facts.snapshots.to_dicts()
        self._page("data.html", "data.html", tables=tables, schema=list(TABLES.values()), snapshots=snapshots)

    def _overview(self) -> None:
        facts = self.facts
        counts = stack_counts(facts)
        fell = counts.filter(pl.col("removed") > 0).head(_MOST).to_dicts() if self._before else []
        self._page(
            "index.html",
            "index.html",
            charts=draw_overview(self.subset, facts, self.folder),
            changes=_by(facts.changes.get(facts.current), "change"),
            fell=fell,
            stacks=facts.stacks.to_dicts(),
            snapshots=facts.snapshots.to_dicts(),
            gaps=most_needed(facts.gaps).head(_MOST).to_dicts(),
            duplicates=facts.duplicates.head(_MOST).to_dicts(),
            excess=int(facts.duplicates["excess"].sum()),
            holes=None if facts.holes is None else facts.holes.head(_MOST).to_dicts(),
            broken=None if facts.holes is None else facts.holes.height,
        )
        names = facts.snapshots["snapshot"].to_list()
        self._page("packages.html", "packages.html", packages=facts.packages.to_dicts(), snapshots=names)

    @property
    def _before(self) -> str | None:
        return self.facts.before.get(self.facts.current)

    def _packages(self, specs: dict[str, list[SpecValues]]) -> None:
        facts = self.facts
        current = {row["package"]: row for row in facts.packages.to_dicts()}
        presence = facts.presence.join(facts.newest, on=["package", "snapshot"], how="left")
        by_snapshot = _tuples(presence.select("package", "snapshot", "value", "version"))
        events = _tuples(self._events())
        versions, gaps = _by(facts.versions, "package"), _by(facts.gaps, "package")
        excess = _by(facts.duplicates, "package")
        positions = {name: number for number, name in enumerate(self.names)}
        anchors = self.pages.links("snapshots", self.names, "../")
        matrices = Matrices(self.subset.at(facts.current))
        dependencies = _Dependencies(facts, self.pages.links("packages", by_snapshot, "../"))
        for package, found in by_snapshot.items():
            series = sorted(found, key=lambda row: positions[row[0]], reverse=True)
            about = current.get(package)
            matrix = matrices.of(package)
            targets = matrix.best() if matrix else {}
            last = newest_of_each_kind([snapshot for snapshot, *_ in series])
            self._page(
                path_of("packages", package),
                "package.html",
                package_name=package,
                row=about,
                matrix=matrix,
                last=last,
                stacks=versions.get(package, []),
                lacking=gaps.get(package, []),
                excess=next((row["excess"] for row in excess.get(package, ())), 0),
                dependencies=dependencies.of(package),
                series=series,
                anchors=anchors,
                bars=_bars({snapshot: number for snapshot, number, _ in series}, self.names),
                num_snapshots=len(self.names),
                events=events.get(package, [])[::-1],
                specs=specs.get(package, []),
            )
            self._write(path_of("api", package), _json(self._package_json(package, last, about, targets, versions)))

    def _package_json(
        self, package: str, last: list[str], about: Row | None, targets: dict[str, str], versions: dict[str, list[Row]]
    ) -> Row:
        return {
            "schema": 1,
            "package": package,
            "snapshot": self.facts.current,
            "is_covered": about is not None,
            "newest_version": about and about["version"],
            "num_versions": about["versions"] if about else 0,
            "num_specs": about["specs"] if about else 0,
            "stacks": [row["stack"] for row in versions.get(package, ()) if row["stack"] is not None],
            "targets": targets,
            "last_seen": last,
        }

    def _events(self) -> pl.DataFrame:
        """Return the snapshots in which packages were added, removed or changed their versions, oldest first."""
        told = pl.col("change").is_in(["added", "removed", "updated", "representation"])
        parts = [
            self.facts.changes[name]
            .filter(told)
            .select("package", pl.lit(name).alias("snapshot"), "change", "old_versions", "new_versions")
            for name in self.names
            if name in self.facts.changes
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema={"package": pl.String})

    def _stacks(self) -> None:
        facts = self.facts
        rows = {row["stack"]: row for row in facts.stacks.to_dicts()}
        changed = {row["stack"]: row for row in stack_counts(facts).to_dicts()}
        packages, gaps = _by(facts.versions, "stack"), _by(facts.gaps, "stack")
        changes = _by(facts.stack_changes, "stack") if self._before else {}
        for stack, series in _by(facts.stack_history, "stack").items():
            last = next(row["snapshot"] for row in reversed(series) if row["specs"])
            self._page(
                path_of("stacks", stack),
                "stack.html",
                stack_name=stack,
                row=rows.get(stack),
                last=last,
                chart=draw_stack(facts, stack, self.folder),
                series=series[::-1],
                changes=_grouped(changes.get(stack, []), "change"),
                packages=packages.get(stack, []),
                num_gaps=len(gaps.get(stack, [])),
                gaps=gaps.get(stack, [])[:_MOST_GAPS],
            )
            self._badge(stack, rows.get(stack), changed.get(stack))

    def _badge(self, stack: str | None, row: Row | None, changed: Row | None) -> None:
        packages = row["packages"] if row else 0
        lost = changed["removed"] if changed and self._before else 0
        had = changed["before"] if changed and self._before else packages
        message = counted(packages, "package") + (f", {lost:,} lost" if lost else "")
        share = 0.0 if not packages else 1 - lost / had if had else 1.0
        self._write(path_of("badges", stack), badge(stack or "no stack", message, share=share))

    def _snapshots(self) -> None:
        by_snapshot = _by(self.facts.stack_history, "snapshot")
        for row in self.facts.snapshots.to_dicts():
            name = row["snapshot"]
            self._page(
                path_of("snapshots", name),
                "snapshot.html",
                row=row,
                older=self.facts.before.get(name),
                changes=_by(self.facts.changes.get(name), "change"),
                stacks=by_snapshot.get(name, []),
            )

    def _about(self) -> Row:
        return {
            "schema": 1,
            "snapshot": self.facts.current,
            "before": self._before,
            "source": self.about["source"],
            "read_at": self.about["read_at"].isoformat(),
            "num_packages": self.about["num_packages"],
            "num_specs": self.about["num_specs"],
            "snapshots": self.names[::-1],
            "stacks": {row["stack"] or "none": row["packages"] for row in self.facts.stacks.to_dicts()},
            "dataset_schema_version": SCHEMA_VERSION,
        }


class _Dependencies:
    """What each package of the current snapshot needs, and what needs it."""

    def __init__(self, facts: Facts, links: dict[str, Markup]) -> None:
        self._links = links
        self._every = dict(facts.packages.select("package", "specs").iter_rows())
        self._total = sum(self._every.values())
        self._counts: dict[str, Row] = {}
        self._needing: dict[str, list[tuple[Any, ...]]] = {}
        self._needed: dict[str, list[tuple[Any, ...]]] = {}
        if facts.needs is not None:
            self._counts = {row["package"]: row for row in facts.needs.dependents.iter_rows(named=True)}
            most_first = facts.needs.direct.sort("num_specs", "package", "needed", descending=[True, False, False])
            self._needing = _tuples(most_first.select("needed", "package", "num_specs"))
            self._needed = _tuples(most_first.select("package", "needed", "num_specs"))

    def of(self, package: str) -> Row | None:
        """Return the counts of what depends on a package, and what does directly; None if there is nothing to say.

        `needing` and `needed` are links to other packages, each with the share of specs for which the dependency is
        direct, such as `2 of 3 specs`; the highest numbers come first.
        """
        if package not in self._counts:
            return None
        total = self._every.get(package, 0)
        needing, needed = self._needing.get(package, []), self._needed.get(package, [])
        return self._counts[package] | {
            "num_other_specs": self._total - total,
            "needing": [self._part(name, specs, self._every[name]) for name, specs in needing[:_MOST_NEEDING]],
            # What is not cached has no page.
            "needed": [self._part(name, specs, total) for name, specs in needed],
        }

    def _part(self, name: str, num_specs: int, total: int) -> tuple[str, str]:
        return self._links.get(name, name), f"{num_specs:,} of {counted(total, 'spec')}"


def _by(frame: pl.DataFrame | None, column: str) -> dict[Any, list[Row]]:
    """Group the rows of a frame by the value of a column, keeping their order."""
    return {} if frame is None else _grouped(frame.iter_rows(named=True), column)


def _grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _tuples(frame: pl.DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each value in the first column, without it."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for first, *others in frame.iter_rows():
        found.setdefault(first, []).append(tuple(others))
    return found


def newest_of_each_kind(names: list[str]) -> list[str]:
    """Return the first snapshot of each kind, given newest first: releases have no date by which to compare them.

    Examples
    --------
    >>> from cachestats.report.report import newest_of_each_kind
    >>> newest_of_each_kind(["develop-2025-03-09", "develop-2025-03-02", "v1.0.0", "v0.23.1"])
    ['develop-2025-03-09', 'v1.0.0']
    """
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(snapshot_kind(name)[0], name)
    return list(found.values())


def _bars(values: dict[str, int], names: list[str]) -> str:
    """Return the SVG path of a bar chart: one bar per snapshot, oldest first, 4 wide in steps of 5, at most 40 high."""
    most = max(values.values())
    bars = []
    for position, name in enumerate(names):
        if values.get(name):
            height = max(1, round(40 * values[name] / most))
            bars.append(f"M{position * 5} 40h4v{-height}h-4z")
    return "".join(bars)


def _json(value: Row) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _foreign(folder: Path) -> Iterator[str]:
    """Yield the names in a folder that no report has; all of them unless it is a report."""
    names = {path.name for path in folder.iterdir()}
    yield from names if names and not _is_report(folder / _MARK) else names - {*_FOLDERS, *_FILES}


def _is_report(mark: Path) -> bool:
    try:
        return _OWN_KEY in decode(read_regular(mark), dict[str, Any])
    except (OSError, JsonError):
        return False
