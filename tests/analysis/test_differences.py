"""In what two specs differ, which of it follows from something else, and the words for it."""

from __future__ import annotations

from typing import Any

import pytest

from cachestats.analysis.differences import REPRESENTATION, Edge, Spec, compare
from cachestats.requirement import External

VALUES = {
    "version": "1.0",
    "compiler": "gcc@13",
    "platform": "linux",
    "os": "rhel9",
    "target": "zen4",
    "variants": "build_system=cmake +shared",
    "flags": "",
    "namespace": "builtin",
    "package_hash": "aaaaaaaaaa",
}


def spec(edges: tuple[Edge, ...] | None = (), package: str = "a", form: int = 4, **values: Any) -> Spec:
    return Spec(package, "hash", VALUES | values, form, None, edges)


def to(package: str, digest: str, *types: str, virtuals: str = "", external: str | None = None) -> Edge:
    return Edge(package, "1.0", digest, frozenset(types or ["link"]), frozenset(virtuals.split()), external)


FIELDS: list[tuple[dict[str, Any], list[str], list[tuple[str, str]]]] = [
    # fields of the wanted spec, fields that differ, and (field, words) of the causes
    ({"version": "2"}, ["version"], [("version", "a 2 instead of 1.0")]),
    ({"variants": "build_system=cmake ~shared"}, ["variants"], [("variants", "a 1.0~shared instead of +shared")]),
    ({"variants": "build_system=make ~shared"}, ["variants"],
     [("variants", "a 1.0~shared build_system=make instead of +shared build_system=cmake")]),
    ({"variants": "build_system=make +shared"}, ["variants"],
     [("variants", "a 1.0 build_system=make instead of build_system=cmake")]),
    ({"variants": "build_system=cmake +mpi +shared"}, ["variants"],
     [("variants", "a 1.0 with +mpi, which the cached one lacks")]),
    ({"variants": "build_system=cmake"}, ["variants"], [("variants", "a 1.0 without +shared")]),
    ({"flags": "cflags=-O3"}, ["flags"], [("flags", "a 1.0 cflags=-O3 instead of no flags")]),
    ({"namespace": "mine"}, ["namespace"], [("namespace", "a, repository mine instead of builtin")]),
    ({"package_hash": "bbbbbbbbbb"}, ["recipe"], [("recipe", "a 1.0, recipe bbbbbbb instead of aaaaaaa")]),
    ({"target": "zen2", "os": "rhel8"}, ["os", "target"],
     [("os", "os rhel8 instead of rhel9"), ("target", "target zen2 instead of zen4")]),
    ({"platform": "darwin"}, ["platform"], [("platform", "platform darwin instead of linux")]),
    ({"compiler": "gcc@14"}, ["compiler"], [("compiler", "compiler gcc@14 instead of gcc@13")]),
    ({"compiler": None}, ["compiler"], [("compiler", "compiler none instead of gcc@13")]),
    # Another version has another recipe, and may have other variants.
    ({"version": "2", "package_hash": "b", "variants": "build_system=cmake +new +shared"},
     ["version", "variants", "recipe"], [("version", "a 2 instead of 1.0")]),
    ({"version": "2", "package_hash": "b", "variants": "build_system=cmake ~shared"},
     ["version", "variants", "recipe"],
     [("version", "a 2 instead of 1.0"), ("variants", "a 2~shared instead of +shared")]),
    # So may another recipe; but what follows from a variant that differs belongs to it.
    ({"package_hash": "b", "variants": "+new build_system=cmake +shared"}, ["variants", "recipe"],
     [("recipe", "a 1.0, recipe b instead of aaaaaaa")]),
    ({"package_hash": "b", "variants": "build_system=cmake cuda_arch=70 ~shared"}, ["variants", "recipe"],
     [("variants", "a 1.0~shared cuda_arch=70 instead of +shared"), ("recipe", "a 1.0, recipe b instead of aaaaaaa")]),
    # Patches follow from anything; by themselves they are all that is seen.
    ({"package_hash": "b", "variants": "build_system=cmake patches=1234567 +shared"}, ["variants", "recipe"],
     [("recipe", "a 1.0, recipe b instead of aaaaaaa")]),
    ({"package_hash": "b", "variants": "build_system=cmake patches=1234567 ~shared"}, ["variants", "recipe"],
     [("variants", "a 1.0~shared instead of +shared")]),
    ({"package_hash": "b", "os": "rhel8", "variants": "build_system=cmake patches=1234567 +shared"},
     ["os", "variants", "recipe"], [("os", "os rhel8 instead of rhel9")]),
    ({"variants": "build_system=cmake patches=1234567 +shared"}, ["variants"],
     [("variants", "a 1.0 with patches=1234567, which the cached one lacks")]),
    ({"version": "2", "variants": "build_system=cmake patches=1234567 +shared"}, ["version", "variants"],
     [("version", "a 2 instead of 1.0")]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "fields", "causes"), FIELDS)
