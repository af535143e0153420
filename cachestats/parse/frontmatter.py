"""Read the front matter of a page: its values are parsed as JSON where possible, otherwise as YAML."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, ClassVar

import yaml

MAX_YAML_CHARACTERS = 4 << 20
"""YAML is read at some hundred kilobytes a second; only hand-written pages need it."""

REPEATED = "\0repeated"
"""Key under which an object read from JSON lists its repeated keys; pages have no such key."""

_MAX_DEPTH = 50
_ONCE = ("title", "categories", "meta", "spec_details")
_LISTED = re.compile(r"^(spec_files|spec_names): *\n((?: *- .*\n?)+)", re.MULTILINE)
_JSON_LINE = re.compile(r"^(meta|spec_details): (.*)$", re.MULTILINE)


# libyaml is ten times as fast as the pure Python loader, but is not available on every platform.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without types that text could be mistaken for: a version 1.0 or 2024-09-26 stays text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


class PageError(Exception):
    """A page that cannot be read at all; `validate.read_page` turns it into a rejection."""

    def __init__(self, rule: str, location: str, message: str, hint: str, num_specs: int | None = None) -> None:
        super().__init__(message)
        self.rule, self.location, self.message, self.hint, self.num_specs = rule, location, message, hint, num_specs


def normalise(data: bytes) -> bytes:
    """Return the page without a byte order mark and with plain line ends."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def read_front_matter(data: bytes) -> tuple[dict[str, Any], str]:
    """Return the values of the front matter, and the text after it."""
    data = normalise(data)
    if not data.strip():
        raise PageError("empty", "file", "expected a page, found an empty file", "fetch or write the page again")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise PageError("nul-byte", f"line {line}", "expected text, found a NUL byte", "fetch the page again")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PageError(
            "encoding",
            f"line {line}",
            f"expected UTF-8, found byte 0x{data[error.start]:02x} at offset {error.start}",
            "fetch the page again, or save it as UTF-8",
        ) from None
    if not text.startswith("---\n"):
        raise PageError(
            "no-front-matter",
            "line 1",
            f"expected '---', found {show(text.partition(chr(10))[0])}",
            "only pages of the cache site, which begin with front matter, can be read",
        )
    body, end, rest = (text.removeprefix("---") + "\n").partition("\n---\n")
    if not end:
        raise PageError(
            "truncated",
            f"line {text.count(chr(10)) + 1}",
            "expected front matter that ends with '---', found the end of the file",
            "fetch the page again: it was cut off",
        )
    if "spec_details:" not in body and (listed := dict(_LISTED.findall(body))):
        # Pages of 2021 have whole spec strings as keys, which are longer than YAML allows.
        return {key: lines.splitlines() for key, lines in listed.items()}, rest
    for key in _ONCE:
        if (count := len(re.findall(rf"^{key}:", body, re.MULTILINE))) > 1:
            raise PageError(
                "repeated-key",
                key,
                f"expected the key '{key}' once, found it {count} times",
                "write a page for each package and snapshot",
            )
    return _json_lines(body) or _yaml(body), rest


def _json_lines(body: str) -> dict[str, Any] | None:
    """Return front matter whose long values are lines of JSON, or None if they are not JSON."""
    found = {}
    for key, value in _JSON_LINE.findall(body):
        try:
            found[key] = json.loads(value, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            return None
    return _yaml(_JSON_LINE.sub("", body)) | found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object that lists its repeated keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        found[REPEATED] = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return found


def _yaml(body: str) -> dict[str, Any]:
    if len(body) > MAX_YAML_CHARACTERS:
        raise PageError(
            "yaml",
            "front matter",
            f"expected JSON in 'meta' and 'spec_details', found {len(body):,} characters of something else",
            f"write the values as JSON; YAML is read up to {MAX_YAML_CHARACTERS:,} characters",
        )
    try:
        depth = 0
        for event in yaml.parse(body, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                raise PageError(
                    "yaml-alias",
                    _line(event.start_mark),
                    f"expected plain values, found the YAML alias '*{event.anchor}'",
                    "write the value out; aliases can make a page grow without bound",
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise PageError(
                    "nested",
                    _line(event.start_mark),
                    f"expected at most {_MAX_DEPTH} levels of nesting, found more",
                    "fetch or write the page again",
                )
        values = yaml.load(body, Loader=_Loader)  # noqa: S506 (a safe loader)
    except PageError:
        raise
    except Exception as error:  # besides its own errors PyYAML raises whatever a tag such as `!!int ""` leads to
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise PageError(
            "syntax",
            _line(mark),
            f"expected JSON or YAML, found a fault: {problem}",
            "fetch the page again: it may be cut off",
        ) from None
    if not isinstance(values, dict):
        raise PageError(
            "syntax", "front matter", f"expected keys and values, found {show(values)}", "fetch the page again"
        )
    return values


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark else "front matter"


def show(value: object) -> str:
    """Return a value for a message: on one line, shortened, and always encodable."""
    try:
        shown = "nothing" if value is None else repr(value)
    except ValueError:  # Python does not write out numbers of thousands of digits
        shown = "a very large number"
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
