"""The validating reader of a single page: it finds and names every fault, and rejects only the entries concerned.

Pages as the site writes them never come here (see `pages`), only pages that are damaged, hand-written, of 2021-22, or
inconsistent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa

from cachestats.findings import Finding, Findings
from cachestats.naming import MAX_NAME, canonical_snapshot
from cachestats.parse.form import LISTS, META_LISTS, OPTIONAL_TEXTS, TEXTS, VERSIONS, summarize
from cachestats.parse.frontmatter import REPEATED, PageError, read_front_matter, show
from cachestats.parse.records import RECORDS, Fragment, PageInfo, generation
from cachestats.sources.items import Page
from cachestats.text import counted


def read_page(page: Page) -> Fragment | Finding:
    """Read one page; return its specs, or the reason why it cannot be read."""
    try:
        return _Reader(page).fragment()
    except PageError as error:
        # If the specs cannot be counted, `meta` may still say how many there were.
        said = re.search(rb'^meta: .*"num_specs": ([0-9]{1,9})\b', page.data, re.MULTILINE)
        return Finding(
            page.origin,
            error.location,
            error.rule,
            error.message,
            error.hint,
            num_specs=int(said[1]) if error.num_specs is None and said else error.num_specs,
            snapshot=page.folder_snapshot,
            package=page.folder_package,
        )


def folder_findings(page: Page, snapshot: str, package: str) -> list[Finding]:
    """Return a warning for each folder that disagrees with the front matter, which wins."""
    return [
        Finding(
            page.origin,
            location,
            "folder",
            f"expected {found!r}, the name of the page's folder, found {said!r}",
            "the front matter was used; move the page, or correct the front matter if the folder is right",
            snapshot=snapshot,
            package=package,
        )
        for location, said, found in (
            ("categories", snapshot, page.folder_snapshot),
            ("title", package, page.folder_package),
        )
        if found is not None and found != said
    ]


class _Reader:
    def __init__(self, page: Page) -> None:
        self.page = page
        front_matter, rest = read_front_matter(page.data)
        if "spec_details" not in front_matter:
            raise _no_details(front_matter)
        self.front_matter = front_matter
        entries = front_matter["spec_details"]
        lost = len(entries) if isinstance(entries, list) else None
        self.package = _text(front_matter.get("title"), "title", "the name of the package", lost)
        categories = front_matter.get("categories")
        if not isinstance(categories, list) or len(categories) < 2:
            raise PageError(
                "snapshot",
                "categories",
                f"expected `[package, <snapshot>]`, found {show(categories)}",
                "write the page again; without its snapshot a page cannot be placed",
                lost,
            )
        self.snapshot = canonical_snapshot(_text(categories[1], "categories[1]", "the name of the snapshot", lost))
        self.findings = Findings(folder_findings(page, self.snapshot, self.package))
        if rest.strip():
            has_specs = "spec_details:" in rest
            self._find(
                "end",
                "second-document" if has_specs else "trailing",
                f"expected nothing after the front matter, found {show(rest.strip())}",
                f"{'write a page for each package and snapshot' if has_specs else 'remove it'}; it was not read",
                num_specs=None if has_specs else 0,
            )

    def fragment(self) -> Fragment:
        """Return the valid specs, and a finding for each invalid one."""
        entries = self.front_matter["spec_details"]
        if not isinstance(entries, list):
            raise PageError(
                "spec-details",
                "spec_details",
                f"expected a list of specs, found {show(entries)}",
                "write the page again",
            )
        if not entries:
            hint = "nothing is lost; a package without specs should have no page"
            self._find("spec_details", "no-entries", "expected at least one spec, found none", hint)
        rows = [row for position, entry in enumerate(entries) if (row := self._record(position, entry))]
        self._check_meta(entries)
        first = next((entry for entry in entries if isinstance(entry, dict)), {})
        info = PageInfo(
            self.page.origin,
            self.package,
            generation(
                sorted_keys=not first or next(iter(first)) == "compiler",
                tarball="tarball" in first,
                old_compilers=any("@=" in str(e.get("compiler")) for e in entries if isinstance(e, dict)),
            ),
            len(entries),
        )
        return Fragment(self.snapshot, [info], pa.Table.from_pylist(rows, schema=RECORDS), self.findings.all())

    def _find(self, location: str, rule: str, message: str, hint: str, *, num_specs: int | None = 0) -> None:
        self.findings.add(
            Finding(
                self.page.origin,
                location,
                rule,
                message,
                hint,
                num_specs,
                self.snapshot,
                self.package,
            )
        )

    def _record(self, position: int, entry: object) -> dict[str, Any] | None:
        """Return one spec as a record, or None after reporting all its faults."""
        if not isinstance(entry, dict) and self.findings.is_full(self.page.origin, "spec"):
            self.findings.count(self.page.origin, "spec", self.snapshot, num_specs=1)
            return None
        location = f"spec_details[{position}]"
        if not isinstance(entry, dict):
            self._find(location, "spec", f"expected a spec, found {show(entry)}", "write the page again", num_specs=1)
            return None
        wrong = [(key, expected) for key, expected, is_valid in _FIELDS if not is_valid(entry.get(key))]
        repeated = [key for key in entry.get(REPEATED, ()) if key in _KEYS]  # what is not read may be twice
        if wrong or repeated:
            faults = [
                f"expected {expected} in '{key}', found {show(entry[key]) if key in entry else 'no such key'}"
                for key, expected in wrong
            ]
            faults += [f"expected each key once, found '{key}' again" for key in repeated]
            self._find(location, "field", "; ".join(faults), "write the page again, or correct the spec", num_specs=1)
            return None
        versions = entry["versions"]
        if len(versions) > 1:
            self._find(
                f"{location}.versions",
                "versions",
                f"expected one version, found {len(versions)}: {show(versions)}",
                "the first was used; a spec has exactly one version",
            )
        return {
            "page": 0,
            "position": position,
            "hash": entry["hash"],
            "os": entry["os"],
            "platform": entry["platform"],
            "target": entry["target"],
            "version": versions[0],
            "compiler": entry.get("compiler"),
            "size_bytes": self._size(f"{location}.size", entry.get("size")),
            "stacks": entry["stacks"],
            "variants": entry["variants"],
        }

    def _size(self, location: str, size: object) -> int | None:
        if size is None or size == "-":
            return None
        number = int(size) if isinstance(size, str) and re.fullmatch(r"[0-9]{1,18}", size) else size
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 63:
            return number
        self._find(location, "size", f"expected '-' or a number of bytes, found {show(size)}", "the size was left out")
        return None

    def _check_meta(self, entries: list[Any]) -> None:
        """Compare the summary in `meta` with the specs."""
        hint = "the specs were used as they are; write the page again to make its summary agree"
        meta = self.front_matter.get("meta")
        if not isinstance(meta, dict):
            self._find("meta", "meta", f"expected a summary of the specs, found {show(meta)}", hint)
            return
        specs = (_texts_by_field(entry) for entry in entries if isinstance(entry, dict))
        expected = msgspec.structs.replace(summarize(specs), num_specs=len(entries))
        for key, value in msgspec.structs.asdict(expected).items():
            found = meta.get(key)
            if key in meta and (_distinct_texts(found) if isinstance(value, list) else found) != (
                set(value) if isinstance(value, list) else value
            ):
                self._find(f"meta.{key}", "meta", f"expected {show(value)}, found {show(found)}", hint)


def _no_details(front_matter: dict[str, Any]) -> PageError:
    names = front_matter.get("spec_names", front_matter.get("spec_files"))
    if isinstance(names, list):
        return PageError(
            "no-hashes",
            "spec_files",
            f"expected 'spec_details', found a page of 2021-22 that names {counted(len(names), 'spec')} without hashes",
            "take the page from a newer commit of the site, or the snapshot from its build-cache index",
            num_specs=len(names),
        )
    return PageError(
        "no-specs",
        "front matter",
        f"expected the key 'spec_details', found {', '.join(sorted(map(str, front_matter))) or 'no keys'}",
        "only pages below `_cache` list specs",
    )


def _text(value: object, location: str, what: str, num_specs: int | None) -> str:
    if isinstance(value, str) and _is_text(value) and len(value) <= MAX_NAME:
        return value
    raise PageError(
        location.partition("[")[0],
        location,
        f"expected {what}, text of 1 to {MAX_NAME} characters, found {show(value)}",
        "write the page again, or put the name in quotes",
        num_specs,
    )


def _is_text(value: object) -> bool:
    """Whether a value is text that can be stored: not empty, and without lone surrogates."""
    return isinstance(value, str) and value != "" and (value.isascii() or not re.search("[\ud800-\udfff]", value))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _texts_by_field(entry: dict[str, Any]) -> dict[str, set[str]]:
    """Return the distinct texts in the fields that `meta` summarizes, since a field may hold anything."""
    return {field: _distinct_texts(entry.get(field)) for field in META_LISTS.values()}


def _distinct_texts(value: object) -> set[str]:
    return {text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)}


_KEYS = frozenset((*TEXTS, *OPTIONAL_TEXTS, VERSIONS, *LISTS))
"""The keys of a spec that are read."""
_FIELDS: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    *((field, "text", _is_text) for field in TEXTS),
    (VERSIONS, "a list of one text", lambda value: _is_texts(value) and bool(value)),
    *((field, "a list of texts", _is_texts) for field in LISTS),
    ("compiler", "text", lambda value: value is None or _is_text(value)),
)
