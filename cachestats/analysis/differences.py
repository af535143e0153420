"""Differences between two specs of one package: a wanted spec and a cached one.

Fields that follow from others are not causes in their own right:

- the recipe, whose checksum covers the source and the patches, if the version or the patches differ. (In an index of
  3,013 specs, 6 of 885 versions of a package have several recipes, and in all of them the patches differ.)
- patches, which nobody requests, if anything differs that a recipe may depend on.
- variants and dependencies that only one of the two has, if the version, the recipe or another variant differs.
- the version of a compiler's runtime, such as `gcc-runtime`, which is the version of the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cachestats.naming import quote_variant, split_variant, split_variants
from cachestats.parse.nodes import COMPILERS_ARE_DEPENDENCIES
from cachestats.requirement import External

FIELDS = ("version", "compiler", "platform", "os", "target", "variants", "flags", "namespace", "package_hash")
"""The fields by which two specs of a package are compared, the most important first."""

NOT_OF_PAGES = frozenset({"flags", "namespace", "package_hash"})
"""Fields that are null if the source does not provide them; a null is then not a difference."""

SETTINGS = ("platform", "os", "target", "compiler")
"""Fields that are set for an environment, not for one package."""

SWITCHES = ("+", "~")
"""The signs of a variant that is on or off."""

_LANGUAGES = frozenset({"c", "cxx", "fortran"})
_LIBC = "libc"
_LIBCS = ("glibc", "musl")
_PATCHES = "patches"
_RUNTIME = "-runtime"  # the suffix of a compiler's runtime, which has the compiler's version
# Since Spack 0.22 a spec depends explicitly on its libc and compiler runtime, and since 1.0 also on its compiler.
TOOLCHAIN = frozenset({"compiler-wrapper", "gcc-runtime", "intel-oneapi-runtime", *_LIBCS})
_SHOWN = 7


class Edge(NamedTuple):
    """A dependency as the spec that depends on it describes it."""

    package: str | None
    version: str | None
    hash: str
    types: frozenset[str]
    virtuals: frozenset[str]
    external: str | None
    """For an external, the value of the column `external`."""


@dataclass(frozen=True)
class Spec:
    """One of the two specs, with everything that is known about it."""

    package: str
    hash: str
    values: Mapping[str, str | None]
    """The values by field; unknown fields are absent."""
    spec_format: int | None = None
    external: External | None = None
    edges: tuple[Edge, ...] | None = None
    """None if its dependencies are not known."""
    is_known: bool = True
    """Whether anything is known about it beyond what the spec that depends on it records."""


class Cause(NamedTuple):
    """One difference between the two specs."""

    package: str | None
    """None for a setting of the whole environment."""
    field: str
    wanted: str
    cached: str
    words: str


class Difference(NamedTuple):
    """All differences between the two specs."""

    fields: tuple[str, ...]
    """Names of fields, with `recipe` for `package_hash`, then `dependencies` and `representation`."""
    causes: tuple[Cause, ...]
    below: tuple[tuple[Edge, Edge], ...]
    """Dependencies on other builds of the same package."""


REPRESENTATION = Cause(None, "representation", "", "", "written in another format")
"""Not a cause, but hashes of specs in different formats can never be equal."""


def compare(wanted: Spec, cached: Spec) -> Difference:
    """Return the differences between two specs of one package, and their causes.

    If no difference is visible, there is one cause, in the field `unknown`, or in the field `dependencies` if the
    dependencies are not known.
    """
    known = [name for name in FIELDS if name in wanted.values and name in cached.values]
    differing = [name for name in known if wanted.values[name] != cached.values[name]]
    if "compiler" in differing and _has_compiler_by_format(wanted, cached):
        differing.remove("compiler")
    edges = _pair_edges(wanted, cached)
    causes = [*_own_causes(wanted, cached, differing, edges), *_external_causes(wanted, cached), *edges.providers]
    has_other_edges = bool(edges.pairs or edges.providers or edges.one_sided)
    is_other_format = edges.is_toolchain_one_sided or _formats_differ(wanted, cached)
    if not causes:
        causes += edges.one_sided
    if not (causes or edges.pairs or is_other_format):
        causes.append(_unknown(wanted, cached))
        has_other_edges = causes[0].field == "dependencies"
    fields = ["recipe" if name == "package_hash" else name for name in differing]
    if has_other_edges:
        fields.append("dependencies")
    if is_other_format:
        fields.append(REPRESENTATION.field)
        causes.append(REPRESENTATION)
    return Difference(tuple(fields), tuple(causes), tuple(edges.pairs))


def split_setting(text: str) -> dict[str, str]:
    """Split a value of the column `variants` or `flags` into its settings, by name.

    Examples
    --------
    >>> from cachestats.analysis.differences import split_setting
    >>> split_setting("~docs libs=shared,static cflags='-O2 -g'")
    {'docs': '~docs', 'libs': 'libs=shared,static', 'cflags': 'cflags=-O2 -g'}
    """
    return {split_variant(one)[0]: one for one in split_variants(text)}


class _PairedEdges(NamedTuple):
    pairs: list[tuple[Edge, Edge]]
    """Dependencies on the same package with different hashes."""
    providers: list[Cause]
    """Virtual packages that different packages provide."""
    one_sided: list[Cause]
    """Dependencies that only one of the two has, or that the two have for different reasons."""
    is_toolchain_one_sided: bool


def _pair_edges(wanted: Spec, cached: Spec) -> _PairedEdges:
    result = _PairedEdges([], [], [], False)
    if wanted.edges is None or cached.edges is None:
        return result
    both = list(_of_one_package(wanted.edges, cached.edges))
    result.pairs.extend((mine, other) for mine, other in both if mine and other and mine.hash != other.hash)
    for mine, other in both:
        if mine and other and (mine.types, mine.virtuals) != (other.types, other.virtuals):
            result.one_sided.append(_one_sided(wanted, mine, other))
    mine_only = [mine for mine, other in both if mine and not other]
    cached_only = [other for mine, other in both if other and not mine]
    for mine in [*mine_only]:
        for other in [*cached_only]:
            if shared := mine.virtuals & other.virtuals:
                mine_only.remove(mine)
                cached_only.remove(other)
                if not shared <= _LANGUAGES:  # otherwise the field `compiler` covers it
                    result.providers.append(_provider(shared, mine, other))
                break
    toolchain: list[Edge] = []
    if min(wanted.spec_format or 0, cached.spec_format or 0) < COMPILERS_ARE_DEPENDENCIES:
        toolchain = [edge for edge in (*mine_only, *cached_only) if _is_toolchain(edge)]
    result.one_sided.extend(_one_sided(wanted, mine, None) for mine in mine_only if mine not in toolchain)
    result.one_sided.extend(_one_sided(wanted, None, other) for other in cached_only if other not in toolchain)
    return result._replace(is_toolchain_one_sided=bool(toolchain))


def _of_one_package(mine: Iterable[Edge], others: Iterable[Edge]) -> Iterator[tuple[Edge | None, Edge | None]]:
    """Yield edges to the same package in pairs, those with equal hashes first; None stands for a missing partner."""
    sides: dict[str, tuple[list[Edge], list[Edge]]] = {}
    for side, edges in enumerate((mine, others)):
        for edge in edges:
            sides.setdefault(edge.package or edge.hash, ([], []))[side].append(edge)
    for left, right in sides.values():
        # If there are two builds of, say, gmake, their dependency types and virtuals show which belong together.
        for same in (_hash, _reasons, _package):
            for edge in [*left]:
                if other := next((one for one in right if same(one) == same(edge)), None):
                    left.remove(edge)
                    right.remove(other)
                    yield edge, other
        yield from ((edge, None) for edge in left)
        yield from ((None, edge) for edge in right)


def _hash(edge: Edge) -> str:
    return edge.hash


def _reasons(edge: Edge) -> tuple[frozenset[str], frozenset[str]]:
    return edge.types, edge.virtuals


def _package(edge: Edge) -> str | None:
    return edge.package


def _is_toolchain(edge: Edge) -> bool:
    return edge.package in TOOLCHAIN or bool(edge.virtuals & (_LANGUAGES | {_LIBC}))


def _formats_differ(wanted: Spec, cached: Spec) -> bool:
    formats = {wanted.spec_format, cached.spec_format}
    return None not in formats and len(formats) > 1


def _has_compiler_by_format(wanted: Spec, cached: Spec) -> bool:
    """Return whether one of the two has a compiler only because every spec had one before Spack 1.0."""
    formats = [spec.spec_format for spec in (wanted, cached) if spec.spec_format is not None]
    is_one_older = len(formats) == 2 and min(formats) < COMPILERS_ARE_DEPENDENCIES <= max(formats)
    return is_one_older and None in (wanted.values["compiler"], cached.values["compiler"])


def _own_causes(wanted: Spec, cached: Spec, differing: list[str], edges: _PairedEdges) -> Iterator[Cause]:
    """Yield a cause for each differing field, except those that follow from another one."""
    package = wanted.package
    name = f"{package} {wanted.values['version']}" if wanted.values.get("version") else package
    values = {field: (wanted.values[field] or "", cached.values[field] or "") for field in differing}
    is_other_version, is_other_recipe = "version" in values, "package_hash" in values
    variants, patches = _differing_variants(
        *values.get("variants", ("", "")), is_other_recipe=is_other_version or is_other_recipe
    )
    below = {edge.package for pair in edges.pairs for edge in pair}
    is_compiler_below = any(edge.virtuals & _LANGUAGES for pair in edges.pairs for edge in pair)
    is_of_compiler = package.endswith(_RUNTIME) and ("compiler" in values or package.removesuffix(_RUNTIME) in below)
    if is_other_version and not is_of_compiler:
        field = _LIBC if package in _LIBCS else "version"
        yield Cause(package, field, *values["version"], _instead(package, *values["version"]))
    if any(variants):
        yield Cause(package, "variants", *variants, _variant_words(name, *variants))
    if "flags" in values:
        yield Cause(package, "flags", *values["flags"], _instead(name, *values["flags"], nothing="no flags"))
    if "namespace" in values:
        words = _instead(f"{package}, repository", *values["namespace"])
        yield Cause(package, "namespace", *values["namespace"], words)
    for field in SETTINGS:
        if field in values and not (field == "compiler" and is_compiler_below):
            yield Cause(None, field, *values[field], _instead(field, *values[field], nothing="none"))
    is_patched = any(variants) or any(field in values for field in SETTINGS)
    if is_other_recipe and not (is_other_version or (any(patches) and is_patched)):
        hashes = (text[:_SHOWN] for text in values["package_hash"])
        yield Cause(package, "recipe", *values["package_hash"], _instead(f"{name}, recipe", *hashes))
    elif any(patches) and not (is_other_version or is_patched):
        yield Cause(package, "variants", *patches, _variant_words(name, *patches))


def _differing_variants(wanted: str, cached: str, *, is_other_recipe: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the differing variants of both sides, and likewise the differing patches.

    Variants that only one side has belong to its version or recipe, or follow from a variant that differs.
    """
    mine, other = split_setting(wanted), split_setting(cached)
    names = {name for name in {*mine, *other} if mine.get(name) != other.get(name)}
    patches = names & {_PATCHES}
    names -= patches
    if is_other_recipe and not names & mine.keys() & other.keys():
        names = set()
    return _both_sides(names, mine, other), _both_sides(patches, mine, other)


