"""Write a report: run the analyses, draw the charts, render the pages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa

from cachestats.atomic import replaced_folder
from cachestats.axes import STATES
from cachestats.dataset.dataset import Dataset, one_state
from cachestats.dataset.paths import arrow_path
from cachestats.dataset.subset import Subset, as_subset
from cachestats.decode import JsonError, decode
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.export.table import export_table
from cachestats.hosts import Host, as_host
from cachestats.regular import read_regular
from cachestats.report.badges import badge
from cachestats.report.bars import bars
from cachestats.report.charts import draw_overview, draw_stack
from cachestats.report.columns import COLUMNS, NAMES, VARIANTS, write_columns_of_snapshots, write_variants
from cachestats.report.datatables import write_widget
from cachestats.report.environment_pages import environment_json, write_environment_page
from cachestats.report.events import recent_events
from cachestats.report.facts import ALLOWED_LOSS, Facts, gather, most_needed
from cachestats.report.feeds import Feeds
from cachestats.report.host_pages import host_json, write_host_page
from cachestats.report.package_pages import PackagePages
from cachestats.report.packages import by_package
from cachestats.report.pages import Pages
from cachestats.report.paths import NO_STACK, path_of
from cachestats.report.published import TELLING, Published
from cachestats.report.ranks import Ranks
from cachestats.report.rows import Row, by_value, grouped, json_text
from cachestats.report.scripts import write_json
from cachestats.report.summary import stack_counts, summary_markdown
from cachestats.schema import SCHEMA_VERSION, TABLES, dictionary_markdown
from cachestats.text import counted

_FOLDERS = (
    "assets",
    "charts",
    "charts/dark",
    "packages",
    "stacks",
    "snapshots",
    "hosts",
    "environments",
    "tables",
    "badges",
    "badges/packages",
    "api",
    "specs",
    "columns",
    "feeds",
    "feeds/packages",
    "feeds/stacks",
)
_MARK = "report.json"
"""The file that identifies a folder as a report."""
_OWN_KEY = "dataset_schema_version"
_FILES = ("index.html", "explorer.html", "packages.html", "data.html", "summary.md", NAMES, VARIANTS, _MARK)
_TABLES = {name: table for name, table in TABLES.items() if name != "variants"}
"""The tables to download. `variants` has what `specs.variants` has, in other rows, and is as large as all of these."""
_MOST_GAPS = 30
_MOST = 10


def write_report(
    specs: Dataset | Subset,
    out: str | os.PathLike[str],
    *,
    title: str = "Spack build cache",
    url: str | None = None,
    hosts: Iterable[Host | str] = (),
    environments: Mapping[str, Environment] | None = None,
) -> int:
    """Write a dataset and its analyses as a folder of pages that opens in a browser, and return the number of pages.

    The folder needs no server and no network: `index.html` opens from disk, and the folder can be published unchanged.
    It contains an overview, an explorer that counts specs by any two dimensions, a searchable table of packages with
    filters, a page for each package, stack and snapshot, the tables as Parquet files with their dictionary, feeds,
    badges, and files for programs: a JSON file for each package, `report.json`, and `summary.md`, a short summary of
    the changes. The same dataset always gives the same bytes.

    Parameters
    ----------
    specs
        The dataset, or a subset of it: the report is about its snapshots and specs. Coverage is reported for `develop`
        if it exists, otherwise for the newest snapshot.
    out
        The folder: a new one, an empty one, or an earlier report, which is replaced once the new one is complete.
    title
        The name of the cache, shown on every page. The identifiers of the entries of feeds depend on it.
    url
        Where the folder will be published, such as `https://example.org/cache/`. Links in feeds begin with it; by
        default they are relative, which not every reader of feeds understands.
    hosts
        Machines, as in `usable`: the report says what each of them can use, now and in earlier snapshots.
    environments
        Environments from `read_environment`, by the names that they have in the report: it says what is cached of each,
        now and in earlier snapshots, and why the rest is not.

    Returns
    -------
    int
        The number of pages.

    Raises
    ------
    ArgumentError
        If the dataset has no snapshots, `url` is not an address of the web, or a host has neither an operating system
        nor a libc although one is compared.
    DatasetError
        If `out` is something else, or it cannot be written.
    BusyError
        If another process is writing the report.
    RebuiltError
        If another process publishes to the dataset meanwhile.
    CachestatsError
        If the extra `report` is not installed.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> cs.write_report(cs.example_dataset().where(package=["hdf5", "zlib-ng"]), "report")
    13
    >>> sorted(path.name for path in Path("report/packages").iterdir())
    ['hdf5.html', 'zlib-ng.html']
    """
    subset = as_subset(specs)
    url = None if url is None else _checked_url(url)
    with (
        replaced_folder(arrow_path(out), holds="an earlier report", foreign=_foreign) as folder,
        one_state(subset.dataset),
    ):
        published = Published(subset.dataset)
        facts = gather(subset, map(as_host, hosts), environments or {})
        facts = facts._replace(snapshots=published.frame(facts.snapshots))
        for name in _FOLDERS:
            (folder / name).mkdir()
        return _Report(subset, facts, folder, title, url, published).write()


class _Report:
    """A report that is being written."""

    def __init__(
        self, subset: Subset, facts: Facts, folder: Path, title: str, url: str | None, published: Published
    ) -> None:
        self.subset, self.facts, self.folder, self.published = subset, facts, folder, published
        self.names = [*subset.names]
        self.about = facts.snapshots.row(by_predicate=pl.col("snapshot") == facts.current, named=True)
        self.pages = Pages(
            folder, site=title, current=facts.current, about=self.about, before=facts.before, states=STATES
        )
        self.title, self.url = title, url

    def write(self) -> int:
        """Write everything and return the number of pages."""
        self._assets()
        # Write the Parquet files in parallel: everything else is Python code, which does not use a second core. The
        # packages come last, as they take as much memory.
        with ThreadPoolExecutor(1) as pool:
            tables = pool.submit(self._tables)
            self._feeds()
            self._overview()
            self._data(tables.result())
        pa.default_memory_pool().release_unused()  # what Arrow keeps of the tables
        self._stacks()
        self._snapshots()
        self._hosts_and_environments()
        self._packages()
        self.pages.save("summary.md", summary_markdown(self.facts))
        self.pages.save(_MARK, json_text(self._about()))
        return self.pages.num_pages

    def _packages(self) -> None:
        """Write the pages and specs of packages, and the columns of their rows."""
        ranks = Ranks(self.subset)
        write_variants(ranks.names["variants"], self.folder)
        pages = PackagePages(self.subset, self.facts, self.pages)
        parts = []
        for rows in ranks.rows():
            for package, specs in by_package(rows, ranks):
                write_json(self.folder / path_of("specs", package), specs)
                pages.write(package, specs)
            parts.append(rows.select("snapshot", "id", *COLUMNS))
        write_columns_of_snapshots(pl.concat(parts), ranks, self.subset, self.folder)

    def _assets(self) -> None:
        for asset in (files("cachestats.report") / "assets").iterdir():
            (self.folder / "assets" / asset.name).write_bytes(asset.read_bytes())
        write_widget(self.folder / "assets")

    def _tables(self) -> list[Row]:
        """Write the tables and their dictionary, and return a list of the downloads."""
        self.pages.save("tables/DICTIONARY.md", dictionary_markdown())
        found = []
        for table in _TABLES.values():
            path = f"tables/{table.name}.parquet"
            rows = export_table(self.subset, table.name, self.folder / path)
            if table.name in TELLING:
                self.published.rewrite(table.name, self.folder / path)
            size = (self.folder / path).stat().st_size
            found.append({"name": table.name, "path": path, "rows": rows, "size": size, "grain": table.grain})
        return found

    def _data(self, tables: list[Row]) -> None:
        snapshots = self.facts.snapshots.to_dicts()
        runs = self.subset.dataset.manifest.runs
        seconds = {run.ended[:16].replace("T", " "): round(run.seconds) for run in runs}
        self.pages.write(
            "data.html",
            "data.html",
            tables=tables,
            schema=list(TABLES.values()),
            snapshots=snapshots,
            runs=runs,
            bars=bars(seconds, [*seconds]) if seconds else None,
        )

    def _overview(self) -> None:
        facts = self.facts
        counts = stack_counts(facts)
        fell = counts.filter(pl.col("removed") > 0).head(_MOST).to_dicts() if self._before else []
        self.pages.write(
            "index.html",
            "index.html",
            charts=draw_overview(self.subset, facts, self.folder),
            changes=by_value(facts.changes.get(facts.current), "change"),
            fell=fell,
            age=facts.age,
            hosts=facts.hosts,
            environments=facts.environments,
            stacks=facts.stacks.to_dicts(),
            snapshots=facts.snapshots.to_dicts(),
            gaps=most_needed(facts.gaps).head(_MOST).to_dicts(),
            duplicates=facts.duplicates.head(_MOST).to_dicts(),
            excess=int(facts.duplicates["excess"].sum()),
            holes=None if facts.holes is None else facts.holes.head(_MOST).to_dicts(),
            broken=None if facts.holes is None else facts.holes.height,
        )
        names = facts.snapshots["snapshot"].to_list()
        self.pages.write("explorer.html", "explorer.html")
        self.pages.write("packages.html", "packages.html", packages=facts.packages.to_dicts(), snapshots=names)

    @property
    def _before(self) -> str | None:
        return self.facts.before.get(self.facts.current)

    def _stacks(self) -> None:
        facts = self.facts
        rows = {row["stack"]: row for row in facts.stacks.to_dicts()}
        changed = {row["stack"]: row for row in stack_counts(facts).to_dicts()}
        packages, gaps = by_value(facts.versions, "stack"), by_value(facts.gaps, "stack")
        changes = by_value(facts.stack_changes, "stack") if self._before else {}
        for stack, series in by_value(facts.stack_history, "stack").items():
            last = next(row["snapshot"] for row in reversed(series) if row["specs"])
            self.pages.write(
                path_of("stacks", stack),
                "stack.html",
                stack_name=stack,
                row=rows.get(stack),
                last=last,
                chart=draw_stack(facts, stack, self.folder),
                series=series[::-1],
                changes=grouped(changes.get(stack, []), "change"),
                packages=packages.get(stack, []),
                num_gaps=len(gaps.get(stack, [])),
                gaps=gaps.get(stack, [])[:_MOST_GAPS],
            )
            self._badge(stack, rows.get(stack), changed.get(stack))

    def _hosts_and_environments(self) -> None:
        packages = frozenset(self.facts.presence["package"])
        for host in self.facts.hosts:
            write_host_page(host, self.pages)
        for environment in self.facts.environments:
            write_environment_page(environment, packages, self.pages)

    def _feeds(self) -> None:
        facts = self.facts
        events = recent_events(self.subset, facts)
        feeds = Feeds(self.pages, events, facts, title=self.title, url=self.url)
        for package in facts.presence["package"].unique().sort():
            feeds.write_package(package)
        for stack in facts.stack_history["stack"].unique().sort():
            feeds.write_stack(stack)
        feeds.write_snapshots()

    def _badge(self, stack: str | None, row: Row | None, changed: Row | None) -> None:
        packages = row["packages"] if row else 0
        lost = changed["removed"] if changed and self._before else 0
        had = changed["before"] if changed and self._before else packages
        message = counted(packages, "package") + (f", {lost:,} lost" if lost else "")
        share = 0.0 if not packages else 1 - lost / had if had else 1.0
        self.pages.save(path_of("badges", stack), badge(stack or "no stack", message, share=share))

    def _snapshots(self) -> None:
        by_snapshot = by_value(self.facts.stack_history, "snapshot")
        for row in self.facts.snapshots.to_dicts():
            name = row["snapshot"]
            self.pages.write(
                path_of("snapshots", name),
                "snapshot.html",
                row=row,
                older=self.facts.before.get(name),
                changes=by_value(self.facts.changes.get(name), "change"),
                stacks=by_snapshot.get(name, []),
            )

    def _about(self) -> Row:
        facts = self.facts
        return {
            "schema": 1,
            "snapshot": facts.current,
            "before": self._before,
            "day": facts.age.day.isoformat(),
            "usual_days": facts.age.usual_days,
            "source": self.about["source"],
            "read_at": self.about["read_at"].isoformat(),
            "num_packages": self.about["num_packages"],
            "num_specs": self.about["num_specs"],
            "snapshots": self.names[::-1],
            "stacks": {row["stack"] or NO_STACK: row["packages"] for row in facts.stacks.to_dicts()},
            "check": {
                "allowed": ALLOWED_LOSS,
                "has_passed": not (facts.losses["drop"] > ALLOWED_LOSS).any(),
                "lost": {stack or NO_STACK: lost for stack, lost in facts.losses.select("stack", "lost").iter_rows()},
            },
            "hosts": {one.name: host_json(one) for one in facts.hosts},
            "environments": {one.name: environment_json(one) for one in facts.environments},
            "dataset_schema_version": SCHEMA_VERSION,
        }


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise ArgumentError(
            f"expected the address of a folder on the web, found {url!r}", hint="such as https://example.org/cache/"
        )
    return url.rstrip("/") + "/"


def _foreign(folder: Path) -> Iterator[str]:
    """Yield the names in a folder that no report has; all of them unless it is a report."""
    names = {path.name for path in folder.iterdir()}
    yield from names if names and not _is_report(folder / _MARK) else names - {*_FOLDERS, *_FILES}


def _is_report(mark: Path) -> bool:
    try:
        return _OWN_KEY in decode(read_regular(mark), dict[str, Any])
    except (OSError, JsonError):
        return False
