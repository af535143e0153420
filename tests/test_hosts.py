"""Hosts: what goes together, and how a machine is found out."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

import cachestats as cs
from cachestats import hosts
from cachestats.errors import ArgumentError
from cachestats.hosts import Host, libc_of_ldd, linux_libc, linux_os, macos_name, os_of_release, resolve_host
from cachestats.packages_yaml import DeclaredExternal

MUSL = "musl libc (x86_64)\nVersion 1.2.4\nDynamic Program Loader\nUsage: ld-musl-x86_64.so.1 [options] [--] program\n"


@pytest.mark.parametrize(
    ("described", "os", "libc", "platform"),
    [
        (Host("zen4"), None, None, "linux"),
        (Host("zen4", os="rhel9"), "rhel9", "glibc@2.34", "linux"),
        (Host("zen4", os="rocky8.9"), "rocky8", "glibc@2.28", "linux"),
        (Host("zen4", os="sles15.6"), "sles15", "glibc@2.38", "linux"),
        (Host("zen4", os="rhel9", libc="glibc@2.40"), "rhel9", "glibc@2.40", "linux"),
        (Host("zen4", os="unheard7", libc="glibc@=2.31"), "unheard7", "glibc@2.31", "linux"),
        (Host("zen4", libc="musl@1.2.5"), None, "musl@1.2.5", "linux"),
        (Host("m2", os="sonoma"), "sonoma", None, "darwin"),
        (Host("m2", os="sonoma", platform="darwin"), "sonoma", None, "darwin"),
        (Host("m2", os="mojave", platform="darwin"), "mojave", None, "darwin"),
        (Host("zen4", os="windows10.0.20348"), "windows10.0.20348", None, "windows"),
        (Host("zen2", os="sles15", platform="cray"), "sles15", None, "cray"),
        (Host("zen2", os="cnl7", platform="cray"), "cnl7", None, "cray"),
        (Host("unheard_of"), None, None, "linux"),
    ],
)
def test_an_operating_system_brings_its_libc_and_platform(
    described: Host, os: str | None, libc: str | None, platform: str
) -> None:
    assert (described.os, described.libc, described.platform) == (os, libc, platform)
    assert described.libc_prefix == "/usr"
    assert described.is_complete == (os is not None or libc is not None)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"target": ""}, "expected the name of one target, found ''", "Host("),
        ({"target": None}, "expected the name of one target, found None", "Host("),
        ({"target": "zen 4"}, "expected the name of one target, found 'zen 4'", "Host("),
        ({"target": "zen4:rhel9"}, "expected the name of one target, found 'zen4:rhel9'", "Host("),
        ({"os": "rhel\n9"}, "expected the name of one os, found 'rhel\\n9'", "Host("),
        ({"os": 9}, "expected the name of one os, found 9", "Host("),
        ({"platform": ""}, "expected the name of one platform, found ''", "Host("),
        ({"os": "rhel99"}, "expected an operating system whose libc is known, found 'rhel99'", "try rhel9"),
        ({"os": "qqq"}, "expected an operating system whose libc is known, found 'qqq'", "set its libc"),
        ({"os": "alpine3"}, "expected an operating system whose libc is known, found 'alpine3'", "--libc"),
        ({"libc": "glibc"}, "expected a libc with its version, such as glibc@2.34, found 'glibc'", "ldd"),
        ({"libc": "musl@"}, "expected a libc with its version, such as musl@1.2.5, found 'musl@'", "ldd"),
        ({"libc": "glibc@abc"}, "expected a libc with its version, such as glibc@2.34, found 'glibc@abc'", "ldd"),
        ({"libc": "glibc@2.34,2"}, "expected a libc with its version, such as glibc@2.34, found", "ldd"),
        ({"libc": "2.34"}, "expected a libc that Spack knows, glibc or musl, found '2.34'", "try glibc@VERSION"),
        ({"libc": "gilbc@2.34"}, "expected a libc that Spack knows, glibc or musl, found", "try glibc@2.34"),
        ({"libc": "mussl@1"}, "expected a libc that Spack knows, glibc or musl, found 'mussl@1'", "try musl@1"),
        ({"os": "sonoma", "libc": "glibc@2.34"}, "expected no libc on darwin, where Spack compares none", "leave out"),
        ({"os": "windows10", "libc": "musl@1"}, "expected no libc on windows", "leave out"),
        ({"platform": "cray", "libc": "glibc@2.34"}, "expected no libc on cray", "leave out"),
        (
            {"os": "sonoma", "platform": "linux"},
            "expected the platform darwin with the operating system sonoma",
            "leave",
        ),
        ({"os": "rhel9", "platform": "darwin"}, "expected the platform linux with the operating system rhel9", "leave"),
        ({"os": "windows10", "platform": "cray"}, "expected the platform windows with the operating", "leave out"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Host(**({"target": "zen4"} | arguments))
    assert caught.value.message.startswith(message)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("zen4", Host("zen4")),
        ("zen4:rhel9", Host("zen4", os="rhel9")),
        ("zen4:glibc@2.34", Host("zen4", libc="glibc@2.34")),
        ("zen4:rhel9:glibc@2.40", Host("zen4", os="rhel9", libc="glibc@2.40")),
        ("m2:sonoma", Host("m2", os="sonoma")),
    ],
)
def test_a_text_describes_a_host(text: str, host: Host) -> None:
    assert Host.parse(text) == host


@pytest.mark.parametrize("text", ["", ":", ":rhel9", "zen4:", "zen4:rhel9:rhel8", "zen4:glibc@1:glibc@2", "a:b:c@1:d"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected TARGET:OS, TARGET:LIBC or host") as caught:
        Host.parse(text)
    assert caught.value.hint is not None
    assert "zen4:rhel9" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (Host("zen4", os="rhel9"), "zen4 with rhel9 (glibc 2.34)"),
        (Host("zen4", libc="musl@1.2.5"), "zen4 with musl 1.2.5"),
        (Host("zen4"), "zen4 with any linux"),
        (Host("m2", os="sonoma"), "m2 with sonoma"),
        (Host("m2", platform="darwin"), "m2 with any darwin"),
    ],
)
def test_a_host_is_named_in_words(host: Host, words: str) -> None:
    assert str(host) == words


def test_a_host_is_a_value() -> None:
    externals = [DeclaredExternal.parse("cuda", prefix="/usr")]
    host = Host("zen4", os="rhel9", externals=externals)  # type: ignore[arg-type]
    assert host.externals == tuple(externals)
    assert hash(host) == hash(replace(host))
    assert replace(Host("zen4"), libc="glibc@2.28") == Host("zen4", libc="glibc@2.28")


@pytest.mark.parametrize(
    ("text", "os"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n', "debian12"),
        ('ID=ubuntu\nVERSION_ID="22.04"\n', "ubuntu22.04"),
        ('ID="rhel"\nVERSION_ID="9.4"\n', "rhel9"),
        ("ID='ol'\nVERSION_ID='8.9'\n", "oracle8"),
        ('ID="opensuse-leap"\nVERSION_ID="15.5"\n', "opensuse15"),
        ("ID=alpine\nVERSION_ID=3.20.1\n", "alpine3"),
        ('ID="sle_hpc"\nVERSION_ID="15.4"\n', "sle_hpc15"),
        ('ID="amzn"\nVERSION_ID="2023"\n', "amzn2023"),
        ("ID=arch\n", "arch"),
        ("# ID=other\n\n  ID=Red Hat\nVERSION_ID=9\nrubbish\nNAME='it\n", "red_hat9"),
        ("VERSION_ID=9\n", None),
        ("ID=\n", None),
        ("", None),
    ],
)
def test_os_release_names_the_operating_system(text: str, os: str | None) -> None:
    assert os_of_release(text) == os


@pytest.mark.parametrize(
    ("text", "libc"),
    [
        ("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright (C) 2022\n", "glibc@2.36"),
        ("ldd (Ubuntu GLIBC 2.35-0ubuntu3.8) 2.35\n", "glibc@2.35"),
        ("ldd (GNU libc) 2.34\n", "glibc@2.34"),
        (MUSL, "musl@1.2.4"),
        ("ldd: unknown option\n", None),
        ("", None),
    ],
)
def test_ldd_names_the_libc(text: str, libc: str | None) -> None:
    assert libc_of_ldd(text) == libc


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("14.5", "sonoma"),
        ("26.0", "tahoe"),
        ("10.15.7", "catalina"),
        ("10.14.6", "macos"),
        ("99", "macos"),
        ("", "macos"),
    ],
)
def test_macos_is_named(version: str, name: str) -> None:
    assert macos_name(version) == name


def program(path: Path, text: str, *, code: int = 0, stream: int = 1) -> None:
    """Write a program that prints a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat >&{stream} <<'END'\n{text}END\nexit {code}\n")
    path.chmod(0o755)


