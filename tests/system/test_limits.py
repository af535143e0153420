"""Small inputs that grow without bounds: each ends with an error or a row that names a limit, in little memory."""

from __future__ import annotations

import gzip
import html
import io
import json
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import cachestats as cs
from cachestats.sources.storage.compression import unpack
from conftest import ROOT
from tests.support.servers import HttpServer, Reply, Request, body, endless

MANY = 200 << 20
LIMITS = {"file_bytes": 8 << 20, "archive_bytes": 32 << 20, "records": 1000, "specs": 100, "listings": 30}
PAGE = '---\ntitle: "a"\nlayout: cache\ncategories: [package, develop]\nmeta: {}\nspec_details: [%s]\n---\n'
INDEX = b'{"database":{"version":"6","installs":{'
MEGABYTES, SECONDS = 400, 20
"""The memory and the CPU time that all of them take together, beyond what Python and its libraries take."""

BUILD = """
import json, resource, sys
import cachestats as cs
cs.build_dataset(*sys.argv[1:2], out="first")  # imports what it needs
before = resource.getrusage(resource.RUSAGE_SELF)
limits = cs.InputLimits(**json.loads(sys.argv[2]))
for number, source in enumerate(sys.argv[3:]):
    try:
        if source.endswith(".lock"):
            cs.read_environment(source)
        found = cs.build_dataset(source, out=f"out-{number}", max_rejected=1, limits=limits)
        print(json.dumps([[row["message"], row["hint"]] for row in found.rejected.collect().to_dicts()]))
    except cs.CachestatsError as error:
        print(json.dumps([[error.message, error.hint]]))
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([(after.ru_maxrss - before.ru_maxrss) >> 10, after.ru_utime - before.ru_utime]))
"""


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)  # type: ignore[no-any-return]


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(*pages: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, page in enumerate(pages):
            archive.writestr(f"_cache/develop/p{number}/specs.md", page)
    return buffer.getvalue()


def long_name() -> tarfile.TarInfo:
    member = tarfile.TarInfo("a")
    member.pax_headers = {"path": "a" * (4 << 20)}
    return member


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    # name: contents, what the message or the hint has
    "index.json.gz": (lambda: gzip.compress(INDEX + b" " * MANY), "--max-file-bytes"),
    "index.json.zst": (lambda: zstd(INDEX + b" " * MANY), "--max-file-bytes"),
    "records.json": (lambda: INDEX + b",".join(b'"%d":{}' % n for n in range(1001)) + b"}}}", "--max-records"),
    "twice.json.gz": (lambda: gzip.compress(gzip.compress(INDEX + b" " * MANY)), "cut off or damaged"),
    "padded.tar.gz": (lambda: gzip.compress(tar((tarfile.TarInfo("a"), bytes(MANY)))), "--max-archive-bytes"),
    "padded.tar.zst": (lambda: zstd(tar((tarfile.TarInfo("a"), bytes(MANY)))), "--max-archive-bytes"),
    "headers.tar.gz": (lambda: gzip.compress(tar((long_name(), b""))), "more than 1,048,576 bytes of headers"),
    "members.tar": (lambda: tar(*((tarfile.TarInfo(str(n)), b"") for n in range(1001))), "--max-records"),
    "pages.zip": (lambda: zipped(*[b"---\n" + bytes(20 << 20)] * 2), "--max-archive-bytes"),
    "specs.zip": (lambda: zipped(PAGE % ",".join(["{}"] * 101)), "--max-specs"),
    "values.zip": (lambda: zipped(PAGE % ",".join(["0"] * 4101)), "--max-specs"),
    "lists.zip": (lambda: zipped(PAGE % ",".join(["[]"] * 301)), "--max-specs"),
    "spack.lock": (lambda: gzip.compress(b'{"roots":[' + b" " * (257 << 20)), "more than 268,435,456 bytes"),
}


class Folders(HttpServer):
    """Every folder has more folders."""

    def reply(self, path: str, asked: Request) -> Reply | None:
        if not path.endswith("/") or asked.method != "GET":
            return None
        links = "".join(f'<a href="{html.escape(name)}/">{name}</a>' for name in "abcdefghij")
        return 200, f"<html>{links}</html>".encode(), {"Content-Type": "text/html"}


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_is_within_the_limits_is_held_in_memory_once(pack: Callable[[bytes], bytes]) -> None:
    text = INDEX + b" " * MANY
    packed = pack(text)
    tracemalloc.start()
    try:
        found = unpack(packed, "index.json", cs.InputLimits())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == text
    assert most < len(text) + (16 << 20)


def test_what_grows_without_bounds_takes_little_memory_and_names_the_limit(tmp_path: Path) -> None:
    for name, (contents, _) in BOMBS.items():
        (tmp_path / name).write_bytes(contents())
    expected = [words for _, words in BOMBS.values()]
    with Folders(tmp_path) as server:
        server.forever("/index.json", body(INDEX + b" " * 100_000) | endless())
        sources = [f"x={name}" if "json" in name else name for name in BOMBS]
        sources += [f"x={server.url}/index.json", f"{server.url}/folders/"]
        expected += ["--max-file-bytes", "--max-listings"]
        command = [sys.executable, "-c", BUILD, str(ROOT / "data/_cache"), json.dumps(LIMITS), *sources]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    *answers, (megabytes, seconds) = map(json.loads, done.stdout.splitlines())
    for source, words, rows in zip(sources, expected, answers, strict=True):
        assert any(words in (text or "") for row in rows for text in row), (source, words, rows)
    assert megabytes < MEGABYTES, f"{megabytes} MB"
    assert seconds < SECONDS, f"{seconds} s"
