"""What is fuzzed: each parser with its seeds, how they are mutated, and what must be true of each answer."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pyarrow as pa
import yaml

import cachestats as cs
from cachestats.dataset.manifest import read_manifest as read_manifest_of_dataset
from cachestats.decode import JsonError
from cachestats.expressions.parse import parse_expressions
from cachestats.findings import Finding
from cachestats.ingest.read import chunks, parse_chunk
from cachestats.parse.index import read_index
from cachestats.parse.pages import read_pages
from cachestats.parse.records import Fragment
from cachestats.parse.validate import read_page
from cachestats.report.report import _foreign
from cachestats.requirement import Requirement
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Page, Previous
from cachestats.sources.journal import Entry, Journal
from cachestats.sources.oci import Layout, read_image
from cachestats.sources.request import SourceRequest
from cachestats.sources.spec_files import NoSpecError, SpecFiles, cached_specs, read_spec_file
from cachestats.sources.storage.disk import DiskStorage
from cachestats.sources.storage.docker_login import find_credentials
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network
from cachestats.verification.hashes import check_hashes
from cachestats.verification.ledger import Ledger, Place
from tests.fuzz.fuzz import Mutate, Parser
from tests.fuzz.mutate import Pairs, Tree, dump, encode, mutate_bytes, mutate_text, mutate_tree, parse
from tests.support import spec_files
from tests.support.indices import index
from tests.support.mirrors import layout_3
from tests.support.nodes import GCC, NO_COMPILER, OLD, edge, lockfile, node
from tests.support.site import G0A, G0B, G0C, GENERATIONS, page, spec

A, B, C, G = ("a" * 32, "b" * 32, "c" * 32, "g" * 32)
NODES = {
    A: node("a", A, dependencies=[edge("b", B, ["build", "link"], ["mpi"]), edge("gcc", G, ["build"], ["c"])]),
    B: node("b", B, **NO_COMPILER, dependencies=[edge("glibc", C, ["link"], ["libc"])]),
    C: node("glibc", C, external={"path": "/usr", "module": None, "extra_attributes": {}}),
    G: GCC,
}


def json_mutations(*seeds: bytes) -> Mutate:
    """Return how to mutate JSON: most often its tree, at times also or only its bytes."""
    trees = cache(lambda: [parse(data) for data in seeds])

    def mutate(draw: random.Random) -> bytes:
        data = draw.choice(seeds)
        if draw.random() < 0.85:
            data = encode(dump(mutate_tree(parse(data), draw, trees())))
        return mutate_bytes(data, draw, seeds) if draw.random() < 0.2 else data

    return mutate


def text_mutations(*seeds: str) -> Mutate:
    """Return how to mutate text: its tokens, or its bytes."""
    encoded = [encode(seed) for seed in seeds]

    def mutate(draw: random.Random) -> bytes:
        change = mutate_text if draw.random() < 0.8 else mutate_bytes
        return change(draw.choice(encoded), draw, encoded)

    return mutate


def yaml_mutations(*seeds: str) -> Mutate:
    """Return how to mutate YAML: as JSON, which is YAML, or as text."""
    trees = [json.dumps(yaml.safe_load(seed)).encode() for seed in seeds]
    as_json, as_text = json_mutations(*trees), text_mutations(*seeds)
    return lambda draw: (as_json if draw.random() < 0.6 else as_text)(draw)


# Pages.


def page_tree(text: str) -> Tree:
    return Pairs(
        (key, parse(value.encode()) if value[0] in '[{"' and key != "categories" else value)
        for key, _, value in (line.partition(": ") for line in text.split("\n")[1:-1])
    )


def page_of_tree(tree: Tree) -> str:
    """Return a page with these lines; what is no object is a page of JSON alone."""
    if not isinstance(tree, Pairs):
        return f"---\n{dump(tree)}\n---"
    plain = ("layout", "categories")
    lines = (f"{key}: {value if key in plain and isinstance(value, str) else dump(value)}" for key, value in tree)
    return "\n".join(("---", *lines, "---"))


def pages() -> Mutate:
    specs = [spec(), spec(B, size="12", variants=["+shared", "x:=a,b", "cflags='-O2 -g'"], stacks=["e4s", "hep"])]
    written = [page(specs=specs, generation=generation) for generation in GENERATIONS]
    trees = [page_tree(text) for text in written]
    block = yaml.safe_dump({"title": "zlib", "categories": ["package", "develop"], "spec_details": specs})
    texts = [*written, f"---\n{block}---\n", G0A, G0B, G0C]
    as_text = text_mutations(*texts)

    def mutate(draw: random.Random) -> bytes:
        if draw.random() < 0.25:
            return as_text(draw)
        tree = mutate_tree(page_tree(draw.choice(written)), draw, trees)
        data = encode(page_of_tree(tree))
        return mutate_bytes(data, draw, [*map(str.encode, texts)]) if draw.random() < 0.15 else data

    return mutate


def read_page_twice(data: bytes) -> None:
    """Read a page with both readers, which agree on it, also if it is read together with others."""
    one = Page("page", data)
    careful = read_page(one)
    (fast,) = read_pages([one])
    assert parts_of(fast) == parts_of(careful)
    good = Page("good", page(specs=[spec()]).encode())
    together = [*read_pages([good, one, good])]
    if isinstance(careful, Finding):
        assert careful in together
        return
    fragments = [one for one in together if isinstance(one, Fragment)]
    assert sum(len(one.records) for one in fragments) == len(careful.records) + 2
    assert [row for one in fragments for row in one.findings] == careful.findings


def parts_of(found: Fragment | Finding) -> object:
    """Return what was read, whatever the order of the packages and of the edges."""
    if isinstance(found, Finding):
        return found
    names = [one.package for one in found.pages]
    records = [row | {"page": names[row["page"]]} for row in found.records.to_pylist()]
    return (
        found.snapshot,
        sorted(found.pages, key=str),
        records,
        sorted(found.dependencies.to_pylist(), key=str),
        found.findings,
    )


# Indices, environments and spec files.


def indices() -> Mutate:
    old = {A: OLD | NO_COMPILER | {"dependencies": {"b": {"hash": B, "type": ["build", "link"]}}}}
    written = [index(NODES, cached={A, B, G}, version=version) for version in ("7", "8", "6", "0.9.2", "5")]
    return json_mutations(*written, index({A: {"a": old[A]}, B: NODES[B]}, cached={A, B}, version="4"))


def read_index_twice(data: bytes) -> None:
    """Read an index with its records together and one by one, which agree; then check its hashes."""
    # The reader takes records together only if they are written without spaces, as Spack does.
    with suppress(ValueError, RecursionError):
        data = dump_compact(data)
    read = partial(read_index, origin="index", snapshot="develop", stack="root")
    together = read(data)
    with patch("cachestats.parse.index._Reader._read_together", side_effect=msgspec.ValidationError):
        assert parts_of(read(data)) == parts_of(together)
    ledger = Ledger()
    check_hashes(data, Place("index", "develop"), ledger)
    ledger.verification()
    with suppress(JsonError):
        cached_specs(data, InputLimits().records)


def dump_compact(data: bytes) -> bytes:
    return data if b"\\u" in data else data.replace(b'": ', b'":').replace(b", ", b",")


def environments() -> Mutate:
    roots = [edge["hash"] for edge in NODES[A]["dependencies"]]
    old = {"a": OLD | NO_COMPILER | {"dependencies": {"gcc": {"hash": G, "type": ["build"]}}}}
    lockfiles = [
        *(lockfile(NODES, [A, *roots], version) for version in (4, 5, 6, 7)),
        lockfile(NODES, [A], 6, include_concrete={"/env": lockfile({G: GCC}, [G])}),
        lockfile(NODES | {B: NODES[B] | {"build_spec": {"name": "gcc", "hash": G}}}, [A]),
        lockfile({A: old, G: {"gcc": GCC}}, [A], 1),
    ]
    others = [{"spec": {"_meta": {"version": 4}, "nodes": [*NODES.values()]}}, [*NODES.values()]]
    installed = {key: {"spec": one, "installed": True, "explicit": True, "path": "/x"} for key, one in NODES.items()}
    others.append({"database": {"version": "8", "installs": installed}})
    return json_mutations(*(json.dumps(one).encode() for one in (*lockfiles, *others)))


def read_spec_files(data: bytes) -> None:
    with suppress(JsonError, NoSpecError):
        one = read_spec_file(data)
        found = SpecFiles()
        new = found.add(one)
        journal_of(Entry("key", "fingerprint", msgspec.structs.replace(one, nodes=new)))
        read_index(found.index(), origin="index", snapshot="develop", stack="root")


def journal_of(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


# What is read from files and folders, in a folder of this process.


@cache
def scratch() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)
    _kept.append(folder)
    return Path(folder.name)


_kept: list[object] = []


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return how to read an input that is written to a file first."""

    def parse_file(data: bytes) -> object:
        path = scratch() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return parse_file


