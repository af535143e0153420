"""The verb `host`, and the options by which a verb is asked about a machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import cachestats as cs
from cachestats import hosts
from cachestats.cli import cli
from cachestats.cli.parameters import dataset_argument, host_options
from cachestats.errors import ArgumentError, SourceError
from cachestats.hosts import Host
from cachestats.packages_yaml import DeclaredExternal

THIS = Host("zen4", os="rocky9", libc="glibc@2.34")
PACKAGES = "packages: {cuda: {externals: [{spec: cuda@12.4 %gcc@12, prefix: /usr/local/cuda}]}}"

Ask = Callable[..., tuple[Host | None, str | None]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make this machine a zen4 with rocky9."""
    monkeypatch.setattr(hosts, "host_target", lambda: "zen4")
    monkeypatch.setattr(hosts, "_this_platform", lambda: "linux")
    monkeypatch.setattr(hosts, "_this_os", lambda: "rocky9")
    monkeypatch.setattr(hosts, "_this_libc", lambda: "glibc@2.34")
    return monkeypatch


@pytest.fixture
def ask() -> Ask:
    """Return how to ask a verb with the options, and what it is then called with."""

    def asked(*arguments: object) -> tuple[Host | None, str | None]:
        called: dict[str, Any] = {}

        @click.command()
        @host_options
        def verb(**options: Any) -> None:
            called.update(options)

        CliRunner().invoke(verb, [*map(str, arguments)], catch_exceptions=False)
        assert called.keys() == {"host", "spack"}
        return called["host"], called["spack"]

    return asked


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ("", None),
        ("--target zen4", Host("zen4")),
        ("--target zen4 --os rhel9", Host("zen4", os="rhel9")),
        ("--target zen4 --libc glibc@2.34", Host("zen4", libc="glibc@2.34")),
        ("--target zen4 --os rhel9 --libc glibc@2.40", Host("zen4", os="rhel9", libc="glibc@2.40")),
        ("--target m2 --os sonoma", Host("m2", os="sonoma")),
        ("--target m2 --platform darwin", Host("m2", platform="darwin")),
        ("--target host", THIS),
        ("--target host --os host", THIS),
        ("--host host", THIS),
        ("--target host --os rhel8", Host("zen4", os="rhel8")),
        ("--target host --libc glibc@2.28", Host("zen4", libc="glibc@2.28")),
        ("--target zen2 --os host", Host("zen2", os="rocky9")),
        ("--host zen4:rhel9", Host("zen4", os="rhel9")),
        ("--host zen4:glibc@2.34", Host("zen4", libc="glibc@2.34")),
        ("--host m2 --platform darwin", Host("m2", platform="darwin")),
        ("--host host:rhel8", Host("zen4", os="rhel8")),
    ],
)
def test_options_describe_a_machine(arguments: str, host: Host | None, ask: Ask, machine: pytest.MonkeyPatch) -> None:
    assert ask(*arguments.split()) == (host, None)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            "--host zen4 --target zen4",
            "expected a host by --host or by --target, --os and --libc, found",
            "leave out",
        ),
        ("--host zen4 --os rhel9 --libc glibc@2", "found --host with --os and --libc", "leave out --os and --libc"),
        ("--os rhel9", "expected --target with --os, found none", "--target host"),
        ("--libc glibc@2.34 --os rhel9", "expected --target with --os and --libc, found none", "--target"),
        ("--platform darwin", "expected --target with --platform, found none", "--target"),
        ("--externals none.yaml", "expected --target with --externals, found none", "--target"),
        ("--target zen44", "expected a target that archspec or the dataset knows, found 'zen44'", "try zen4"),
        ("--target xqxqx", "expected a target that archspec or the dataset knows, found 'xqxqx'", "try zen4, neo"),
        ("--host zen4:", "expected TARGET:OS, TARGET:LIBC or host, found 'zen4:'", "zen4:rhel9"),
        ("--target zen4 --os rhel99", "expected an operating system whose libc is known, found 'rhel99'", "rhel9"),
        ("--target zen4 --libc glibc@abc", "expected a libc with its version", "ldd"),
        ("--spack 0.9", "expected a version of Spack from 0.13 to 0.23 or from 1.0 to 1.3", "0.13"),
        ("--target zen4 --spack 3.0", "expected a version of Spack", "1.3"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: str, message: str, hint: str, ask: Ask) -> None:
    with pytest.raises(ArgumentError) as caught:
        ask(*arguments.split())
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_a_release_of_spack_is_chosen_with_and_without_a_machine(ask: Ask) -> None:
    assert ask("--spack", "0.22.1") == (None, "0.23")
    assert ask("--spack", "newest", "--target", "zen4") == (Host("zen4"), "1.1")


