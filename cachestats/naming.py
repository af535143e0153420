"""Canonical names, so that series are continuous over the years.

Spack changed its spelling of variants, and the site's pages keep the spelling of the day on which they were written.
(Names of compilers are in `spack_releases`, with everything else that Spack changed.) All functions here take and
return plain text, and are called once per distinct name, not once per row.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from datetime import date
from typing import Literal

NaturalKey = tuple[tuple[int, int, str], ...]
VersionKey = tuple[bool, NaturalKey, NaturalKey, str]
SnapshotKind = Literal["rolling", "dated", "release", "other"]
ListSign = Literal["=", ":="]

UNION_STACK = "root"
"""The pseudo-stack that is the union of all stacks of a snapshot."""

SNAPSHOT_WORDS = ("newest", "previous", "all")
"""Words that stand for snapshots wherever these are named."""

LEAVES_OUT = "!"
"""What leaves out a name before which it stands."""
NOT = "not "
"""A spec expression that begins so leaves out, in questions."""

MAX_NAME = 200
"""The maximum number of characters in the name of a package or snapshot; a page with a longer name is rejected."""


_DATED = re.compile(r"develop-(\d{4})-(\d\d)-(\d\d)")
_RELEASE = re.compile(r"v\d+(\.\d+)+")
_DIGITS = re.compile(r"([0-9]+)")
_SEGMENT = re.compile(r"[0-9]+|[a-zA-Z]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_INFINITE = ("stable", "nightly", "trunk", "head", "master", "main", "develop")
_PRERELEASES = ("alpha", "beta", "rc", "final")
_PADDED = 4
_COMMITS = "v~9git."  # of no known version, and thus after `v~6develop.`
_NOT_PLAIN = re.compile(r"[^-./-}]")
_BARE_VALUE = re.compile(r"[a-zA-Z0-9,/_.\-\[\]]+")  # values that Spack does not quote (`NO_QUOTES_NEEDED`)
_NEEDS_QUOTES = re.compile(r"[\s'\"\\]")


def canonical_variant(text: str) -> str:
    """Return a variant with `=` between name and value, even if Spack wrote `:=`, and without quotes around the value.

    Spack quotes values that contain anything other than letters, digits and a few other characters.

    Examples
    --------
    >>> from cachestats.naming import canonical_variant
    >>> canonical_variant("processes:=eett,ppllj")
    'processes=eett,ppllj'
    >>> canonical_variant("languages='c,c++'")
    'languages=c,c++'
    """
    name, equals, value = text.partition("=")
    while len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return f"{name.removesuffix(':')}={value}" if equals else text


def variant_sign(text: str) -> str:
    """Return the sign with which a variant is written: `+`, `~`, `=` or `:=`, or an empty string if it has none.

    Examples
    --------
    >>> from cachestats.naming import variant_sign
    >>> variant_sign("~mpi"), variant_sign("languages='c,c++'"), variant_sign("patches:=0b8a3b8")
    ('~', '=', ':=')
    """
    if text.startswith(("+", "~")):
        return text[0]
    name, equals, _ = text.partition("=")
    return ":=" if equals and name.endswith(":") else equals


def page_variant(text: str, *, sign: ListSign) -> str:
    """Return a canonical variant as a page spells it: with this sign, and with a quoted value if Spack quotes it.

    Examples
    --------
    >>> from cachestats.naming import page_variant
    >>> page_variant("languages=c,c++", sign="="), page_variant("cuda_arch=70,80", sign=":=")
    ("languages='c,c++'", 'cuda_arch:=70,80')
    """
    name, equals, value = text.partition("=")
    if not equals:
        return text
    if name.endswith(":"):  # with `=`, the colon would be taken as part of the sign
        sign = ":="
    if not _BARE_VALUE.fullmatch(value):
        # In double quotes Spack escapes some characters. Values that were read are still escaped.
        value = f'"{value}"' if "'" in value else f"'{value}'"
    return f"{name}{sign}{value}"


def split_variant(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the sorted distinct values of one canonical variant.

    Examples
    --------
    >>> from cachestats.naming import split_variant
    >>> split_variant("+mpi"), split_variant("~mpi")
    (('mpi', ('true',)), ('mpi', ('false',)))
    >>> split_variant("cuda_arch=80,70")
    ('cuda_arch', ('70', '80'))
    """
    if text.startswith("+"):
        return text[1:], ("true",)
    if text.startswith("~"):
        return text[1:], ("false",)
    name, _, values = text.partition("=")
    return name, tuple(sorted(set(values.split(","))))


def quote_variant(text: str) -> str:
    """Return a variant in the form of the column `variants`, with shell quotes if it contains white space or quotes.

    Examples
    --------
    >>> from cachestats.naming import quote_variant
    >>> quote_variant("~mpi"), quote_variant("cflags=-O2 -g")
    ('~mpi', "cflags='-O2 -g'")
    """
    name, equals, value = text.partition("=")
    if _NEEDS_QUOTES.search(name):
        return shlex.quote(text)
    return f"{name}{equals}{shlex.quote(value)}" if _NEEDS_QUOTES.search(value) else text


