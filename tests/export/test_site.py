"""A dataset written back as pages: the site's own bytes, and a folder that no name and no crash can harm."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import filelock
import pytest
import yaml
from hypothesis import given

import cachestats as cs
from cachestats.errors import ArgumentError, BusyError, CachestatsError, DatasetError
from cachestats.export import site as site_export
from cachestats.naming import ListSign, canonical_variant, page_variant, variant_sign
from cachestats.spack_releases import canonical_compiler, page_compiler
from conftest import CORPUS, SEEDS, in_corpus
from tests.support.datasets import bytes_of
from tests.support.indices import index
from tests.support.mirrors import layout_2
from tests.support.nodes import node
from tests.support.pages import sites
from tests.support.site import page, spec, write


def files(folder: Path) -> dict[str, bytes]:
    """Return the pages in a folder, by their paths below `_cache`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("specs.md")}


def built(site: Path, out: Path) -> cs.Dataset:
    return cs.build_dataset(site, out=out)


def small(folder: Path, **packages: str) -> cs.Dataset:
    """Return a dataset of `develop` with a spec of each package, of the target given."""
    pages = {
        ("develop", name): page(name, specs=[spec(f"{name:0>32}", target=target)]) for name, target in packages.items()
    }
    return cs.build_dataset(write(folder / "pages", pages), out=folder / "dataset", allow_shrink=True)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["mirrors", "mirrors-v3", "site"])
def test_indices_give_the_pages_of_the_site(source: str, tmp_path: Path) -> None:
    expected = files(in_corpus("site") / "_cache")
    dataset = cs.build_dataset(CORPUS / source, out=tmp_path / "dataset")
    expected = {name: data for name, data in expected.items() if name.split("/")[0] in dataset.manifest.snapshots}
    assert cs.export_site(dataset, tmp_path / "site") == len(expected) == (636 if source == "mirrors-v3" else 3102)
    assert files(tmp_path / "site/_cache") == expected


