"""Hosts: descriptions of machines, and the detection of this machine."""

from __future__ import annotations

import os
import platform as this_machine
import re
import shlex
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.errors import ArgumentError
from cachestats.regular import read_regular
from cachestats.requirement import LIBC_PREFIX
from cachestats.spack_releases import MACOS_NAMES, canonical_os, known_oses, platform_of_os, usual_libc
from cachestats.targets import host_target
from cachestats.text import nearest

if TYPE_CHECKING:
    from cachestats.packages_yaml import DeclaredExternal

THIS_MACHINE = "host"
"""The word for this machine in place of a target, an operating system or a whole host."""

LIBCS = {"glibc": "glibc@2.34", "musl": "musl@1.2.5"}
"""The libcs that Spack knows, each with an example."""

_PLATFORMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}
_LIBC_VERSION = re.compile(r"[0-9][A-Za-z0-9._-]*")
_LDD_OF_GLIBC = re.compile(r"ldd \(.*\) ([0-9.]+)")
_LDD_OF_MUSL = re.compile(r"musl libc .*\nVersion ([0-9.]+)")
_LOADER_OF_MUSL = "lib/ld-musl-*.so.1"
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_LDD = ("usr/bin/ldd", "bin/ldd")
_SECONDS_TO_WAIT = 10


@dataclass(frozen=True)
class Host:
    """A machine on which binaries are to be reused.

    Parameters
    ----------
    target
        Its microarchitecture, such as `zen4`. If archspec does not know it, the machine runs only binaries built for
        exactly this target.
    os
        Its operating system in Spack's spelling, such as `rhel9`; a minor release is dropped. None if it does not
        matter: on Linux, Spack has not compared it since 0.22.
    libc
        Its libc, such as `glibc@2.34`, which Spack expects in `/usr`. By default, the libc of the operating system.
        On Linux, None means no particular libc.
    platform
        Its platform, such as `linux`, `darwin` or `windows`. By default, the platform of the operating system, and
        otherwise `linux`.
    externals
        The externals that its `packages.yaml` declares, from `read_packages`. None if they are not known.

    Attributes
    ----------
    target, os, libc, platform, externals
        As given, with defaults filled in and names in Spack's spelling.

    Raises
    ------
    ArgumentError
        If a name is empty; if Spack knows no such libc, or its version does not begin with a number; if operating
        system, libc and platform are inconsistent; or if the libc is not given and that of the operating system is not
        known.

    Examples
    --------
    >>> import cachestats as cs
    >>> host = cs.Host(target="zen4", os="rhel9")
    >>> host.libc, host.platform, str(host)
    ('glibc@2.34', 'linux', 'zen4 with rhel9 (glibc 2.34)')
    >>> cs.Host(target="m2", os="sonoma").platform
    'darwin'
    """

    target: str
    os: str | None = None
    libc: str | None = None
    platform: str | None = None
    externals: tuple[DeclaredExternal, ...] | None = None

    def __post_init__(self) -> None:
        _check_name("target", self.target)
        for what, name in (("os", self.os), ("libc", self.libc), ("platform", self.platform)):
            if name is not None:
                _check_name(what, name)
        platform = _checked_platform(self.platform, self.os)
        libc = self.libc
        if libc is not None:
            libc = _checked_libc(libc)
            if platform != "linux":
                raise ArgumentError(
                    f"expected no libc on {platform}, where Spack compares none, found {libc}",
                    hint="leave out the libc",
                )
        elif platform == "linux" and self.os is not None:
            libc = _libc_of_os(self.os)
        object.__setattr__(self, "platform", platform)
        object.__setattr__(self, "libc", libc)
        object.__setattr__(self, "os", None if self.os is None else canonical_os(self.os))
        if self.externals is not None:
            object.__setattr__(self, "externals", _checked_externals(self.externals))

    def __str__(self) -> str:
        return f"{self.target} with {self.system}"

    @property
    def system(self) -> str:
        """The operating system and the libc in words, such as `rhel9 (glibc 2.34)`."""
        libc = None if self.libc is None else self.libc.replace("@", " ")
        if self.os is None:
            return libc or f"any {self.platform}"
        return f"{self.os}{f' ({libc})' if libc else ''}"

    @property
    def libc_prefix(self) -> str:
        """The location in which Spack looks for the libc."""
        return LIBC_PREFIX

    @property
    def is_complete(self) -> bool:
        """Whether reuse can be decided for the machine, that is, whether its operating system or its libc is known."""
        return self.os is not None or self.libc is not None

    @classmethod
    def parse(
        cls, text: str, *, platform: str | None = None, externals: tuple[DeclaredExternal, ...] | None = None
    ) -> Host:
        """Return the host described by a text such as `zen4:rhel9`, `zen4:glibc@2.34`, `zen4` or `host`.

        Parameters
        ----------
        text
            The target, and after a colon the operating system or the libc. `host` stands for this machine.
        platform, externals
            As in `Host`.

        Returns
        -------
        Host
            The host.

        Raises
        ------
        ArgumentError
            If the text does not have one of these forms, or as in `Host`.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.Host.parse("zen4:glibc@2.34").libc, cs.Host.parse("zen4:rhel9").os
        ('glibc@2.34', 'rhel9')
        """
        target, *others = text.split(":")
        oses = [part for part in others if "@" not in part]
        libcs = [part for part in others if "@" in part]
        if not target or not all(others) or len(oses) > 1 or len(libcs) > 1:
            raise ArgumentError(
                f"expected TARGET:OS, TARGET:LIBC or {THIS_MACHINE}, found {text!r}",
                hint=f"such as zen4:rhel9, zen4:glibc@2.34, or {THIS_MACHINE} for this machine",
            )
        return resolve_host(
            target, os=next(iter(oses), None), libc=next(iter(libcs), None), platform=platform, externals=externals
        )


