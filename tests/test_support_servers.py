"""The servers of the tests do what they say, and end when they should."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import socket
import time
from collections.abc import Callable
from email.message import Message
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from tests.support.servers import Answer, HttpServer, S3Server, body, chunked, cut, drip, hang, redirect, status

DATA = bytes(range(256)) * 10
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
DATE = "Sun, 09 Mar 2025 10:00:00 GMT"


class Reply(NamedTuple):
    code: int
    headers: Message
    data: bytes


def ask(url: str, path: str, method: str = "GET", *, timeout: float = 5, **headers: str) -> Reply:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=timeout)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as response:
            return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"no")
    (tmp_path / "site/develop/e4s").mkdir(parents=True)
    (tmp_path / "site/develop/index.json").write_bytes(DATA)
    os.utime(tmp_path / "site/develop/index.json", (1741514400, 1741514400))
    (tmp_path / "site/develop/out").symlink_to(tmp_path / "secret")
    return tmp_path / "site"


@pytest.fixture
def server(folder: Path, http_server: Callable[..., HttpServer]) -> HttpServer:
    return http_server(folder)


INDEX = "/develop/index.json"


def test_a_file_is_served_as_it_is_and_requests_are_kept(server: HttpServer) -> None:
    code, headers, data = ask(server.url, INDEX + "?a=b", X_Name="c")
    assert (code, data) == (200, DATA)
    assert [headers[name] for name in ("ETag", "Last-Modified", "Content-Length", "Content-Type", "Accept-Ranges")] == [
        ETAG,
        DATE,
        str(len(DATA)),
        "application/json",
        "bytes",
    ]
    head = ask(server.url, INDEX, "HEAD")
    assert (head.code, head.data) == (200, b"")
    assert (head.headers["ETag"], head.headers["Content-Length"]) == (ETAG, str(len(DATA)))
    first, second = server.requests
    assert (first.method, first.path, first.headers["x-name"]) == ("GET", INDEX + "?a=b", "c")
    assert (second.method, second.path) == ("HEAD", INDEX)


@pytest.mark.parametrize(
    ("asked", "code", "expected", "content_range"),
    [
        ("bytes=0-9", 206, DATA[:10], "bytes 0-9/2560"),
        ("bytes=2550-", 206, DATA[2550:], "bytes 2550-2559/2560"),
        ("bytes=2550-9999", 206, DATA[2550:], "bytes 2550-2559/2560"),
        ("bytes=-5", 206, DATA[-5:], "bytes 2555-2559/2560"),
        ("bytes=-9999", 206, DATA, "bytes 0-2559/2560"),
        ("bytes=2560-", 416, b"416 Requested Range Not Satisfiable\n", "bytes */2560"),
        ("bytes=5-4", 200, DATA, None),
        ("bytes=-", 200, DATA, None),
        ("lines=1-2", 200, DATA, None),
    ],
)
def test_ranges(asked: str, code: int, expected: bytes, content_range: str | None, server: HttpServer) -> None:
    reply = ask(server.url, INDEX, Range=asked)
    assert (reply.code, reply.data, reply.headers["Content-Range"]) == (code, expected, content_range)
    assert reply.headers["Content-Length"] == str(len(expected))
    assert ask(server.url, INDEX, "HEAD", Range=asked).code == 200
    server.ranges = False
    reply = ask(server.url, INDEX, Range=asked)
    assert (reply.code, reply.data, reply.headers["Accept-Ranges"]) == (200, DATA, None)


def test_a_part_is_given_of_the_same_content_only(server: HttpServer) -> None:
    asked = [ask(server.url, INDEX, Range="bytes=9-", If_Range=known).code for known in (ETAG, DATE, '"other"')]
    assert asked == [206, 206, 200]


def test_what_is_known_is_not_sent_again(folder: Path, server: HttpServer) -> None:
    for known in ({"If_None_Match": f'"a", W/{ETAG}'}, {"If_None_Match": "*"}, {"If_Modified_Since": DATE}):
        reply = ask(server.url, INDEX, **known)
        assert (reply.code, reply.data, reply.headers["ETag"]) == (304, b"", ETAG)
    assert ask(server.url, INDEX, If_None_Match='"a"', If_Modified_Since=DATE).code == 200
    server.etags = False
    reply = ask(server.url, INDEX, If_None_Match=ETAG)
    assert (reply.code, reply.headers["ETag"]) == (200, None)
    server.etags = True
    (folder / INDEX[1:]).write_bytes(DATA[1:])
    assert ask(server.url, INDEX, If_None_Match=ETAG).data == DATA[1:]
    assert ask(server.url, INDEX, If_Modified_Since=DATE).code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/",
        "/develop",
        "/develop/",
        f"{INDEX}/",
        "//develop/index.json",
        "/develop//index.json",
        "/develop/./index.json",
        "/../secret",
        "/develop/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/develop/out",
        "/a%00b",
        "/" + "a" * 5000,
        "secret",
    ],
)
def test_nothing_else_is_found(path: str, server: HttpServer) -> None:
    reply = ask(server.url, path)
    assert (reply.code, reply.data) == (404, b"404 Not Found\n")


@pytest.mark.parametrize(
    ("listings", "others"), [("apache", ["?C=N;O=D", "?C=M;O=A", "/"]), ("nginx", ["../"]), ("python", [])]
)
def test_listings_link_to_every_entry(
    listings: str, others: list[str], folder: Path, http_server: Callable[..., HttpServer]
) -> None:
    names = ["a & <b>.json", "é+%.json", "x" * 80]
    for name in names:
        (folder / "develop" / name).write_bytes(DATA)
    server = http_server(folder, listings=listings)
    moved = ask(server.url, "/develop")
    assert (moved.code, moved.headers["Location"]) == (301, "/develop/")
    code, headers, data = ask(server.url, "/develop/")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'href="(.*?)"', data.decode())
    assert links == [*others, *(quote(name) for name in [names[0], "e4s/", "index.json", "out", names[2], names[1]])]
    assert b"<b>" not in data
    assert ask(server.url, "/develop/" + quote(names[1])).data == DATA


def test_answers_are_given_once_in_their_order_and_then_the_usual_one(server: HttpServer) -> None:
    server.answer(INDEX, status(500), status(429, retry_after="0"), Answer(), redirect("/elsewhere"))
    server.answer(INDEX, body(b"b", etag='"b"', last_modified=DATE))
    replies = [ask(server.url, INDEX) for _ in range(6)]
    assert [reply.code for reply in replies] == [500, 429, 200, 302, 200, 200]
    assert [reply.data for reply in replies[-2:]] == [b"b", DATA]
    assert replies[1].headers["Retry-After"] == "0"
    assert replies[3].headers["Location"] == "/elsewhere"
    assert (replies[4].headers["ETag"], replies[4].headers["Last-Modified"]) == ('"b"', DATE)


def test_an_answer_may_be_for_ever(server: HttpServer) -> None:
    server.forever("/a b.json", body(b"new"))
    server.answer("/a b.json", status(204))
    assert [ask(server.url, "/a%20b.json").data for _ in range(3)] == [b"", b"new", b"new"]
    etag = ask(server.url, "/a%20b.json").headers["ETag"]
    assert ask(server.url, "/a%20b.json", If_None_Match=etag).code == 304
    assert ask(server.url, "/a%20b.json", Range="bytes=1-").data == b"ew"
    server.normal("/a b.json")
    assert ask(server.url, "/a%20b.json").code == 404


def test_a_body_is_cut(server: HttpServer) -> None:
    server.answer(INDEX, cut(100), cut(0), cut(5), chunked() | cut(1500), cut(len(DATA)))
    for length, asked in ((100, {}), (0, {}), (5, {"Range": "bytes=0-99"}), (1500, {})):
        with pytest.raises(IncompleteRead) as caught:
            ask(server.url, INDEX, **asked)
        assert caught.value.partial == DATA[:length]
    assert ask(server.url, INDEX).data == DATA


def test_a_body_is_chunked(server: HttpServer) -> None:
    server.forever(INDEX, chunked())
    for method, expected in (("GET", DATA), ("HEAD", b"")):
        reply = ask(server.url, INDEX, method)
        assert (reply.code, reply.data, reply.headers["ETag"]) == (200, expected, ETAG)
        assert (reply.headers["Transfer-Encoding"], reply.headers["Content-Length"]) == ("chunked", None)


def test_a_body_of_no_length_ends_with_its_connection(server: HttpServer) -> None:
    server.answer("/a", body(b"abc", content_length=None))
    reply = ask(server.url, "/a")
    assert (reply.data, reply.headers["Content-Length"]) == (b"abc", None)


def test_a_body_drips(server: HttpServer) -> None:
    server.answer("/a", body(b"abc") | drip(0.05), body(b"abc") | drip(0.01) | chunked() | cut(2))
    begin = time.monotonic()
    assert ask(server.url, "/a").data == b"abc"
    assert time.monotonic() - begin >= 0.15
    with pytest.raises(IncompleteRead) as caught:
        ask(server.url, "/a")
    assert caught.value.partial == b"ab"


def test_a_server_may_hang_and_answer_then(server: HttpServer) -> None:
    server.answer(INDEX, hang(30), hang(0.1) | status(503))
    with pytest.raises(TimeoutError):
        ask(server.url, INDEX, timeout=0.1)
    begin = time.monotonic()
    assert ask(server.url, INDEX).code == 503
    assert time.monotonic() - begin >= 0.1


def test_one_connection_serves_many_requests(server: HttpServer) -> None:
    server.answer(INDEX, status(500), redirect("/a"), chunked(), status(304))
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    connection.connect()
    opened = connection.sock
    for method, code in (("GET", 500), ("GET", 302), ("GET", 200), ("GET", 304), ("HEAD", 200), ("GET", 200)):
        connection.request(method, INDEX)
        with connection.getresponse() as response:
            assert (response.status, response.read() in (DATA, b"")) == (code, code != 500)
    assert connection.sock is opened
    connection.close()


def test_a_server_ends_at_once_whatever_it_does(folder: Path) -> None:
    with HttpServer(folder) as server:
        server.forever("/hang", hang(100))
        server.forever("/drip", body(DATA) | drip(100))
        server.forever("/large", body(bytes(50_000_000)))  # more than the sockets hold: the write waits
        clients = []
        for path in ("/hang", "/drip", "/large", INDEX, None):
            client = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5)
            if path:
                client.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            clients.append(client)
        while len(server.requests) < 4:
            time.sleep(0.01)
        assert clients[2].recv(1)
        begin = time.monotonic()
        server.close()
        assert time.monotonic() - begin < 1
    for client in clients:
        while client.recv(1 << 20):
            pass
        client.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server.url, INDEX)


def test_clients_may_hang_up(server: HttpServer, capfd: pytest.CaptureFixture[str]) -> None:
    server.forever("/large", body(bytes(5_000_000)))
    server.forever("/drip", body(DATA) | drip(0.001))
    for path in ("/large", "/drip"):
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            assert client.recv(10)
    while server._listener.connections:
        time.sleep(0.01)
    assert server.faults == []
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_the_server_fails_the_test(folder: Path) -> None:
    with pytest.raises(UnicodeEncodeError), HttpServer(folder) as server:  # noqa: PT012 - the server ends inside
        server.answer("/a", status(500, x_name="\u2026"))
        with pytest.raises(RemoteDisconnected):
            ask(server.url, "/a")


@pytest.mark.slow
def test_a_bucket_can_be_read_without_an_account(folder: Path, s3_server: Callable[..., S3Server]) -> None:
    (folder / "develop/out").unlink()
    server = s3_server(folder, bucket="ours")
    server.put("a/b c+é.json", b"first")
    server.put("a/b c+é.json", b"second")
    server.put("a/private", b"no", public=False)
    server.put("a/gone", bytes(2_000_000))
    server.delete("a/gone")
    code, headers, data = ask(server.endpoint, "/ours" + INDEX)
    assert (code, data, headers["ETag"]) == (200, DATA, f'"{hashlib.md5(DATA).hexdigest()}"')
    assert ask(server.endpoint, "/ours" + INDEX, Range="bytes=1-2")[::2] == (206, DATA[1:3])
    assert ask(server.endpoint, "/ours" + INDEX, If_None_Match=headers["ETag"]).code == 304
    head = ask(server.endpoint, "/ours" + INDEX, "HEAD")
    assert (head.code, head.headers["Content-Length"]) == (200, str(len(DATA)))
    assert ask(server.endpoint, "/ours/" + quote("a/b c+é.json")).data == b"second"
    codes = [ask(server.endpoint, f"/ours/{key}").code for key in ("a/private", "a/gone", "develop", "develop/")]
    assert codes == [403, 404, 404, 404]

    def listed(query: str) -> list[str | None]:
        reply = ask(server.endpoint, f"/ours?list-type=2{query}")
        assert reply.code == 200
        tree = ElementTree.fromstring(reply.data)
        return [one.text for one in tree.iterfind(".//{*}Contents/{*}Key")] + [
            one.text for one in tree.iterfind("{*}CommonPrefixes/{*}Prefix")
        ]

    assert listed("") == ["a/b c+é.json", "a/private", INDEX[1:]]
    assert listed("&delimiter=/") == ["a/", "develop/"]
    assert listed("&prefix=develop/&delimiter=/") == [INDEX[1:]]


@pytest.mark.slow
def test_a_bucket_ends_with_its_server_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for data in (b"a", b"b"):
        with S3Server() as server:
            assert ask(server.endpoint, "/spack-binaries/key").code == 404
            server.put("key", data)
            assert ask(server.endpoint, "/spack-binaries/key").data == data
        with pytest.raises(ConnectionRefusedError):
            ask(server.endpoint, "/")
    gc.collect()
    assert capfd.readouterr() == ("", "")
