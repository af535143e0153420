"""Differences between Spack releases: reuse rules, formats, and the names of compilers and operating systems.

The rules are those of Spack's solver: `solver/reuse.py`, `solver/libc_compatibility.lp` and
`solver/os_compatibility.lp` in its sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import product
from typing import Literal, get_args

from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_kind

Rules = Literal["0.21", "0.23", "1.1"]
"""Rules by which Spack reuses binaries, each named after a release that follows them.

Up to 0.21, a binary for Linux needs the operating system on which it was built. Since 0.22, it needs a libc that is at
least as new as its own. Since 1.0, a spec need not name its libc, but must have been written by Spack 1.0 or later.

Not covered: from 2022 up to 0.21, Spack also let each Ubuntu from 18.10 to 22.04 reuse binaries of its predecessors
back to 18.04, and `rhel8` those of `rocky8` (its pull requests 31170 and 33068).
"""

RULES: tuple[Rules, ...] = get_args(Rules)
NEWEST = "newest"
"""The user's word for the latest rules."""

_RELEASES = [(0, minor) for minor in range(13, 24)] + [(1, minor) for minor in range(4)]
_SPACK_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(\.[0-9]{1,4})?")

# The dates of snapshots; pages record nothing else. The last snapshot whose index has no libc is from April 2024.
_FIRST_WITH_LIBC = date(2024, 5, 1)
_FIRST_OF_SPACK_1 = date(2025, 3, 30)

FORMAT_OF_DATABASE = {5: 1, 6: 3, 7: 4, 8: 5, 9: 6}
"""The format of the specs in an index, by the version of the index.

Indices of version 6 were written with specs of format 2 by Spack 0.17 and of format 3 by its successors; no rule
depends on the difference. Version 9 came with format 6, whose nodes also have `provided_virtuals`.
"""

OLD_DATABASES = ("0.9", "0.9.1", "0.9.2", "0.9.3")
"""The versions of databases before 5, of Spack 0.9 to 0.12. Their specs have format 1.

Only installations have them: there were no indices of build caches yet. Version 5 added `deprecated_for` to records.
Nodes that were first written before Spack 0.10 have an `arch` without platform and operating system, `variants` in
place of `parameters`, and edges without reasons.
"""

FORMAT_OF_SPACK_1 = 5
"""The spec format introduced by Spack 1.0; Spack 1 does not reuse specs first written in an older one."""

FORMAT_OF_LOCKFILE = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 5, 8: 6}
"""The format of the specs in a lockfile, by its version. Source: "Versioned File Formats" in Spack's documentation."""

SPACK_OF_FORMAT = {1: "0.16 or older", 2: "0.17", 3: "0.18 to 0.20", 4: "0.21 to 0.23", 5: "1.0 to 1.2", 6: "1.3"}
"""The versions of Spack that write a spec format."""

MACOS = ("catalina", "bigsur", "monterey", "ventura", "sonoma", "sequoia", "tahoe", "goldengate")
"""The releases of macOS, oldest first, each of which runs binaries built on its predecessors.

Spack's `os_compatibility.lp` lists them up to sequoia; its pull requests 51479 and 52514 added tahoe and goldengate.
"""

MACOS_NAMES = {
    "10.15": "catalina",
    "10.16": "bigsur",  # the version that macOS 11 and later report to programs built before macOS 11 existed
    "11": "bigsur",
    "12": "monterey",
    "13": "ventura",
    "14": "sonoma",
    "15": "sequoia",
    "26": "tahoe",
    "27": "goldengate",
}
"""Spack's names of macOS releases, by version."""

DECLARED_BY_SPACK = {"darwin": frozenset({"apple-libuuid"})}
"""Externals, by platform, that no host has to declare because Spack itself declares them."""

