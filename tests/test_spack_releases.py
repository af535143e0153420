"""What Spack changed and when: each table against literal facts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestats.errors import ArgumentError
from cachestats.naming import version_key
from cachestats.spack_releases import (
    MACOS,
    MACOS_NAMES,
    RULES,
    USUAL_LIBC,
    canonical_os,
    known_oses,
    platform_of_os,
    reuse_rules,
    rules_of_snapshot,
    rules_of_sources,
    runs_on_macos,
    spec_format_of,
    spec_format_of_database,
    usual_libc,
)


@pytest.mark.parametrize(
    ("rules", "versions"),
    [
        ("0.21", ["0.13", "0.13.4", "0.17.2", "0.21", "0.21.3", "v0.20.1"]),
        ("0.23", ["0.22", "0.22.5", "0.23", "v0.23.1"]),
        ("1.1", ["1.0", "1.0.2", "1.1", "v1.1.1", "1.2", "1.3", "newest"]),
    ],
)
def test_every_version_of_spack_has_rules(rules: str, versions: list[str]) -> None:
    assert {reuse_rules(version) for version in versions} == {rules}


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("0.9", "0.13"),
        ("0.12.1", "0.13"),
        ("3.0", "1.3"),
        ("2.0", "1.3"),
        ("1.4", "1.3"),
        ("0.24", "0.23"),
        ("0.99.1", "0.23"),
        ("abc", None),
        ("", None),
        ("1", None),
        ("1.1.1.1", None),
        ("v", None),
        ("1.1\n", None),
        ("\uff11.1", None),
        ("99999999999.0", None),
        ("Newest", None),
    ],
)
def test_what_is_no_version_of_spack_is_refused(text: str, near: str | None) -> None:
    with pytest.raises(ArgumentError) as caught:
        reuse_rules(text)
    assert (
        caught.value.message
        == f"expected a version of Spack from 0.13 to 0.23 or from 1.0 to 1.3, or newest, found {text!r}"
    )
    assert caught.value.hint is not None
    assert "0.21, 0.23, 1.1" in caught.value.hint
    assert (f"the nearest is {near}" in caught.value.hint) == (near is not None)


@pytest.mark.parametrize(
    ("rules", "snapshots"),
    [
        ("0.21", ["develop-2023-05-14", "develop-2024-04-30", "v0.17.0", "v0.21.3", "v0.9"]),
        ("0.23", ["develop-2024-05-01", "develop-2024-06-02", "develop-2025-03-29", "v0.22.0", "v0.23.1"]),
        ("1.1", ["develop-2025-03-30", "develop-2026-06-04", "develop", "v1.0.0", "v2025.07.0", "v1.1", "mine", ""]),
    ],
)
def test_a_snapshots_name_tells_its_rules(rules: str, snapshots: list[str]) -> None:
    assert {rules_of_snapshot(snapshot) for snapshot in snapshots} == {rules}


@pytest.mark.parametrize(
    ("generations", "names_libc", "rules"),
    [
        (["db8"], False, "1.1"),
        (["db9"], True, "1.1"),
        (["db12"], True, "1.1"),
        (["db7", "db8"], True, "1.1"),
        (["db7"], True, "0.23"),
        (["db7", "g3"], False, "0.21"),
        (["db6"], False, "0.21"),
        (["db0.9.2"], False, "0.21"),
        (["g3"], False, "0.23"),
        ([], False, "0.23"),
    ],
)
def test_an_index_tells_its_rules_better_than_the_name(generations: list[str], names_libc: bool, rules: str) -> None:
    assert rules_of_sources("develop-2024-06-02", generations, names_libc=names_libc) == rules


def test_formats() -> None:
    assert [spec_format_of(rules) for rules in RULES] == [4, 4, 5]
    assert [spec_format_of_database(str(version)) for version in range(4, 12)] == [None, 1, 3, 4, 5, 6, 6, 6]
    assert spec_format_of_database("0.9.3") == 1
    assert {spec_format_of_database(text) for text in ("0.8", "", "x", "-8", "8 ", "٨", "9" * 5000)} == {None}


@pytest.mark.parametrize(
    ("libc", "oses"),
    [
        ("glibc@2.17", ["centos7", "rhel7", "centos7.9"]),
        ("glibc@2.26", ["amzn2", "sles15.1"]),
        ("glibc@2.27", ["ubuntu18.04", "ubuntu18.04.6", "fedora28"]),
        ("glibc@2.28", ["debian10", "rhel8", "rocky8", "rocky8.9", "almalinux8", "ol8", "oracle8", "centos8"]),
        ("glibc@2.31", ["ubuntu20.04", "debian11", "sles15", "sle_hpc15", "opensuse-leap15", "sles15.5"]),
        ("glibc@2.34", ["rhel9", "almalinux9.4", "amzn2023", "fedora35", "ubuntu21.10"]),
        ("glibc@2.35", ["ubuntu22.04"]),
        ("glibc@2.36", ["debian12"]),
        ("glibc@2.38", ["sles15.6", "opensuse-leap15.6", "ubuntu23.10"]),
        ("glibc@2.39", ["ubuntu24.04", "rhel10", "fedora40"]),
        ("glibc@2.41", ["debian13", "fedora42"]),
        ("musl@1.2.4", ["alpine3.18", "alpine3.19.1"]),
        ("musl@1.2.5", ["alpine3.20", "alpine3.21"]),
        (None, ["alpine3", "debian", "debian99", "rhel90", "sonoma", "windows10.0.20348", "", "9", "cnl7", "ubuntu22"]),
    ],
)
def test_an_operating_system_has_its_usual_libc(libc: str | None, oses: list[str]) -> None:
    assert {name: usual_libc(name) for name in oses} == dict.fromkeys(oses, libc)


def test_a_newer_release_never_has_an_older_libc() -> None:
    for name in {name.rstrip("0123456789.") for name in USUAL_LIBC}:
        releases = sorted((known for known in USUAL_LIBC if known.rstrip("0123456789.") == name), key=version_key)
        # Without a service pack SUSE has the libc of most machines.
        releases = [known for known in releases if f"{known}.3" not in releases]
        for older, newer in pairwise(releases):
            assert version_key(USUAL_LIBC[older]) <= version_key(USUAL_LIBC[newer]), newer


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("rocky8.9", "rocky8"),
        ("ubuntu22.04.3", "ubuntu22.04"),
        ("ol9", "oracle9"),
        ("opensuse-leap15.5", "opensuse15"),
        ("opensusetumbleweed2.38", "opensusetumbleweed2.38"),
        ("windows10.0.20348", "windows10.0.20348"),
        ("sle_hpc15", "sle_hpc15"),
        ("debiansid", "debiansid"),
        ("", ""),
        ("9.4", "9.4"),
    ],
)
def test_an_operating_system_is_spelled_as_in_spack(text: str, canonical: str) -> None:
    assert canonical_os(text) == canonical


@given(st.one_of(st.sampled_from(known_oses()), st.text(max_size=12)))
def test_spelling_twice_changes_nothing(name: str) -> None:
    assert canonical_os(canonical_os(name)) == canonical_os(name)


def test_macos_runs_what_is_older() -> None:
    assert [name for name in MACOS if runs_on_macos(name, "sonoma")] == [
        "catalina",
        "bigsur",
        "monterey",
        "ventura",
        "sonoma",
    ]
    assert [runs_on_macos("mojave", name) for name in ("mojave", "catalina")] == [True, False]
    assert not runs_on_macos("catalina", "macos")
    assert tuple(dict.fromkeys(MACOS_NAMES.values())) == MACOS


def test_platforms() -> None:
    assert {platform_of_os(name) for name in MACOS} == {"darwin"}
    assert [platform_of_os(name) for name in ("windows10.0.20348", "rhel9", "unheard")] == ["windows", "linux", "linux"]