def read_source(path: Path, **options: Any) -> None:
    """Read everything in a source."""
    for source in open_sources(SourceRequest.for_any((), (), None, None, **options).at([path])):
        for number, task in enumerate(source.batches(Previous())):
            for chunk in chunks(task()):
                parse_chunk(chunk, source, Previous(), f"{scratch()}/fragment-{number}-")


def archives() -> Mutate:
    def packed(kind: str) -> bytes:
        names = ("main/_cache/develop/zlib/specs.md", "main/_cache/develop/zlib/../specs.md", "/specs.md", "notes.md")
        buffer = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
                for name in names:
                    zipped.writestr(name, page())
            return buffer.getvalue()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tarred:
            for name in (*names, "ü/_cache/develop/b/specs.md"):
                member = tarfile.TarInfo(name)
                member.size = len(page().encode())
                tarred.addfile(member, io.BytesIO(page().encode()))
            link = tarfile.TarInfo("main/_cache/develop/link/specs.md")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tarred.addfile(link)
        data = buffer.getvalue()
        return {"tar": lambda: data, "gz": lambda: gzip.compress(data, mtime=0), "zst": lambda: zstd(data)}[kind]()

    seeds = [packed(kind) for kind in ("zip", "tar", "tar", "gz", "zst")]

    def mutate(draw: random.Random) -> bytes:
        data = mutate_bytes(draw.choice(seeds), draw, seeds)
        wrap = draw.random()  # so that what is damaged is inside of what is whole
        return gzip.compress(data, 1, mtime=0) if wrap < 0.2 else zstd(data) if wrap < 0.4 else data

    return mutate


