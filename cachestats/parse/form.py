"""The form of a page of the cache site: the fields of its specs, and the summary of the specs in `meta`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

TEXTS = ("hash", "os", "platform", "target")
"""Fields of a spec that are a text."""
OPTIONAL_TEXTS = ("compiler", "size")
"""Fields of a spec that are a text, or absent."""
VERSIONS = "versions"
"""The field of a spec that is a list of one text."""
LISTS = ("stacks", "variants")
"""Fields of a spec that are a list of any number of texts."""

META_LISTS = {
    "compilers": "compiler",
    "oss": "os",
    "platforms": "platform",
    "stacks": "stacks",
    "targets": "target",
    "versions": VERSIONS,
}
"""The lists in `meta`, and the field of the specs whose distinct texts each of them has."""


class Meta(msgspec.Struct, gc=False):
    """The summary of the specs of a page, with its keys in the order of the site."""

    compilers: list[str]
    num_specs: int
    num_specs_by_stack: dict[str, int]
    oss: list[str]
    platforms: list[str]
    stacks: list[str]
    targets: list[str]
    versions: list[str]


def summarize(specs: Iterable[Mapping[str, str | Collection[str]]]) -> Meta:
    """Summarize the specs of a page; each has all fields that `META_LISTS` names, and names a stack at most once."""
    texts: dict[str, set[str]] = {key: set() for key in META_LISTS}
    by_stack: Counter[str] = Counter()
    num_specs = 0
    for spec in specs:
        num_specs += 1
        by_stack.update(_texts(spec["stacks"]))
        for key, field in META_LISTS.items():
            texts[key].update(_texts(spec[field]))
    lists = {key: sorted(found) for key, found in texts.items()}
    return Meta(num_specs=num_specs, num_specs_by_stack=dict(sorted(by_stack.items())), **lists)


def _texts(value: str | Collection[str]) -> Collection[str]:
    return (value,) if isinstance(value, str) else value
