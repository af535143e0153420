"""Requirements: the conditions that a host must fulfil to reuse a spec and all its link and run dependencies.

A cache has few distinct requirements, so they are computed once, when a dataset is built, and stored as text in the
column `requirement` of `specs`. Judging a host then means judging a few hundred requirements, not a million specs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from cachestats.naming import version_key
from cachestats.spack_releases import RULES, Rules, runs_on_macos
from cachestats.targets import runnable

LIBC_PREFIX = "/usr"
"""The prefix of the libc on nearly every host; the text of a libc with this prefix omits it."""

_QUOTES = frozenset("'\"\\")
_NEEDS_QUOTES = _QUOTES | frozenset(" \t\r\n")
_NO_LIBC = "none"
_MAX_QUOTED = 100_000  # the time that `shlex` takes grows with the square of the length: a million take ten seconds
_ASSUMED = "assumed"


@dataclass(frozen=True)
class External:
    """A package that belongs to the system, not to the cache: a libc, CUDA, the MPI of a cluster.

    As text, it is a spec expression that ends with the location: `cuda@12.4.1 ~dev prefix=/usr/local/cuda`.
    """

    name: str
    version: str
    variants: tuple[str, ...] = ()
    """Canonical variants, in the order of the column `variants`."""
    prefix: str | None = None
    modules: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [f"{self.name}@{self.version}", *self.variants]
        words += [] if self.prefix is None else [f"prefix={self.prefix}"]
        words += [f"module={module}" for module in self.modules]
        return _joined_words(words)

    @classmethod
    def parse(cls, text: str) -> External:
        """Return the external described by a text of this form.

        Examples
        --------
        >>> from cachestats.requirement import External
        >>> External.parse("cuda@12.4.1 ~dev prefix=/usr/local/cuda").prefix
        '/usr/local/cuda'
        """
        head, *words = _split_words(text)
        name, _, version = head.partition("@")
        # The location comes last, because a variant may also be called `prefix` or `module`.
        modules: list[str] = []
        while words and words[-1].startswith("module="):
            modules.insert(0, words.pop().removeprefix("module="))
        prefix = words.pop().removeprefix("prefix=") if words and words[-1].startswith("prefix=") else None
        return cls(name, version, tuple(words), prefix, tuple(modules))


@dataclass(frozen=True)
class Requirement:
    """The conditions that a host must fulfil to reuse a spec and all its link and run dependencies.

    As text, in the column `requirement` of `specs`, it is a line of `key=value` words, in which a key is repeated for
    several values: `platform=linux os=ubuntu22.04 target=x86_64_v3 libc=glibc@2.35 format=4 spack=0.23`.

    Examples
    --------
    >>> from cachestats.requirement import Requirement
    >>> requirement = Requirement.parse("platform=linux os=rhel9 target=zen4 libc=glibc@2.34 format=5")
    >>> requirement.targets, requirement.libcs[0].version, requirement.spec_format
    (('zen4',), '2.34', 5)
    """

    platforms: tuple[str, ...]
    oses: tuple[str, ...]
    """Operating systems; of several releases of macOS, only those that also run binaries built on the others."""
    targets: tuple[str, ...]
    """Targets that the host must be able to run; ancestors of others among them are left out."""
    libcs: tuple[External, ...] = ()
    """The highest version of each libc."""
    names_libc: bool = True
    """Whether every spec names the libc that it needs."""
    spec_format: int | None = None
    """The lowest format in which one of the specs was first written; None if no source provides it."""
    missing: str | None = None
    """A required spec that is not in the cache, as `package/hash`."""
    excluded: str | None = None
    """A spec that Spack since 1.0 never reuses, and the reason."""
    externals: tuple[External, ...] = ()
    rules: Rules | None = None
    """The rules by which it is judged unless another Spack version is requested: `0.21`, `0.23` or `1.1`."""
    is_assumed: bool = False
    """Whether it was read from a page, which records neither libc, format nor dependencies."""

    def __str__(self) -> str:
        words = [
            *(f"platform={name}" for name in self.platforms),
            *(f"os={name}" for name in self.oses),
            *(f"target={name}" for name in self.targets),
            *(f"libc={_libc_text(libc)}" for libc in self.libcs),
            *([] if self.names_libc else [f"libc={_NO_LIBC}"]),
            *([] if self.spec_format is None else [f"format={self.spec_format}"]),
            *([] if self.missing is None else [f"missing={self.missing}"]),
            *([] if self.excluded is None else [f"excluded={self.excluded}"]),
            *(f"external={external}" for external in self.externals),
            *([] if self.rules is None else [f"spack={self.rules}"]),
            *([_ASSUMED] if self.is_assumed else []),
        ]
        return _joined_words(words)

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Return the requirement described by a value of the column `requirement`.

        Raises
        ------
        ValueError
            If the text is not a requirement.
        """
        values: dict[str, list[str]] = {}
        for word in _split_words(text):
            key, _, value = word.partition("=")
            values.setdefault(key, []).append(value)
        if not values.keys() & {"platform", "target"}:
            raise ValueError("neither platform nor target")
        libcs = values.get("libc", [])
        return cls(
            platforms=tuple(values.get("platform", ())),
            oses=tuple(values.get("os", ())),
            targets=tuple(values.get("target", ())),
            libcs=tuple(_parsed_libc(value) for value in libcs if value != _NO_LIBC),
            names_libc=_NO_LIBC not in libcs,
            spec_format=int(values["format"][0]) if "format" in values else None,
            missing=values["missing"][0] if "missing" in values else None,
            excluded=values["excluded"][0] if "excluded" in values else None,
            externals=tuple(External.parse(value) for value in values.get("external", ())),
            rules=next((rules for rules in RULES if rules in values.get("spack", ())), None),
            is_assumed=_ASSUMED in values,
        )


