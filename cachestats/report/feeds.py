"""Atom feeds: what came, what was lost and what hosts can newly use, of a package, a stack, or all snapshots.

They follow RFC 4287, and a template writes them as it writes pages. Identifiers are made of what an entry is about, and
times come from the snapshots, so that a report that is made again adds no entry.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from cachestats.report.events import Events
from cachestats.report.facts import Facts
from cachestats.report.pages import Pages
from cachestats.report.paths import FEED_OF_SNAPSHOTS, link_to, path_of
from cachestats.report.rows import Row, Rows, tuples
from cachestats.text import counted

_MOST_NAMES = 100
_MOST_HOSTS = 12
_NAMESPACE = uuid.UUID("5b6b0f0c-6d3c-4b58-9a3e-0f4f4d1f7a52")
"""Made up once: the same names give the same identifiers for ever."""

_EVENTS = {True: "usable", False: "unusable"}


class Entry(NamedTuple):
    """One entry: the snapshot that it is about, what happened there, and this in words."""

    snapshot: str
    event: str
    title: str
    text: str


class Feeds:
    """The feeds of a report, which are written one by one.

    Parameters
    ----------
    pages
        The templates, and the folder of the report.
    events
        What the entries are about.
    facts
        The snapshots, and which of them is the current one.
    title
        The name of the cache: feeds of two caches differ by it.
    url
        Where the report is published. Without it, links are relative to the feed.
    """

    def __init__(self, pages: Pages, events: Events, facts: Facts, *, title: str, url: str | None) -> None:
        self._pages, self._events, self._title, self._url = pages, events, title, url
        self._current = facts.current
        self._newest_first = {name: number for number, name in enumerate(events.snapshots)}
        self._times = {row["snapshot"]: _time_of(row) for row in facts.snapshots.iter_rows(named=True)}
        self._by_package = tuples(events.packages)
        self._by_stack = tuples(events.stacks)
        self._hosts = tuples(events.hosts)

    def write_package(self, package: str) -> None:
        """Write when a package came, was lost, or changed its versions, and which hosts can use it since."""
        entries = [
            *_changes_of(package, self._by_package.get(package, [])),
            *_hosts_of(package, self._hosts.get(package, [])),
        ]
        path, about = path_of("feeds/packages", package), link_to("packages", package)
        self._write(path, about, f"{package} in {self._title}", entries)

    def write_stack(self, stack: str | None) -> None:
        """Write which packages came to a stack, and which it lost."""
        name = "no stack" if stack is None else stack
        entries = _packages_in(self._by_stack.get(stack, []), name)
        path, about = path_of("feeds/stacks", stack), link_to("stacks", stack)
        self._write(path, about, f"{name} in {self._title}", entries)

    def write_snapshots(self) -> None:
        """Write which packages came to the cache and which it lost, and what hosts can newly use."""
        entries = [
            *_packages_in(self._events.packages.select("snapshot", "change", "package").rows(), self._title),
            *_packages_of_hosts(self._events.hosts),
        ]
        about = "index.html#snapshots"
        self._write(FEED_OF_SNAPSHOTS, about, f"Snapshots of {self._title}", entries)

    def _write(self, path: str, about: str, heading: str, entries: Iterable[Entry]) -> None:
        entries = sorted(entries, key=lambda entry: (self._newest_first[entry.snapshot], entry.event))
        newest = entries[0].snapshot if entries else self._current
        text = self._pages.render(
            path,
            "feed.xml",
            id=self._id(path),
            heading=heading,
            base=self._url or "../" * path.count("/"),
            is_published=self._url is not None,
            about=about,
            updated=self._times[newest],
            entries=[(self._id(path, one.snapshot, one.event), self._times[one.snapshot], one) for one in entries],
        )
        self._pages.save(path, text)

    def _id(self, *names: str) -> str:
        return uuid.uuid5(_NAMESPACE, "\n".join((self._title, *names))).urn


def _time_of(snapshot: Row) -> str:
    """Return the day of a dated snapshot, which never changes, or else the time at which it was read."""
    day = snapshot["snapshot_date"]
    when = snapshot["read_at"] if day is None else datetime.datetime.combine(day, datetime.time())
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _changes_of(package: str, rows: Rows) -> Iterator[Entry]:
    for snapshot, change, before, now, old_specs, new_specs in rows:
        if change == "added":
            words = f"{package} came in {snapshot}", f"{counted(new_specs, 'spec')} of {now}."
        elif change == "removed":
            words = f"{package} was lost in {snapshot}", f"{counted(old_specs, 'spec')} of {before} are gone."
        else:
            words = f"{package} changed its versions in {snapshot}", f"Before: {before}. Now: {now}."
        yield Entry(snapshot, change, *words)


def _hosts_of(package: str, rows: Rows) -> Iterator[Entry]:
    hosts: dict[tuple[str, bool], list[str]] = {}
    for snapshot, host, is_usable in rows:
        hosts.setdefault((snapshot, is_usable), []).append(host)
    for (snapshot, is_usable), names in hosts.items():
        how = "is newly usable" if is_usable else "is no longer usable"
        where = names[0] if len(names) == 1 else f"{len(names):,} kinds of hosts"
        yield Entry(
            snapshot, _EVENTS[is_usable], f"{package} {how} on {where} since {snapshot}", _listed(names, _MOST_HOSTS)
        )


def _packages_in(rows: Rows, where: str) -> Iterator[Entry]:
    """Return what came to a stack or the cache in each snapshot, and what it lost."""
    found: dict[tuple[str, str], list[str]] = {}
    for snapshot, change, package in rows:
        if change != "updated":
            found.setdefault((snapshot, change), []).append(package)
    for (snapshot, change), packages in found.items():
        number = counted(len(packages), "package")
        words = f"{number} came to {where}" if change == "added" else f"{where} lost {number}"
        yield Entry(snapshot, change, f"{words} in {snapshot}", _listed(packages))


def _packages_of_hosts(hosts: pl.DataFrame) -> Iterator[Entry]:
    """Return, for each snapshot, how many packages each kind of host can newly use, and how many no longer."""
    counts = hosts.group_by("snapshot", "is_usable", "host").len().sort("snapshot", "is_usable", "host")
    for (snapshot, is_usable), rows in counts.partition_by("snapshot", "is_usable", as_dict=True).items():
        how = "newly" if is_usable else "no longer"
        names = [f"{host}: {counted(number, 'package')}" for host, number in rows.select("host", "len").iter_rows()]
        yield Entry(snapshot, _EVENTS[is_usable], f"What hosts can {how} use since {snapshot}", _listed(names))


def _listed(names: list[str], most: int = _MOST_NAMES) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}."
