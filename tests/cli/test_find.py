"""The verb `find`: what it shows, and what it says of the total and of what is not there."""

from __future__ import annotations

import pytest

import cachestats as cs
from cachestats.cli.find import joined
from tests.support.cli import run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hdf5+mpi"], "8 of 8 specs of hdf5 in develop-2025-05-25, 100.0%\n"),
        (["hdf5", "+mpi", "cmake"], "13 of 13 specs of cmake or hdf5 in develop-2025-05-25, 100.0%\n"),
        (
            ["hdf5", "cmake@9"],
            "8 of 13 specs of cmake or hdf5 in develop-2025-05-25, 61.5%\n"
            "hint: for cmake@9, no spec has @9; there is 3.31.6\n",
        ),
        (["not hdf5", "cmake"], "5 of 5 specs of cmake in develop-2025-05-25, 100.0%\n"),
        (["^mpich"], "109 of 1,413 specs in develop-2025-05-25, 7.7%\n"),
        (
            ["hdf5@9"],
            "0 of 8 specs of hdf5 in develop-2025-05-25, 0.0%\n"
            "hint: for hdf5@9, no spec has @9; there is 1.14.6, 1.8.23\n",
        ),
        (
            ["hdf5", "--host", "zen4:rhel8"],
            "8 of 8 specs of hdf5 in develop-2025-05-25, 100.0%; zen4 with rhel8 (glibc 2.28) can reuse 3 of them, "
            "37.5%\n"
            "obstacles for the others: glibc@2.35 (4), glibc@2.39 (1)\n",
        ),
    ],
)
def test_the_total_is_in_proportion(words: list[str], said: str, sample: cs.Dataset) -> None:
    assert run("find", sample.path, *words).stderr.decode() == said


def test_columns_are_those_that_are_asked_for(sample: cs.Dataset) -> None:
    ask = ("find", sample.path, "zlib-ng", "--snapshot", "develop-2024-06-02", "--format", "markdown")

    def columns(*options: str) -> list[str]:
        return run(*ask, *options).stdout.decode().splitlines()[0].strip("| ").split(" | ")

    short = [name.strip() for name in columns()]
    assert short == ["package", "version", "os", "target", "compiler", "stacks"]
    assert [name.strip() for name in columns("-l", "-v", "-d")] == [
        "hash", "package", "version", "dependencies", "variants", *short[2:],
    ]  # fmt: skip
    assert len(run(*ask, "-L").stdout.decode().splitlines()[2].split("|")[1].strip()) == 32


def test_words_of_a_command_line_are_joined_as_spack_joins_them(sample: cs.Dataset) -> None:
    assert joined(["zlib-ng", "cflags=-O3 -g", "^cmake"]) == "zlib-ng cflags='-O3 -g' ^cmake"
    assert joined(["zlib-ng cflags='-O3 -g'"]) == "zlib-ng cflags='-O3 -g'"
    found = run(
        "find", sample.path, "zlib-ng", "cflags=-O3", "--snapshot", "develop-2024-06-02", "-l", "--format", "csv"
    )
    assert found.stdout.decode().count("\n") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([""], "expected a spec, found nothing"),
        (["cmake", "not"], "expected a spec, found 'not'"),
        (["py-*"], "expected no pattern in a spec, found '*'"),
        (["hdf5@"], "expected a version after '@', found nothing"),
        (["hdf5@>=1.14"], "expected a version after '@', found '>'"),
        (["hdf5 api='v18"], "expected ' at the end of the value too, found none"),
        (["/3A6D7I4"], "expected the first characters of a hash, found /3A6D7I4"),
    ],
)
def test_what_is_no_spec_is_refused(words: list[str], said: str, sample: cs.Dataset) -> None:
    assert said in run("find", sample.path, *words, code=2).stderr.decode()


def test_dependencies_of_pages_are_unknown_rather_than_none(demo: cs.Dataset) -> None:
    failed = run("find", demo.path, "py-filelock", "-d", code=2)
    assert "expected dependencies, found none for develop: pages do not list dependencies" in failed.stderr.decode()