def test_files_declare_externals(ask: Ask, tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("packages: {mpich: {externals: [{spec: mpich@4, prefix: /opt/mpich}]}}")
    other.write_text(PACKAGES)
    mpich = DeclaredExternal.parse("mpich@4", prefix="/opt/mpich")
    cuda = DeclaredExternal.parse("cuda@12.4 %gcc@12", prefix="/usr/local/cuda")
    for machine in (["--target", "zen4", "--os", "rhel9"], ["--host", "zen4:rhel9"]):
        host, _ = ask(*machine, "--externals", one, "--externals", other)
        assert host == Host("zen4", os="rhel9", externals=(mpich, cuda))
    one.write_text("packages: {}")
    host, _ = ask("--target", "zen4", "--externals", one)
    assert host == Host("zen4", externals=())
    one.write_text("packages: []")
    with pytest.raises(SourceError, match="expected keys and values"):
        ask("--target", "zen4", "--externals", one)


def test_what_is_not_checked_is_said_on_stderr(tmp_path: Path) -> None:
    @click.command()
    @host_options
    def verb(**options: Any) -> None:
        click.echo("the answer")

    (tmp_path / "packages.yaml").write_text(PACKAGES)
    done = CliRunner().invoke(verb, ["--target", "zen4", "--externals", str(tmp_path / "packages.yaml")])
    assert done.stdout == "the answer\n"
    assert done.stderr == "not checked, because caches do not record it: %gcc@12 of cuda\n"


def test_a_target_of_the_dataset_is_known(mixed: cs.Dataset) -> None:
    @click.command()
    @dataset_argument
    @host_options
    def verb(*, host: Host, **options: Any) -> None:
        click.echo(host.target)

    done = CliRunner().invoke(verb, [str(mixed.path), "--target", "never_heard"], catch_exceptions=False)
    assert done.stdout == "never_heard\n"
    with pytest.raises(ArgumentError, match="found 'never_hear'") as caught:
        CliRunner().invoke(verb, [str(mixed.path), "--target", "never_hear"], catch_exceptions=False)
    assert str(caught.value.hint).startswith("try never_heard")


@pytest.mark.parametrize(
    ("host", "row", "options"),
    [
        (THIS, ["zen4", "rocky9", "glibc@2.34", "linux"], "--target zen4 --os rocky9"),
        (
            Host("zen4", os="arch", libc="glibc@2.42"),
            ["zen4", "arch", "glibc@2.42", "linux"],
            "--target zen4 --os arch --libc glibc@2.42",
        ),
        (Host("m2", os="sonoma"), ["m2", "sonoma", None, "darwin"], "--target m2 --os sonoma"),
        (
            Host("m2", os="macos", platform="darwin"),
            ["m2", "macos", None, "darwin"],
            "--target m2 --os macos --platform darwin",
        ),
    ],
)
def test_host_prints_this_machine_as_other_verbs_take_it(
    host: Host, row: list[str | None], options: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "host", lambda: host)
    done = CliRunner().invoke(cli, ["host", "--format", "json"], catch_exceptions=False)
    assert json.loads(done.stdout) == [dict(zip(("target", "os", "libc", "platform"), row, strict=True))]
    assert done.stderr == f"to ask about this machine from another one, use {options}\n"
    assert ask(*options.split()) == (host, None)


def test_host_prints_a_table() -> None:
    done = CliRunner().invoke(cli, ["host"], catch_exceptions=False)
    assert done.stdout.split()[:4] == ["target", "os", "libc", "platform"]
    assert hosts.host_target() in done.stdout
