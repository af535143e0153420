"""The pages of a report, rendered from templates that escape all values."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from cachestats.report.paths import Kind, link_to
from cachestats.text import byte_size, counted, visible


class Pages:
    """The templates, and the folder to which pages are written."""

    def __init__(self, folder: Path, **shared: Any) -> None:
        self.folder = folder
        self.num_pages = 0
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("cachestats.report"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {
            "number": lambda value: "\u2013" if value is None else f"{value:,}",
            "percent": lambda value: "\u2013" if value is None else f"{value:.1%}",
            "size": lambda value: "\u2013" if value is None else byte_size(value),
            "day": lambda when: f"{when:%d %B %Y}".lstrip("0") if isinstance(when, datetime.date) else "",
            "counted": counted,
            "quoted": quote,
            "visible": visible,
            "marked": marked,
        }
        self.templates.globals |= {"link": link_to, "package": _package, "stack": _stack, "snapshot": _snapshot}
        self.templates.globals |= shared

    def write(self, path: str, template: str, **values: Any) -> None:
        """Write one page."""
        self.save(path, self.render(path, template, **values))
        self.num_pages += 1

    def render(self, path: str, template: str, **values: Any) -> str:
        """Return the text of a file; in its template, `root` is the relative path to the folder of the report."""
        return self.templates.get_template(template).render(root="../" * path.count("/"), path=path, **values)

    def save(self, path: str, text: str) -> None:
        """Write a file that is not a page."""
        (self.folder / path).write_text(text, encoding="utf-8", newline="\n")

    def links(self, kind: Kind, names: Iterable[str], root: str) -> dict[str, Markup]:
        """Return links to snapshots or packages, for pages with so many of them that each call in a template counts."""
        return {name: _anchor(root, kind, name, name) for name in names}


def marked(text: str) -> Markup:
    """Return prose in which what stands between back-ticks is marked as code.

    Examples
    --------
    >>> from cachestats.report.pages import marked
    >>> marked("As in `specs`, if a < b.")
    Markup('As in <code>specs</code>, if a &lt; b.')
    """
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in parts)


# A report has hundreds of thousands of these links. As macros of a template they would take a fifth of its time.


@jinja2.pass_context
def _package(context: jinja2.runtime.Context, name: str) -> Markup:
    return _anchor(context["root"], "packages", name, name)


@jinja2.pass_context
def _stack(context: jinja2.runtime.Context, name: str | None) -> Markup:
    return _anchor(context["root"], "stacks", name, "no stack" if name is None else name)


@jinja2.pass_context
def _snapshot(context: jinja2.runtime.Context, name: str) -> Markup:
    return _anchor(context["root"], "snapshots", name, name)


@cache
def _anchor(root: str, kind: Kind, name: str | None, label: str) -> Markup:
    return Markup('<a href="{}{}">{}</a>').format(root, link_to(kind, name), label)
