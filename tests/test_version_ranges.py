"""Version constraints, against facts from Spack's own documentation and tests, and their invariants."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cachestats.errors import ArgumentError
from cachestats.naming import version_key
from cachestats.version_ranges import VersionList, VersionRange

SHA = "abcd" * 10

numbers = st.integers(0, 12).map(str)
words = st.sampled_from(["a", "ab", "z", "Z", "p", "develop", "main"])
versions = st.builds(
    lambda parts, sign: sign.join(parts),
    st.lists(st.one_of(numbers, numbers, words), min_size=1, max_size=4),
    st.sampled_from([".", "-", "_"]),
)
plain = st.lists(numbers, min_size=1, max_size=4).map(".".join)


def holds(constraint: str, version: str) -> bool:
    return VersionList.parse(constraint).includes(version)


# Of test_contains, test_in_list, test_satisfaction_with_lists, test_version_range_with_prereleases and others in
# Spack's lib/spack/spack/test/versions.py, and of the chapter on version specifiers in its documentation.
@pytest.mark.parametrize(
    ("constraint", "held", "not_held"),
    [
        ("1.14", ["1.14", "1.14.3", "1.14p2"], ["1.14-rc", "1.1", "1.13", "1.15", "1.140", "2"]),
        ("=1.14", ["1.14", "1_14", "1.014"], ["1.14.0", "1.14.3", "1.14rc1", "1.13"]),
        ("1.8:1.14", ["1.8", "1.9", "1.8.0", "1.14", "1.14.3"], ["1.7", "1.7.9", "1.15", "2", "develop"]),
        ("1.2:1.4", ["1.3", "1.2.5", "1.3.5-7", "1.4.2"], ["1.1", "1.5"]),
        ("1.2.7:1.4.0", ["1.2.8", "1.4.0.1"], ["1.2.5", "1.4.1", "1.2"]),
        (":2", ["1", "2", "2.9", "alpha"], ["3", "develop"]),
        ("1.5.1:", ["1.5.1", "2", "main", "develop"], ["1.5"]),
        (":", ["0", "develop", "x", f"{SHA}=1.0", SHA, "git.main"], []),
        ("4.3, 4.6, 4.7", ["4.7", "4.7.3", "4.6.5.2"], ["4", "4.8.0"]),
        ("4.2,4.3:4.8", ["4.8.2", "4.2"], ["4.1", "4.9"]),
        (":3,5:", ["3.9", "5.0", "2"], ["4", "4.9"]),
        ("1.0:1", ["1.1.1"], ["2", "0.9"]),
        ("1.2.1:", ["1.2.1", "1.2.10"], ["1.2.1alpha1", "1.2.1beta2", "1.2.1rc3"]),
        ("1.2:", ["1.2.0alpha1", "1.2.0rc3"], ["1.2beta1"]),
        (":1.1", ["1.1.9", "1.2alpha1"], ["1.2.0alpha1", "1.2"]),
        (":1.2.0rc345", ["1.2.0rc1", "1.2.0rc345", "1.2.0beta7"], ["1.2.0", "1.2.0rc346"]),
        (":1.2.0rc", ["1.2.0rc", "1.2.0beta7"], ["1.2.0rc1", "1.2.0"]),
        ("4.7", ["4.7v6", "4.7b6"], ["4.8"]),
        ("develop", ["develop", "develop.local"], ["main", "1"]),
        (":main", ["main", "9", "head"], ["develop"]),
        ("1.a", ["1.a", "1.a.3", "1.ab.3"], ["1.b", "1.3"]),
        ("1.a:1.az", ["1.ab", "1.az.1"], ["1.azB", "1.b", "1.Z"]),
        ("1.Z", ["1.Z.2"], ["1.a"]),
        ("-", ["-", "."], ["1", "a"]),
        ("=main", ["main"], ["git.main", "develop"]),
        ("git.main=1.2", ["git.main=1.2", "main=1.2"], ["1.2", "git.main=1.3", "git.main", "git.next=1.2", "main"]),
        (f"{SHA}=develop", [f"git.{SHA}=develop", f"{SHA}=develop"], ["develop", SHA]),
        ("git.main", ["git.main", "git.main=1.2"], ["main", "git.next"]),
        ("git.main=1:2", ["git.main=1.5"], ["git.main=3", "1.5"]),
        (SHA, [SHA, f"{SHA}=1.2"], [SHA[::-1]]),
        ("=git.a/b=2", ["git.a/b=2"], ["2"]),
        ("1.1", ["git.main=1.1.4", f"{SHA}=1.1"], ["git.main", SHA, "git.main=1.2"]),
    ],
)
def test_a_constraint_holds_what_it_does_in_spack(constraint: str, held: list[str], not_held: list[str]) -> None:
    assert [version for version in [*held, *not_held] if holds(constraint, version)] == held


@pytest.mark.parametrize(
    "text", ["", "=", "1,,2", "@1", "1.2:=1", "1:2:3", "!", "1!2", "git.a:git.b", "git.", "=a=b=c"]
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected versions such as") as caught:
        VersionList.parse(text)
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("text", ["2:1.0", "1.14:1.8", "develop:main", "3,2:1"])
def test_a_range_that_holds_nothing_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected a range from a lower to a higher version"):
        VersionList.parse(text)


def test_numbers_that_python_does_not_read_are_refused() -> None:
    with pytest.raises(ArgumentError, match="expected versions, found 5,000 characters"):
        VersionList.parse("9" * 5000)
    assert holds("9" * 4000, "9" * 4000)
    assert not holds("1", "9" * 5000)


def test_a_constraint_is_shown_as_it_was_written() -> None:
    assert str(VersionList.parse("1.8:1.14, =2.0")) == "1.8:1.14,=2.0"


@given(versions)
def test_a_version_allows_itself_and_what_it_begins(version: str) -> None:
    assert holds(version, version)
    assert holds(version, f"{version}.1")
    assert holds(f"={version}", version)
    assert not holds(f"={version}", f"{version}.1")


@given(plain, plain, plain)
def test_a_range_is_what_is_not_below_and_not_above_or_begins_like_its_end(low: str, high: str, version: str) -> None:
    parts = [[int(part) for part in text.split(".")] for text in (low, high, version)]
    assume(parts[0] <= parts[1])
    below = parts[2] < parts[0]
    above = parts[2][: len(parts[1])] > parts[1]
    assert holds(f"{low}:{high}", version) == (not below and not above)


@given(versions, versions, versions)
def test_a_range_is_the_versions_of_both_open_ranges(low: str, high: str, version: str) -> None:
    assume(version_key(low) <= version_key(high))
    assert holds(f"{low}:{high}", version) == (holds(f"{low}:", version) and holds(f":{high}", version))


@given(versions, versions)
def test_an_upper_end_is_monotone(high: str, version: str) -> None:
    assert holds(f":{high}", version) or version_key(version) > version_key(high)
    assert holds(f"{high}:", version) == (version_key(version) >= version_key(high))


@given(st.lists(versions, min_size=1, max_size=3), versions)
def test_a_list_is_any_of_its_parts(parts: list[str], version: str) -> None:
    assert holds(",".join(parts), version) == any(holds(part, version) for part in parts)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_a_constraint_or_refused(text: str, version: str) -> None:
    try:
        found = VersionList.parse(text)
    except ArgumentError:
        return
    assert found.includes(version) in (True, False)


def test_a_range_without_ends_has_every_version() -> None:
    assert VersionRange().includes("git.main")
    assert VersionRange().includes("")