def join_requirements(requirements: Iterable[Requirement]) -> Requirement:
    """Return the joint requirement of specs that are needed together.

    Examples
    --------
    >>> from cachestats.requirement import Requirement, join_requirements
    >>> parse = Requirement.parse
    >>> first = parse("platform=linux os=rhel9 target=x86_64_v3 libc=glibc@2.34 format=5")
    >>> second = parse("platform=linux os=rhel9 target=zen4 libc=glibc@2.28 format=4")
    >>> str(join_requirements([first, second]))
    'platform=linux os=rhel9 target=zen4 libc=glibc@2.34 format=4'
    """
    parts = list(requirements)
    formats = [part.spec_format for part in parts if part.spec_format is not None]
    return Requirement(
        platforms=_distinct(name for part in parts for name in part.platforms),
        oses=_newest({name for part in parts for name in part.oses}),
        targets=_most_demanding({name for part in parts for name in part.targets}),
        libcs=_highest(libc for part in parts for libc in part.libcs),
        names_libc=all(part.names_libc for part in parts),
        spec_format=min(formats, default=None),
        missing=min((part.missing for part in parts if part.missing), default=None),
        excluded=min((part.excluded for part in parts if part.excluded), default=None),
        externals=tuple(sorted({external for part in parts for external in part.externals}, key=str)),
        rules=max((part.rules for part in parts if part.rules), default=None),
        is_assumed=any(part.is_assumed for part in parts),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _newest(oses: set[str]) -> tuple[str, ...]:
    """Leave out releases of macOS that are older than others."""
    return tuple(sorted(name for name in oses if not any(runs_on_macos(name, other) for other in oses - {name})))


def _most_demanding(targets: set[str]) -> tuple[str, ...]:
    """Leave out the targets that are ancestors of others, since every machine that runs those runs them as well."""
    if len(targets) < 2:
        return tuple(targets)
    return tuple(sorted(name for name in targets if not any(name in runnable(other)[1:] for other in targets)))


def _highest(libcs: Iterable[External]) -> tuple[External, ...]:
    highest: dict[tuple[str, str], External] = {}
    for libc in libcs:
        key = libc.name, libc.prefix or ""
        if key not in highest or version_key(highest[key].version) < version_key(libc.version):
            highest[key] = libc
    return tuple(highest[key] for key in sorted(highest))


def usual_place_libc(text: str) -> External:
    """Return the libc of a name such as `glibc@2.34`, at its location on nearly every host.

    Examples
    --------
    >>> from cachestats.requirement import usual_place_libc
    >>> str(usual_place_libc("glibc@2.34"))
    'glibc@2.34 prefix=/usr'
    """
    name, _, version = text.partition("@")
    return External(name, version, prefix=LIBC_PREFIX)


def _libc_text(libc: External) -> str:
    name = f"{libc.name}@{libc.version}"
    return name if libc.prefix == LIBC_PREFIX else _joined_words([name, f"prefix={libc.prefix or ''}"])


def _parsed_libc(text: str) -> External:
    head, *rest = _split_words(text)
    name, _, version = head.partition("@")
    prefix = rest[0].removeprefix("prefix=") if rest else LIBC_PREFIX
    return External(name, version, prefix=prefix or None)


def _joined_words(words: Iterable[str]) -> str:
    """Join words with spaces, using shell quotes for those that contain white space or quotes."""
    return " ".join(shlex.quote(word) if set(word) & _NEEDS_QUOTES else word for word in words)


def _split_words(text: str) -> list[str]:
    if set(text) & _QUOTES:
        if len(text) > _MAX_QUOTED:
            raise ValueError(f"more than {_MAX_QUOTED:,} characters")
        return shlex.split(text)
    return text.split(" ") if text else []
