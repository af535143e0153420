"""Feeds: what feed readers find in them is what the analyses say, and no entry comes twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cachestats as cs
from cachestats.analysis.history import snapshots_before
from cachestats.errors import ArgumentError
from cachestats.hosts import host_of
from cachestats.report.paths import path_of
from tests.support.site import HOSTILE, page, spec, write

feedparser: Any = pytest.importorskip("feedparser", reason="feedparser is not installed")


def read(path: Path) -> Any:
    """Return a feed as a feed reader sees it; nothing in it is wrong."""
    feed = feedparser.parse(path.read_bytes())
    assert not feed.bozo, (path, feed.get("bozo_exception"))
    return feed


def names_in(entry: Any) -> list[str]:
    return str(entry.content[0].value).removesuffix(".").split(", ")


@pytest.mark.slow
def test_every_feed_can_be_read_and_no_identifier_comes_twice(report: Path, odd: Path) -> None:
    for folder in (report, odd):
        feeds: dict[Path, Any] = {path: read(path) for path in (folder / "feeds").rglob("*.xml")}
        ids = [one.id for feed in feeds.values() for one in (feed.feed, *feed.entries)]
        assert len(ids) == len(set(ids)) >= len(feeds)
        for kind in ("packages", "stacks"):
            pages = {path.stem for path in (folder / kind).iterdir()}
            assert {path.stem for path in (folder / "feeds" / kind).iterdir()} == pages
        for path, feed in feeds.items():
            for entry in feed.entries:
                assert (path.parent / feed.feed.title_detail.base / entry.link).resolve().is_file()
                assert feed.feed.updated >= entry.updated


@pytest.mark.slow
def test_the_feed_of_a_stack_says_what_compare_says(report: Path, sample: cs.Dataset) -> None:
    tried = 0
    for new, old in snapshots_before(sample.manifest.snapshots).items():
        changes = cs.compare(sample.at(old), sample.at(new), by="stack")
        for (stack,), rows in changes.partition_by("stack", as_dict=True).items():
            assert isinstance(stack, str)
            entries = [one for one in read(report / path_of("feeds/stacks", stack)).entries if one.title.endswith(new)]
            for change, word in (("added", "came to"), ("removed", "lost")):
                expected = rows.filter(change=change)["package"].to_list()
                found = [one for one in entries if word in one.title]
                assert len(found) == bool(expected)
                if expected:
                    assert f"{len(expected):,} package" in found[0].title
                    assert found[0].updated == f"{new.removeprefix('develop-')}T00:00:00Z"
                if 0 < len(expected) <= 100:
                    assert names_in(found[0]) == expected
                tried += 1
    assert tried > 50


@pytest.mark.slow
def test_the_feed_of_a_package_says_who_can_use_it(report: Path, sample: cs.Dataset) -> None:
    told: set[tuple[str, str, str, bool]] = set()
    for path in (report / "feeds/packages").iterdir():
        for entry in read(path).entries:
            if found := re.fullmatch(r"(\S+) is (newly|no longer) usable on .* since (\S+)", entry.title):
                package, how, snapshot = found.groups()
                told |= {(snapshot, package, host, how == "newly") for host in names_in(entry)}
    expected = set()
    for target, os in (("x86_64_v3", "ubuntu22.04"), ("x86_64_v3", "ubuntu24.04"), ("neoverse_v1", "amzn2")):
        host = host_of(target, "linux", os)
        for new, old in snapshots_before(sample.manifest.snapshots).items():
            cells = [cs.usable(sample.at(name), host=host) for name in (old, new)]
            there = [{*one["package"]} for one in cells]
            can = [{*one.filter(~one["cell"].is_in(["missing"]))["package"]} for one in cells]
            both = there[0] & there[1]
            expected |= {(new, package, f"{target} on {os}", True) for package in both & (can[1] - can[0])}
            expected |= {(new, package, f"{target} on {os}", False) for package in both & (can[0] - can[1])}
    hosts = {host for *_, host, _ in expected}
    assert {one for one in told if one[2] in hosts} == expected
    assert len(expected) > 50


def test_a_new_snapshot_adds_entries_and_changes_no_other(tmp_path: Path) -> None:
    names = ["develop-2025-06-01", "develop-2025-06-08", "develop-2025-06-15"]
    packages = {"zlib": names, HOSTILE: names[1:], "cmake": names[2:]}
    feeds = []
    for number in (2, 3):
        pages = {
            (name, package): page(package, name, [spec(f"{position}{name[-2:]}".ljust(32, "a"))])
            for position, (package, there) in enumerate(packages.items())
            for name in there
            if name in names[:number]
        }
        source = write(tmp_path / f"site{number}", pages)
        dataset = cs.build_dataset(source, out=tmp_path / f"dataset{number}")
        cs.write_report(dataset, tmp_path / "report", url="https://example.org/cache")
        feeds.append(read(tmp_path / "report/feeds/snapshots.xml"))
    first, second = ({one.id: (one.title, one.updated, one.link) for one in feed.entries} for feed in feeds)
    assert first.items() < second.items()
    assert [names_in(one) for one in feeds[1].entries] == [["cmake"], [HOSTILE]]
    assert feeds[0].feed.id == feeds[1].feed.id
    assert feeds[1].feed.links[0].href == "https://example.org/cache/feeds/snapshots.xml"
    assert feeds[1].entries[0].link == "https://example.org/cache/snapshots/develop-2025-06-15.html"


@pytest.mark.parametrize("url", ["example.org", "file:///tmp/x", "https://", "https://example.org/?a=1"])
def test_what_is_no_address_of_a_folder_is_refused(sample: cs.Dataset, tmp_path: Path, url: str) -> None:
    with pytest.raises(ArgumentError, match="expected the address of a folder on the web"):
        cs.write_report(sample, tmp_path / "report", url=url)
