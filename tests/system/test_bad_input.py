"""Bad input: a clear row in `rejected` or a clear error, nothing lost without one, and no traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import DatasetError
from tests.support.site import meta_of, page, spec, write

GOOD = page(specs=[spec(), spec("b" * 32)])
A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def swap(old: str, new: str) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new).encode()


def with_spec(**fields: object) -> bytes:
    """Return a page with a good spec and one whose fields are as given; `...` leaves a field out."""
    bad = {key: value for key, value in (spec(B) | fields).items() if value is not ...}
    return page(specs=[spec(), bad], meta=meta_of([spec(), spec(B)])).encode()


BAD_PAGES: dict[str, tuple[bytes, str, str, int | None]] = {
    # name: page, rule, place, specs left out (None: the page is gone and nobody can tell)
    "truncated": (GOOD.encode()[:-40], "truncated", "line 6", 2),
    "truncated in the front": (GOOD.encode()[:30], "truncated", "line 3", None),
    "no front matter": (b"# A readme\n", "no-front-matter", "line 1", None),
    "empty": (b"", "empty", "file", None),
    "only white space": (b"\n\n", "empty", "file", None),
    "invalid UTF-8": (GOOD.encode().replace(b"ubuntu", b"ub\xff"), "encoding", "line 5", 2),
    "NUL byte": (swap("ubuntu", "ub\0untu"), "nul-byte", "line 5", 2),
    "nested 100,000 deep": (swap('"variants": [', '"variants": [' + "[" * 100_000), "nested", "line 6", 2),
    "alias bomb": (
        swap("meta: {", "a: &a [x, x]\nb: &b [*a, *a]\nmeta: {"), "yaml-alias", "line 6", 2
    ),
    "python object": (swap("layout: cache", "layout: !!python/object/apply:os.getcwd []"), "syntax", "line 3", 2),
    "specs that go on after the list": (swap("}]\n---", '}], "x": []\n---'), "syntax", "line 6", 2),
    "title is a number": (swap('"zlib"', "10"), "title", "title", 2),
    "title is empty": (swap('"zlib"', '""'), "title", "title", 2),
    "title is very long": (swap('"zlib"', '"' + "z" * 201 + '"'), "title", "title", 2),
    "no snapshot": (swap("[package, develop]", "[package]"), "snapshot", "categories", 2),
    "snapshot is a number": (swap("develop]", "2025]"), "categories", "categories[1]", 2),
    "more specs after the list": (swap("}]\n---", '}], "x": [{}]\n---'), "syntax", "line 6", 2),
    "a tag that does not fit": (swap("layout: cache", 'layout: !!int ""'), "syntax", "front matter", 2),
    "a huge number": (swap('"zlib"', "!!int 0x" + "f" * 6000), "title", "title", 2),
    "two lists": (swap("spec_details: [", "spec_details: []\nspec_details: ["), "repeated-key", "spec_details", 2),
    "two pages in one file": (f"{GOOD}\n{GOOD}".encode(), "second-document", "end", None),
    "a key twice in a spec": (swap('"hash": "bb', '"hash": "x", "hash": "bb'), "field", "spec_details[1]", 1),
    "specs are not a list": (swap("spec_details: [", "spec_details: 7 # ["), "spec-details", "spec_details", 2),
    "no spec_details": (b"---\ntitle: zlib\n---", "no-specs", "front matter", None),
    "a list as front matter": (b"---\n- a\n---", "syntax", "front matter", None),
    "hash missing": (with_spec(hash=...), "field", "spec_details[1]", 1),
    "stacks missing": (with_spec(stacks=...), "field", "spec_details[1]", 1),
    "target missing": (with_spec(target=...), "field", "spec_details[1]", 1),
    "hash null": (with_spec(hash=None), "field", "spec_details[1]", 1),
    "a number where text belongs": (with_spec(target=64), "field", "spec_details[1]", 1),
    "true where text belongs": (with_spec(os=True), "field", "spec_details[1]", 1),
    "text where a list belongs": (with_spec(stacks="e4s"), "field", "spec_details[1]", 1),
    "a number in a list of texts": (with_spec(versions=[1.0]), "field", "spec_details[1]", 1),
    "no version": (with_spec(versions=[]), "field", "spec_details[1]", 1),
    "half a surrogate pair": (with_spec(os="OS").replace(b'"OS"', b'"\\ud800"'), "field", "spec_details[1]", 1),
    "a spec that is a number": (
        swap("}]\n---", "}, 7]\n---").replace(b'"num_specs": 2', b'"num_specs": 3'), "spec", "spec_details[2]", 1
    ),
    "a hash twice": (page(specs=[spec(), spec()]).encode(), "duplicate-hash", "spec_details[1].hash", 1),
}  # fmt: skip


# Where the whole page is gone; how many specs that were, its `meta` may still say.
GONE = {"truncated", "encoding", "nul-byte", "nested", "yaml-alias", "syntax", "repeated-key", "spec-details"}


@pytest.mark.parametrize("name", BAD_PAGES)
def test_a_bad_page_is_a_row_that_names_file_place_rule_and_what_to_try(name: str) -> None:
    data, rule, place, lost = BAD_PAGES[name]
    parsed = cs.parse_page(data, origin="the/page")
    errors = [row for row in parsed.rejected.rows(named=True) if row["severity"] == "error"]
    assert [(row["origin"], row["rule"], row["location"], row["num_specs"]) for row in errors] == [
        ("the/page", rule, place, lost)
    ]
    assert errors[0]["message"].startswith("expected ")
    assert " found " in errors[0]["message"]
    assert errors[0]["hint"]
    kept = parsed.specs["hash"].n_unique()
    entries = data.count(b'"platform":') + (rule == "spec")
    assert kept == (0 if rule in GONE else entries - lost if lost else 2 * (rule == "second-document")), (
        "the others are kept"
    )


def test_all_faults_of_a_spec_are_named_at_once() -> None:
    message = cs.parse_page(with_spec(hash=1, target=None, os=...)).rejected["message"][0]
    assert all(part in message for part in ("'hash', found 1", "'target', found nothing", "'os', found no such key"))


ODD_PAGES: dict[str, tuple[bytes, list[str]]] = {
    # name: page, rules of its warnings; both specs are kept
    "BOM": (b"\xef\xbb\xbf" + GOOD.encode(), []),
    "CRLF": (GOOD.replace("\n", "\r\n").encode(), []),
    "newline at the end": (GOOD.encode() + b"\n", []),
    "text after the front matter": (GOOD.encode() + b"\nmore\n", ["trailing"]),
    "YAML in single quotes": (GOOD.replace('"', "'").encode(), []),
    "a comment": (swap("layout: cache", "layout: cache # as ever"), []),
    "unknown keys": (swap('"hash"', '"from": {"a": [1, {}]}, "hash"').replace(b"layout", b"new: 1\nlayout"), []),
    "an unknown key nested 100,000 deep": (
        swap('"versions": ["1.0"]}]', '"extra": ' + "[" * 100_000 + "]" * 100_000 + ', "versions": ["1.0"]}]'), []
    ),
    "two versions": (with_spec(versions=["1.0", "2.0"]), ["versions"]),
    "an odd size": (with_spec(size="big"), ["size"]),
    "a size": (with_spec(size="12"), []),
    "no compiler": (with_spec(compiler=...), []),
    "num_specs wrong": (swap('"num_specs": 2', '"num_specs": 3'), ["meta"]),
    "num_specs_by_stack wrong": (swap('"e4s": 2', '"e4s": 1'), ["meta"]),
    "targets wrong": (swap('"targets": ["x86_64_v3"]', '"targets": []'), ["meta"]),
    "a stack too many": (swap('"root"], "targets"', '"hep", "root"], "targets"'), ["meta"]),
    "no meta": (swap("meta: {", "mata: {"), ["meta"]),
    "a duplicate key": (swap("layout: cache", "layout: cache\nlayout: cache"), []),
    "a number to the base of 60": (swap("layout: cache", "layout: " + "1:" * 100_000 + "1"), []),
    "JSON null for a number": (swap('"num_specs": 2', '"num_specs": null'), ["meta"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_PAGES)
def test_an_odd_page_keeps_its_specs_and_warns(name: str) -> None:
    data, rules = ODD_PAGES[name]
    parsed = cs.parse_page(data)
    assert parsed.specs["hash"].unique(maintain_order=True).to_list() == [A, B]
    found = [row for row in parsed.rejected.rows(named=True) if row["location"] != "meta.versions"]
    assert [(row["rule"], row["severity"], row["num_specs"]) for row in found] == [(r, "warning", 0) for r in rules]


def test_block_style_yaml_loads(tmp_path: Path) -> None:
    import yaml

    front_matter = {
        "title": "zlib",
        "layout": "cache",
        "categories": ["package", "develop"],
        "meta": meta_of([spec(versions=["1.10"])]),
        "spec_details": [spec(versions=["1.10"])],
    }
    parsed = cs.parse_page(f"---\n{yaml.safe_dump(front_matter, default_flow_style=False)}---\n")
    assert parsed.specs["version"].to_list() == ["1.10", "1.10"]
    assert parsed.rejected.is_empty()


@pytest.mark.parametrize(
    "text",
    ["a b", "it's", 'say "x"', "<script>alert(1)</script>", "../../etc", "/etc/passwd", "\U0001f600", "ß", "%s{0}$x$",
     "-", "null", "1e5", "a\\b", "tab\there"],
)  # fmt: skip
def test_any_text_is_a_name(text: str, tmp_path: Path) -> None:
    one = spec(versions=[text], target=text, os=text, stacks=[text], variants=[f"+{text}", f"v={text}"])
    pages = {("x", "y"): page(text, json.dumps(text, ensure_ascii=False), [one])}
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    (row,) = dataset.specs.collect().rows(named=True)
    assert {row[name] for name in ("package", "snapshot", "version", "target", "os", "stack")} == {text}
    assert all(path.resolve().is_relative_to(tmp_path) for path in dataset.files("specs"))
    assert dataset.specs.collect().height == cs.open_dataset(tmp_path / "dataset").specs.collect().height


@pytest.mark.slow
def test_a_hundred_megabytes_are_read(tmp_path: Path) -> None:
    specs = [spec(f"{n:032d}", variants=["+v" * 220]) for n in range(160_000)]
    text = page(specs=specs)
    assert len(text) > 100 << 20
    dataset = cs.build_dataset(write(tmp_path / "site", {("develop", "zlib"): text}), out=tmp_path / "dataset")
    assert dataset.manifest.snapshots["develop"].num_specs == 160_000


def entries(pages: dict[tuple[str, str], str]) -> int:
    return sum(text.count('"platform":') for text in pages.values())


def test_rows_read_and_rejected_add_up_over_pages(tmp_path: Path) -> None:
    pages = {
        ("develop", "a"): page("a", specs=[spec(A), spec(B), spec(A)]),
        ("develop", "b"): page("b", specs=[spec(A), spec(C, os=7)], meta={}),
        ("develop", "other-folder"): page("b", specs=[spec(C)]),
        ("v1.0", "a"): page("a", "v1.0", specs=[spec(A)]),
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset", max_rejected=1)
    rejected = dataset.rejected.collect()
    kept = dataset.specs.select("snapshot", "hash").unique().collect().height
    assert kept == 4
    assert kept + rejected["num_specs"].sum() == entries(pages)
    assert sorted(rejected.select("rule", "package").rows()) == [
        ("duplicate-hash", "a"), ("duplicate-hash", "b"), ("field", "b"), ("folder", "b"),
    ]  # fmt: skip
    (row,) = dataset.snapshots.collect().filter(snapshot="develop").rows(named=True)
    assert (row["num_pages"], row["num_specs"], row["num_rejected"]) == (3, 3, 3)


def test_folders_that_disagree_with_the_front_matter_lose(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("v0.9", "nobody"): page("zlib", "develop", [spec()])})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    assert dataset.specs.select("snapshot", "package").unique().collect().rows() == [("develop", "zlib")]
    assert dataset.rejected.collect()["rule"].to_list() == ["folder", "folder"]


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """Return a folder that other users may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_what_may_not_be_read_or_written_is_an_error(shared_path: Path) -> None:
    tmp_path = shared_path
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD, ("develop", "other"): page("other", specs=[spec(C)])})
    (site / "_cache/develop/zlib/specs.md").chmod(0)
    (tmp_path / "target").mkdir(mode=0o555)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    code = f"""
import os, polars
import cachestats as cs
from cachestats.errors import DatasetError
cs.build_dataset({str(site)!r}, out={str(tmp_path / "first")!r}, max_rejected=1)  # imports what it needs
if os.getuid() == 0:  # who may read and write anything
    os.setegid(65534)
    os.seteuid(65534)
ds = cs.build_dataset({str(site)!r}, out={str(tmp_path / "open/dataset")!r}, max_rejected=1)
print(ds.rejected.collect().select("rule", "message").rows(), ds.manifest.tables["specs"])
try:
    cs.build_dataset({str(site)!r}, out={str(tmp_path / "target")!r}, max_rejected=1)
except DatasetError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "('unreadable', 'expected a readable file, found: Permission denied')] 2" in done.stdout, done.stderr
    assert f"cannot write to {tmp_path / 'target'}: Permission denied" in done.stdout


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_leaves_the_old_dataset(tmp_path: Path) -> None:
    small = write(tmp_path / "small", {("develop", "zlib"): GOOD})
    old = cs.build_dataset(small, out=tmp_path / "dataset").specs.collect()
    big = write(tmp_path / "big", {("develop", "zlib"): page(specs=[spec(f"{n:032d}") for n in range(30_000)])})
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.argv = ["cachestats", "build", {str(big)!r}, "--out", {str(tmp_path / "dataset")!r}]
from cachestats.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 12
    assert f"cannot write to {tmp_path / 'dataset'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert cs.open_dataset(tmp_path / "dataset").specs.collect().equals(old)
    assert not (tmp_path / "dataset/.cachestats/new").exists()


def test_targets_that_are_no_datasets_are_left_alone(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/thesis.tex").write_text("mine")
    for name in ("file", "folder", ""):
        with pytest.raises(DatasetError):
            cs.build_dataset(site, out=tmp_path / name if name else "")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["thesis.tex"]
    assert (tmp_path / "file").read_text() == (tmp_path / "folder/thesis.tex").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["snapshots", "rejected", "targets", "common_names", "specs/develop", "encoded_specs/develop"]
)
@pytest.mark.parametrize("damage", [b"", b"PAR1 not", None, "folder"])
def test_a_damaged_file_of_a_dataset_is_an_error(name: str, damage: bytes | str | None, tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    file = dataset.path / f"{name}.parquet"
    file.unlink()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    elif damage:
        file.mkdir()
    question = ("coverage", dataset.path, "--rows", "os", "--columns", "target")
    verb = {"snapshots": ("info", dataset.path), "rejected": ("rejected", dataset.path)}.get(name, question)
    if name in ("targets", "specs/develop"):
        verb = ("export", dataset.path, "--table", name.partition("/")[0], "--out", tmp_path / "table.csv")
    done = subprocess.run([sys.executable, "-m", "cachestats", *map(str, verb)], capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (12, False), done.stderr.decode()
    if "/" not in name:
        with pytest.raises(DatasetError):
            cs.build_dataset(site, out=dataset.path)


@pytest.mark.parametrize(
    "damage", [b"{", b"[1]", b"null", b"", b'{"move":["specs/\xff.parquet"],"remove":[]}', b'{"x": ' + b"[" * 100_000]
)
def test_a_damaged_list_of_moves_is_made_again(damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD, ("v1.0", "zlib"): page("zlib", "v1.0", [spec()])})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    commit = dataset.path / ".cachestats/commit.json"
    commit.write_bytes(damage)
    assert cs.open_dataset(dataset.path).manifest == dataset.manifest  # nothing was left to move
    shutil.rmtree(site / "_cache" / "v1.0")
    with monkeypatch.context() as patch:  # as a process that is killed as soon as its publication is decided
        patch.setattr("cachestats.dataset.writer.move_published", lambda path: None)
        cs.update_dataset(dataset.path, prune=True)
    commit.write_bytes(damage)
    assert cs.open_dataset(dataset.path).manifest.snapshots.keys() == {"develop"}
    assert not commit.exists()
    assert not list(dataset.path.glob("*/v1.0.parquet"))


NEWER = '{"schema_version": 99, "sources": {}, "snapshots": {}, "tables": {}}'


@pytest.mark.parametrize("damage", ["{", '{"schema_version": 1}', NEWER, "[]", "[" * 100_000])
def test_a_damaged_or_newer_manifest_is_an_error(damage: str, tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    cs.build_dataset(site, out=tmp_path / "dataset")
    (tmp_path / "dataset/manifest.json").write_text(damage)
    with pytest.raises(DatasetError, match="expected a "):
        cs.open_dataset(tmp_path / "dataset")
    with pytest.raises(DatasetError, match="expected a "):
        cs.build_dataset(site, out=tmp_path / "dataset")


def test_a_build_that_is_terminated_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    pages = {("develop", f"p{n}"): page(f"p{n}", specs=[spec(f"{n:0>32}")]) for n in range(3_000)}
    site, path = write(tmp_path / "site", pages), tmp_path / "dataset"
    command = [sys.executable, "-m", "cachestats", "build", str(site), "--out", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not (path / ".cachestats/new").exists():
            time.sleep(0.01)
        process.terminate()
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 143
    assert messages.decode().splitlines()[-1] == "terminated"
    assert not (path / ".cachestats/new").exists()
