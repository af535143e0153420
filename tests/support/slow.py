"""An independent, slow reading of pages: YAML and plain loops, sharing nothing with cachestats."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

import yaml

Row = tuple[Any, ...]

_NAMES = {
    "clang": "llvm",
    "oneapi": "intel-oneapi-compilers",
    "rocmcc": "llvm-amdgpu",
    "intel": "intel-oneapi-compiler-classic",
    "arm": "acfl",
}


def read(pages: Iterable[str]) -> tuple[list[Row], list[Row]]:
    """Return the rows of `specs` and `variants` of whole, clean pages, in the order of a dataset."""
    specs, variants = set(), set()
    for text in pages:
        front_matter = yaml.load(text.split("\n---")[0], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        package, snapshot = front_matter["title"], front_matter["categories"][1]
        day = re.fullmatch(r"develop-(\d+-\d+-\d+)", snapshot)
        date = datetime.date.fromisoformat(day[1]) if day else None
        for one in front_matter["spec_details"]:
            compiler, name, version = _compiler(one["compiler"])
            texts = sorted({_variant(text) for text in one["variants"]}, key=lambda text: (_parts(text)[0], text))
            for stack in set(one["stacks"]) or {None}:
                specs.add(
                    (
                        *(package, one["versions"][0], snapshot, date, one["hash"]),
                        *(one["platform"], one["os"], one["target"], compiler, name, version),
                        *(stack, " ".join(map(_quoted, texts)), None),
                    )
                )
            signs: dict[tuple[str, str], list[str]] = {}
            for text in one["variants"]:
                variant, values = _parts(_variant(text))
                for value in values:
                    signs.setdefault((variant, value), []).append(_sign(text))
            variants |= {(snapshot, one["hash"], *pair, min(found, key=_FIRST.index)) for pair, found in signs.items()}
    return (
        sorted(specs, key=lambda row: (row[2], row[0], row[4], row[11] is None, row[11])),
        sorted(variants),
    )


_FIRST = [":=", "=", "+", "~", ""]


def _sign(text: str) -> str:
    match = re.match(r"[+~]|[^=]*?(:?=)", text)
    return (match[1] or match[0]) if match else ""


def _compiler(text: str) -> tuple[str | None, str | None, str | None]:
    if text == "none":
        return None, None, None
    name, _, version = text.replace("@=", "@").partition("@")
    name = _NAMES.get(name, name)
    return (f"{name}@{version}", name, version) if version else (name, name, None)


def _variant(text: str) -> str:
    match = re.fullmatch(r"([^=]*?):?=(.*)", text, re.DOTALL)
    if not match:
        return text
    name, value = match.groups()
    while quoted := re.fullmatch(r"(['\"])(.*)\1", value, re.DOTALL):
        value = quoted[2]
    return f"{name}={value}"


def _parts(text: str) -> tuple[str, list[str]]:
    if text[0] in "+~":
        return text[1:], ["true" if text[0] == "+" else "false"]
    name, *value = text.split("=", 1)
    return name, (value or [""])[0].split(",")


def _quoted(text: str) -> str:
    head, equals, tail = text.partition("=")
    if not re.search(r"[\s'\"\\]", text):
        return text
    if re.search(r"[\s'\"\\]", head):
        head, equals, tail = "", "", text
    return head + equals + "'" + tail.replace("'", "'\"'\"'") + "'"
