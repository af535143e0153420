"""The site: it is built without a warning, its links lead somewhere, and it is searched without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import cachestats as cs
from cachestats.cli import cli
from tests.support.docs import DOCS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built from a copy of nothing: Sphinx keeps what it knows outside of the pages."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: `make docs-site` installs it")
    out = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html", "-d", f"{out}-state"]
    done = subprocess.run(
        [sys.executable, *command, DOCS, out],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(DOCS.parent)},
    )
    assert done.returncode == 0, done.stderr
    return out


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif value and (tag, name) in {("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")}:
                self.links.append(value)


def site_pages(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if path.parent.name != "_static"]


def dead_links(site: Path) -> Iterator[str]:
    pages = {path: Page(path) for path in site_pages(site)}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(site)}: {link}"
            elif (
                "=" not in parts.fragment
                and parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].anchors
            ):
                yield f"{path.relative_to(site)}: {link}, an anchor"


@pytest.mark.slow
def test_no_link_inside_is_dead(site: Path) -> None:
    assert list(dead_links(site)) == []


@pytest.mark.slow
def test_every_verb_and_every_public_name_has_its_place(site: Path) -> None:
    command_line = Page(site / "reference" / "command-line.html")
    assert {f"cachestats-{verb}" for verb in cli.commands} <= command_line.anchors
    for name in cs.__all__:
        page = Page(site / "reference" / "api" / f"cachestats.{name}.html")
        assert f"cachestats.{name}" in page.anchors or any(anchor.endswith(f".{name}") for anchor in page.anchors), name


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site_pages(site):
        links = Page(path)
        assert not [link for link in links.links if urlsplit(link).scheme in {"http", "https"} and ".js" in link], path


@pytest.mark.browser
def test_the_site_is_searched_from_disk(site: Path, browser: Any) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{site.as_uri()}/search.html?q=libc")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").all_text_contents()
    assert "What a host can reuse" in " ".join(found)
    assert faults == []
    context.close()
