"""JSON that cannot be decoded, wherever it comes from: one kind of error, and never an internal one."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.decode import JsonError, decode
from cachestats.errors import DatasetError, SourceError
from conftest import ROOT
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, layout_2, layout_3
from tests.support.nodes import edge, lockfile, node
from tests.support.site import page, spec, write

B = "b" * 32

# Each takes the place of the `@` in a document.
NOT_UTF8 = {
    "never in UTF-8": b"zl\xffib",
    "Latin-1": b"Universit\xe9",
    "half a surrogate pair": b"\xed\xa0\x80",
    "cut off": b"\xf0\x9f\x98",
}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'"zl\xffib"', r"text that is not UTF-8: b'zl\\xffib'"),
        (b'"' + b"x" * 1000 + b"\xff" + b"y" * 1000 + b'"', r"text that is not UTF-8: b'x{12}\\xffy{11}'"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["a', "truncated"),
        (b"[1]", "Expected `str`, got `array`"),
        (b"", "truncated"),
        ("[1]".encode("utf-16"), "invalid character"),
    ],
)
def test_whatever_is_wrong_with_json_is_one_kind_of_error(data: bytes, words: str) -> None:
    with pytest.raises(JsonError, match=words):
        decode(data, str) if words.startswith(("Expected", "text")) else decode(data, list[object])


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_byte_order_mark_is_skipped(kind: type[bytes]) -> None:
    assert decode(kind(b'\xef\xbb\xbf{"a": "\xc3\xa9"}'), dict[str, str]) == {"a": "é"}


def test_an_index_and_a_catalogue_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    layout_2(tmp_path / "2025/develop", mark + DEFAULT)
    (tmp_path / "alone.json").write_bytes(mark + DEFAULT)
    address = "https://example.org/2025/develop/build_cache/index.json"
    (tmp_path / "list.json").write_bytes(mark + json.dumps({"develop": [{"label": "root", "url": address}]}).encode())
    for source in (tmp_path / "2025", tmp_path / "alone.json", tmp_path / "list.json"):
        dataset = cs.build_dataset(source, out=tmp_path / f"{source.name}-dataset", snapshots=["develop"])
        assert dataset.manifest.tables["specs"] == 2


@pytest.mark.parametrize("name", NOT_UTF8)
def test_a_broken_index_is_a_row_and_snapshots_beside_it_are_published(name: str, tmp_path: Path) -> None:
    broken = index({"@": PACKAGE}, cached=set()).replace(b"@", NOT_UTF8[name])
    layout_2(tmp_path / "mirrors/v1.0", broken)
    layout_3(tmp_path / "mirrors/v1.1", (8, broken))
    layout_2(tmp_path / "mirrors/develop", DEFAULT)
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset", max_rejected=1)
    assert dataset.rejected.select("snapshot", "rule", "num_specs").collect().rows() == [
        ("v1.0", "index", None),
        ("v1.1", "index", None),
    ]
    assert list(dataset.manifest.snapshots) == ["develop"]


@pytest.mark.parametrize("name", NOT_UTF8)
@pytest.mark.parametrize(
    "bad",
    [
        node("@", B),
        node("b", B, version="@"),
        node("b", B, parameters={"flavour": "@"}),
        node("b", B, parameters={"@": True}),
        node("b", B, dependencies=[edge("@", A, ["build"], [])]),
        node("b", B, dependencies=[edge("a", A, ["build"], ["@"])]),
        node("b", B, external={"path": "@"}),
        {"@": {key: value for key, value in node("b", B).items() if key != "name"}},
    ],
)
def test_a_broken_record_of_an_index_is_a_row_and_the_others_are_kept(name: str, bad: object, tmp_path: Path) -> None:
    data = index({A: PACKAGE, B: bad}, cached={A, B})
    assert data.count(b"@") == 1
    layout_2(tmp_path / "mirrors/develop", data.replace(b"@", NOT_UTF8[name]))
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset", max_rejected=1)
    (row,) = dataset.rejected.collect().rows(named=True)
    assert (row["rule"], row["num_specs"], row["location"]) == ("record", 1, f"database.installs['{B}']")
    assert dataset.specs.collect()["package"].to_list() == ["a"]


def test_a_broken_manifest_or_checksum_of_an_index_is_a_row_of_its_snapshot(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop", DEFAULT)
    layout_2(tmp_path / "mirrors/v1.0", DEFAULT)
    (tmp_path / "mirrors/v1.0/build_cache/index.json.hash").write_bytes(b"\xff" * 64)
    for snapshot, template in (("v1.1", b"%s"), ("v1.2", b"-----BEGIN PGP SIGNED MESSAGE-----\n\n%s")):
        layout_3(tmp_path / "mirrors" / snapshot, (8, DEFAULT))
        manifest = tmp_path / "mirrors" / snapshot / "v3/manifests/index/index.manifest.json"
        manifest.write_bytes(template % manifest.read_bytes().replace(b"json", b"js\xffon"))
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset", max_rejected=1)
    assert dataset.rejected.select("snapshot", "rule").collect().rows() == [
        ("v1.0", "unreadable"),
        ("v1.1", "unreadable"),
        ("v1.2", "unreadable"),
    ]
    assert list(dataset.manifest.snapshots) == ["develop"]


def test_a_broken_manifest_of_a_spec_is_a_warning_and_a_broken_journal_is_passed_over(tmp_path: Path) -> None:
    layout_3(tmp_path / "mirrors/develop", (8, index({A: PACKAGE}, cached={A})))
    manifest = tmp_path / f"mirrors/develop/v3/manifests/spec/a/a-1.0-{A}.spec.manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b'{"data": [{"mediaType": "\xff", "contentLength": 1, "checksum": ""}]}')
    journal = tmp_path / "dataset/.cachestats/journals/develop"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"\xff\xfe 1")
    dataset = cs.build_dataset(tmp_path / "mirrors", out=tmp_path / "dataset", sizes=True)
    assert dataset.rejected.select("rule", "severity").collect().rows() == [("no-size", "warning")]


def test_a_broken_catalogue_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(b'{"develop": [{"label": "\xff", "url": "https://example.org"}]}')
    with pytest.raises(SourceError, match=r"expected a catalogue of snapshots at .*: text that is not UTF-8"):
        cs.build_dataset(tmp_path / "list.json", out=tmp_path / "dataset")


@pytest.mark.parametrize(
    "content",
    [
        lockfile({"@": node("a", A)}, []),
        lockfile({A: node("@", A)}, []),
        lockfile({A: node("a", A, dependencies=[{"name": "@", "hash": B}], parameters={"@": 1})}, []),
    ],
)
def test_a_broken_lockfile_is_an_error(content: object, tmp_path: Path) -> None:
    (tmp_path / "spack.lock").write_bytes(json.dumps(content).encode().replace(b"@", b"zl\xffib"))
    with pytest.raises(SourceError, match=r"expected UTF-8, found the byte 0xff at offset .* of .*spack\.lock"):
        cs.read_environment(tmp_path / "spack.lock")


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("manifest.json", b'{"schema_version": 3, "made_by": {"\xff": ""}}', "manifest.*checksum in the first line"),
        ("manifest.json", b"%s\xff", "manifest"),
        (
            ".cachestats/commit.json",
            b'{"move":[],"remove":["specs/b.parquet\\u0000"]}',
            "a path outside the dataset",
        ),
    ],
)
def test_a_broken_file_of_a_dataset_is_an_error(file: str, damage: bytes, words: str, tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): page(specs=[spec()])})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    path = dataset.path / file
    path.write_bytes(damage.replace(b"%s", path.read_bytes()) if b"%s" in damage else damage)
    for use in (lambda: cs.open_dataset(dataset.path), lambda: cs.build_dataset(site, out=dataset.path)):
        with pytest.raises(DatasetError, match=words):
            use()


@pytest.mark.parametrize("mark", [b"\xff", b"[" * 100_000, b"{", b'["dataset_schema_version"]', b"null"])
def test_a_folder_with_a_broken_mark_is_no_report(mark: bytes, demo: cs.Dataset, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.json").write_bytes(mark)
    with pytest.raises(DatasetError, match=r"with report\.json in it"):
        cs.write_report(demo, tmp_path / "report")


# Decoders of msgspec's own are for loops over every record; `frontmatter` looks for keys that are there twice, and for
# halves of surrogate pairs, which only Python's decoder lets through. `hashing`, `proof` and `hashes` write JSON again,
# as Spack does.
DECODES_BY_ITSELF = {
    "hashing.py": {"json.loads"},
    "analysis/proof.py": {"json.loads"},
    "verification/hashes.py": {"json.loads"},
    "decode.py": {"msgspec.json.Decoder"},
    "parse/nodes.py": {"msgspec.json.Decoder", "msgspec.json.decode"},
    "parse/pages.py": {"msgspec.json.Decoder"},
    "parse/frontmatter.py": {"json.loads"},
}


def test_json_is_decoded_in_one_place() -> None:
    decoders = {"msgspec.json.Decoder", "msgspec.json.decode", "json.load", "json.loads"}
    found: dict[str, set[str]] = {}
    for path in (ROOT / "cachestats").rglob("*.py"):
        names = {ast.unparse(one) for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Attribute)}
        if used := names & decoders:
            found[path.relative_to(ROOT / "cachestats").as_posix()] = used
    assert found == DECODES_BY_ITSELF