def split_variants(text: str) -> list[str]:
    """Split a value of the column `variants` into single variants.

    Examples
    --------
    >>> from cachestats.naming import split_variants
    >>> split_variants("~mpi cflags='-O2 -g'")
    ['~mpi', 'cflags=-O2 -g']
    """
    if "'" in text or '"' in text or "\\" in text:
        return shlex.split(text)
    return text.split(" ") if text else []  # a hundred times faster


def variant_names(texts: Iterable[str]) -> set[str]:
    """Return the names of the variants in some values of the column `variants`.

    Examples
    --------
    >>> from cachestats.naming import variant_names
    >>> sorted(variant_names(["~mpi api=v18", "+mpi"]))
    ['api', 'mpi']
    """
    return {split_variant(variant)[0] for text in texts for variant in split_variants(text)}


def source_address(source: str, name: str | None) -> str:
    """Return the path or URL of a source, whose own name is `NAME=SOURCE` if its snapshot was given a name.

    Examples
    --------
    >>> from cachestats.naming import source_address
    >>> source_address("week1=/srv/mirror", "week1"), source_address("https://host/x?a=b", None)
    ('/srv/mirror', 'https://host/x?a=b')
    """
    return source if name is None else source.removeprefix(f"{name}=")


def canonical_snapshot(name: str) -> str:
    """Return the name of a snapshot without the folder `snapshots/`, in which some places keep the dated ones.

    Examples
    --------
    >>> from cachestats.naming import canonical_snapshot
    >>> canonical_snapshot("snapshots/develop-2026-06-07"), canonical_snapshot("develop")
    ('develop-2026-06-07', 'develop')
    """
    return name.removeprefix("snapshots/") or name


def snapshot_kind(snapshot: str) -> tuple[SnapshotKind, date | None]:
    """Return the kind of a snapshot and, for a dated one, its date.

    Examples
    --------
    >>> from cachestats.naming import snapshot_kind
    >>> snapshot_kind("develop-2025-03-09")
    ('dated', datetime.date(2025, 3, 9))
    >>> snapshot_kind("v2025.07.0")
    ('release', None)
    """
    if snapshot == "develop":
        return "rolling", None
    if match := _DATED.fullmatch(snapshot):
        try:
            return "dated", date(*map(int, match.groups()))
        except ValueError:
            return "other", None
    return ("release" if _RELEASE.fullmatch(snapshot) else "other"), None


def natural_key(text: str) -> NaturalKey:
    """Return a sort key under which `gcc@7.5` comes before `gcc@11.4`.

    Examples
    --------
    >>> from cachestats.naming import natural_key
    >>> sorted(["gcc@11.4", "gcc@7.5"], key=natural_key)
    ['gcc@7.5', 'gcc@11.4']
    """
    # Numbers are compared by length and then as text: int(), and natsort with it, refuses very long ones, and a version
    # may be any text.
    parts = [
        (1, len(number), number) if (number := part.lstrip("0")) and number.isdecimal() else (0, 0, part)
        for part in _DIGITS.split(text)
    ]
    return (*parts, (0, 0, text))


def version_key(version: str) -> VersionKey:
    """Return a sort key that orders versions as Spack does, the newest last.

    A version is a sequence of numbers and words; the separators do not matter. The parts are compared one by one: any
    word is older than any number, except that the words stable, nightly, trunk, head, master, main and develop are
    newer, in that order. A longer version is newer, except for `alpha`, `beta` and `rc` at the end, which come before
    the version without them. A commit follows the version to which it is assigned (`git.abc=1.2`), and all other
    versions if it is assigned to none. Keys are equal if Spack considers versions equal, such as `1.0` and `1_00`.

    The rules are those of `parse_string_components`, `VersionStrComponent` and `GitVersion` in Spack's
    lib/spack/spack/version/version_types.py, and of the names in its common.py.

    Examples
    --------
    >>> from cachestats.naming import version_key
    >>> sorted(["develop", "1.10", "1.9", "main", "1.10rc1", "1.10.a", "git.abc=1.9"], key=version_key)
    ['1.9', 'git.abc=1.9', '1.10rc1', '1.10', '1.10.a', 'main', 'develop']
    """
    if not (version.startswith("git.") or _COMMIT.fullmatch(version) or "=" in version[1:]):
        return False, *_version_parts(version), ""
    reference, equals, stands_for = version.removeprefix("git.").partition("=")
    if not equals or ":" in stands_for:
        return True, (), (), version.removeprefix("git.")
    return False, *_version_parts(stands_for), reference