# The libcs that releases of the distributions ship, from their package lists.
_GLIBC_OF_UBUNTU = {
    "14.04": "2.19",
    "16.04": "2.23",
    "16.10": "2.24",
    "17.04": "2.24",
    "17.10": "2.26",
    "18.04": "2.27",
    "18.10": "2.28",
    "19.04": "2.29",
    "19.10": "2.30",
    "20.04": "2.31",
    "20.10": "2.32",
    "21.04": "2.33",
    "21.10": "2.34",
    "22.04": "2.35",
    "22.10": "2.36",
    "23.04": "2.37",
    "23.10": "2.38",
    "24.04": "2.39",
    "24.10": "2.40",
    "25.04": "2.41",
    "25.10": "2.42",
}
_GLIBC_OF_DEBIAN = {"9": "2.24", "10": "2.28", "11": "2.31", "12": "2.36", "13": "2.41"}
_GLIBC_OF_AMAZON = {"2": "2.26", "2023": "2.34"}
_GLIBC_OF_RHEL = {"6": "2.12", "7": "2.17", "8": "2.28", "9": "2.34", "10": "2.39"}
_LIKE_RHEL = ("rhel", "centos", "rocky", "almalinux", "oracle")
_FIRST_FEDORA, _LAST_FEDORA = 28, 43  # glibc 2.27 to 2.42, one for each release
# Spack names only the major release; without a service pack, this is the libc of most machines, SP3 to SP5.
_GLIBC_OF_SUSE = {"15": "2.31", "15.0": "2.26", "15.1": "2.26", "15.2": "2.26", "15.3": "2.31", "15.4": "2.31"}
_GLIBC_OF_SUSE |= {"15.5": "2.31", "15.6": "2.38", "15.7": "2.38"}
_LIKE_SUSE = ("sles", "sle_hpc")
_MUSL_OF_ALPINE = {"3.13": "1.2.2", "3.14": "1.2.2", "3.15": "1.2.2", "3.16": "1.2.3", "3.17": "1.2.3", "3.18": "1.2.4"}
_MUSL_OF_ALPINE |= {"3.19": "1.2.4", "3.20": "1.2.5", "3.21": "1.2.5", "3.22": "1.2.5"}

USUAL_LIBC: dict[str, str] = (
    {f"ubuntu{release}": f"glibc@{version}" for release, version in _GLIBC_OF_UBUNTU.items()}
    | {f"debian{release}": f"glibc@{version}" for release, version in _GLIBC_OF_DEBIAN.items()}
    | {f"{name}{release}": f"glibc@{_GLIBC_OF_RHEL[release]}" for name, release in product(_LIKE_RHEL, _GLIBC_OF_RHEL)}
    | {f"fedora{release}": f"glibc@2.{release - 1}" for release in range(_FIRST_FEDORA, _LAST_FEDORA + 1)}
    | {f"amzn{release}": f"glibc@{version}" for release, version in _GLIBC_OF_AMAZON.items()}
    | {f"{name}{release}": f"glibc@{_GLIBC_OF_SUSE[release]}" for name, release in product(_LIKE_SUSE, _GLIBC_OF_SUSE)}
    | {f"opensuse{release}": f"glibc@{_GLIBC_OF_SUSE[release]}" for release in ("15", "15.3", "15.4", "15.5", "15.6")}
    | {f"alpine{release}": f"musl@{version}" for release, version in _MUSL_OF_ALPINE.items()}
)
"""The libc of an operating system in Spack's spelling, as `name@version`.

Minor releases are listed if their libc differs. For Alpine, all minor releases are listed, because Spack's `alpine3`
does not determine the libc.
"""

# Spack takes names from the Python package `distro`, which renames these (its `NORMALIZED_OS_ID`).
_RENAMED = {"ol": "oracle", "opensuse-leap": "opensuse"}
_NAME_AND_RELEASE = re.compile(r"([^0-9]+)(.*)", re.DOTALL)