def _both_sides(names: set[str], mine: dict[str, str], other: dict[str, str]) -> tuple[str, str]:
    wanted, cached = (_as_spack_prints(side[name] for name in sorted(names & side.keys())) for side in (mine, other))
    return wanted, cached


def _as_spack_prints(variants: Iterable[str]) -> str:
    """Return variants in the form `~docs+shared libs=static`."""
    switches, others = "", []
    for text in variants:
        if text.startswith(SWITCHES):
            switches += text
        else:
            others.append(quote_variant(text))
    return " ".join(filter(None, [switches, *others]))


def _variant_words(name: str, wanted: str, cached: str) -> str:
    if not wanted:
        return f"{name} without {cached}"
    gap = "" if wanted.startswith(SWITCHES) else " "
    return f"{name}{gap}{wanted} instead of {cached}" if cached else f"{name} with {wanted}, which the cached one lacks"


def _external_causes(wanted: Spec, cached: Spec) -> Iterator[Cause]:
    """Yield a cause if the two differ in being external or in their location on the system."""
    mine, other = (_place(spec.external) for spec in (wanted, cached))
    if mine != other:
        yield Cause(wanted.package, "external", mine, other, _instead(wanted.package, mine, other, nothing="built"))


def _place(external: External | None) -> str:
    if external is None:
        return ""
    places = [f"at {external.prefix}"] * (external.prefix is not None)
    return " ".join(["external", *places, *(f"module {name}" for name in external.modules)])


