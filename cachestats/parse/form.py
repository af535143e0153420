"""The form of a page of the cache site: the fields of its specs, and the summary of the specs in `meta`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

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


def summarize(specs: Collection[Mapping[str, str | Collection[str]]]) -> Meta:
    """Summarize the specs of a page; each has all fields that `META_LISTS` names, and names a stack at most once."""
    lists = {key: sorted({text for spec in specs for text in _texts(spec[field])}) for key, field in META_LISTS.items()}
    by_stack = Counter(stack for spec in specs for stack in _texts(spec["stacks"]))
    return Meta(num_specs=len(specs), num_specs_by_stack=dict(sorted(by_stack.items())), **lists)


def _texts(value: str | Collection[str]) -> Collection[str]:
    return (value,) if isinstance(value, str) else value