def host() -> Host:
    """Return this machine: its microarchitecture, operating system and libc.

    Returns
    -------
    Host
        The machine.

    Raises
    ------
    ArgumentError
        If one of them cannot be detected; the message names the places that were examined.

    Examples
    --------
    >>> import cachestats as cs
    >>> this = cs.host()
    >>> this.target in cs.runnable(this.target), this.is_complete
    (True, True)
    """
    return resolve_host(THIS_MACHINE)


def resolve_host(
    target: str,
    *,
    os: str | None = None,
    libc: str | None = None,
    platform: str | None = None,
    externals: tuple[DeclaredExternal, ...] | None = None,
) -> Host:
    """Return a host; `target` and `os` may be `host`, which stands for those of this machine.

    The target of this machine implies its operating system and libc, unless others are given; its operating system
    implies its libc.

    Examples
    --------
    >>> from cachestats.hosts import resolve_host
    >>> str(resolve_host("zen4", os="rhel9"))
    'zen4 with rhel9 (glibc 2.34)'
    """
    if target == THIS_MACHINE:
        target = host_target()
        if os is None and libc is None and platform in (None, _this_platform()):
            os = THIS_MACHINE
    if os == THIS_MACHINE:
        os = _this_os()
        platform = platform or _this_platform()
        libc = libc or (_this_libc() if platform == "linux" else None)
    return Host(target, os=os, libc=libc, platform=platform, externals=externals)


class _NamedHost(Host):
    """A host described by names from a cache, which may be any text and are neither checked nor changed."""

    def __post_init__(self) -> None:
        pass


def as_named(host: Host) -> Host:
    """Return a copy of a host for which `replace` accepts any name from a cache.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from cachestats.hosts import Host, as_named
    >>> replace(as_named(Host("zen4", os="rhel9")), target="a b").target
    'a b'
    """
    return _NamedHost(**{field.name: getattr(host, field.name) for field in fields(Host)})


def host_of(target: str, platform: str | None, os: str) -> Host:
    """Return a host with an operating system on which binaries were built, whatever its name is.

    If the libc of the operating system is not known, the host has none; `judge` then assumes that binaries built on the
    same operating system run.

    Examples
    --------
    >>> from cachestats.hosts import host_of
    >>> host_of("zen4", "linux", "rhel9").libc, host_of("zen4", "linux", "unheard").libc
    ('glibc@2.34', None)
    """
    return _NamedHost(target, os, usual_libc(os) if platform == "linux" else None, platform)


def as_host(host: Host | str) -> Host:
    """Return a host that is given as a `Host` or as text.

    Raises
    ------
    ArgumentError
        If it is neither of these.
    """
    if isinstance(host, Host):
        return host
    if isinstance(host, str):
        return Host.parse(host)
    raise ArgumentError(f"expected a host, found {host!r}", hint="pass cachestats.Host(target='zen4', os='rhel9')")


def os_of_release(text: str) -> str | None:
    r"""Return Spack's name of the operating system that an `/etc/os-release` describes; None if it names none.

    Examples
    --------
    >>> from cachestats.hosts import os_of_release
    >>> os_of_release('NAME="Red Hat Enterprise Linux"\nID="rhel"\nVERSION_ID="9.4"\n')
    'rhel9'
    """
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals:
            try:
                values[key] = " ".join(shlex.split(value))
            except ValueError:  # an unclosed quotation
                values[key] = value
    name = values.get("ID", "").lower().replace(" ", "_")
    return canonical_os(name + values.get("VERSION_ID", "")) if name else None


def libc_of_ldd(text: str) -> str | None:
    r"""Return the libc named in the output of `ldd --version` or of the loader of musl.

    Examples
    --------
    >>> from cachestats.hosts import libc_of_ldd
    >>> libc_of_ldd("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright ...")
    'glibc@2.36'
    >>> libc_of_ldd("musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader")
    'musl@1.2.5'
    """
    if found := _LDD_OF_MUSL.match(text):
        return f"musl@{found[1]}"
    found = _LDD_OF_GLIBC.match(text)
    return f"glibc@{found[1]}" if found else None