def zstd(data: bytes) -> bytes:
    found: bytes = pa.compress(data, "zstd", asbytes=True)
    return found


def mirrors() -> Mutate:
    """Return how to mutate the manifest of the index of a mirror of layout 3."""
    manifest = json.dumps({"version": 3, "data": [blob_entry(index(NODES, cached={A, B}))]}).encode()
    return json_mutations(manifest, manifest.replace(b".v8", b".v7"))


def blob_entry(data: bytes) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        layout_3(Path(folder), (8, data))
        entry: dict[str, Any] = json.loads(next(Path(folder).rglob("index.manifest.json")).read_bytes())["data"][0]
    return entry


def read_mirror(data: bytes) -> None:
    folder = scratch() / "mirror"
    if not folder.exists():
        layout_3(folder, (8, index(NODES, cached={A, B})))
    (folder / "v3/manifests/index/index.manifest.json").write_bytes(data)
    read_source(folder)


def read_mirror_without_index(data: bytes) -> None:
    folder = scratch() / "without-index"
    if not folder.exists():
        spec_files.layout_3(folder)
    next((folder / "v3").rglob("*.spec.manifest.json")).write_bytes(data)
    read_source(folder, without_index=True)


def spec_manifests() -> Mutate:
    with tempfile.TemporaryDirectory() as folder:
        spec_files.layout_3(Path(folder))
        signed = next((Path(folder) / "v3").rglob("*.spec.manifest.json")).read_bytes()
    plain = signed.split(b"\n\n")[1].split(b"\n-----")[0]
    as_json, as_text = json_mutations(plain), text_mutations(signed.decode())

    def mutate(draw: random.Random) -> bytes:
        data = as_json(draw)
        return as_text(draw) if draw.random() < 0.2 else spec_files.SIGNED % data if draw.random() < 0.5 else data

    return mutate


IMAGE = {
    "schemaVersion": 2,
    "config": {"digest": f"sha256:{'a' * 64}", "size": 2},
    "layers": [{"digest": f"sha256:{one * 64}", "size": 1} for one in "bc"],
}
LAYOUT = {
    "schemaVersion": 2,
    "manifests": [
        {
            "digest": f"sha256:{one * 64}",
            "size": 9,
            "annotations": {"org.opencontainers.image.ref.name": f"{one}.spack"},
        }
        for one in "ab"
    ],
}


class _Images:
    """An OCI cache in which each image has the same manifest."""

    name = "registry.example/cache"

    def __init__(self, data: bytes) -> None:
        self.manifest = lambda tag: bytearray(data)