def test_what_differs_is_named(values: dict[str, Any], fields: list[str], causes: list[tuple[str, str]]) -> None:
    found = compare(spec(**values), spec())
    assert list(found.fields) == fields
    assert [(cause.field, cause.words) for cause in found.causes] == causes
    for cause in found.causes:
        assert (cause.package is None) == (cause.field in {"platform", "os", "target", "compiler"})


def test_what_a_source_does_not_tell_is_no_difference() -> None:
    pages = Spec(
        "a", "x", {key: VALUES[key] for key in ("version", "compiler", "platform", "os", "target", "variants")}
    )
    found = compare(spec(flags="cflags=-g", namespace="mine", package_hash="b"), pages)
    assert found.fields == ("dependencies",)
    assert [cause.field for cause in found.causes] == ["dependencies"]


def test_dependencies_of_one_package_are_compared_further() -> None:
    wanted = spec((to("b", "1"), to("c", "2"), to("d", "3")))
    cached = spec((to("b", "1"), to("c", "other"), to("d", "4")))
    found = compare(wanted, cached)
    assert found.fields == ("dependencies",)
    assert not found.causes
    assert [(mine.hash, other.hash) for mine, other in found.below] == [("2", "other"), ("3", "4")]


def test_of_two_builds_of_a_package_those_that_are_for_the_same_are_compared() -> None:
    wanted = spec((to("b", "1", "build"), to("b", "2", "link"), to("b", "3", "run")))
    cached = spec((to("b", "y", "run"), to("b", "x", "link"), to("b", "1", "build", "run")))
    found = compare(wanted, cached)
    assert {(mine.hash, other.hash) for mine, other in found.below} == {("2", "x"), ("3", "y")}
    # One that both have is the same, whatever it is for.
    swapped = compare(spec((to("b", "1", "build"), to("b", "2"))), spec((to("b", "3", "build"), to("b", "1"))))
    assert [(mine.hash, other.hash) for mine, other in swapped.below] == [("2", "3")]


@pytest.mark.parametrize(
    ("wanted", "cached", "words"),
    [
        ([to("b", "1")], [], "a depends on b (link) instead of no b"),
        ([], [to("b", "1", "build", "run")], "a depends on no b instead of b (build,run)"),
        ([to("b", "1", "build", "link")], [to("b", "1")], "a depends on b (build,link) instead of b (link)"),
        ([to("b", "1", virtuals="mpi")], [to("b", "1")], "a depends on b (link as mpi) instead of b (link)"),
    ],
)
def test_a_dependency_that_only_one_has_is_a_cause_if_nothing_else_is(
    wanted: list[Edge], cached: list[Edge], words: str
) -> None:
    found = compare(spec(tuple(wanted)), spec(tuple(cached)))
    assert (found.fields, [(cause.field, cause.words) for cause in found.causes]) == (
        ("dependencies",), [("dependencies", words)]
    )  # fmt: skip
    explained = compare(spec(tuple(wanted), version="2"), spec(tuple(cached)))
    assert explained.fields == ("version", "dependencies")
    assert [cause.field for cause in explained.causes] == ["version"]


def test_another_provider_is_a_cause_of_its_own() -> None:
    wanted = spec((to("openmpi", "1", virtuals="mpi"), to("z", "3")), version="2")
    cached = spec((to("mpich", "2", virtuals="mpi"), to("z", "3")))
    found = compare(wanted, cached)
    assert [(cause.package, *cause[1:]) for cause in found.causes[1:]] == [
        (None, "provider", "openmpi", "mpich", "mpi from openmpi instead of mpich")
    ]
    assert found.fields == ("version", "dependencies")
    assert not found.below


def test_the_version_of_a_compiler_is_told_once() -> None:
    def built_with(version: str, digest: str, form: int = 5) -> Spec:
        return spec((to("gcc", digest, "build", virtuals="c cxx"),), form=form, compiler=f"gcc@{version}")

    # Where it is a dependency, it is followed; a compiler of another name is not.
    found = compare(built_with("14", "1"), built_with("13", "2"))
    assert found.fields == ("compiler", "dependencies")
    assert (found.causes, len(found.below)) == ((), 1)
    llvm = spec((to("llvm", "3", "build", virtuals="c cxx"),), form=5, compiler="llvm@19")
    other = compare(llvm, built_with("13", "2"))
    assert [(cause.field, cause.words) for cause in other.causes] == [
        ("compiler", "compiler llvm@19 instead of gcc@13")
    ]
    assert not other.below


