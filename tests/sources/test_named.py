"""`NAME=SOURCE`: what is a name and what is a path, and which sources can have a name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import SourceError
from cachestats.sources.request import split_name
from tests.support.datasets import bytes_of
from tests.support.mirrors import DEFAULT, layout_2
from tests.support.servers import HttpServer
from tests.support.site import page, spec, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/mirror", (None, "/srv/mirror")),
        ("week1=/srv/mirror", ("week1", "/srv/mirror")),
        ("week1=a=b", ("week1", "a=b")),
        ("week1=~/mirror", ("week1", "/home/someone/mirror")),
        ("week1=https://host/x?a=b", ("week1", "https://host/x?a=b")),
        ("https://host/x?a=b", (None, "https://host/x?a=b")),
        ("s3://bucket/week1=x", (None, "s3://bucket/week1=x")),
        ("./week1=x", (None, "./week1=x")),
        ("there=x", (None, "there=x")),
        ("there=/x", ("there", "/x")),
        ("link=x", (None, "link=x")),
    ],
)
def test_a_name_is_split_off_unless_it_is_part_of_a_path_or_a_url(
    text: str, expected: tuple[str | None, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "there=x").mkdir()
    (tmp_path / "link=x").symlink_to("nowhere")
    assert split_name(text) == expected


@pytest.mark.parametrize("name", ["", " ", " week1", "week1 ", ".", "..", "w" * 201, "week\n1", "week\udcff"])
def test_what_no_snapshot_is_called_is_no_name(name: str) -> None:
    with pytest.raises(SourceError, match=r"expected NAME=SOURCE with the name of a snapshot, found .* before the ="):
        split_name(f"{name}=mirror")


def test_folders_that_look_like_names_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout_2(tmp_path / "week1=/v1.0", DEFAULT)
    layout_2(tmp_path / "v1.0", DEFAULT)
    both = cs.build_dataset("week1=/v1.0", f"week1={tmp_path}/v1.0", out=tmp_path / "dataset")
    assert both.manifest.snapshots.keys() == {"v1.0", "week1"}
    assert [*both.manifest.sources] == ["./week1=/v1.0", "week1=v1.0"]
    assert cs.update_dataset(both.path).is_empty()
    (tmp_path / "week2=v1.0").symlink_to("week1=/v1.0")
    cs.build_dataset("week2=v1.0", out="other")
    (tmp_path / "week1=").rename(tmp_path / "gone")
    with pytest.raises(SourceError, match=r"other at week1=/v1\.0, found nothing there"):
        cs.update_dataset("other")
    with pytest.raises(SourceError, match="an empty path"):
        cs.build_dataset("week2=", out=tmp_path / "other")


def test_every_source_of_one_snapshot_can_be_named_and_no_other(
    tmp_path: Path, http_server: Callable[..., HttpServer]
) -> None:
    layout_2(tmp_path / "many/develop", DEFAULT)
    layout_2(tmp_path / "many/develop/e4s", DEFAULT)
    layout_2(tmp_path / "many/v1.0", DEFAULT)
    (tmp_path / "many/cache_spack_io_index.json").write_text(
        '{"develop": [{"label": "root", "url": "s3://spack-binaries/develop/build_cache/index.json"},'
        ' {"label": "e4s", "url": "s3://spack-binaries/develop/e4s/build_cache/index.json"}],'
        ' "v1.0": [{"label": "root", "url": "s3://spack-binaries/v1.0/build_cache/index.json"}]}'
    )
    (tmp_path / "installed/.spack-db").mkdir(parents=True)
    shutil.copy(tmp_path / "many/v1.0/build_cache/index.json", tmp_path / "installed/.spack-db")
    shutil.copy(tmp_path / "many/v1.0/build_cache/index.json", tmp_path / "alone.json")
    catalogue, url = tmp_path / "many/cache_spack_io_index.json", http_server(tmp_path, listings="nginx").url

    def rows(source: object, **options: list[str]) -> set[tuple[str, str]]:
        shutil.rmtree(tmp_path / "dataset", ignore_errors=True)
        dataset = cs.build_dataset(f"week1={source}", out=tmp_path / "dataset", **options)
        assert cs.update_dataset(dataset.path).is_empty(), "it is remembered by this name"
        return set(dataset.specs.select("snapshot", "stack").collect().rows())

    with_stacks = {("week1", "root"), ("week1", "e4s")}
    assert rows(tmp_path / "many/develop") == rows(f"file://{tmp_path}/many/develop") == with_stacks
    assert rows(f"{url}/many/develop") == with_stacks, "the catalogue above lists it"
    assert rows(catalogue, snapshots=["develop"]) == rows(tmp_path / "many", snapshots=["develop"]) == with_stacks
    assert rows(tmp_path / "alone.json") == rows(f"{url}/alone.json") == {("week1", "root")}
    assert rows(tmp_path / "installed", stacks=["login"]) == {("week1", "login")}
    for source in (tmp_path / "many", catalogue, f"{url}/many"):
        with pytest.raises(SourceError, match=r"one snapshot to name week1 in .*, found 2 snapshots: develop, v1\.0"):
            rows(source)
    site = write(tmp_path / "site", {("develop", "a"): page(specs=[spec()])})
    with pytest.raises(SourceError, match=r"expected an index to name week1 in .*site, found pages"):
        rows(site)
    with pytest.raises(SourceError, match=r"expected one name for .*alone\.json, found also v1\.0"):
        rows(tmp_path / "alone.json", snapshots=["v1.0"])
    with pytest.raises(SourceError, match=r"expected one name for .*alone\.json, found week1 and week2"):
        cs.build_dataset(f"week1={tmp_path}/alone.json", f"week2={tmp_path}/alone.json", out=tmp_path / "dataset")


def test_a_named_part_of_another_source_is_read_under_its_name_too(tmp_path: Path) -> None:
    for snapshot in ("develop", "v1.0"):
        layout_2(tmp_path / "many" / snapshot, DEFAULT)
    dataset = cs.build_dataset(tmp_path / "many", f"before={tmp_path}/many/develop", out=tmp_path / "dataset")
    assert dataset.manifest.snapshots.keys() == {"before", "develop", "v1.0"}
    assert cs.update_dataset(dataset.path).is_empty()


def test_a_command_for_a_named_mirror_is_one_for_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mirror/build_cache/linux-zlib-1.3.1-aaaa.spec.json.sig"
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(SourceError) as caught:
        cs.build_dataset(f"week1={tmp_path}/mirror", out=tmp_path / "dataset")
    assert str(caught.value.hint).endswith(f"spack buildcache update-index {tmp_path}/mirror")


def test_one_name_for_two_sources_unites_their_stacks(tmp_path: Path) -> None:
    for stack in ("e4s", "radiuss"):
        layout_2(tmp_path / "here/v1.0" / stack, DEFAULT)
        layout_2(tmp_path / stack / "v1.0" / stack, DEFAULT)
    named = cs.build_dataset(*(f"v1.0={tmp_path}/{one}" for one in ("e4s", "radiuss")), out=tmp_path / "named")
    assert bytes_of(named) == bytes_of(cs.build_dataset(tmp_path / "here", out=tmp_path / "here-dataset"))