def linux_os(root: Path) -> str | None:
    """Return Spack's name of the Linux installed in a folder; None if it does not identify itself."""
    for path in _OS_RELEASE:
        try:
            text = read_regular(root / path).decode("utf-8", "replace")
        except OSError:
            continue
        if found := os_of_release(text):
            return found
    return None


def linux_libc(root: Path) -> str | None:
    """Return the libc of the Linux installed in a folder; None if it cannot be detected.

    This runs the loader of musl, and otherwise `ldd`. Nothing else is run.
    """
    for program in [*sorted(root.glob(_LOADER_OF_MUSL)), *(root / path for path in _LDD)]:
        if found := libc_of_ldd(_output(program)):
            return found
    return None


def _output(program: Path) -> str:
    """Return the output of a program run with `--version`; an empty string if it cannot be run."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        # The loader of musl prints its version on stderr and fails.
        done = subprocess.run(  # noqa: S603 (a fixed path, and no input)
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=_SECONDS_TO_WAIT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _this_platform() -> str:
    system = this_machine.system()
    if system not in _PLATFORMS:
        raise ArgumentError(
            f"expected this machine to be one of {', '.join(_PLATFORMS)}, found {system or 'nothing'}",
            hint="describe the host: target, os and platform",
        )
    return _PLATFORMS[system]


def _this_os() -> str:
    platform = _this_platform()
    if platform == "windows":
        return f"windows{this_machine.version()}"
    if platform == "darwin":
        return macos_name(this_machine.mac_ver()[0])
    found = linux_os(Path("/"))
    if found is None:
        raise ArgumentError(
            f"expected the operating system of this machine in /{' or /'.join(_OS_RELEASE)}, found none",
            hint="set it with `os` (--os), such as rhel9, or its libc with `libc` (--libc), such as glibc@2.34",
        )
    return found


def macos_name(version: str) -> str:
    """Return Spack's name of a version of macOS: `macos` for one that it does not know.

    Examples
    --------
    >>> from cachestats.hosts import macos_name
    >>> macos_name("14.5"), macos_name("10.15.7"), macos_name("99.0")
    ('sonoma', 'catalina', 'macos')
    """
    parts = version.split(".")
    return MACOS_NAMES.get(".".join(parts[: 2 if parts[0] == "10" else 1]), "macos")


def _this_libc() -> str:
    try:
        # Ask for the libc of this process. `platform.libc_ver` falls back on the libc to which Python was linked, which
        # may be older.
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):  # not glibc, or not Unix
        name = version = ""
    found = f"{name}@{version}" if name == "glibc" else linux_libc(Path("/"))
    if found is None:
        raise ArgumentError(
            f"expected the libc of this machine from Python, /{_LOADER_OF_MUSL} or /{' or /'.join(_LDD)}, found none",
            hint="set it with `libc` (--libc), such as glibc@2.34",
        )
    return found


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & {" ", ":"}:
        raise ArgumentError(
            f"expected the name of one {what}, found {name!r}", hint="such as Host(target='zen4', os='rhel9')"
        )


def _checked_externals(externals: object) -> tuple[DeclaredExternal, ...]:
    from cachestats.packages_yaml import DeclaredExternal

    found = tuple(externals) if isinstance(externals, list | tuple) else (None,)
    declared = tuple(one for one in found if isinstance(one, DeclaredExternal))
    if len(declared) < len(found):
        raise ArgumentError(
            f"expected externals from `read_packages`, found {externals!r}",
            hint="such as externals=cachestats.read_packages('packages.yaml')",
        )
    return declared


def _checked_platform(platform: str | None, os: str | None) -> str:
    if os is None:
        return platform or "linux"
    usual = platform_of_os(os)
    # Old Crays have Linux under a platform of their own, and Spack knows releases of macOS that are not in the list.
    is_foreign = usual != "linux" or (platform in ("darwin", "windows") and usual_libc(os) is not None)
    if platform is not None and platform != usual and is_foreign:
        raise ArgumentError(
            f"expected the platform {usual} with the operating system {os}, found {platform}",
            hint="leave out the platform",
        )
    return platform or usual


def _checked_libc(libc: str) -> str:
    name, _, version = libc.partition("@")
    version = version.removeprefix("=")
    if name not in LIBCS:
        near = nearest([name], LIBCS, 1) or ["glibc"]
        raise ArgumentError(
            f"expected a libc that Spack knows, {' or '.join(LIBCS)}, found {libc!r}",
            hint=f"try {near[0]}@{version or 'VERSION'}",
        )
    if not _LIBC_VERSION.fullmatch(version):
        raise ArgumentError(
            f"expected a libc with its version, such as {LIBCS[name]}, found {libc!r}",
            hint="`ldd --version` prints it",
        )
    return f"{name}@{version}"


def _libc_of_os(os: str) -> str:
    libc = usual_libc(os)
    if libc is None:
        near = ", ".join(nearest([os], known_oses()))
        raise ArgumentError(
            f"expected an operating system whose libc is known, found {os!r}",
            hint=f"{f'try {near}, or ' if near else ''}set its libc with `libc` (--libc), such as glibc@2.34",
        )
    return libc