def _provider(virtuals: frozenset[str], mine: Edge, other: Edge) -> Cause:
    names = (mine.package or mine.hash, other.package or other.hash)
    return Cause(None, "provider", *names, _instead(f"{','.join(sorted(virtuals))} from", *names))


def _one_sided(wanted: Spec, mine: Edge | None, other: Edge | None) -> Cause:
    name = next(edge.package or edge.hash for edge in (mine, other) if edge)
    sides = [f"{name} ({_reason(edge)})" if edge else "" for edge in (mine, other)]
    words = _instead(f"{wanted.package} depends on", *sides, nothing=f"no {name}")
    return Cause(wanted.package, "dependencies", sides[0], sides[1], words)


def _reason(edge: Edge) -> str:
    types = ",".join(sorted(edge.types))
    return f"{types} as {','.join(sorted(edge.virtuals))}" if edge.virtuals else types


def _unknown(wanted: Spec, cached: Spec) -> Cause:
    if cached.is_known and not cached.external and (wanted.edges is None or cached.edges is None):
        return Cause(
            wanted.package, "dependencies", "", "", f"{wanted.package}: a dependency, or something that no column shows"
        )
    words = "something that no column shows" if cached.is_known else "the cached one is not in the dataset"
    return Cause(wanted.package, "unknown", "", "", f"{wanted.package}: {words}")


def _instead(subject: str, wanted: str, cached: str, /, *, nothing: str = "none") -> str:
    return f"{subject} {wanted or nothing} instead of {cached or nothing}"
