"""What a machine declares: entries of packages.yaml, and which externals of a cache they fit."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.errors import ArgumentError, SourceError
from cachestats.packages_yaml import DeclaredExternal
from cachestats.requirement import External
from cachestats.version_ranges import VersionList
from cachestats.yaml_file import MAX_BYTES

CUDA = External("cuda", "12.4.1", ("~allow-unsupported-compilers", "build_system=generic", "~dev"), "/usr/local/cuda")
MPI = External("openmpi", "4.1.5", ("+pmi", "fabrics=ofi,ucx", "schedulers=slurm"), None, ("openmpi/4.1", "ucx"))

ENTRY = """
packages:
  cuda:
    externals:
    - spec: cuda@12.4
      prefix: /usr/local/cuda
"""


def read(folder: Path, text: str) -> tuple[DeclaredExternal, ...]:
    path = folder / "packages.yaml"
    path.write_text(text)
    return cs.read_packages(path)


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("cuda", True),
        ("cuda@12.4", True),
        ("cuda@12", True),
        ("cuda@=12.4.1", True),
        ("cuda@=12.4", False),
        ("cuda@12.5:", False),
        ("cuda@:11,12.4:", True),
        ("cuda@12.4~dev", True),
        ("cuda@12.4 ~ dev", True),
        ("cuda@12.4+dev", False),
        ("cuda -dev", True),
        ("cuda dev=False", True),
        ("cuda dev=true", False),
        ("cuda ~unheard", False),
        ("cuda@12.4 build_system=generic ~dev", True),
        ("cuda build_system='generic'", True),
        ("cuda build_system:=generic", True),
        ("cuda build_system=makefile", False),
        ("cuda build_system=*", True),
        ("cuda unheard=*", False),
        ("builtin.cuda@12.4", True),
        ("cuda@12.4 %gcc@4 +dev", True),
        ("cuda target=zen4 os=rhel9", True),
        ("cudnn@12.4", False),
    ],
)
def test_an_entry_fits_what_satisfies_its_spec(spec: str, fits: bool) -> None:
    assert DeclaredExternal.parse(spec, prefix="/usr/local/cuda").fits(CUDA) == fits


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("openmpi fabrics=ofi", True),
        ("openmpi fabrics=ucx,ofi", True),
        ("openmpi fabrics=ofi,psm2", False),
        ("openmpi fabrics:=ucx,ofi", True),
        ("openmpi fabrics:=ofi", False),
    ],
)
def test_a_variant_of_several_values_has_at_least_those_asked_for(spec: str, fits: bool) -> None:
    assert DeclaredExternal.parse(spec, modules=("openmpi/4.1", "ucx")).fits(MPI) == fits


@pytest.mark.parametrize(
    ("prefix", "modules"),
    [
        ("/usr/local/cuda/", ()),
        ("/opt/cuda", ()),
        (None, ("cuda/12.4",)),
        ("/usr/local/cuda", ("cuda/12.4",)),
    ],
)
def test_an_entry_for_another_place_fits_nothing(prefix: str | None, modules: tuple[str, ...]) -> None:
    assert not DeclaredExternal.parse("cuda@12.4", prefix=prefix, modules=modules).fits(CUDA)


@pytest.mark.parametrize("modules", [(), ("openmpi/4.1",), ("ucx", "openmpi/4.1")])
def test_modules_are_compared_whole_and_in_order(modules: tuple[str, ...]) -> None:
    assert not DeclaredExternal.parse("openmpi", modules=modules).fits(MPI)


def test_what_cannot_be_checked_is_named() -> None:
    spec = "ns.openmpi@4.1 ++debug opt==3 cflags='-O2 %x' fabrics=ofi arch=linux-rhel9-zen4 v=* /abc %gcc@12 ^hwloc@2+x"
    entry = DeclaredExternal.parse(spec, prefix="/usr")
    assert (entry.name, str(entry.versions)) == ("openmpi", "4.1")
    assert [*map(str, entry.variants)] == ["fabrics=ofi", "v=*"]
    assert entry.unchecked == (
        "++debug",
        "opt==3",
        "namespace=ns",
        "cflags='-O2 %x'",
        "platform=linux",
        "os=rhel9",
        "target=zen4",
        "/abc",
        "%gcc@12",
        "^hwloc@2+x",
    )
    assert DeclaredExternal.parse("openmpi patches=abc dev_path=/src").unchecked == ("dev_path=/src", "patches=abc")


def test_a_key_after_an_open_range_is_no_version() -> None:
    entry = DeclaredExternal.parse("cuda@12: build_system=generic", prefix="/usr/local/cuda")
    assert (str(entry.versions), *map(str, entry.variants)) == ("12:", "build_system=generic")
    assert [*map(str, DeclaredExternal.parse("x@1:b=c").variants)] == ["b=c"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("@12.4", "expected a spec such as cuda@12.4, found '@12.4'"),
        ("dev=true", "expected a spec such as cuda@12.4, found 'dev=true'"),
        ("", "expected a spec, found nothing at character 1:\n  \n  ^"),
        ("cuda@12 @13", "expected one list of versions, found a second one, '@13' at character 9:\n  cuda@12 @13\n"),
        ("cuda@", "expected a version after '@', found nothing at character 5:\n"),
        ("cuda +", "expected the name of a variant after '+', found nothing at character 6:\n"),
        ("cuda openmpi", "expected the end, found a second spec at character 6:\n"),
        ("cuda@12:11", "expected a range from a lower to a higher version, found '12:11' at character 5:\n"),
    ],
)
def test_what_is_no_spec_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        DeclaredExternal.parse(spec)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


@given(st.text(max_size=30), st.text("cuda@12.:,=+~-%^ '\"/*", max_size=20))
def test_any_text_is_a_spec_or_refused(text: str, spec: str) -> None:
    for candidate in (text, spec, f"cuda{spec}"):
        try:
            DeclaredExternal.parse(candidate).fits(CUDA)
        except ArgumentError:
            continue


def test_files_add_up(tmp_path: Path) -> None:
    one, other, environment = (tmp_path / name for name in ("one.yaml", "other.yaml", "spack.yaml"))
    one.write_text(ENTRY)
    other.write_text("\ufeffcuda:\n  externals: [{spec: cuda@11.8, prefix: /opt/cuda}]\n", "utf-8")
    environment.write_text(
        "spack:\n  specs: [hdf5]\n  packages:\n    all: {providers: {mpi: [openmpi]}}\n"
        "    mpi:\n      buildable: false\n      externals: [{spec: openmpi@4.1.5, modules: [openmpi/4.1, ucx]}]\n"
    )
    assert cs.read_packages(one, str(other), environment) == (
        DeclaredExternal("cuda", VersionList.parse("12.4"), prefix="/usr/local/cuda"),
        DeclaredExternal("cuda", VersionList.parse("11.8"), prefix="/opt/cuda"),
        DeclaredExternal("openmpi", VersionList.parse("4.1.5"), modules=("openmpi/4.1", "ucx")),
    )
    assert cs.read_packages() == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "packages:\n",
        "packages: {}",
        "packages:\n  cuda:\n",
        "packages:\n  cuda:\n    externals:\n    buildable: false\n",
        "packages:\n  cuda:\n    externals: []\n",
        "packages:\n  all:\n    require: '%gcc'\n",
        "spack:\n  specs: [hdf5]\n",
        "spack:\n",
    ],
)
def test_a_file_may_declare_nothing(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == ()


def test_keys_that_override_count_as_others(tmp_path: Path) -> None:
    text = "packages::\n  'cuda:':\n    externals::\n    - {spec: cuda, prefix: /usr}\n"
    assert [entry.name for entry in read(tmp_path, text)] == ["cuda"]


def test_a_list_that_is_repeated_by_an_alias_is_read_once(tmp_path: Path) -> None:
    text = ENTRY.replace("externals:", "externals: &all") + "  cudnn:\n    externals: *all\n"
    assert len(read(tmp_path, text)) == 1


def test_a_bomb_of_aliases_is_shown_short(tmp_path: Path) -> None:
    levels = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi"))
    with pytest.raises(SourceError, match=r"expected a list|expected an external") as caught:
        read(tmp_path, f"a: &a [x]\n{levels}packages:\n  cuda:\n    externals: [*i]\n")
    assert ", ...]" in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("cuda@12.4", "expected an external with 'spec' and 'prefix', found 'cuda@12.4'"),
        ("{prefix: /usr}", "expected 'spec' to be a spec such as cuda@12.4, found nothing"),
        ("{spec: 12.4, prefix: /usr}", "expected 'spec' to be a spec such as cuda@12.4, found 12.4"),
        ("{spec: cuda@12.4}", "expected 'prefix' or 'modules' next to the spec 'cuda@12.4', found neither"),
        ("{spec: cuda, modules: []}", "expected 'prefix' or 'modules' next to the spec 'cuda', found neither"),
        ("{spec: cuda, prefix: 12}", "expected 'prefix' to be a path, found 12"),
        ("{spec: cuda, prefix: $spack/cuda}", "expected 'prefix' to be a plain path, found '$spack/cuda'"),
        ("{spec: cuda, modules: cuda/12}", "expected 'modules' to be a list of names, found 'cuda/12'"),
        ("{spec: cuda, modules: [12]}", "expected 'modules' to be a list of names, found [12]"),
    ],
)
def test_a_wrong_entry_is_named(entry: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, f"packages:\n  cuda:\n    externals:\n    - {{spec: cuda, prefix: /usr}}\n    - {entry}\n")
    assert caught.value.message == f"{message}: packages.cuda.externals[1] in {tmp_path / 'packages.yaml'}"
    assert caught.value.hint


def test_a_wrong_spec_is_named_with_its_place_in_the_file_and_the_character(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, "packages: {cuda: {externals: [{spec: cuda@12 @13, prefix: /usr}]}}")
    place = f"packages.cuda.externals[0] in {tmp_path / 'packages.yaml'}"
    assert caught.value.message == (
        f"expected one list of versions, found a second one, '@13' at character 9: {place}:\n  cuda@12 @13\n          ^"
    )
    assert caught.value.hint


def test_every_wrong_entry_is_named_at_once(tmp_path: Path) -> None:
    text = "packages:\n  a:\n    externals: [{}, {spec: a, prefix: /usr}, x]\n  b:\n    externals: [{spec: b}]\n"
    with pytest.raises(SourceError) as caught:
        read(tmp_path, text)
    places = [line.partition(": packages.")[2].partition(" in ")[0] for line in caught.value.message.splitlines()]
    assert places == ["a.externals[0]", "a.externals[2]", "b.externals[0]"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"packages: [cuda]", "expected keys and values, found ['cuda']: packages in "),
        (b"packages: {cuda: [x]}", "expected keys and values, found ['x']: packages.cuda in "),
        (b"packages: {cuda: {externals: {spec: cuda}}}", "expected a list, found {'spec': 'cuda'}: packages.cuda."),
        (b"- cuda", "expected keys and values, found ['cuda']: the top level in "),
        (b"just words", "expected keys and values, found 'just words': the top level in "),
        (b"mirrors: {a: https://x}", "expected 'packages:' or packages with 'externals:', found mirrors: "),
        (b"packages: {cuda: {paths: {cuda@12: /usr}}}", "expected 'externals:', found 'paths:' from before Spack 0.16"),
        (b"packages: {cuda: [", "expected YAML, found a fault: "),
        (b"packages:\n\tcuda:", "expected YAML, found a fault: "),
        (b"a: !!python/object/apply:os.system [ls]", "expected YAML, found a fault: "),
        (b"a: !!int ''", "expected YAML, found a fault: "),
        (b"packages: \xff", "expected text in UTF-8, found byte 0xff at offset 10: "),
        ("packages:".encode("utf-16"), "expected text in UTF-8, found byte 0xff at offset 0: "),
        (b"packages: {a: {externals: [0x" + b"f" * 9999 + b"]}}", "a value of more than 4,096 characters"),
        (b"[" * 99_999, "expected YAML, found a fault: "),
        (b"[" * 99_999 + b"]" * 99_999, "expected YAML, found a fault: more than 50 levels of nesting: "),
    ],
    ids=range(16),
)
def test_a_file_of_another_form_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "packages.yaml").write_bytes(data)
    with pytest.raises(SourceError) as caught:
        cs.read_packages(tmp_path / "packages.yaml")
    assert message in caught.value.message
    assert str(tmp_path / "packages.yaml") in caught.value.message
    assert caught.value.hint


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    for path, problem in (
        (tmp_path, "Is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "none", "No such file or directory"),
        (tmp_path / "large", "it has more than"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(SourceError, match=f"cannot read .*: {problem}"):
            cs.read_packages(path)
    with pytest.raises(SourceError, match="cannot read"):
        cs.read_packages(os.fsdecode(b"\xff"))
