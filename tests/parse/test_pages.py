"""Every generation of pages, read as an independent reader reads them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given

import cachestats as cs
from cachestats.naming import canonical_variant, split_variant, split_variants, version_sort_key
from cachestats.parse.pages import _split, read_pages
from cachestats.parse.records import INDEX_ONLY, Fragment
from cachestats.parse.validate import read_page
from cachestats.sources.items import Page
from cachestats.spack_releases import canonical_compiler
from conftest import SEEDS, in_corpus
from tests.support import slow
from tests.support.pages import sites
from tests.support.site import G0A, G0B, G0C, GENERATIONS, meta_of, page, spec, write


def rows(dataset: cs.Dataset) -> tuple[list[slow.Row], list[slow.Row]]:
    specs = dataset.specs.collect()
    assert specs.select(INDEX_ONLY).null_count().row(0) == (specs.height,) * len(INDEX_ONLY)
    assert specs["version_key"].to_list() == list(map(version_sort_key, specs["version"]))
    return specs.drop(*INDEX_ONLY, "requirement", "version_key").rows(), dataset.variants.collect().rows()


def assert_read_as_slowly(root: Path, dataset: cs.Dataset) -> None:
    expected = slow.read(path.read_text() for path in root.rglob("specs.md"))
    found = rows(dataset)
    assert len(found[0]) == len(expected[0]) > 0
    assert found == expected


def test_seeds_are_read_as_by_the_slow_reader(demo: cs.Dataset) -> None:
    assert_read_as_slowly(SEEDS, demo)
    assert demo.rejected.collect().is_empty()


@pytest.mark.slow
def test_corpus_is_read_as_by_the_slow_reader(corpus: cs.Dataset) -> None:
    assert_read_as_slowly(in_corpus("site"), corpus)
    assert corpus.rejected.collect().is_empty()


@given(sites())
def test_generated_pages_are_read_as_by_the_slow_reader(pages: dict[tuple[str, str], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "site"
        # Folders of plain names: what counts is the front matter.
        numbered = {(f"s{n}", f"p{n}"): text for n, text in enumerate(pages.values())}
        dataset = cs.build_dataset(write(root, numbered), out=Path(folder) / "dataset")
        assert rows(dataset) == slow.read(pages.values())
        assert set(dataset.rejected.collect()["rule"]) <= {"folder", "no-entries"}


@given(sites())
def test_the_fast_and_the_careful_reader_agree(pages: dict[tuple[str, str], str]) -> None:
    assert_readers_agree(Page(str(name), text.encode()) for name, text in pages.items())


@pytest.mark.parametrize("path", sorted(SEEDS.rglob("specs.md")), ids=lambda path: "-".join(path.parts[-3:-1]))
def test_the_readers_agree_on_real_pages(path: Path) -> None:
    assert _split(Page("page", path.read_bytes())), "the fast reader takes pages as the site writes them"
    assert_readers_agree([Page("page", path.read_bytes())])


@pytest.mark.slow
def test_the_readers_agree_on_damaged_pages() -> None:
    original = (SEEDS / "develop-2025-03-09/py-filelock/specs.md").read_bytes()
    draw = random.Random(20250309)
    pages = []
    for number in range(3000):
        data = bytearray(original)
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(data))
            kind = draw.randrange(4)
            if kind == 0:
                data[at] = draw.choice(b'\x00\x80\xff"\\[]{},: \n\rx1')
            elif kind == 1:
                del data[at : at + draw.choice((1, 2, 30))]
            elif kind == 2:
                data[at:at] = draw.choice((b'"', b"}]", b'], "x": [', b"null", b"{}", b"\\ud800", b"\\u0000", b"  "))
            else:
                start = draw.randrange(len(original))
                data[at:at] = original[start : start + draw.choice((5, 50, 500))]
        pages.append(Page(f"page {number}", bytes(data)))
    assert_readers_agree(pages)


@pytest.mark.parametrize("key", ["hash", "stacks", "tarball", "more"])
def test_the_readers_agree_on_a_key_that_a_spec_has_twice(key: str) -> None:
    text = page(specs=[spec(tarball="https://example.org/a.spack", more=[1]), spec("b" * 32)])
    head, name, specs = text.partition("spec_details")
    twice = specs.replace(f'"{key}": ', f'"{key}": "x", "{key}": ', 1)
    again = Page("page", f"{head}{name}{twice}".encode())
    assert_readers_agree([again])
    fragment = read_page(again)
    assert isinstance(fragment, Fragment)
    found = f"expected each key once, found {key!r} again" in [finding.message for finding in fragment.findings]
    assert found == (key in {"hash", "stacks"}), "what is not read may be there twice"


def assert_readers_agree(pages: Any) -> None:
    for one in pages:
        fast, careful = next(read_pages([one])), read_page(one)
        assert type(fast) is type(careful), one.origin
        if not hasattr(fast, "records"):
            assert fast == careful
            continue
        assert fast.records.to_pylist() == careful.records.to_pylist(), one.origin
        assert (fast.snapshot, fast.pages, fast.findings) == (careful.snapshot, careful.pages, careful.findings)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_generation_is_told(generation: str) -> None:
    compiler = "gcc@13.2.0" if generation == "g4" else "gcc@=13.2.0"
    piece = next(read_pages([Page("p", page(specs=[spec(compiler=compiler)], generation=generation).encode())]))
    assert piece.pages[0].generation == generation


@pytest.mark.parametrize(("text", "count"), [(G0A, 2), (G0B, 3), (G0C, 3)], ids=["g0a", "g0b", "g0c"])
def test_a_page_of_2021_is_one_rejected_row_that_counts_its_specs(text: str, count: int) -> None:
    found = cs.parse_page(text).rejected.rows(named=True)
    assert [(row["rule"], row["num_specs"], row["severity"]) for row in found] == [("no-hashes", count, "error")]
    assert f"names {count} specs" in found[0]["message"]


def front_matter_of(dataset: cs.Dataset) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the specs of each page, by (snapshot, package), as `spec_details` had them but for spelling and order."""
    pages: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in dataset.specs.collect().rows(named=True):
        details = pages.setdefault((row["snapshot"], row["package"]), {}).setdefault(
            row["hash"],
            spec(
                row["hash"],
                compiler=row["compiler"] or "none",
                os=row["os"],
                platform=row["platform"],
                target=row["target"],
                versions=[row["version"]],
                variants=split_variants(row["variants"]),
                stacks=[],
            ),
        )
        if row["stack"]:
            details["stacks"].append(row["stack"])
    return {key: list(specs.values()) for key, specs in pages.items()}