def test_the_seeds_come_back(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_site(demo, tmp_path / "site")
    assert bytes_of(built(tmp_path / "site", tmp_path / "dataset")) == bytes_of(demo)
    assert files(tmp_path / "site/_cache") == files(SEEDS), "the very bytes that were published"


@given(sites())
def test_generated_pages_come_back(pages: dict[tuple[str, str], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        numbered = {(f"s{n}", f"p{n}"): text for n, text in enumerate(pages.values())}
        dataset = built(write(Path(folder) / "pages", numbered), Path(folder) / "dataset")
        count = cs.export_site(dataset, Path(folder) / "site")
        assert count == len(files(Path(folder) / "site/_cache"))
        if not count:
            return
        again = built(Path(folder) / "site", Path(folder) / "again")
        # A snapshot without specs has no pages.
        assert bytes_of(again) == {name: data for name, data in bytes_of(dataset).items() if name in bytes_of(again)}
        assert again.manifest.tables["specs"] == dataset.manifest.tables["specs"]
        assert set(again.rejected.collect()["rule"]) <= {"folder"}


def test_a_size_that_is_known_is_written(tmp_path: Path) -> None:
    text = page(specs=[spec(size="123", variants=["build_system=cmake", "+shared"])])
    dataset = built(write(tmp_path / "pages", {("develop", "zlib"): text}), tmp_path / "dataset")
    cs.export_site(dataset, tmp_path / "site")
    assert (tmp_path / "site/_cache/develop/zlib/specs.md").read_text() == text


@pytest.mark.parametrize(
    ("generations", "expected"),
    [(["g4"], "llvm@14"), (["g3"], "clang@=14"), (["g1"], "clang@=14"), (["g3", "g4"], "clang@=14")],
)
def test_compilers_are_spelled_as_in_their_snapshot(generations: list[str], expected: str, tmp_path: Path) -> None:
    pages = {}
    for number, generation in enumerate(generations):
        compilers = ["none"] if number else ["llvm@14" if generation == "g4" else "clang@=14", "none"]
        specs = [spec(f"{number}{n:031d}", compiler=compiler) for n, compiler in enumerate(compilers)]
        pages["develop", f"p{number}"] = page(f"p{number}", specs=specs, generation=generation)
    dataset = built(write(tmp_path / "pages", pages), tmp_path / "dataset")
    assert dataset.snapshots.collect()["generation"].to_list() == ["+".join(generations)]
    cs.export_site(dataset, tmp_path / "site")
    front_matter = yaml.safe_load((tmp_path / "site/_cache/develop/p0/specs.md").read_text().split("\n---")[0])
    assert [one["compiler"] for one in front_matter["spec_details"]] == [expected, "none"]


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize(
    "text", ["none", "none@", "gcc", "gcc@13", "gcc@=13", "gcc@==1", "intel@=2021", "arm@1", "oneapi@=2", "@1", "a@b@c"]
)
def test_a_compiler_is_read_as_it_was(text: str, is_old: bool) -> None:
    compiler = canonical_compiler(text)
    assert canonical_compiler(page_compiler(compiler[0], is_old=is_old)) == compiler


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("+mpi", None),
        ("~mpi", None),
        ("bare", None),
        ("a=b,c/d_e.f-[1]", None),
        ("a:=b,c", None),
        ("a='c,c++'", None),
        ("a:='c,c++'", None),
        ("a=c++", "a='c++'"),
        ("a=''", None),
        ("a=", "a=''"),
        ("cflags='-O2 -g'", None),
        ('a="it\'s"', None),
        ('a="it\'s \\"so\\""', None),  # escaped by Spack
        ("a::=b", None),
        ("+a::='b'", "+a::=b"),  # the name of a switch
        ("a='\"b'", None),
    ],
)
def test_a_variant_is_written_as_spack_does(text: str, written: str | None) -> None:
    sign: ListSign = ":=" if variant_sign(text) == ":=" else "="
    assert page_variant(canonical_variant(text), sign=sign) == (written or text)


HOSTILE = ["..", ".", "../x", "../../x", "/tmp/x", "a/b", "a\\b", "-rf", "a b", "a\nb", "%2E", "~", "true", "1.0", "😀"]
HOSTILE += ['"q"', "it's", "a, b]", "_cache", "\x7f\x85\u2028", "x" * 200, "ß" * 200, "&a", "*a", "#", "CON"]


@pytest.mark.slow
def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    pages = {}
    for number, name in enumerate(HOSTILE):
        # YAML's own way to write any text on one line.
        quoted = yaml.safe_dump(name, default_style='"', width=1e9).strip()
        pages["a", str(number)] = page("zlib", quoted, [spec()])
        text = page("TITLE", "develop", [spec(f"{number:032d}")])
        pages["b", str(number)] = text.replace('"TITLE"', quoted)
    dataset = built(write(tmp_path / "pages", pages), tmp_path / "dataset")
    assert set(dataset.specs.collect()["package"]) == {*HOSTILE, "zlib"}
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert cs.export_site(dataset, tmp_path / "in/site") == 2 * len(HOSTILE)
    found = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert len(found) == 2 * len(HOSTILE) + 4
    assert all(path.is_relative_to(tmp_path / "in/site") for path in found)
    assert {len(path.relative_to(tmp_path / "in/site").parts) for path in found if path.name == "specs.md"} == {4}
    again = built(tmp_path / "in/site", tmp_path / "again")
    assert bytes_of(again) == bytes_of(dataset)
    entries = json.loads((tmp_path / "in/site/api/data.json").read_text())
    assert {entry["uid"] for entry in entries} == {*HOSTILE, "zlib"}
    tags = yaml.safe_load((tmp_path / "in/site/_data/tags.yaml").read_text())
    assert {tag["name"] for tag in tags} == {*HOSTILE, "develop"}


def test_a_name_that_no_page_may_have_is_refused(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop", index({"a" * 32: node("x" * 201, "a" * 32)}, cached={"a" * 32}))
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    with pytest.raises(DatasetError, match="expected the name of a package of 1 to 200 characters, found"):
        cs.export_site(dataset, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_tags_and_data_sum_the_dataset_up(demo: cs.Dataset, tmp_path: Path) -> None:
    names = ["v0.9.0", "develop-2025-03-09", "odd", "v0.21.0", "develop", "develop-2024-12-29", "v2025.07.0"]
    packages = {"py-a": ["root", "e4s"], "py-a-b": ["tutorial"], "py": []}
    pages = {
        (name, package): page(package, name, [spec(f"{n}{len(stacks)}".zfill(32), stacks=stacks, os=name)])
        for n, name in enumerate(names)
        for package, stacks in packages.items()
    }
    dataset = built(write(tmp_path / "pages", pages), tmp_path / "dataset")
    cs.export_site(dataset, tmp_path / "site")
    ordered = ["develop", "v0.9.0", "v0.21.0", "v2025.07.0", "develop-2025-03-09", "develop-2024-12-29", "odd"]
    expected = "".join(f"- name: {name}\n  stacks:\n  - e4s\n  - root\n  - tutorial\n" for name in ordered)
    assert (tmp_path / "site/_data/tags.yaml").read_text() == expected
    entries = json.loads((tmp_path / "site/api/data.json").read_text())
    assert [entry["rel"] for entry in entries] == sorted(f"package/{name}/{one}/specs/" for name, one in pages)

    for one in (dataset, demo):
        cs.export_site(one, tmp_path / f"{one is demo}")
        entries = json.loads((tmp_path / f"{one is demo}/api/data.json").read_text())
        found = {(entry.pop("tag"), entry.pop("uid")): entry for entry in entries}
        assert found == summaries(one, has_old_compilers=one is demo)


def summaries(dataset: cs.Dataset, *, has_old_compilers: bool) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the entries of `api/data.json`, by snapshot and package, by plain loops."""
    specs: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    stacks: dict[tuple[str, str], Counter[str]] = {}
    for row in dataset.specs.collect().rows(named=True):
        key = row["snapshot"], row["package"]
        specs.setdefault(key, {})[row["hash"]] = row
        stacks.setdefault(key, Counter()).update([row["stack"]] if row["stack"] else [])
    found = {}
    for (snapshot, package), rows in specs.items():
        by_stack = stacks[snapshot, package]
        columns = {"versions": "version", "oss": "os", "platforms": "platform", "targets": "target"}
        compilers = {row["compiler"] or "none" for row in rows.values()}
        if has_old_compilers:
            compilers = {name.replace("@", "@=").replace("intel-oneapi-compilers", "oneapi") for name in compilers}
        found[snapshot, package] = {
            "url": f"https://packages.spack.io/package.html?name={package}",
            "rel": f"package/{snapshot}/{package}/specs/",
            **{name: sorted({row[column] for row in rows.values()}) for name, column in columns.items()},
            "compilers": sorted(compilers),
            "stacks": sorted(by_stack),
            "num_specs": len(rows),
            "num_specs_by_stack": by_stack,
        }
    return found


def test_an_empty_dataset_is_an_empty_site(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop", index({}, cached=set()))
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset")
    assert cs.export_site(dataset, tmp_path / "site") == 0
    assert json.loads((tmp_path / "site/api/data.json").read_text()) == []
    assert yaml.safe_load((tmp_path / "site/_data/tags.yaml").read_text()) == [{"name": "develop", "stacks": []}]


def test_a_second_export_brings_the_folder_up_to_date(tmp_path: Path) -> None:
    site = tmp_path / "site"
    cs.export_site(small(tmp_path / "old", kept="zen3", gone="zen3", changed="zen3", shared="zen3"), site)
    own = [site / "README.md", site / "_cache/develop/shared/notes.md", site / "_cache/mine/x/specs.md"]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    kept = site / "_cache/develop/kept/specs.md"
    os.utime(kept, ns=(1, 1))
    assert cs.export_site(small(tmp_path / "new", kept="zen3", changed="zen4", new="zen3"), site) == 3
    assert kept.stat().st_mtime_ns == 1, "what does not change is left alone"
    assert all(path.read_text() == "mine" for path in own)
    assert not (site / "_cache/develop/gone").exists()
    written = {f"{name}/specs.md" for name in ("kept", "changed", "new")}
    assert files(site / "_cache/develop").keys() == written
    assert "zen4" in (site / "_cache/develop/changed/specs.md").read_text()
    assert len(json.loads((site / "api/data.json").read_text())) == 3


def test_only_what_an_export_can_have_written_is_removed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    cs.export_site(small(tmp_path / "old", a="zen3"), site)
    victims = [tmp_path / "x/y/specs.md", tmp_path / "specs.md", site / "_cache/a/specs.md", site / "notes.md"]
    for path in victims:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    lines = ["_cache/../../specs.md", "../x/y/specs.md", str(victims[0]), "_cache/a/specs.md", "notes.md", "", "\0"]
    with (site / ".cachestats-site/pages.txt").open("ab") as file:
        file.write("\n".join(lines).encode() + b"\n\xff\n")
    cs.export_site(small(tmp_path / "new", b="zen3"), site)
    assert all(path.read_text() == "mine" for path in victims)
    assert set(files(site / "_cache")) == {"develop/b/specs.md", "a/specs.md"}


def test_a_folder_with_anything_else_is_refused(demo: cs.Dataset, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.md").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, message in (
        (tmp_path / "full", "expected an empty folder or an export of pages, found .*full with notes.md in it"),
        (SEEDS.parent, "with DICTIONARY.md in it"),
        (tmp_path / "file", "cannot write to"),
        ("", "found an empty path"),
    ):
        with pytest.raises(DatasetError, match=message):
            cs.export_site(demo, out)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.md"]
    own = small(tmp_path, a="zen3")
    with pytest.raises(DatasetError, match=r"found .*dataset with .* in it"):
        cs.export_site(own, own.path)
    (tmp_path / "empty").mkdir()
    assert cs.export_site(demo, tmp_path / "empty") == 3
    with pytest.raises(DatasetError, match=r"expected an empty folder or a dataset, found .*empty with"):
        built(SEEDS, tmp_path / "empty")


def test_a_damaged_dataset_is_named(tmp_path: Path) -> None:
    dataset = small(tmp_path, a="zen3")
    for table in ("variants", "specs"):
        (tmp_path / f"dataset/{table}/develop.parquet").write_bytes(b"PAR1")
        with pytest.raises(DatasetError, match=rf"{table}/develop\.parquet, as the manifest"):
            cs.export_site(dataset, tmp_path / "site")


def test_pages_are_put_in_place_when_all_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"p{number}" for number in range(600)]
    cs.export_site(small(tmp_path / "old", **dict.fromkeys(names, "zen3")), tmp_path / "site")
    before = contents(tmp_path / "site")
    pages = {("develop", name): page(name, specs=[spec(f"{name:0>32}", target="zen4")]) for name in names}
    pages["v9.0", "a"] = page("a", "v9.0", [spec("b" * 32)])
    new = cs.build_dataset(write(tmp_path / "new", pages), out=tmp_path / "dataset")
    original = site_export._quoted

    def quoted(name: str) -> str:
        if name == "a":  # of the last page
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(name)

    with monkeypatch.context() as patch:
        patch.setattr(site_export, "_quoted", quoted)
        with pytest.raises(DatasetError, match="No space left"):
            cs.export_site(new, tmp_path / "site")
    assert contents(tmp_path / "site") == before
    assert cs.export_site(new, tmp_path / "site") == 601
    assert not any(b"zen3" in data for data in contents(tmp_path / "site").values())


def test_one_process_exports_to_a_folder_at_a_time(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.export_site(demo, tmp_path / "site")
    with (
        filelock.FileLock(tmp_path / "site/.cachestats-site/lock"),
        pytest.raises(BusyError, match="another process is exporting to"),
    ):
        cs.export_site(demo, tmp_path / "site")
    assert cs.export_site(demo, tmp_path / "site") == 3


def contents(site: Path) -> dict[str, bytes]:
    """Return all files of an export but its own notes."""
    return {
        str(path.relative_to(site)): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file() and ".cachestats-site" not in path.parts
    }


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cachestats", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_writes_a_site(demo: cs.Dataset, tmp_path: Path) -> None:
    done = run(demo.path, "--site", tmp_path / "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wrote 3 pages to {tmp_path / 'site'}\n")
    assert len(files(tmp_path / "site")) == 3


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--table", "specs"), "--table"),
        (("--table", "specs", "--out", "x.csv", "--snapshot", "develop"), "--out and --table and --snapshot"),
    ],
)
def test_the_command_wants_nothing_beside_a_site(
    options: tuple[str, ...], found: str, demo: cs.Dataset, tmp_path: Path
) -> None:
    done = run(demo.path, *options, "--site", tmp_path / "site")
    assert done.returncode == ArgumentError.exit_code == 2
    assert f"expected nothing beside --site, found {found}\nhint: " in done.stderr
    assert not (tmp_path / "site").exists()
    assert issubclass(ArgumentError, CachestatsError)
