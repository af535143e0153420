"""Where pages and files of a report stand, and how they are called."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from cachestats.text import file_stem

Kind = Literal["packages", "stacks", "snapshots", "badges", "api", "specs", "cells"]

_ENDINGS: dict[Kind, str] = {
    "packages": "html",
    "stacks": "html",
    "snapshots": "html",
    "badges": "svg",
    "api": "json",
    "specs": "js",
    "cells": "js",
}
NO_STACK = "none"
"""What specs that are in no stack are shown under."""


def path_of(kind: Kind, name: str | None) -> str:
    """Return the path of the file that is about a package, stack or snapshot, from the folder of the report.

    Examples
    --------
    >>> path_of("packages", "py-numpy"), path_of("badges", "../e4s")
    ('packages/py-numpy.html', 'badges/%2E.%2Fe4s.svg')
    """
    # A stack may be called `none` as well: that specs have none is told by a sign that names do not begin with.
    stem = file_stem(name) if name is not None else f"~{NO_STACK}"
    return f"{kind}/{stem}.{_ENDINGS[kind]}"


def link_to(kind: Kind, name: str | None) -> str:
    """Return the same as a relative address: what is percent-encoded in the name of a file is so once more.

    Examples
    --------
    >>> link_to("badges", "../e4s")
    'badges/%252E.%252Fe4s.svg'
    """
    return quote(path_of(kind, name))
