"""A report for hosts and environments: what it says of them is what the analyses say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import ArgumentError
from tests.support.cli import run
from tests.support.indices import index
from tests.support.markup import words
from tests.support.mirrors import DEFAULT, build, layout_2

HOSTS = ("zen4:rhel9", "x86_64_v3:ubuntu24.04")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, sample: cs.Dataset) -> Path:
    out = tmp_path_factory.mktemp("own") / "report"
    lockfile = cs.example_dataset().path / "spack.lock"
    subset = sample.where(package=[*cs.read_environment(lockfile).specs["package"], "cmake"])
    cs.write_report(subset, out, hosts=HOSTS, environments={"mine": cs.read_environment(lockfile)})
    return out


def test_hosts(own: Path, sample: cs.Dataset) -> None:
    said = json.loads((own / "report.json").read_text())
    packages = [path.stem for path in (own / "packages").iterdir()]
    subset = sample.where(package=packages)
    for host in HOSTS:
        text = words(own / "hosts" / f"{host.replace(':', '-')}.html")
        for name in sample.manifest.snapshots:
            answer = cs.usable(subset.at(name), host=host)
            every = answer["package"].n_unique()
            can = answer.filter(answer["cell"] != "missing")["package"].n_unique()
            assert f"{name} {can:,} {every:,} {can / every:.1%}" in text
        assert said["hosts"][host] == {"num_usable": can, "num_packages": every}
        assert f"can use {can} of the {every} packages" in text


def test_environments(own: Path, sample: cs.Dataset) -> None:
    environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    said = json.loads((own / "report.json").read_text())["environments"]["mine"]
    rates = cs.hit_rates(environment, sample)
    assert said["history"] == dict(rates.select("snapshot", "hits").iter_rows())
    assert max(said["history"].values()) == 42
    matches = cs.match(environment, sample.newest, dependencies=sample)
    assert said["near"] == matches.filter(status="near").height
    text = words(own / "environments/mine.html")
    for row in matches.filter(status="near").head(10).iter_rows(named=True):
        assert " ".join(f"{row['version']} {row['hash']} {row['causes']}".split()) in text


def test_environments_with_the_same_name_are_refused(sample: cs.Dataset, tmp_path: Path) -> None:
    lockfile = cs.example_dataset().path / "spack.lock"
    again = tmp_path / "example_data" / "spack.lock"
    again.parent.mkdir()
    again.write_bytes(lockfile.read_bytes())
    options = [word for path in (lockfile, again) for word in ("--environment", str(path))]
    done = run("report", str(sample.path), "--out", str(tmp_path / "report"), *options, code=2)
    assert b"two that are called example_data" in done.stderr


@pytest.mark.parametrize("host", ["zen99:rhel9", "zen99"])
def test_a_host_with_an_unknown_target_is_refused(host: str, sample: cs.Dataset, tmp_path: Path) -> None:
    said = [
        run(*verb, str(sample.path), "--host", host, code=2).stderr
        for verb in (("usable",), ("report", "--out", str(tmp_path / "report")))
    ]
    assert b"expected a target that archspec or the dataset knows, found 'zen99'" in said[0]
    assert said[0] == said[1]
    assert not (tmp_path / "report").exists()


def test_a_host_that_is_not_complete_is_refused(sample: cs.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="expected the operating system"):
        cs.write_report(sample, tmp_path / "report", hosts=["zen4"])


def test_a_snapshot_without_specs_has_its_numbers(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop-2026-11-28", DEFAULT)
    layout_2(tmp_path / "mirrors/develop-2026-12-05", index({}, cached=set()))
    dataset = build(tmp_path)
    environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    for name, subset in (("both", dataset.at("all")), ("none", dataset.newest)):
        out = tmp_path / name
        cs.write_report(subset, out, hosts=["zen4:rhel9"], environments={"mine": environment})
        text = words(out / "hosts/zen4-rhel9.html")
        assert "can use 0 of the 0 packages in develop-2026-12-05" in text
        assert "develop-2026-12-05 0 0 \u2013" in text
        text = words(out / "environments/mine.html")
        assert f"develop-2026-12-05 0 {environment.specs.height} 0.0% 0 0" in text
        history = json.loads((out / "report.json").read_text())["environments"]["mine"]["history"]
        assert [*history] == [*reversed(subset.names)]
    assert "develop-2026-11-28 2 2 100.0%" in words(tmp_path / "both/hosts/zen4-rhel9.html")