def canonical(one: dict[str, Any]) -> dict[str, Any]:
    """Return a spec of a page in canonical spelling and order."""
    variants = {canonical_variant(text) for text in one["variants"]}
    return {key: value for key, value in one.items() if key != "tarball"} | {
        "compiler": canonical_compiler(one["compiler"])[0] or "none",
        "variants": sorted(variants, key=lambda text: (split_variant(text)[0], text)),
        "stacks": sorted(one["stacks"]),
    }


def assert_nothing_is_lost(texts: Iterable[str], dataset: cs.Dataset) -> None:
    pages = front_matter_of(dataset)
    for text in texts:
        original = yaml.load(text.split("\n---")[0], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        snapshot, package = original["categories"][1], original["title"]
        specs = sorted(map(canonical, original["spec_details"]), key=lambda one: one["hash"])
        if not specs:
            continue
        # The whole front matter again: title, categories, meta and specs.
        written = yaml.load(
            page(package, snapshot, pages[snapshot, package]).split("\n---")[0], Loader=yaml.CSafeLoader
        )
        assert written == original | {"spec_details": specs, "meta": meta_of(specs)}
        assert meta_of(original["spec_details"]) == original["meta"]


@pytest.mark.slow
def test_a_round_trip_loses_nothing(demo: cs.Dataset, corpus: cs.Dataset) -> None:
    for site, dataset in ((SEEDS, demo), (in_corpus("site"), corpus)):
        assert_nothing_is_lost((path.read_text() for path in site.rglob("specs.md")), dataset)


@given(sites())
def test_a_round_trip_of_generated_pages_loses_nothing(pages: dict[tuple[str, str], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        numbered = {(f"s{n}", f"p{n}"): text for n, text in enumerate(pages.values())}
        dataset = cs.build_dataset(write(Path(folder) / "site", numbered), out=Path(folder) / "dataset")
        assert_nothing_is_lost(pages.values(), dataset)


def test_a_second_round_trip_changes_no_byte(demo: cs.Dataset, tmp_path: Path) -> None:
    written = {key: page(key[1], key[0], specs) for key, specs in front_matter_of(demo).items()}
    again = cs.build_dataset(write(tmp_path / "site", written), out=tmp_path / "again")
    for table in ("specs", "variants"):
        for before, after in zip(demo.files(table), again.files(table), strict=True):
            assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize(
    ("spelled", "text", "expected"),
    [
        (["+x"], "+x", [("x", "true", "+")]),
        (["~x"], "~x", [("x", "false", "~")]),
        (["x='a+'"], "x=a+", [("x", "a+", "=")]),
        (["x:=b,a"], "x=b,a", [("x", "a", ":="), ("x", "b", ":=")]),
        (["x"], "x", [("x", "", "")]),
        (["x=a", "x:=a"], "x=a", [("x", "a", ":=")]),
        (["x:=b,c", "x=a,b"], "x=a,b x=b,c", [("x", "a", "="), ("x", "b", ":="), ("x", "c", ":=")]),
        (["x=true", "+x"], "+x x=true", [("x", "true", "=")]),
        (["x", "x="], "x x=", [("x", "", "=")]),
    ],
)
def test_the_sign_of_a_variant_is_kept(spelled: list[str], text: str, expected: list[tuple[str, str, str]]) -> None:
    # Beside a spec that has the same variants with other signs.
    found = cs.parse_page(page(specs=[spec(variants=spelled), spec("b" * 32, variants=["x=a,b", "x:=a,c", "~x"])]))
    assert found.specs["variants"].unique(maintain_order=True).to_list()[0] == text
    rows = found.variants.filter(hash="a" * 32).select("variant", "value", "sign").rows()
    assert rows == expected


def test_parse_page_gives_the_declared_tables() -> None:
    parsed = cs.parse_page(page(specs=[spec(), spec("b" * 32, stacks=[])]))
    assert (parsed.snapshot, parsed.package, parsed.rejected.height) == ("develop", "zlib", 0)
    assert parsed.specs["stack"].to_list() == ["e4s", "root", None]
    assert parsed.variants.rows()[0] == ("develop", "a" * 32, "build_system", "cmake", "=")
    assert parsed.specs.schema["snapshot_date"] == pl.Date
    assert "zlib in develop" in parsed._repr_html_()