def read_layout(data: bytes) -> None:
    folder = scratch() / "layout"
    folder.mkdir(exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_bytes(data)
    layout = Layout(DiskStorage(Network()), str(folder), "layout")
    for tag in layout.tags():
        with suppress(cs.CachestatsError):
            layout.manifest(tag)
    read_source(folder)


DOCKER = {
    "auths": {
        "registry.example:5000": {"auth": "dXNlcjpwYXNz"},
        "https://registry.example/v1/": {"identitytoken": "x"},
    },
    "credHelpers": {"other.example": "no-such-helper"},
    "credsStore": "no-such-store",
}


def read_login(path: Path) -> None:
    with patch.dict(os.environ, {"DOCKER_CONFIG": str(path.parent)}):
        for registry in ("registry.example:5000", "registry.example", "other.example"):
            with suppress(cs.CachestatsError):
                find_credentials(registry)


CATALOGUE = {
    "develop-2025-05-25": [
        {"label": "root", "url": "mirror", "version": "v2"},
        {"label": "e4s", "url": "mirror/e4s/build_cache/index.json"},
    ],
    "v1.0": [{"label": "root", "url": "/no/such/mirror"}],
}


# What cachestats wrote itself.


@cache
def small_dataset() -> Path:
    site = scratch() / "site/_cache/develop/zlib/specs.md"
    site.parent.mkdir(parents=True)
    site.write_text(page())
    return cs.build_dataset(scratch() / "site", out=scratch() / "dataset").path


def manifests_of_datasets() -> Mutate:
    def mutate(draw: random.Random) -> bytes:
        return json_mutations((small_dataset() / "manifest.json").read_bytes())(draw)

    return mutate


def read_dataset_with(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return how to read a dataset of which one file is the input."""

    def parse_file(data: bytes) -> object:
        folder = scratch() / f"dataset-with-{name.rpartition('/')[2]}"
        if not folder.exists():
            shutil.copytree(small_dataset(), folder)
        (folder / name).write_bytes(data)
        return read(folder)

    return parse_file


def open_with_manifest(folder: Path) -> None:
    read_manifest_of_dataset(folder)
    dataset = cs.open_dataset(folder)
    for table in ("specs", "snapshots"):
        with suppress(cs.CachestatsError):
            dataset.files(table)


COMMIT = b'{"move": ["specs/develop.parquet", "manifest.json"], "remove": ["specs/b.parquet"]}'


def journals() -> Mutate:
    entry = Entry("key", "fingerprint", read_spec_file(json.dumps({"spec": {"nodes": [*NODES.values()]}}).encode()))
    lines = json_mutations(journal_of(entry))
    packed = [gzip.compress(journal_of(entry) * 2, 1, mtime=0)]

    def mutate(draw: random.Random) -> bytes:
        if draw.random() < 0.3:
            return mutate_bytes(packed[0], draw, packed)
        return gzip.compress(journal_of(entry) + lines(draw) + b"\n" + journal_of(entry), 1, mtime=0)

    return mutate


def read_journal(path: Path) -> None:
    journal = Journal(path.parent, "place")
    found = SpecFiles()
    journal.take({"key": "fingerprint"}, found, is_update=True)
    journal.close()
    if found.specs:
        found.index()


def read_list_of_export(data: bytes) -> None:
    folder = scratch() / "export"
    (folder / ".cachestats-site").mkdir(parents=True, exist_ok=True)
    (folder / ".cachestats-site/pages.txt").write_bytes(data)
    cs.export_site(cs.open_dataset(small_dataset()), folder)


# Text.

EXPRESSIONS = (
    "hdf5@1.14:+mpi~shared api=v110 %gcc@12: ^mpich@4 target=zen4:",
    "/abcdef zlib-ng@git.main=2.1 cflags='-O2 -g' ^[virtuals=mpi deptypes=link] openmpi %%clang",
    "py-numpy@=1.26.4,2: os=ubuntu22.04 platform=linux arch=linux-rhel8-x86_64_v3 dev_path=/x ++pic",
)
RANGES = ("1.2:1.4,=2,develop:", "git.v1=1.2", ":3.0-rc1,main", "1.2.3-4_5.beta:")
REQUIREMENTS = (
    "platform=linux os=ubuntu22.04 target=x86_64_v3 libc=glibc@2.35 format=4 external='cuda@12 prefix=/usr' spack=1.0",
    "target=zen4 missing=glibc excluded='x y' libc=none external='mpi@1 +x module=a module=b'",
)
PACKAGES_YAML = """
packages:
  all: {providers: {mpi: [openmpi]}}
  cuda:
    externals:
    - spec: cuda@12.4 +dev
      prefix: /usr/local/cuda
      modules: [cuda/12.4]
    buildable: false
  openmpi:: {version: [4.1], externals: [{spec: "openmpi@4.1.5%gcc@12 fabrics=ofi,ucx", modules: [a, b]}]}
"""
SPACK_YAML = """
spack:
  definitions:
  - compilers: ["%gcc@12", "%gcc@13"]
  - mpis: [mpich, openmpi@4:]
    when: arch.satisfies("x86_64")
  - packages: &p [zlib, hdf5+mpi]
  specs:
  - cmake@3.27
  - matrix:
    - [$packages]
    - [$compilers]
    - [$^mpis]
    exclude: ["hdf5%gcc@12"]
  - $packages
  concretizer: {unify: when_possible}
  include: [other.yaml]
"""


def read_text(read: Callable[[str], object], *errors: type[Exception]) -> Callable[[bytes], object]:
    def parse_text(data: bytes) -> object:
        with suppress(*errors):
            return read(data.decode("utf-8", "surrogateescape"))
        return None

    return parse_text


def read_requirement(text: str) -> None:
    Requirement.parse(text)


def ask(text: str) -> None:
    """Ask for the specs that satisfy expressions, or have a version in a range."""
    for one in parse_expressions(text, most=20):
        str(one)


def find(text: str) -> None:
    cs.example_dataset().where(spec=text).specs.head(1).collect()


def build_index(data: bytes) -> None:
    """Build a dataset of an index, ask about holes, and verify it."""
    folder = scratch() / "build"
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / "mirror/build_cache/index.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    dataset = cs.build_dataset(folder / "mirror", out=folder / "dataset", max_rejected=1, workers=1)
    assert dataset.specs.collect().height == dataset.manifest.tables["specs"]
    if dataset.manifest.snapshots:
        cs.holes(dataset.specs, dataset.dependencies)


def build_page(data: bytes) -> None:
    folder = scratch() / "build"
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / "site/_cache/develop/zlib/specs.md"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    dataset = cs.build_dataset(folder / "site", out=folder / "dataset", max_rejected=1, workers=1)
    cs.export_site(dataset, folder / "export")


def quietly(read: Callable[..., object]) -> Callable[..., object]:
    def call(*arguments: Any) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(*arguments)

    return call


PARSERS: dict[str, Parser] = {
    "page": Parser(pages(), read_page_twice),
    "index": Parser(indices(), read_index_twice),
    "environment": Parser(environments(), in_file("environment", quietly(cs.read_environment))),
    "spec file": Parser(environments(), read_spec_files),
    "archive": Parser(archives(), in_file("archive", read_source)),
    "mirror": Parser(mirrors(), read_mirror),
    "spec manifest": Parser(spec_manifests(), read_mirror_without_index),
    "catalogue": Parser(
        json_mutations(json.dumps(CATALOGUE).encode()), in_file("cache_spack_io_index.json", read_source)
    ),
    "OCI manifest": Parser(
        json_mutations(json.dumps(IMAGE).encode()),
        lambda data: read_image(_Images(data), "x.spack"),  # type: ignore[arg-type]
    ),
    "OCI layout": Parser(json_mutations(json.dumps(LAYOUT).encode()), read_layout),
    "docker login": Parser(json_mutations(json.dumps(DOCKER).encode()), in_file("docker/config.json", read_login)),
    "dataset manifest": Parser(manifests_of_datasets(), read_dataset_with("manifest.json", open_with_manifest)),
    "commit": Parser(json_mutations(COMMIT), read_dataset_with(".cachestats/commit.json", cs.open_dataset)),
    "report": Parser(
        json_mutations(b'{"schema": 1, "dataset_schema_version": 3, "snapshots": ["a"]}'),
        in_file("report/report.json", lambda path: [*_foreign(path.parent)]),
    ),
    "journal": Parser(journals(), in_file("journals/place.json.gz", read_journal)),
    "list of an export": Parser(text_mutations("_cache/develop/zlib/specs.md\n_data/tags.yaml\n"), read_list_of_export),
    "expression": Parser(text_mutations(*EXPRESSIONS), read_text(ask)),
    "question": Parser(text_mutations(*EXPRESSIONS), read_text(find)),
    "requirement": Parser(text_mutations(*REQUIREMENTS), read_text(read_requirement, ValueError)),
    "packages.yaml": Parser(yaml_mutations(PACKAGES_YAML), in_file("packages.yaml", quietly(cs.read_packages))),
    "spack.yaml": Parser(yaml_mutations(SPACK_YAML), in_file("spack.yaml", quietly(cs.read_roots))),
    "build of an index": Parser(indices(), build_index),
    "build of a page": Parser(pages(), build_page),
}
