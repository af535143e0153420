"""A report in a real browser, opened from disk."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import polars as pl
import pytest

import cachestats as cs
from cachestats.naming import UNION_STACK
from cachestats.schema import TABLES
from conftest import SAMPLE
from tests.support.browser import PHONE, assert_usable, ready
from tests.support.site import HOSTILE, page, spec, write

pytestmark = pytest.mark.browser

PAGES = (
    "index.html",
    "packages.html",
    "explorer.html",
    "packages/zlib-ng.html",
    "packages/acl.html",
    "stacks/e4s.html",
    "stacks/tutorial.html",
    "snapshots/develop-2025-05-25.html",
    "snapshots/develop-2024-03-17.html",
    "data.html",
)
Open = Callable[..., Any]


def test_a_person_finds_a_package_and_its_specs(open_page: Open, report: Path) -> None:
    page = open_page(report / "index.html")
    page.get_by_role("link", name="Packages", exact=True).click()
    ready(page)
    page.get_by_label("Search").fill("hdf5")
    names = page.locator("#packages tbody tr td:first-child").all_inner_texts()
    expected = {"hdf5", "hdf5-vol-async", "hdf5-vol-cache", "hdf5-vol-log"}
    assert "hdf5" in names
    assert set(names) <= expected
    page.get_by_label("Search").fill("")
    heading = page.locator("#packages thead th", has_text="Specs")
    for order in ("ascending", "descending"):
        heading.click()
        page.wait_for_selector(f"#packages th[aria-sort={order}]")
    specs = [int(text) for text in page.locator("#packages tbody tr td:nth-child(4)").all_inner_texts()]
    assert specs == sorted(specs, reverse=True)
    assert specs[0] > specs[-1]
    page.get_by_label("Search").fill("zlib-ng")
    page.get_by_role("link", name="zlib-ng", exact=True).click()
    ready(page)
    assert page.locator("h1").inner_text() == "zlib-ng"
    assert page.locator("#found").inner_text() == "4 specs of develop-2025-05-25"
    page.get_by_label("Snapshot", exact=True).select_option(label="develop-2024-06-02")
    assert page.locator("#found").inner_text() == "9 specs of develop-2024-06-02"
    assert page.locator("#specs tbody tr").count() == 9


def test_filters_give_what_polars_gives(open_page: Open, report: Path) -> None:
    page = open_page(report / "packages.html")
    ready(page)
    specs = cs.open_dataset(SAMPLE).specs.collect()
    draw = random.Random(1)
    columns = {"stack": "Stack", "target": "Target", "os": "OS", "compiler_name": "Compiler"}
    tried = 0
    for snapshot, number in itertools.product(sorted(specs["snapshot"].unique()), range(1, 4)):
        page.get_by_label("Snapshot", exact=True).select_option(label=snapshot)
        here = specs.filter(snapshot=snapshot)
        some = draw.choice(here.filter(pl.col("stack") != UNION_STACK).rows(named=True))
        for column, label in columns.items():
            wanted = column in draw.sample(sorted(columns), number)
            value = (some[column] or "none") if wanted else ""
            page.get_by_label(label, exact=True).select_option(value=value)
            if wanted:
                here = here.filter(pl.col(column).fill_null("none") == value)
        ready(page)
        found = page.locator("#found").inner_text()
        assert found.split(" ")[0] == f"{here['package'].n_unique():,}", found
        counts = dict(here.group_by("package").agg(pl.col("hash").n_unique()).rows())
        for row in page.locator("#packages tbody tr").all()[:5]:
            name, _, _, shown, *_ = row.locator("td").all_inner_texts()
            assert int(shown.replace(",", "")) == counts[name]
        tried += here.height > 0
    assert tried == 15


def test_an_address_names_the_filters(open_page: Open, report: Path) -> None:
    page = open_page(report / "snapshots" / "develop-2024-06-02.html")
    page.locator("dl.tiles a").first.click()
    ready(page)
    assert page.locator("#found").inner_text() == "778 of 778 packages in develop-2024-06-02"
    page.get_by_label("Target", exact=True).select_option("neoverse_v1")
    again = page.url
    page.goto("about:blank")
    page.goto(again)
    ready(page)
    assert page.get_by_label("Target", exact=True).input_value() == "neoverse_v1"
    assert page.locator("#found").inner_text().endswith("in develop-2024-06-02, neoverse_v1")


def test_a_view_says_what_it_shows(open_page: Open, report: Path) -> None:
    page = open_page(report / "packages.html")
    ready(page)
    # Two choices, one right after the other: the first takes longer.
    page.evaluate(
        """() => {
            const [select] = document.getElementsByName("snapshot");
            for (const name of ["develop-2024-06-02", "develop-2024-03-17"]) {
                select.value = name;
                select.dispatchEvent(new Event("change", { bubbles: true }));
            }
        }"""
    )
    page.wait_for_selector("#found:has-text('2024-03-17')")
    page.wait_for_timeout(500)
    assert page.locator("#found").inner_text() == "451 of 451 packages in develop-2024-03-17"
    # An address that asks for what is not there.
    page.evaluate("location.hash = 'snapshot=develop-2024-06-02&stacks=tutorial&os=beos'")
    page.wait_for_selector("#found:has-text('beos')")
    assert page.locator("#found").inner_text() == (
        "55 of 778 packages in develop-2024-06-02, tutorial; there is no beos"
    )
    page.get_by_label("Search").fill("hdf5")
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector("#found:has-text('636 of 636')")
    assert page.get_by_label("Search").input_value() == ""
    assert page.get_by_label("Stack", exact=True).locator("option").count() == 5


def test_versions_are_sorted_as_spack_sorts_them(open_page: Open, report: Path) -> None:
    page = open_page(report / "packages" / "hdf5.html")
    ready(page)
    for order, expected in (("ascending", ["1.8.23", "1.14.6"]), ("descending", ["1.14.6", "1.8.23"])):
        page.locator("#specs thead th", has_text="Version").click()
        page.wait_for_selector(f"#specs th[aria-sort={order}]")
        shown = page.locator("#specs tbody tr td:nth-child(2)").all_inner_texts()
        assert list(dict.fromkeys(shown)) == expected


def test_the_history_of_a_package_is_completed_by_scripts(open_page: Open, tmp_path: Path) -> None:
    names = [f"develop-2025-{month:02}-{day:02}" for month in range(1, 10) for day in (3, 17)]
    many = random.Random(1)
    pages = {
        (name, "zlib"): page(
            "zlib",
            name,
            [
                spec("".join(many.choices("abcdefgh", k=32)), versions=[version])
                for version in many.choices(["1.2", "1.9", "1.10"], k=many.randint(1, 4))
            ],
        )
        for name in names
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset").at("all")
    cs.write_report(dataset, tmp_path / "report")
    path = tmp_path / "report/packages/zlib.html"
    counts = cs.coverage(dataset, rows="package", columns="snapshot").select("snapshot", "value")
    newest = cs.versions(dataset, by="snapshot").select("snapshot", "version")
    rows = counts.join(newest, on="snapshot").sort("snapshot", descending=True).rows()
    expected = [f"{name}\t{number}\t{version}" for name, number, version in rows]
    assert {version for *_, version in rows} == {"1.2", "1.9", "1.10"}

    unscripted = open_page(path, java_script_enabled=False)
    assert unscripted.locator("#history tbody tr").count() == 12
    assert "newest 12 of 18" in unscripted.locator("#newest-only").text_content()
    scripted = open_page(path)
    ready(scripted)
    scripted.get_by_text("Specs and versions, snapshot by snapshot").click()
    scripted.wait_for_selector("#history.dataTable")
    assert scripted.locator("#newest-only").count() == 0
    scripted.locator("#history_wrapper select").select_option("25")
    assert scripted.locator("#history tbody tr").all_inner_texts() == expected
    scripted.locator("#history tbody a").first.click()
    assert scripted.locator("h1").inner_text() == names[-1]


def test_a_table_is_downloaded_and_read(open_page: Open, report: Path, tmp_path: Path) -> None:
    page = open_page(report / "data.html")
    offered = {
        name.removesuffix(".parquet") for name in page.get_by_role("link").all_inner_texts() if "parquet" in name
    }
    assert offered == {*TABLES} - {"variants"}
    assert "export DATASET --table variants" in page.inner_text("main")
    with page.expect_download() as download:
        page.get_by_role("link", name="specs.parquet").click()
    download.value.save_as(tmp_path / "specs.parquet")
    assert pl.read_parquet(tmp_path / "specs.parquet").equals(pl.read_parquet(SAMPLE / "specs" / "*.parquet"))


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_serve_everyone(path: str, scheme: str, open_page: Open, report: Path) -> None:
    assert_usable(open_page(report / path, color_scheme=scheme, viewport=PHONE))


def test_odd_names_fit_a_phone_too(open_page: Open, odd: Path) -> None:
    for path in sorted(odd.rglob("*.html")):
        assert_usable(open_page(path, viewport=PHONE))


def test_a_keyboard_is_enough(open_page: Open, report: Path) -> None:
    page = open_page(report / "packages.html")
    ready(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    labels = []
    for _ in range(12):
        page.keyboard.press("Tab")
        labels.append(
            page.evaluate("document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent")
        )
    assert [label.split(" ")[0] for label in labels[:5]] == ["Snapshot", "Stack", "Target", "OS", "Compiler"]
    while not (page.evaluate("document.activeElement.ariaLabel") or "").startswith("Specs:"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#packages th[aria-sort=ascending]")


@pytest.mark.parametrize(
    ("today", "words", "is_old"),
    [
        ("2025-05-24", "Of 25 May 2025.", False),
        ("2025-05-25", "Of 25 May 2025. That is today.", False),
        ("2025-06-03", "That was 9 days ago.", False),
        ("2025-09-20", "That was 3 months ago.", False),
        ("2025-12-20", "That was 6 months ago. Snapshots usually come every 49 days: newer ones", True),
    ],
)
def test_the_age_is_that_of_today(today: str, words: str, is_old: bool, browser: Any, report: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.set_fixed_time(f"{today}T12:00:00Z")
        page.goto((report / "index.html").as_uri())
        text = page.locator("#age").inner_text()
        assert words in text
        assert ("That" in text) == ("That" in words)
        assert (page.locator("#age.warning").count() == 1) == is_old


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_changes_have_a_colour_unless_they_are_zero(scheme: str, open_page: Open, report: Path) -> None:
    page = open_page(report / "snapshots/develop-2025-05-25.html", color_scheme=scheme)
    page.evaluate(
        """document.querySelector('main').insertAdjacentHTML('beforeend',
        '<dl class="tiles"><div class="removed"><dt>removed</dt><dd id="zero">0</dd></div></dl>')"""
    )
    places = (".removed a", ".added a", ".updated a", "#zero", "body")
    removed, added, updated, zero, text = (
        page.locator(one).first.evaluate("one => getComputedStyle(one).color") for one in places
    )
    assert len({removed, added, updated, text}) == 4
    assert zero == text


def test_a_hash_is_copied_whole(open_page: Open, report: Path, sample: cs.Dataset) -> None:
    page = open_page(report / "packages" / "zlib-ng.html", permissions=["clipboard-read", "clipboard-write"])
    ready(page)
    page.locator("#specs button.copy").first.click()
    page.wait_for_selector("text=copied")
    hashes = sample.newest.where(package="zlib-ng").specs.select("hash").collect()["hash"]
    assert page.evaluate("navigator.clipboard.readText()") in {f"/{one}" for one in hashes}


def test_a_caption_stays_on_the_screen_when_its_table_scrolls(open_page: Open, report: Path) -> None:
    page = open_page(report / "index.html", viewport=PHONE)
    found = page.evaluate(
        """[...document.querySelectorAll('main > section > .scroll > table > caption')].map(one => {
        one.closest('.scroll').scrollLeft = 100;
        const { left, right } = one.getBoundingClientRect();
        return [one.closest('.scroll').scrollLeft, left, right]; })"""
    )
    assert any(scrolled for scrolled, *_ in found)
    assert all(left >= 0 and right <= PHONE["width"] for _, left, right in found)


def test_without_scripts_everything_stands_there(open_page: Open, report: Path) -> None:
    page = open_page(report / "packages.html", java_script_enabled=False)
    assert page.locator("#packages tbody tr").count() == 636
    page = open_page(report / "packages" / "zlib-ng.html", java_script_enabled=False)
    assert page.locator("#specs tbody tr").count() == 4


@pytest.mark.parametrize("name", ["report", "odd"])
def test_the_overview_is_light(name: str, open_page: Open, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    page = open_page(folder / "index.html")
    loaded = page.evaluate(
        "[...document.images].map(one => one.src).concat([...document.styleSheets].map(one => one.href))"
    )
    paths = {unquote(urlparse(address).path) for address in loaded if address.startswith("file:")}
    assert any(path.endswith("coverage.svg") for path in paths)
    assert sum(Path(path).stat().st_size for path in [*paths, folder / "index.html"]) < 1_000_000


def test_names_from_the_data_do_nothing(open_page: Open, odd: Path) -> None:
    page = open_page(odd / "packages.html")
    ready(page)
    assert HOSTILE in page.locator("#packages tbody").inner_text()
    assert page.get_by_label("Stack", exact=True).locator("option").all_inner_texts() == [
        "any",
        "../e4s",
        HOSTILE,
        "none",
    ]
    page.locator("#packages").get_by_role("link", name=HOSTILE).click()
    ready(page)
    assert page.locator("h1").inner_text() == HOSTILE
    assert "<script>" in page.locator("#specs tbody").inner_text()
    for path in ("index.html", "data.html", "snapshots/develop.html"):
        open_page(odd / path)
    for path in (odd / "stacks").iterdir():
        open_page(path)
