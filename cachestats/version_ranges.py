"""Version constraints such as `@1.8:1.14`, with the rules by which Spack includes versions.

The rules are those of `ClosedOpenRange`, `GitVersion.satisfies` and `_next_version` in Spack's
lib/spack/spack/version/version_types.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

from cachestats.errors import ArgumentError
from cachestats.naming import NaturalKey, version_key

_INFINITE, _NUMBER, _WORD = 2, 1, 0  # the kinds of parts in a `version_key`
_FINAL = ((3, 0, ""),)
_VERSION = r"[A-Za-z0-9_.-]+"
_SHA = r"[0-9a-f]{40}"
_RANGE = re.compile(rf"(?P<low>{_VERSION})?:(?P<high>{_VERSION})?")
_EXACT = re.compile(rf"=(?P<version>{_VERSION})")
_GIT = re.compile(
    rf"=?(?:(?:git\.)?(?P<assigned>[A-Za-z0-9_./-]+)=(?P<versions>{_VERSION}|(?:{_VERSION})?:(?:{_VERSION})?)"
    rf"|(?:git\.(?P<reference>[A-Za-z0-9_./-]+)|(?P<sha>{_SHA})))"
)
_MAX_CHARACTERS = 4000  # Python does not convert longer numbers

_Bound = tuple[NaturalKey, NaturalKey]


@dataclass(frozen=True)
class ExactVersion:
    """Exactly one version, as in `@=1.14`."""

    version: str

    def includes(self, version: str) -> bool:
        """Return whether a version equals this one."""
        return version_key(self.version) == version_key(version)


@dataclass(frozen=True)
class VersionRange:
    """All versions from one to another, including all versions that begin like the upper one, as in `@1.8:1.14`.

    Examples
    --------
    >>> from cachestats.version_ranges import VersionRange
    >>> VersionRange("1.8", "1.14").includes("1.14.3"), VersionRange(None, "2").includes("3")
    (True, False)
    """

    low: str | None = None
    high: str | None = None

    def includes(self, version: str) -> bool:
        """Return whether a version is in the range; a commit counts as the version to which it is assigned."""
        is_unknown, *_ = version_key(version)
        if is_unknown:
            return self.low is None and self.high is None
        found = _bound(version)
        return (self.low is None or _bound(self.low) <= found) and (self.high is None or found < _after(self.high))


@dataclass(frozen=True)
class GitReference:
    """A commit, branch or tag, as in `@git.main=1.2`, which may be assigned to certain versions."""

    reference: str
    versions: ExactVersion | VersionRange = VersionRange()

    def includes(self, version: str) -> bool:
        """Return whether a version is this commit, branch or tag and is assigned to one of the versions."""
        reference, equals, stands_for = version.removeprefix("git.").partition("=")
        if reference != self.reference or not _is_git(version):
            return False
        return self.versions.includes(stands_for) if equals else self.versions == VersionRange()


@dataclass(frozen=True)
class VersionList:
    """Alternatives, as in `@:3,=5.1`: the versions that a spec allows."""

    alternatives: tuple[ExactVersion | VersionRange | GitReference, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> VersionList:
        """Return the versions that are allowed by the text after the `@` of a spec.

        `1.14` allows every 1.14.x, and `=1.14` only 1.14 itself; `1.8:1.14`, `1.8:` and `:1.14` are ranges that include
        their ends; commas separate alternatives.

        Raises
        ------
        ArgumentError
            If the text is not such a list, or a range in it is empty.

        Examples
        --------
        >>> from cachestats.version_ranges import VersionList
        >>> allowed = VersionList.parse("1.8:1.14,=2.0")
        >>> [version for version in ("1.7", "1.14.3", "1.15", "2.0", "2.0.1") if allowed.includes(version)]
        ['1.14.3', '2.0']
        """
        compact = "".join(text.split(" "))
        if len(compact) > _MAX_CHARACTERS:
            raise ArgumentError(f"expected versions, found {len(compact):,} characters", hint="leave some out")
        return cls(tuple(_parsed(part, text) for part in compact.split(",")), compact)

    def __str__(self) -> str:
        return self.text

    def includes(self, version: str) -> bool:
        """Return whether a version is allowed."""
        return any(alternative.includes(version) for alternative in self.alternatives)

    def intersection(self, other: VersionList) -> VersionList | None:
        """Return the versions that both allow, or None if there are none.

        Examples
        --------
        >>> from cachestats.version_ranges import VersionList
        >>> str(VersionList.parse("1.8:,=0.9").intersection(VersionList.parse(":1.14,2")))
        '1.8:1.14,2,=0.9'
        """
        pairs = product(self.alternatives, other.alternatives)
        common = dict.fromkeys(one for pair in pairs if (one := _common(*pair)) is not None)
        return VersionList(tuple(common), ",".join(map(_text, common))) if common else None

    def is_within(self, other: VersionList) -> bool:
        """Return whether another list allows everything that this one does.

        Examples
        --------
        >>> from cachestats.version_ranges import VersionList
        >>> VersionList.parse("1.14.3").is_within(VersionList.parse("1.8:1.14"))
        True
        """
        return all(any(_common(one, wide) == one for wide in other.alternatives) for one in self.alternatives)


def _parsed(part: str, text: str) -> ExactVersion | VersionRange | GitReference:
    if found := _EXACT.fullmatch(part):
        if not _is_git(found["version"]):
            return ExactVersion(found["version"])
    elif (found := _RANGE.fullmatch(part)) and not any(_is_git(end) for end in found.groups() if end):
        versions = VersionRange(found["low"], found["high"])
        if versions.low is not None and versions.high is not None and _after(versions.high) <= _bound(versions.low):
            raise ArgumentError(
                f"expected a range from a lower to a higher version, found {part!r}",
                hint=f"try {versions.high}:{versions.low}",
            )
        return versions
    elif re.fullmatch(_VERSION, part) and not _is_git(part):
        return VersionRange(part, part)
    if found := _GIT.fullmatch(part):
        if found["assigned"] is None:
            return GitReference(found["reference"] or found["sha"])
        low, colon, high = found["versions"].partition(":")
        return GitReference(found["assigned"], VersionRange(low or None, high or None) if colon else ExactVersion(low))
    raise ArgumentError(
        f"expected versions such as 1.14, =1.14.1, 1.8:1.14 or :2,4:, found {text!r}", hint="leave out the '@'"
    )


_Alternative = ExactVersion | VersionRange | GitReference


def _common(one: _Alternative, other: _Alternative) -> _Alternative | None:
    """Return the versions that two alternatives both allow, as the first of the two if it is within the other."""
    if isinstance(one, VersionRange) and isinstance(other, VersionRange):
        low = max((end for end in (one.low, other.low) if end is not None), key=_bound, default=None)
        high = min((end for end in (one.high, other.high) if end is not None), key=_after, default=None)
        return None if low is not None and high is not None and _after(high) <= _bound(low) else VersionRange(low, high)
    if isinstance(one, ExactVersion):
        return one if other.includes(one.version) else None
    if isinstance(other, ExactVersion):
        return other if one.includes(other.version) else None
    return one if one == other or (VersionRange() in (one, other) and isinstance(one, GitReference)) else None


def _text(alternative: _Alternative) -> str:
    if isinstance(alternative, ExactVersion):
        return f"={alternative.version}"
    if isinstance(alternative, GitReference):
        assigned = "" if alternative.versions == VersionRange() else f"={_text(alternative.versions).lstrip('=')}"
        return f"git.{alternative.reference}{assigned}"
    if alternative.low is not None and alternative.low == alternative.high:
        return alternative.low
    return f"{alternative.low or ''}:{alternative.high or ''}"


def _is_git(version: str) -> bool:
    return version.startswith("git.") or "=" in version[1:] or re.fullmatch(_SHA, version) is not None


def _bound(version: str) -> _Bound:
    _, release, stage, _ = version_key(version)
    return release, stage


def _after(version: str) -> _Bound:
    """Return the first version after all that begin like this one: for 1.14, it is 1.15.

    It is taken literally, as in Spack: the prereleases of 1.15 come before it.
    """
    release, stage = _bound(version)
    if stage != _FINAL:
        return release, (stage[0], _next_part(stage[1]) if len(stage) > 1 else (_NUMBER, 0, ""))
    if not release:
        return ((_WORD, 0, "A"),), stage
    return (*release[:-1], _next_part(release[-1])), stage


def _next_part(part: tuple[int, int, str]) -> tuple[int, int, str]:
    kind, number, text = part
    if kind == _INFINITE:
        return kind, number + 1, text
    if kind == _WORD:
        # Spack appends an A after a z, and replaces any other letter by the next one.
        return kind, 0, f"{text}A" if text[-1] == "z" else text[:-1] + chr(ord(text[-1]) + 1)
    following = str(int(text or "0") + 1)
    return kind, len(following), following