def _version_parts(version: str) -> tuple[NaturalKey, NaturalKey]:
    """Return the release that a version is or precedes, and its stage among the prereleases."""
    segments = _SEGMENT.findall(version)
    end = segments[-2:] if segments and segments[-1].isdecimal() else segments[-1:]  # such as `rc1` or `rc`
    if len(segments) > len(end) and end[0] in _PRERELEASES:
        segments = segments[: -len(end)]
    else:
        end = ["final"]
    stage = (_PRERELEASES.index(end[0]), 0, "")
    return tuple(map(_version_part, segments)), (stage, *map(_version_part, end[1:]))


def _version_part(segment: str) -> tuple[int, int, str]:
    if segment.isdecimal():
        number = segment.lstrip("0")
        return 1, len(number), number  # as in natural_key
    return (2, _INFINITE.index(segment), "") if segment in _INFINITE else (0, 0, segment)


def sort_versions(versions: Iterable[str]) -> list[str]:
    """Return versions in Spack's order, the newest last; those that are equal there, such as 1.0 and 1_00, as text.

    Examples
    --------
    >>> from cachestats.naming import sort_versions
    >>> sort_versions(["main", "1.10", "1.9"])
    ['1.9', '1.10', 'main']
    """
    return sorted(versions, key=lambda version: (version_key(version), version))


def version_sort_key(version: str) -> str:
    """Return a version as text that sorts, byte by byte, as Spack orders versions: the column `version_key`.

    The text is `v` and the parts of the version, with a dot after each. Numbers are padded with zeros to four digits,
    longer ones to eight after a colon, to twelve after two colons, and so on. A word begins with `+`, a prerelease with
    `-` in place of the dot before it, a commit with `#`; `develop` and the like begin with `~` and their rank. The
    texts of versions that Spack considers equal are equal.

    The text of `1.14` without its last dot comes before everything that begins like 1.14, prereleases too. So 1.14 and
    everything newer is `version_key >= 'v0001.0014.'`, and all of 1.14 is `version_key LIKE 'v0001.0014%'`.

    Parameters
    ----------
    version
        The version, as Spack writes it.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.version_sort_key("1.14.3"), cs.version_sort_key("1.14-rc1"), cs.version_sort_key("20240722")
    ('v0001.0014.0003.', 'v0001.0014-rc.0001.', 'v:20240722.')
    >>> cs.version_sort_key("9c"), cs.version_sort_key("develop"), cs.version_sort_key("git.fix=1.9")
    ('v0009.+c.', 'v~6develop.', 'v0001.0009.#fix')
    >>> query = "SELECT DISTINCT version FROM specs WHERE package = 'hdf5' AND version_key >= '{}' ORDER BY version"
    >>> cs.example_dataset().sql(query.format(cs.version_sort_key("1.14"))).collect()["version"].to_list()
    ['1.14.3', '1.14.5']
    """
    # After equal parts the bytes ascend as the versions do: `-` in place of the last dot; after the dot nothing, `#`,
    # `*`, `+`, a digit, `:`, `~`. Because of the `v`, spreadsheets and readers of CSV take no text for a number, a date
    # or a formula.
    is_unknown, release, stage, reference = version_key(version)
    if is_unknown:
        return f"{_COMMITS}#{_escaped(reference)}"
    text = "v" + "".join(map(_sortable_part, release))
    (prerelease, *_), *number = stage
    digits = "".join(map(_sortable_part, number))
    if _PRERELEASES[prerelease] != "final":
        text = f"{text[:-1]}-{_PRERELEASES[prerelease]}.{digits}"
    elif digits:  # such as `1.0final2`, which comes after 1.0 and before 1.0.a
        text = f"{text}*{digits}"
    return f"{text}#{_escaped(reference)}" if reference else text


def _sortable_part(part: tuple[int, int, str]) -> str:
    kind, number, text = part
    if kind == 1:
        colons = max(0, number - 1) // _PADDED
        return f"{':' * colons}{text.rjust(_PADDED * (colons + 1), '0')}."
    return f"~{number}{_INFINITE[number]}." if kind else f"+{text}."


def _escaped(reference: str) -> str:
    """Return a reference in printable ASCII without white space, quotes and commas, which sorts as the reference."""
    return _NOT_PLAIN.sub(lambda odd: f"+{ord(odd[0]):02x}" if odd[0] < "-" else f"~{ord(odd[0]):06x}", reference)


def snapshot_order(snapshot: str) -> tuple[int, date, NaturalKey]:
    """Return a sort key, the newest last: other kinds, releases by version, dated snapshots by date, then `develop`.

    Examples
    --------
    >>> from cachestats.naming import snapshot_order
    >>> sorted(["develop", "develop-2025-03-09", "v0.9.0", "v0.21.0"], key=snapshot_order)
    ['v0.9.0', 'v0.21.0', 'develop-2025-03-09', 'develop']
    """
    kind, day = snapshot_kind(snapshot)
    return ("other", "release", "dated", "rolling").index(kind), day or date.min, natural_key(snapshot)
