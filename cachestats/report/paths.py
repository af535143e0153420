"""The paths of the pages and files of a report."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from cachestats.text import file_stem

Kind = Literal[
    "packages",
    "stacks",
    "snapshots",
    "hosts",
    "environments",
    "badges",
    "badges/packages",
    "api",
    "specs",
    "columns",
    "feeds/packages",
    "feeds/stacks",
]

_ENDINGS: dict[Kind, str] = {
    "packages": "html",
    "stacks": "html",
    "snapshots": "html",
    "hosts": "html",
    "environments": "html",
    "badges": "svg",
    "badges/packages": "svg",
    "api": "json",
    "specs": "js",
    "columns": "js",
    "feeds/packages": "xml",
    "feeds/stacks": "xml",
}
FEED_OF_SNAPSHOTS = "feeds/snapshots.xml"
NO_STACK = "none"
"""The name under which specs without a stack are shown."""


def path_of(kind: Kind, name: str | None) -> str:
    """Return the path of the file about a package, stack or snapshot, relative to the folder of the report.

    Examples
    --------
    >>> from cachestats.report.paths import path_of
    >>> path_of("packages", "py-numpy"), path_of("badges", "../e4s")
    ('packages/py-numpy.html', 'badges/%2E.%2Fe4s.svg')
    """
    # A stack may itself be called `none`, so the absence of a stack is marked by a character that begins no name.
    stem = file_stem(name) if name is not None else f"~{NO_STACK}"
    return f"{kind}/{stem}.{_ENDINGS[kind]}"


def link_to(kind: Kind, name: str | None) -> str:
    """Return the same path as a relative URL, in which percent signs in file names are percent-encoded in turn.

    Examples
    --------
    >>> from cachestats.report.paths import link_to
    >>> link_to("badges", "../e4s")
    'badges/%252E.%252Fe4s.svg'
    """
    return quote(path_of(kind, name))