def reuse_rules(text: str) -> Rules:
    """Return the reuse rules of a version of Spack.

    Parameters
    ----------
    text
        A version of Spack from 0.13 to 0.23 or from 1.0 to 1.3, such as `0.21`, `1.0.2` or `v1.1.0`, or `newest`.

    Raises
    ------
    ArgumentError
        If it is not one of these.

    Examples
    --------
    >>> from cachestats.spack_releases import reuse_rules
    >>> [reuse_rules(version) for version in ("0.16", "0.21.2", "0.22", "v1.0.2", "newest")]
    ['0.21', '0.21', '0.23', '1.1', '1.1']
    """
    if text == NEWEST:
        return RULES[-1]
    found = _SPACK_VERSION.fullmatch(text)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    if release not in _RELEASES:
        near = ""
        if found:
            major, minor = max((known for known in _RELEASES if known < release), default=_RELEASES[0])
            near = f"; the nearest is {major}.{minor}"
        raise ArgumentError(
            f"expected a version of Spack from 0.13 to 0.23 or from 1.0 to 1.3, or {NEWEST}, found {text!r}",
            hint=f"the rules changed with Spack 0.22 and 1.0, so {', '.join(RULES)} cover all versions{near}",
        )
    return _rules_of_release(*release)


def checked_rules(spack: str | None) -> Rules | None:
    """Return the rules of the version of Spack that a caller names, or None if none is named.

    Raises
    ------
    ArgumentError
        If it is not a version of Spack.
    """
    if spack is None:
        return None
    if not isinstance(spack, str):
        raise ArgumentError(f"expected a version of Spack as text, found {spack!r}", hint=f"such as {RULES[-1]!r}")
    return reuse_rules(spack)


def _rules_of_release(major: int, minor: int) -> Rules:
    if (major, minor) < (0, 22):
        return "0.21"
    return "0.23" if major < 1 else "1.1"


def rules_of_snapshot(snapshot: str) -> Rules:
    """Return the rules of the Spack that wrote a snapshot, according to the snapshot's name.

    Dated snapshots before May 2024 were written by Spack 0.21, and those since 2025-03-30 by Spack 1. Releases were
    written by the Spack of that version, or by Spack 1 if they are named after a date. All others are taken to be new.

    Examples
    --------
    >>> from cachestats.spack_releases import rules_of_snapshot
    >>> [rules_of_snapshot(name) for name in ("develop-2024-04-28", "v0.23.1", "develop-2025-03-30", "v2025.07.0")]
    ['0.21', '0.23', '1.1', '1.1']
    """
    kind, day = snapshot_kind(snapshot)
    if day is not None:
        if day < _FIRST_WITH_LIBC:
            return "0.21"
        return "0.23" if day < _FIRST_OF_SPACK_1 else "1.1"
    if kind == "release":
        major, minor = map(int, snapshot.removeprefix("v").split(".")[:2])
        return _rules_of_release(major, minor)
    return "1.1"


def rules_of_sources(snapshot: str, generations: Iterable[str], *, names_libc: bool) -> Rules:
    """Return the rules of the Spack that wrote a snapshot, according to its sources.

    Parameters
    ----------
    snapshot
        Its name, which decides if only pages were read.
    generations
        The generations of its sources: `db` and the version of the database for an index, others for pages.
    names_libc
        Whether a spec in its indices names the libc that it needs, as all specs have done since Spack 0.22.

    Examples
    --------
    >>> from cachestats.spack_releases import rules_of_sources
    >>> rules_of_sources("develop", ["db7"], names_libc=True), rules_of_sources("develop", ["db8"], names_libc=True)
    ('0.23', '1.1')
    >>> rules_of_sources("develop-2024-03-17", ["g3"], names_libc=False)
    '0.21'
    """
    databases = [generation for generation in generations if generation.startswith("db")]
    if not databases:
        return rules_of_snapshot(snapshot)
    if any((spec_format_of_database(database.removeprefix("db")) or 0) >= FORMAT_OF_SPACK_1 for database in databases):
        return "1.1"
    return "0.23" if names_libc else "0.21"


