"""Pages of a report in a real browser."""

from __future__ import annotations

from typing import Any

PHONE = {"width": 360, "height": 700}


def ready(page: Any) -> None:
    """Wait until scripts have drawn what a page shows."""
    if page.locator("#packages, #specs").count():
        page.wait_for_selector("table.dataTable tbody tr")
    if page.locator("#explorer").count():
        page.wait_for_selector("#explorer:not([hidden]) #table tbody tr")


def assert_usable(page: Any) -> None:
    """Check that nothing stands beside the screen, and that axe-core finds no serious fault."""
    from axe_playwright_python.sync_playwright import Axe

    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], page.url
    found = Axe().run(page, options={"preload": False}).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious] == [], page.url
