"""What a machine can reuse, as Spack decides it: judge requirements for a host under the rules of a release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import polars as pl

from cachestats.axes import NATIVE, USABLE
from cachestats.errors import ArgumentError
from cachestats.hosts import Host
from cachestats.naming import version_key
from cachestats.requirement import LIBC_PREFIX, External, Requirement, usual_place_libc
from cachestats.spack_releases import (
    DECLARED_BY_SPACK,
    FORMAT_OF_SPACK_1,
    RULES,
    Rules,
    runs_on_macos,
    usual_libc,
)
from cachestats.targets import runnable

Status = Literal["native", "usable", "excluded", "platform", "target", "os", "libc", "format", "incomplete", "external"]
"""How a spec fits a host.

`native` and `usable` specs can be reused; a native one was built for exactly the host's target. All others name the
obstacle: Spack never reuses it (`excluded`), it is for another platform, target, operating system or libc, its format
is too old, a dependency is not in the cache (`incomplete`), or the host must declare an external.
"""
STATUSES: tuple[Status, ...] = get_args(Status)
REUSED: tuple[Status, ...] = (NATIVE, USABLE)

_MOST_REQUIREMENTS = 1 << 16  # an archive has thousands of distinct requirements
_MOST_HOSTS = 64


@dataclass(frozen=True)
class Verdict:
    """Whether a host fulfils a requirement, and if not, what the obstacle is."""

    status: Status
    by: str | None = None
    """The obstacle in a few words: the targets, the libc, the missing spec; None if there is none."""


def judge(requirement: Requirement, host: Host, rules: Rules) -> Verdict:
    """Decide whether a host can reuse specs with a requirement, under the rules of a Spack release.

    Parameters
    ----------
    requirement
        The requirement of a spec together with all its link and run dependencies.
    host
        The machine. If its `externals` are None, it counts as declaring none.
    rules
        The rules that apply: see `cachestats.spack_releases.Rules`.

    Returns
    -------
    Verdict
        `usable`, or the first obstacle, in the order excluded, platform, target, os or libc, format, incomplete,
        external. It is never `native`: a requirement does not record the target of the spec itself.

    Examples
    --------
    >>> from cachestats.analysis.reuse import judge
    >>> from cachestats.hosts import Host
    >>> from cachestats.requirement import Requirement
    >>> requirement = Requirement.parse("platform=linux os=ubuntu22.04 target=x86_64_v3 libc=glibc@2.35 format=4")
    >>> judge(requirement, Host("zen4", os="debian12"), "0.23")
    Verdict(status='usable', by=None)
    >>> judge(requirement, Host("zen4", os="rhel9"), "0.23")
    Verdict(status='libc', by='glibc@2.35')
    """
    if rules == "1.1" and requirement.excluded is not None:
        return Verdict("excluded", requirement.excluded)
    if other := [name for name in requirement.platforms if name != host.platform]:
        return Verdict("platform", ", ".join(other))
    runs = frozenset(runnable(host.target))
    if other := [name for name in requirement.targets if name not in runs]:
        return Verdict("target", ", ".join(other))
    if host.platform == "linux" and rules != "0.21":
        if by := _libc_in_the_way(requirement, host, rules):
            return Verdict("libc", by)
    elif other := [name for name in requirement.oses if not _runs_on(name, host)]:
        return Verdict("os", ", ".join(other))
    spec_format = requirement.spec_format
    if rules == "1.1" and spec_format is not None and spec_format < FORMAT_OF_SPACK_1:
        return Verdict("format", f"format {spec_format}")
    if requirement.missing is not None:
        return Verdict("incomplete", requirement.missing)
    if undeclared := [external for external in requirement.externals if not _has(host, external)]:
        return Verdict("external", "; ".join(map(_external_words, undeclared)))
    return Verdict(USABLE)


def _libc_in_the_way(requirement: Requirement, host: Host, rules: Rules) -> str | None:
    """Return the libc that a host lacks, or why this cannot be decided; None if the host has the libcs required."""
    if rules == "0.23" and not requirement.names_libc:
        return "names no libc"
    libcs = requirement.libcs
    is_of_its_os = requirement.oses == (host.os,)
    if host.libc is None and is_of_its_os:
        return None  # the libc of the system is not known, but everything was built with it
    if requirement.is_assumed and not libcs and not is_of_its_os:
        usual = {name: usual_libc(name) for name in requirement.oses}
        if unknown := [name for name, libc in usual.items() if libc is None]:
            return f"libc of {', '.join(unknown)} is not known"
        libcs = tuple(usual_place_libc(libc) for libc in usual.values() if libc is not None)
    return ", ".join(_libc_words(libc) for libc in libcs if not _provides(host, libc)) or None


def _provides(host: Host, libc: External) -> bool:
    if host.libc is None:
        return False
    there = usual_place_libc(host.libc)
    is_same = (libc.name, libc.prefix) == (there.name, host.libc_prefix)
    return is_same and version_key(libc.version) <= version_key(there.version)


def _libc_words(libc: External) -> str:
    return f"{libc.name}@{libc.version}" if libc.prefix == LIBC_PREFIX else _external_words(libc)


def _runs_on(os: str, host: Host) -> bool:
    return runs_on_macos(os, host.os or "") if host.platform == "darwin" else os == host.os


def _has(host: Host, external: External) -> bool:
    if external.name in DECLARED_BY_SPACK.get(host.platform or "", ()):
        return True
    return any(declared.fits(external) for declared in host.externals or ())


def _external_words(external: External) -> str:
    places = [] if external.prefix is None else [f"at {external.prefix}"]
    places += [f"by module {', '.join(external.modules)}"] if external.modules else []
    return " ".join([f"{external.name}@{external.version}", *places])


def judge_all(requirements: Iterable[str], host: Host, rules: Rules | None = None) -> pl.DataFrame:
    """Judge each distinct requirement once.

    Parameters
    ----------
    requirements
        Values of the column `requirement` of `specs`.
    host
        As for `judge`.
    rules
        As for `judge`; by default the rules that each requirement names, or the newest.

    Returns
    -------
    polars.DataFrame
        One row per distinct requirement, sorted by it, with the columns `requirement`, `status` and `by` (null if it is
        usable), all String.

    Examples
    --------
    >>> from cachestats.analysis.reuse import judge_all
    >>> from cachestats.hosts import Host
    >>> text = "platform=linux os=rhel9 target=zen4 libc=glibc@2.34 format=5"
    >>> judge_all([text, text], Host("zen3", os="rhel9"), "1.1").rows()
    [('platform=linux os=rhel9 target=zen4 libc=glibc@2.34 format=5', 'target', 'zen4')]
    """
    verdicts = _verdicts(host, rules)
    texts = sorted(set(requirements))
    for text in texts:
        if text not in verdicts:
            requirement = _checked_requirement(text)
            verdicts[text] = judge(requirement, host, rules or requirement.rules or RULES[-1])
    rows = [(text, verdicts[text].status, verdicts[text].by) for text in texts]
    return pl.DataFrame(rows, schema=dict.fromkeys(("requirement", "status", "by"), pl.String), orient="row")


def reused_requirements(requirements: Iterable[str], host: Host, rules: Rules | None = None) -> list[str]:
    """Return the requirements that a host fulfils, each once and sorted; the parameters are those of `judge_all`.

    Examples
    --------
    >>> from cachestats.analysis.reuse import reused_requirements
    >>> from cachestats.hosts import Host
    >>> texts = [f"platform=linux os=rhel9 target={target} libc=glibc@2.34" for target in ("zen4", "zen3")]
    >>> reused_requirements(texts, Host("zen3", os="rhel9"), "0.23")
    ['platform=linux os=rhel9 target=zen3 libc=glibc@2.34']
    """
    return reused_of(judge_all(requirements, host, rules))


def reused_of(verdicts: pl.DataFrame) -> list[str]:
    """Return the requirements that are fulfilled according to the result of `judge_all`."""
    reused: list[str] = verdicts.filter(pl.col("status").is_in(REUSED))["requirement"].to_list()
    return reused


def _checked_requirement(text: str) -> Requirement:
    try:
        return parse_requirement(text)
    except ValueError as error:
        raise ArgumentError(
            f"expected requirements as in the column `requirement` of specs, found {text!r}: {error}",
            hint="pass the column unchanged",
        ) from None


parse_requirement = lru_cache(_MOST_REQUIREMENTS)(Requirement.parse)


@lru_cache(_MOST_HOSTS)
def _verdicts(host: Host, rules: Rules | None) -> dict[str, Verdict]:
    """Return the earlier verdicts for a host: a report judges the same requirements over and over."""
    return {}


def distinct_libcs(requirements: Iterable[str]) -> list[str]:
    """Return the libcs that requirements name and by which hosts differ.

    Parameters
    ----------
    requirements
        Values of the column `requirement` of `specs`.

    Returns
    -------
    list of str
        Each libc as `name@version`, sorted by name and then by version in Spack's order. A libc outside `/usr` is left
        out, because no host with such a libc is considered.

    Examples
    --------
    >>> from cachestats.analysis.reuse import distinct_libcs
    >>> texts = [f"platform=linux os=x target=zen4 libc=glibc@{version}" for version in ("2.35", "2.4", "2.28")]
    >>> distinct_libcs(texts)
    ['glibc@2.4', 'glibc@2.28', 'glibc@2.35']
    """
    libcs = {libc for text in set(requirements) for libc in parse_requirement(text).libcs if libc.prefix == LIBC_PREFIX}
    return [_libc_words(libc) for libc in sorted(libcs, key=lambda libc: (libc.name, version_key(libc.version)))]