def spec_format_of(rules: Rules) -> int:
    """Return the format in which the specs of a snapshot were most likely first written, if its source gives none.

    Examples
    --------
    >>> from cachestats.spack_releases import spec_format_of
    >>> spec_format_of("0.23"), spec_format_of("1.1")
    (4, 5)
    """
    return FORMAT_OF_SPACK_1 if rules == "1.1" else FORMAT_OF_SPACK_1 - 1


def spec_format_of_database(version: str) -> int | None:
    """Return the format of the specs in an index, by the version of the index; None if there was no such version.

    An index of a newer version is treated as one of the newest known version: `is_known_database` tells it.

    Examples
    --------
    >>> from cachestats.spack_releases import spec_format_of_database
    >>> [spec_format_of_database(version) for version in ("7", "8", "10", "0.9.2", "0.8")]
    [4, 5, 6, 1, None]
    """
    if version in OLD_DATABASES:
        return FORMAT_OF_DATABASE[min(FORMAT_OF_DATABASE)]
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        return None
    return FORMAT_OF_DATABASE.get(min(int(version), max(FORMAT_OF_DATABASE)))


def is_known_database(version: str) -> bool:
    """Return whether indices of a version are known, so that nothing about them is a guess.

    Examples
    --------
    >>> from cachestats.spack_releases import is_known_database
    >>> [is_known_database(version) for version in ("9", "10", "0.9.2")]
    [True, False, True]
    """
    return version in OLD_DATABASES or version in map(str, FORMAT_OF_DATABASE)


def canonical_os(os: str) -> str:
    """Return an operating system in Spack's spelling: with the major release only, except for Ubuntu and Windows.

    Spack joins the `ID` and the `VERSION_ID` of `/etc/os-release` (`operating_systems/linux_distro.py`).

    Examples
    --------
    >>> from cachestats.spack_releases import canonical_os
    >>> [canonical_os(name) for name in ("rocky8.9", "ubuntu22.04.3", "ol9", "windows10.0.20348", "sonoma")]
    ['rocky8', 'ubuntu22.04', 'oracle9', 'windows10.0.20348', 'sonoma']
    """
    name, release = _name_and_release(os)
    if name.startswith("windows") or "tumbleweed" in name:
        return name + release
    return name + ".".join(release.split(".")[: 2 if "ubuntu" in name else 1])


def usual_libc(os: str) -> str | None:
    """Return the libc that an operating system ships, as `name@version`; None if it is not known.

    Parameters
    ----------
    os
        An operating system in Spack's spelling, with or without its minor release.

    Examples
    --------
    >>> from cachestats.spack_releases import usual_libc
    >>> [usual_libc(name) for name in ("rhel9", "rocky8.9", "sles15.6", "alpine3.18.4", "sonoma")]
    ['glibc@2.34', 'glibc@2.28', 'glibc@2.38', 'musl@1.2.4', None]
    """
    name, release = _name_and_release(os)
    parts = release.split(".")
    for length in (2, 1):
        if libc := USUAL_LIBC.get(name + ".".join(parts[:length])):
            return libc
    return None


def _name_and_release(os: str) -> tuple[str, str]:
    found = _NAME_AND_RELEASE.fullmatch(os)
    name, release = found.groups() if found else (os, "")
    return _RENAMED.get(name, name), release


def known_oses() -> list[str]:
    """Return the operating systems whose libc or compatible releases are known, in Spack's spelling, sorted.

    Examples
    --------
    >>> from cachestats.spack_releases import known_oses
    >>> [name for name in known_oses() if name.startswith(("amzn", "seq"))]
    ['amzn2', 'amzn2023', 'sequoia']
    """
    return sorted({*USUAL_LIBC, *MACOS})


