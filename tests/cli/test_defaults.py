"""A question to a dataset: in the shell and in Python it is about the same snapshots, unless some are chosen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cachestats as cs
from cachestats.cli import cli
from conftest import ROOT
from tests.support.cli import run

LOCKFILE = ROOT / "data" / "developer-tools.spack.lock.gz"
HOST = "zen4:rhel9"

Ask = Callable[[cs.Dataset, cs.Environment], pl.DataFrame]

QUESTIONS: dict[str, Ask] = {
    "coverage --rows stack --columns target": lambda ds, _: cs.coverage(ds, rows="stack", columns="target"),
    "coverage --rows package --columns snapshot": lambda ds, _: cs.coverage(ds, rows="package", columns="snapshot"),
    "coverage --rows os --columns target --usable": lambda ds, _: cs.coverage(
        ds, rows="os", columns="target", usable=True
    ),
    f"usable --host {HOST}": lambda ds, _: cs.usable(ds, host=HOST),
    f"reusable --host {HOST}": lambda ds, _: cs.reusable(ds, host=HOST),
    "usable --target zen4": lambda ds, _: cs.usable_by_system(ds, host="zen4"),
    f"match {LOCKFILE}": lambda ds, environment: cs.match(environment, ds, dependencies=ds),
    f"causes {LOCKFILE}": lambda ds, environment: cs.causes(environment, ds, dependencies=ds),
    f"hit-rates {LOCKFILE}": lambda ds, environment: cs.hit_rates(environment, ds),
    f"hit-rates {LOCKFILE} --by stack": lambda ds, environment: cs.hit_rates(environment, ds, by="stack"),
    "gaps --by stack": lambda ds, _: cs.gaps(ds, by="stack", dependencies=ds),
    "gaps --by snapshot": lambda ds, _: cs.gaps(ds, by="snapshot", dependencies=ds),
    "versions --by stack": lambda ds, _: cs.versions(ds, by="stack"),
    "versions --by snapshot": lambda ds, _: cs.versions(ds, by="snapshot"),
    "history --by stack": lambda ds, _: cs.history(ds, by="stack"),
    "lifespans": lambda ds, _: cs.lifespans(ds),
    "overlap": lambda ds, _: cs.overlap(ds),
    "overlap --by snapshot": lambda ds, _: cs.overlap(ds, by="snapshot"),
    "overlap-sets --by snapshot": lambda ds, _: cs.overlap_sets(ds, by="snapshot"),
    "duplicates": lambda ds, _: cs.duplicates(ds, dependencies=ds),
    "duplicates --by cause": lambda ds, _: cs.duplicates(ds, dependencies=ds, by="cause"),
    "holes": lambda ds, _: cs.holes(ds),
    "holes --by missing": lambda ds, _: cs.holes(ds, by="missing"),
    "find hdf5@1.14: +mpi ^mpich": lambda ds, _: cs.find(ds, "hdf5@1.14: +mpi ^mpich"),
    f"find cmake zlib-ng --host {HOST} --deps": lambda ds, _: cs.find(
        ds, ["cmake", "zlib-ng"], host=HOST, with_dependencies=True
    ),
    "dependents hdf5": lambda ds, _: cs.dependents(ds, "hdf5"),
    "dependents hdf5 --by snapshot": lambda ds, _: cs.dependents(ds, "hdf5", by="snapshot"),
    "why hdf5 zlib-ng": lambda ds, _: cs.why(ds, "hdf5", "zlib-ng"),
}
FILTERED = "--snapshot develop-2025-* --snapshot !newest --where package=py-* --where package!=py-n* --where stack=!e4s"


def filtered(ds: cs.Dataset) -> cs.Subset:
    """Return what `FILTERED` chooses."""
    return ds.at(["develop-2025-*", "!newest"]).where(package=["py-*", "!py-n*"], stack="!e4s")


QUESTIONS |= {
    f"coverage --rows stack --columns target {FILTERED}": lambda ds, _: cs.coverage(
        filtered(ds), rows="stack", columns="target"
    ),
    f"overlap {FILTERED}": lambda ds, _: cs.overlap(filtered(ds)),
    "history --by stack --spec +mpi --spec cmake": lambda ds, _: cs.history(
        ds.where(spec=["+mpi", "cmake"]), by="stack"
    ),
    "versions --by stack --spec %gcc@11:": lambda ds, _: cs.versions(ds.newest.where(spec="%gcc@11:"), by="stack"),
}
# These write, or their --snapshot chooses something else.
OTHERS = {"build", "update", "check", "export", "report", "retain", "verify"}


def test_every_verb_that_chooses_snapshots_is_asked() -> None:
    choosing = {
        name
        for name, verb in cli.commands.items()
        if any(isinstance(one, click.Option) and "--snapshot" in one.opts for one in verb.params)
    }
    assert choosing - OTHERS == {words.partition(" ")[0] for words in QUESTIONS}


@pytest.mark.parametrize("words", QUESTIONS)
def test_the_default_of_a_verb_is_that_of_its_function(words: str, sample: cs.Dataset, tmp_path: Path) -> None:
    verb, *options = words.split()
    run(verb, sample.path, *options, "--out", tmp_path / "answer.parquet")
    in_shell = pl.read_parquet(tmp_path / "answer.parquet")
    in_python: Any = QUESTIONS[words](sample, cs.read_environment(LOCKFILE))
    assert_frame_equal(in_shell, in_python, check_row_order=False)
    assert in_shell.height or verb == "holes"
    failed = run(verb, sample.path, *options, "--where", "package=cmak", code=2).stderr.decode()
    assert re.search("expected a package of the specs in .*, found 'cmak'\nhint: try cmake", failed)


PAIR = "develop-2024-06-02 develop-2025-03-09"
COMPARED: dict[str, Callable[[cs.Subset, cs.Subset], pl.DataFrame]] = {
    f"compare {PAIR} --change removed": lambda old, new: cs.compare(old, new).filter(change="removed"),
    f"compare-counts {PAIR}": lambda old, new: cs.compare_counts(old, new, by="stack"),
    f"compare-specs {PAIR} --change removed": lambda old, new: cs.compare_specs(old, new).filter(change="removed"),
}


@pytest.mark.parametrize("words", COMPARED)
def test_what_is_compared_can_be_filtered_by_spec_expressions(words: str, sample: cs.Dataset, tmp_path: Path) -> None:
    verb, *options = words.split()
    run(verb, sample.path, *options, "--spec", "+mpi", "--spec", "cmake", "--out", tmp_path / "answer.parquet")
    sides = (sample.at(name).where(spec=["+mpi", "cmake"]) for name in PAIR.split())
    found = COMPARED[words](*sides)
    assert found.height
    assert_frame_equal(pl.read_parquet(tmp_path / "answer.parquet"), found, check_row_order=False)


def test_every_verb_and_picture_that_filters_takes_spec_expressions() -> None:
    picture = cli.commands["plot"]
    assert isinstance(picture, click.Group)
    verbs = cli.commands | {f"plot {name}": one for name, one in picture.commands.items()}
    options = {name: {part for one in verb.params for part in one.opts} for name, verb in verbs.items()}
    keeping = {"retain"}  # whose --spec chooses nothing, but keeps
    assert {name for name, given in options.items() if "--where" in given} == {
        name for name, given in options.items() if "--spec" in given
    } - keeping
