"""What a host can reuse: each rule of each release of Spack in literal cases, and what must hold of all."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestats.analysis.reuse import STATUSES, Status, Verdict, distinct_libcs, judge, judge_all
from cachestats.hosts import Host
from cachestats.packages_yaml import DeclaredExternal
from cachestats.requirement import External, Requirement
from cachestats.spack_releases import MACOS, RULES, Rules
from cachestats.targets import runnable

LINUX = "platform=linux os=ubuntu22.04 target=x86_64_v3"
RHEL9 = Host("zen4", os="rhel9")
UBUNTU = Host("zen4", os="ubuntu22.04")
SONOMA = Host("m2", os="sonoma")
CUDA = "external='cuda@12.4.1 ~dev prefix=/usr/local/cuda'"
MPI = "external='cray-mpich@8.1 module=cray-mpich/8.1 module=gcc'"
DECLARES_CUDA = (DeclaredExternal.parse("cuda@12.4", prefix="/usr/local/cuda"),)


def verdict(text: str, host: Host, rules: Rules) -> tuple[Status, str | None]:
    found = judge(Requirement.parse(text), host, rules)
    return found.status, found.by


@pytest.mark.parametrize(
    ("text", "host", "of_each_rule"),
    [
        # Linux: the same operating system up to 0.21, then a libc that is new enough.
        (f"{LINUX} libc=glibc@2.35 format=5", UBUNTU, ["usable"] * 3),
        (f"{LINUX} libc=glibc@2.34 format=5", RHEL9, ["os ubuntu22.04", "usable", "usable"]),
        (f"{LINUX} libc=glibc@2.35 format=5", RHEL9, ["os ubuntu22.04", "libc glibc@2.35", "libc glibc@2.35"]),
        (f"{LINUX} libc=glibc@2.4 format=5", RHEL9, ["os ubuntu22.04", "usable", "usable"]),
        (f"{LINUX} os=rhel9 libc=glibc@2.35 format=5", UBUNTU, ["os rhel9", "usable", "usable"]),
        (f"{LINUX} libc=glibc@2.35 format=5", Host("zen4", libc="glibc@2.35"), ["os ubuntu22.04", "usable", "usable"]),
        (f"{LINUX} libc=glibc@2.35 format=5", Host("zen4"), ["os ubuntu22.04", "libc glibc@2.35", "libc glibc@2.35"]),
        (f"{LINUX} libc=musl@1.2.4 format=5", UBUNTU, ["usable", "libc musl@1.2.4", "libc musl@1.2.4"]),
        (
            f"{LINUX} libc=glibc@2.28 libc=musl@1.2.4 format=5",
            Host("zen4", libc="musl@1.2.5"),
            ["os ubuntu22.04", "libc glibc@2.28", "libc glibc@2.28"],
        ),
        (
            f"{LINUX} libc='glibc@2.28 prefix=/opt/glibc' libc=glibc@2.40 format=5",
            UBUNTU,
            ["usable", *["libc glibc@2.28 at /opt/glibc, glibc@2.40"] * 2],
        ),
        # A spec without a libc: refused by 0.23, not compared by 1.1.
        (f"{LINUX} libc=none format=5", UBUNTU, ["usable", "libc names no libc", "usable"]),
        (f"{LINUX} libc=glibc@2.35 libc=none format=5", UBUNTU, ["usable", "libc names no libc", "usable"]),
        (f"{LINUX} libc=none format=5", Host("zen4"), ["os ubuntu22.04", "libc names no libc", "usable"]),
        (f"{LINUX} libc=glibc@2.40 libc=none format=5", UBUNTU, ["usable", "libc names no libc", "libc glibc@2.40"]),
        # Pages: the libc is that of the operating system, where it is known.
        (f"{LINUX} libc=glibc@2.35 format=4 assumed", UBUNTU, ["usable", "usable", "format format 4"]),
        (f"{LINUX} format=5 assumed", UBUNTU, ["usable"] * 3),
        (f"{LINUX} libc=glibc@2.34 format=5 assumed", RHEL9, ["os ubuntu22.04", "usable", "usable"]),
        (f"{LINUX} format=5 assumed", RHEL9, ["os ubuntu22.04", "libc glibc@2.35", "libc glibc@2.35"]),
        (
            "platform=linux os=cnl7 target=zen4 format=5 assumed",
            UBUNTU,
            ["os cnl7", *["libc libc of cnl7 is not known"] * 2],
        ),
        # macOS and Windows.
        ("platform=darwin os=ventura target=aarch64 format=5", SONOMA, ["usable"] * 3),
        ("platform=darwin os=ventura os=sequoia target=m1 format=5", SONOMA, ["os sequoia"] * 3),
        ("platform=darwin os=sonoma target=m1 libc=none format=5", SONOMA, ["usable"] * 3),
        ("platform=darwin os=sonoma target=m1 format=5", Host("m2", platform="darwin"), ["os sonoma"] * 3),
        (
            "platform=windows os=windows10.0.20348 target=x86_64 format=5",
            Host("zen4", os="windows10.0.20348"),
            ["usable"] * 3,
        ),
        (
            "platform=windows os=windows10.0.20348 target=x86_64 format=5",
            Host("zen4", os="windows10.0.26100"),
            ["os windows10.0.20348"] * 3,
        ),
        ("platform=cray os=cnl7 target=x86_64 format=5", Host("zen4", os="cnl7", platform="cray"), ["usable"] * 3),
        # Platform and target.
        (f"{LINUX} format=5", SONOMA, ["platform linux"] * 3),
        ("platform=darwin platform=linux os=x target=zen4", UBUNTU, ["platform darwin"] * 3),
        (f"{LINUX} target=zen5 libc=glibc@2.35 format=5", UBUNTU, ["target zen5"] * 3),
        (f"{LINUX} target=zen5 target=m1 format=5", UBUNTU, ["target zen5, m1"] * 3),
        (f"{LINUX} libc=glibc@2.35 format=5", Host("unheard_of", os="ubuntu22.04"), ["target x86_64_v3"] * 3),
        ("platform=linux os=rhel9 target=unheard_of format=5", Host("unheard_of", os="rhel9"), ["usable"] * 3),
        # Formats and what is never reused count since 1.0.
        (f"{LINUX} libc=glibc@2.35 format=4", UBUNTU, ["usable", "usable", "format format 4"]),
        (f"{LINUX} libc=glibc@2.35 format=6", UBUNTU, ["usable"] * 3),
        (f"{LINUX} libc=glibc@2.35", UBUNTU, ["usable"] * 3),
        (
            f"{LINUX} libc=glibc@2.35 format=5 excluded=compiler-wrapper",
            UBUNTU,
            ["usable", "usable", "excluded compiler-wrapper"],
        ),
        # What is missing, and externals.
        (f"{LINUX} libc=glibc@2.35 format=5 missing=zlib/abc", UBUNTU, ["incomplete zlib/abc"] * 3),
        (f"{LINUX} libc=glibc@2.35 format=5 {CUDA}", UBUNTU, ["external cuda@12.4.1 at /usr/local/cuda"] * 3),
        (f"{LINUX} libc=glibc@2.35 format=5 {CUDA}", replace(UBUNTU, externals=DECLARES_CUDA), ["usable"] * 3),
        (
            f"{LINUX} libc=glibc@2.35 format=5 {CUDA} {MPI}",
            UBUNTU,
            ["external cuda@12.4.1 at /usr/local/cuda; cray-mpich@8.1 by module cray-mpich/8.1, gcc"] * 3,
        ),
        (
            f"{LINUX} libc=glibc@2.35 format=5 {CUDA} {MPI}",
            replace(UBUNTU, externals=DECLARES_CUDA),
            ["external cray-mpich@8.1 by module cray-mpich/8.1, gcc"] * 3,
        ),
        (
            f"{LINUX} libc=glibc@2.35 format=5 external='mpich@4 prefix=/opt/mpich module=mpich/4' external=x@1",
            replace(UBUNTU, externals=()),
            ["external mpich@4 at /opt/mpich by module mpich/4; x@1"] * 3,
        ),
        (
            "platform=darwin os=sonoma target=m1 format=5 external='apple-libuuid@1 prefix=/sdk'",
            SONOMA,
            ["usable"] * 3,
        ),
        (
            f"{LINUX} libc=glibc@2.35 format=5 external='apple-libuuid@1 prefix=/sdk'",
            UBUNTU,
            ["external apple-libuuid@1 at /sdk"] * 3,
        ),
    ],
)
def test_every_rule(text: str, host: Host, of_each_rule: list[str]) -> None:
    found = [" ".join(filter(None, verdict(text, host, rules))) for rules in RULES]
    assert found == of_each_rule


def test_the_first_thing_in_the_way_is_told() -> None:
    """Each step takes away what was told last, and the next one is told."""
    text = f"platform=x os=x target=zen5 libc=glibc@9 format=4 missing=m excluded=e {CUDA}"
    told = []
    for now, then in (
        ("excluded=e ", ""),
        ("platform=x", "platform=linux"),
        ("target=zen5", "target=zen4"),
        ("libc=glibc@9", "libc=glibc@2"),
        ("format=4 ", ""),
        ("missing=m ", ""),
        (CUDA, ""),
    ):
        told.append(verdict(text, RHEL9, "1.1")[0])
        text = text.replace(now, then).strip()
    assert told == ["excluded", "platform", "target", "libc", "format", "incomplete", "external"]
    assert verdict(text, RHEL9, "1.1") == ("usable", None)
    assert {*told, "native", "usable", "os"} == set(STATUSES) == set(get_args(Status))


names = st.sampled_from
some_requirements = st.builds(
    Requirement,
    platforms=st.lists(names(["linux", "darwin"]), min_size=1, max_size=1).map(tuple),
    oses=st.lists(names(["ubuntu22.04", "rhel9", "sonoma", "sequoia", "x"]), min_size=1, max_size=2).map(tuple),
    targets=st.lists(names(["zen4", "x86_64_v3", "m1", "aarch64", "x"]), min_size=1, max_size=2).map(tuple),
    libcs=st.lists(
        st.builds(
            External,
            name=names(["glibc", "glibc", "musl"]),
            version=names(["2.9", "2.28", "2.34", "1.2.5"]),
            prefix=names(["/usr", "/usr", "/opt"]),
        ),
        max_size=2,
    ).map(tuple),
    names_libc=st.booleans(),
    spec_format=names([None, 4, 5]),
    missing=names([None, None, "zlib/abc"]),
    excluded=names([None, None, "compiler-wrapper"]),
    externals=st.lists(names([External("cuda", "12.4.1", prefix="/usr/local/cuda")]), max_size=1).map(tuple),
    is_assumed=st.booleans(),
)
glibcs = ["2.9", "2.17", "2.28", "2.34", "2.35"]
some_hosts = st.one_of(
    st.builds(
        Host,
        target=names(["zen4", "zen2", "m2", "x"]),
        os=names([None, "ubuntu22.04", "rhel9"]),
        libc=names(["glibc@2.28", "musl@1.2.5", None]),
        externals=names([None, (), DECLARES_CUDA]),
    ),
    st.builds(Host, target=names(["m2", "zen4"]), os=names(MACOS[-4:]), externals=names([None, DECLARES_CUDA])),
)


def is_usable(requirement: Requirement, host: Host, rules: Rules) -> bool:
    return judge(requirement, host, rules).status == "usable"


@given(some_requirements, names(["zen4", "m2"]), names(RULES), names([None, "rhel9"]))
def test_a_newer_glibc_never_loses(requirement: Requirement, target: str, rules: Rules, os: str | None) -> None:
    hosts = [Host(target, os=os, libc=f"glibc@{version}") for version in glibcs]
    usable = [is_usable(requirement, host, rules) for host in hosts]
    assert usable == sorted(usable)


@given(some_requirements, names(RULES))
def test_a_newer_macos_never_loses(requirement: Requirement, rules: Rules) -> None:
    usable = [is_usable(requirement, Host("m2", os=name), rules) for name in MACOS]
    assert usable == sorted(usable)


@given(some_requirements, some_hosts, names(RULES))
def test_a_better_target_never_loses(requirement: Requirement, host: Host, rules: Rules) -> None:
    for ancestor in runnable(host.target):
        assert is_usable(requirement, host, rules) >= is_usable(requirement, replace(host, target=ancestor), rules)


@given(some_requirements, some_hosts, names(RULES))
def test_who_declares_more_never_loses(requirement: Requirement, host: Host, rules: Rules) -> None:
    nothing, cuda = (replace(host, externals=externals) for externals in (None, DECLARES_CUDA))
    assert is_usable(requirement, cuda, rules) >= is_usable(requirement, nothing, rules)
    assert judge(requirement, nothing, rules) == judge(requirement, replace(host, externals=()), rules)


@given(some_requirements, some_hosts, names(RULES))
def test_a_verdict_says_by_what(requirement: Requirement, host: Host, rules: Rules) -> None:
    found = judge(requirement, host, rules)
    assert (found.by is None) == (found.status == "usable")
    assert found.by != ""


def test_requirements_are_judged_once_each_and_sorted() -> None:
    texts = [f"{LINUX} libc=glibc@2.35 format=5", f"{LINUX} libc=glibc@2.28 format=5", f"{LINUX} missing=a/b"]
    frame = judge_all([*texts, *texts], RHEL9, "1.1")
    assert frame.rows() == [
        (texts[1], "usable", None),
        (texts[0], "libc", "glibc@2.35"),
        (texts[2], "incomplete", "a/b"),
    ]
    assert dict(frame.schema) == dict(judge_all([], RHEL9, "1.1").schema)
    assert judge_all([], RHEL9, "1.1").is_empty()


@given(st.lists(some_requirements.map(str), max_size=4), some_hosts, some_hosts, names(RULES))
def test_what_was_judged_before_changes_nothing(texts: list[str], host: Host, other: Host, rules: Rules) -> None:
    judge_all(texts, other, rules)
    expected = {text: judge(Requirement.parse(text), host, rules) for text in texts}
    found = {text: Verdict(status, by) for text, status, by in judge_all(texts, host, rules).rows()}
    assert found == expected


def test_the_libcs_that_hosts_differ_by() -> None:
    texts = [
        f"{LINUX} libc=glibc@2.35",
        f"{LINUX} libc=glibc@2.4 libc=musl@1.2.5",
        f"{LINUX} libc=none",
        f"{LINUX} libc='glibc@2.28 prefix=/opt/glibc'",
        f"{LINUX} libc=glibc@2.28 assumed",
        f"{LINUX} libc=glibc@2.35 format=4",
    ]
    assert distinct_libcs(texts) == ["glibc@2.4", "glibc@2.28", "glibc@2.35", "musl@1.2.5"]
    assert distinct_libcs([]) == []