def platform_of_os(os: str) -> str:
    """Return the platform of an operating system.

    Examples
    --------
    >>> from cachestats.spack_releases import platform_of_os
    >>> [platform_of_os(name) for name in ("sonoma", "windows10.0.20348", "rhel9")]
    ['darwin', 'windows', 'linux']
    """
    if os in MACOS:
        return "darwin"
    return "windows" if os.startswith("windows") else "linux"


def runs_on_macos(built_on: str, os: str) -> bool:
    """Return whether binaries built on one release of macOS run on another: the former must not be the newer one.

    Examples
    --------
    >>> from cachestats.spack_releases import runs_on_macos
    >>> runs_on_macos("ventura", "sonoma"), runs_on_macos("sonoma", "ventura"), runs_on_macos("mojave", "sonoma")
    (True, False, False)
    """
    if built_on not in MACOS or os not in MACOS:
        return built_on == os
    return MACOS.index(built_on) <= MACOS.index(os)


# The names that Spack 1.0 gave to compilers when they became packages (`LEGACY_COMPILER_TO_BUILTIN` in its aliases.py).
# It spells the successor of `intel` without the s of the package's own name, and so do the pages that it writes. Both
# spellings are treated as one here.
_OLD_COMPILER_NAMES = {
    "acfl": "arm",
    "intel-oneapi-compiler-classic": "intel",
    "intel-oneapi-compilers": "oneapi",
    "llvm": "clang",
    "llvm-amdgpu": "rocmcc",
}
PRESENT_COMPILER_NAMES = {old: present for present, old in _OLD_COMPILER_NAMES.items()} | {
    "intel-oneapi-compilers-classic": "intel-oneapi-compiler-classic"
}
"""The present names of compilers, by the names that they had or are also known by."""


_SPELLED_AS_SPACK_1 = re.compile(r"g4|db0*([89]|[1-9][0-9]+)")


def canonical_compiler(text: str | None) -> tuple[str | None, str | None, str | None]:
    """Return (compiler, name, version) in Spack's current spelling, all None if the source says `none`.

    Examples
    --------
    >>> from cachestats.spack_releases import canonical_compiler
    >>> canonical_compiler("oneapi@=2024.2.1")
    ('intel-oneapi-compilers@2024.2.1', 'intel-oneapi-compilers', '2024.2.1')
    >>> canonical_compiler("none")
    (None, None, None)
    """
    if text is None or text == "none":
        return None, None, None
    name, _, version = text.partition("@")
    name = PRESENT_COMPILER_NAMES.get(name, name)
    version = version.removeprefix("=")
    return (f"{name}@{version}", name, version) if version else (name, name, None)


def page_compiler(compiler: str | None, *, is_old: bool) -> str:
    """Return a compiler as a page spells it; an old page has the names from before Spack 1.0.

    Examples
    --------
    >>> from cachestats.spack_releases import page_compiler
    >>> page_compiler("llvm@14.0.0", is_old=False), page_compiler("llvm@14.0.0", is_old=True)
    ('llvm@14.0.0', 'clang@=14.0.0')
    >>> page_compiler(None, is_old=False)
    'none'
    """
    name, at, version = (compiler or "none").partition("@")
    name = _OLD_COMPILER_NAMES.get(name, name) if is_old else name
    # After `@`, a version that begins with `=` would be ambiguous, and `none` would not be a compiler.
    equals = (at and is_old) or version.startswith("=") or compiler == "none"
    return f"{name}@={version}" if equals else f"{name}{at}{version}"


def is_spelled_as_spack_1(generation: str) -> bool:
    """Return whether pages of a generation, or made from a database of it, spell names as Spack has done since 1.0.

    Examples
    --------
    >>> from cachestats.spack_releases import is_spelled_as_spack_1
    >>> is_spelled_as_spack_1("g3"), is_spelled_as_spack_1("g4")
    (False, True)
    >>> is_spelled_as_spack_1("db7"), is_spelled_as_spack_1("db8")
    (False, True)
    """
    return _SPELLED_AS_SPACK_1.fullmatch(generation) is not None