def test_the_libc_of_a_root_comes_from_its_loader_or_ldd(tmp_path: Path) -> None:
    assert linux_libc(tmp_path) is None
    program(tmp_path / "bin/ldd", "ldd (GNU libc) 2.28\n")
    assert linux_libc(tmp_path) == "glibc@2.28"
    program(tmp_path / "usr/bin/ldd", "ldd: no such option\n", code=1)
    assert linux_libc(tmp_path) == "glibc@2.28"
    program(tmp_path / "lib/ld-musl-x86_64.so.1", MUSL, code=1, stream=2)
    assert linux_libc(tmp_path) == "musl@1.2.4"
    (tmp_path / "lib/ld-musl-x86_64.so.1").chmod(0o644)
    assert linux_libc(tmp_path) == "glibc@2.28"


def test_a_program_that_hangs_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_SECONDS_TO_WAIT", 0.1)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ldd").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin/ldd").chmod(0o755)
    assert linux_libc(tmp_path) is None


def test_the_operating_system_of_a_root_comes_from_os_release(tmp_path: Path) -> None:
    assert linux_os(tmp_path) is None
    for place, text in (("usr/lib", "ID=fedora\nVERSION_ID=40\n"), ("etc", "ID=rocky\nVERSION_ID=9.3\n")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "os-release").write_text(text)
        assert linux_os(tmp_path) == ("fedora40" if place == "usr/lib" else "rocky9")
    (tmp_path / "etc/os-release").write_bytes(b"NAME=\xff\n")
    assert linux_os(tmp_path) == "fedora40"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make this machine a zen4 with rocky9 and a glibc that is not the usual one."""
    monkeypatch.setattr(hosts, "host_target", lambda: "zen4")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(hosts, "linux_os", lambda root: "rocky9")
    monkeypatch.setattr(hosts, "linux_libc", lambda root: "musl@1.2.5")
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.99", raising=False)
    return monkeypatch


def test_this_machine_is_a_host(machine: pytest.MonkeyPatch) -> None:
    this = Host("zen4", os="rocky9", libc="glibc@2.99")
    assert cs.host() == Host.parse("host") == resolve_host("host", os="host") == this
    assert resolve_host("icelake", os="host") == replace(this, target="icelake")
    assert resolve_host("host", os="rhel8") == Host("zen4", os="rhel8")
    assert resolve_host("host", libc="glibc@2.28") == Host("zen4", libc="glibc@2.28")
    assert resolve_host("host", os="host", libc="glibc@2.28") == Host("zen4", os="rocky9", libc="glibc@2.28")
    assert resolve_host("host", platform="linux") == this
    assert resolve_host("host", platform="darwin") == Host("zen4", platform="darwin")
    assert resolve_host("zen2") == Host("zen2")


@pytest.mark.parametrize("fault", [None, "", OSError(), ValueError(), AttributeError()])
def test_where_python_knows_no_glibc_the_loader_is_asked(machine: pytest.MonkeyPatch, fault: object) -> None:
    def confstr(name: str) -> object:
        if isinstance(fault, Exception):
            raise fault
        return fault

    machine.setattr(os, "confstr", confstr)
    assert cs.host().libc == "musl@1.2.5"
    machine.setattr(hosts, "linux_libc", lambda root: None)
    with pytest.raises(ArgumentError, match=r"expected the libc of this machine .*ld-musl.*ldd, found none") as caught:
        cs.host()
    assert caught.value.hint is not None
    assert "--libc" in caught.value.hint


def test_an_operating_system_without_a_name_is_refused(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(hosts, "linux_os", lambda root: None)
    with pytest.raises(
        ArgumentError, match=r"expected the operating system .* in /etc/os-release or /usr/lib/"
    ) as caught:
        cs.host()
    assert caught.value.hint is not None
    assert "--os" in caught.value.hint
    assert resolve_host("host", libc="glibc@2.28").target == "zen4"


def test_macos_and_windows_are_hosts(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(platform, "system", lambda: "Darwin")
    machine.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    assert cs.host() == Host("zen4", os="sonoma")
    machine.setattr(platform, "mac_ver", lambda: ("99.0", ("", "", ""), "arm64"))
    assert cs.host() == Host("zen4", os="macos", platform="darwin")
    machine.setattr(platform, "system", lambda: "Windows")
    machine.setattr(platform, "version", lambda: "10.0.20348")
    assert cs.host() == Host("zen4", os="windows10.0.20348")


def test_another_system_is_refused(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(platform, "system", lambda: "FreeBSD")
    with pytest.raises(ArgumentError, match="expected this machine to be one of Linux, Darwin, Windows, found FreeBSD"):
        cs.host()


@pytest.mark.skipif(platform.system() != "Linux", reason="it asks this Linux")
def test_this_very_machine_can_be_found_out() -> None:
    found = cs.host()
    assert found.platform == "linux"
    assert found.os
    assert re.fullmatch(r"(glibc|musl)@[0-9.]+", found.libc or "")