def test_the_runtime_of_a_compiler_has_its_version() -> None:
    old = compare(
        spec(package="gcc-runtime", version="14", compiler="gcc@14", package_hash="b"), spec(package="gcc-runtime")
    )
    assert [cause.field for cause in old.causes] == ["compiler"]
    wanted = spec((to("gcc", "1", "build"),), "gcc-runtime", 5, version="14", compiler=None, package_hash="b")
    cached = spec((to("gcc", "2", "build"),), "gcc-runtime", 5, compiler=None)
    new = compare(wanted, cached)
    assert (new.causes, len(new.below)) == ((), 1)
    alone = compare(spec((), "gcc-runtime", 5, version="14"), spec((), "gcc-runtime", 5))
    assert [cause.field for cause in alone.causes] == ["version"]


TOOLCHAIN = (
    to("compiler-wrapper", "1", "build"),
    to("gcc", "2", "build", virtuals="c"),
    to("gcc-runtime", "3"),
    to("glibc", "4", virtuals="libc", external="glibc@2.34"),
)


def test_compilers_as_dependencies_are_another_representation() -> None:
    wanted, cached = spec((*TOOLCHAIN, to("z", "9")), form=5), spec((to("z", "9"),), form=4)
    for one, other in ((wanted, cached), (cached, wanted)):
        found = compare(one, other)
        assert (found.fields, found.causes, found.below) == (("representation",), (REPRESENTATION,), ())
    # A spec had a compiler, even if nothing was compiled.
    python = compare(spec((to("z", "9"),), form=5, compiler=None), cached)
    assert (python.fields, python.causes) == (("representation",), (REPRESENTATION,))
    assert [cause.field for cause in compare(spec(form=5, compiler="gcc@14"), cached).causes] == [
        "compiler",
        "representation",
    ]
    neither = compare(spec((), form=5, compiler=None), spec((), form=4, compiler=None))
    assert (neither.fields, neither.causes) == (("representation",), (REPRESENTATION,))
    # Since Spack 0.22 the libc is a dependency, in the same format.
    libc = compare(spec((TOOLCHAIN[3], to("z", "9"))), cached)
    assert (libc.fields, libc.causes) == (("representation",), (REPRESENTATION,))
    # Where both are of Spack 1.0, what only one depends on is a difference.
    both = compare(spec(TOOLCHAIN, form=5), spec(TOOLCHAIN[:3], form=5))
    assert [cause.words for cause in both.causes] == ["a depends on glibc (link as libc) instead of no glibc"]
    assert compare(spec(form=3), spec()).causes == (REPRESENTATION,)


def external(version: str = "2.34", prefix: str | None = "/usr", **values: str) -> Spec:
    place = External("glibc", version, (), prefix)
    return Spec("glibc", "x", {"version": version, "variants": ""} | values, None, place)


def test_externals_are_compared_in_what_is_known_of_them() -> None:
    system = {"os": "rhel9", "target": "zen4"}
    libc = compare(external("2.34", **system), external("2.28"))
    assert [(cause.package, cause.field, cause.words) for cause in libc.causes] == [
        ("glibc", "libc", "glibc 2.34 instead of 2.28")
    ]
    moved = compare(external(prefix="/opt"), external())
    assert [(cause.field, cause.words) for cause in moved.causes] == [
        ("external", "glibc external at /opt instead of external at /usr")
    ]
    built = Spec("glibc", "y", VALUES | {"version": "2.34", "variants": ""}, 4, None, ())
    assert "glibc external at /usr instead of built" in [cause.words for cause in compare(external(), built).causes]
    assert "glibc built instead of external at /usr" in [cause.words for cause in compare(built, external()).causes]
    unknown = compare(external(), external())
    assert [(cause.field, cause.words) for cause in unknown.causes] == [
        ("unknown", "glibc: something that no column shows")
    ]


def test_what_nothing_shows_is_said() -> None:
    assert [cause.words for cause in compare(spec(), spec()).causes] == ["a: something that no column shows"]
    gone = Spec("a", "x", {"version": "1.0"}, is_known=False)
    assert [cause.words for cause in compare(spec(), gone).causes] == ["a: the cached one is not in the dataset"]
    older = Spec("a", "x", {"version": "0.9"}, is_known=False)
    assert [cause.words for cause in compare(spec(), older).causes] == ["a 1.0 instead of 0.9"]
