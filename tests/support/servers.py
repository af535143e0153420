"""Real servers on loopback, for the tests of sources on the network: HTTP with its misfortunes, OCI registries, and S3.

An answer is given once, or for as long as a test wants; `|` joins what two of them say:

    with HttpServer(folder) as server:
        server.answer("/index.json", status(429, retry_after="0"), chunked() | cut(100))
        server.forever("/slow.json", drip(1))
        read(f"{server.url}/index.json")
        assert [request.method for request in server.requests] == ["GET", "GET", "GET"]
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import logging
import mimetypes
import re
import socket
import socketserver
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import gmtime, strftime
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, quote, unquote


class Request(NamedTuple):
    """What a client asked for: the path as it was sent, and the headers, their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """How a server answers one request; `Answer()` is the usual answer."""

    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    cut: int | None = None
    drip: float | None = None
    chunked: bool | None = None
    hang: float | None = None
    endless: bool | None = None

    def __or__(self, other: Answer) -> Answer:
        said = {name: value for name, value in vars(other).items() if value is not None}
        return Answer(**vars(self) | said | {"headers": {**self.headers, **other.headers}})


def status(code: int, **headers: str | None) -> Answer:
    """Answer with this code, and a line of text as the body unless `body` is joined to it."""
    return Answer(status=code, headers=_named(headers))


def redirect(url: str, code: int = 302) -> Answer:
    """Send the client to another address, which may be relative to this one."""
    return Answer(status=code, body=b"", headers={"Location": url})


def body(data: bytes, **headers: str | None) -> Answer:
    """Answer with these bytes; a header given here replaces the server's own, None leaves it out."""
    return Answer(body=data, headers=_named(headers))


def cut(length: int) -> Answer:
    """Close the connection after so many bytes of the body, of which more were announced."""
    return Answer(cut=length)


def drip(seconds: float) -> Answer:
    """Send the body byte by byte, so many seconds before each."""
    return Answer(drip=seconds)


def chunked() -> Answer:
    """Send the body in chunks, without its length."""
    return Answer(chunked=True)


def endless() -> Answer:
    """Send the body in chunks, again and again."""
    return Answer(chunked=True, endless=True)


def hang(seconds: float) -> Answer:
    """Say nothing for so long, and answer then."""
    return Answer(hang=seconds)


def _named(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-").title().replace("Etag", "ETag"): value for name, value in headers.items()}


Listing = Literal["apache", "nginx", "python"]
Reply = tuple[int, bytes, dict[str, str | None]]


class HttpServer:
    """Serves a folder at `url`, and keeps the requests, each before it is answered.

    Without `listings` a folder is not found, as at an object store. `etags` and `ranges` can be switched off, at any
    time. A path is what follows the host, unquoted and without a query; HEAD takes an answer as GET does.
    """

    def __init__(
        self, folder: Path, *, etags: bool = True, ranges: bool = True, listings: Listing | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.etags, self.ranges, self.listings = etags, ranges, listings
        self.requests: list[Request] = []
        self.faults: list[BaseException] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._once: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._forever: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        self._listener = _Listener(self)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if self.faults and kind is None:
            raise self.faults[0]

    def answer(self, path: str, *answers: Answer) -> None:
        """Give these answers to the next requests for a path, one to each."""
        with self._lock:
            self._once[path].extend(answers)

    def forever(self, path: str, answer: Answer) -> None:
        """Give this answer to all requests for a path that no `answer` is left for."""
        with self._lock:
            self._forever[path] = answer

    def normal(self, path: str) -> None:
        """Forget the answers given for a path."""
        with self._lock:
            self._once.pop(path, None)
            self._forever.pop(path, None)

    def reply(self, path: str, asked: Request) -> Reply | None:
        """Return the usual answer to a request: code, body and headers; None if that is a file of the folder."""
        return None

    def close(self) -> None:
        """Stop listening, break off every answer in progress, and wait for its thread."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        for thread, connection in list(self._listener.connections.items()):
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive(), "an answer did not end"

    def _next(self, path: str) -> Answer:
        with self._lock:
            return self._once[path].popleft() if self._once.get(path) else self._forever.get(path, Answer())


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False  # `close` waits, once it has ended what the threads wait for

    def __init__(self, owner: HttpServer) -> None:
        self.owner = owner
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer asks the name service, which may be slow
        self.server_port = self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)
        del self.connections[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exception()
        if fault and not isinstance(fault, ConnectionError):  # clients may hang up
            self.owner.faults.append(fault)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        target = self.requestline.split()[1]  # of `path` http.server has taken a `//` away
        asked = Request(self.command, target, {name.lower(): value for name, value in self.headers.items()})
        self.server.owner.requests.append(asked)
        path = unquote(target.partition("?")[0])
        answer = self.server.owner._next(path)
        if answer.hang and self.server.owner.closing.wait(answer.hang):
            self.close_connection = True
            return
        code, data, headers = self._reply(path, answer, asked)
        headers = {"Content-Length": str(len(data))} | headers | answer.headers
        if answer.chunked:
            headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
        elif "Content-Length" in answer.headers:
            headers["Connection"] = "close"
        self.send_response(code)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and code not in (204, 304):
            self._send(data, answer)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _send(self, data: bytes, answer: Answer) -> None:
        size = 1 if answer.drip else 1000 if answer.chunked else len(data) or 1
        sent = data[: answer.cut]
        while answer.endless and not self.server.owner.closing.is_set():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent))
        for start in range(0, len(sent), size):
            if answer.drip and self.server.owner.closing.wait(answer.drip):
                self.close_connection = True
                return
            piece = sent[start : start + size]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
        if len(sent) < len(data):
            self.close_connection = True
        elif answer.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _reply(self, path: str, answer: Answer, asked: Request) -> Reply:
        if answer.status is not None:
            return self._plain(answer.status) if answer.body is None else (answer.status, answer.body, {})
        if answer.body is not None:
            return self._content(answer.body, {}, asked, answer)
        owner, place = self.server.owner, self._place(path)
        if (own := owner.reply(path, asked)) is not None:
            return own
        if place is None or (place.is_dir() and not owner.listings):
            return self._plain(404)
        if place.is_dir():
            if not path.endswith("/"):
                return 301, b"", {"Location": quote(path) + "/"}
            return 200, _LISTINGS[owner.listings](path, place).encode(), {"Content-Type": "text/html; charset=utf-8"}
        kind, packed = mimetypes.guess_type(place.name)
        headers: dict[str, str | None] = {
            "Content-Type": kind if kind and not packed else "application/octet-stream",
            "Last-Modified": formatdate(place.stat().st_mtime, usegmt=True),
        }
        return self._content(place.read_bytes(), headers, asked, answer)

    def _plain(self, code: int) -> Reply:
        if code in (204, 304):
            return code, b"", {"Content-Length": None}
        phrase = self.responses.get(code, ("Unknown",))[0]
        return code, f"{code} {phrase}\n".encode(), {"Content-Type": "text/plain"}

    def _place(self, path: str) -> Path | None:
        """Return the file or folder of a path; a key of an object store has no `//`, `.` or `..` that goes away."""
        folder, parts = self.server.owner.folder, path.removesuffix("/").split("/")
        if parts[0] or {"", ".", ".."} & set(parts[1:]) or "\0" in path:
            return None
        with suppress(OSError):
            place = folder.joinpath(*parts[1:]).resolve(strict=True)
            if place.is_relative_to(folder) and (place.is_dir() or not path.endswith("/")):
                return place
        return None

    def _content(self, data: bytes, headers: dict[str, str | None], asked: Request, answer: Answer) -> Reply:
        """Return the content, the part of it that was asked for, or that it is unchanged."""
        owner, whole = self.server.owner, len(data)
        if owner.etags:
            headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        if owner.ranges:
            headers["Accept-Ranges"] = "bytes"
        headers |= answer.headers
        tag, date = headers.get("ETag"), headers.get("Last-Modified")
        if _is_known(asked.headers, tag, date):
            return 304, b"", headers | {"Content-Length": None}
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
        if not owner.ranges or not match or not any(match.groups()) or asked.method != "GET":
            return 200, data, headers
        if asked.headers.get("if-range", tag) not in (tag, date):
            return 200, data, headers
        first, last = match.groups()
        start, end = (int(first), int(last or max(whole, int(first)))) if first else (max(whole - int(last), 0), whole)
        if end < start:
            return 200, data, headers
        if start >= whole:
            code, text, said = self._plain(416)
            return code, text, said | {"Content-Range": f"bytes */{whole}"}
        part = data[start : end + 1]
        return 206, part, headers | {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{whole}"}


def _is_known(asked: dict[str, str], tag: str | None, date: str | None) -> bool:
    """Return whether the client has this content; a date counts only where it sent no tag."""
    if (tags := asked.get("if-none-match")) is not None:
        known = [one.strip().removeprefix("W/") for one in tags.split(",")]
        return tag is not None and (tag.removeprefix("W/") in known or known == ["*"])
    if date is not None and (since := asked.get("if-modified-since")) is not None:
        with suppress(ValueError):
            return parsedate_to_datetime(date) <= parsedate_to_datetime(since)
    return False


def _entries(place: Path) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(place.iterdir()):
        name = path.name + "/" * path.is_dir()
        yield quote(name), name, path


def _apache(path: str, place: Path) -> str:
    row = '<tr><td valign="top"><img src="/icons/{}" alt="[{}]"></td><td><a href="{}">{}</a></td><td>&nbsp;</td></tr>'
    rows = [
        '<tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th>'
        '<th><a href="?C=M;O=A">Last modified</a></th></tr>'
    ]
    if path != "/":
        rows.append(row.format("back.gif", "PARENTDIR", quote(path.rstrip("/").rpartition("/")[0] + "/"), "Parent"))
    for link, name, entry in _entries(place):
        icon = ("folder.gif", "DIR") if entry.is_dir() else ("unknown.gif", "   ")
        rows.append(row.format(*icon, link, html.escape(name)))
    title = html.escape(f"Index of {path.rstrip('/') or '/'}")
    table = "\n".join(rows)
    return (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<html>\n <head>\n'
        f"  <title>{title}</title>\n </head>\n <body>\n<h1>{title}</h1>\n  <table>\n{table}\n</table>\n</body></html>\n"
    )


def _nginx(path: str, place: Path) -> str:
    rows = ['<a href="../">../</a>'] * (path != "/")
    for link, name, entry in _entries(place):
        shown = name if len(name) <= 50 else name[:47] + "..>"
        facts = entry.stat()
        date = strftime("%d-%b-%Y %H:%M", gmtime(facts.st_mtime))
        size = "-" if entry.is_dir() else facts.st_size
        rows.append(f'<a href="{link}">{html.escape(shown)}</a>{" " * (51 - len(shown))}{date} {size:>19}')
    title, lines = html.escape(f"Index of {path}"), "\r\n".join(rows)
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<h1>{title}</h1><hr><pre>{lines}\r\n</pre><hr></body>\r\n</html>\r\n"
    )


def _python(path: str, place: Path) -> str:
    rows = "\n".join(f'<li><a href="{link}">{html.escape(name)}</a></li>' for link, name, _ in _entries(place))
    title = html.escape(f"Directory listing for {path}")
    return (
        '<!DOCTYPE HTML>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<hr>\n<ul>\n{rows}\n</ul>\n<hr>\n</body>\n</html>\n"
    )


_LISTINGS: dict[str | None, Callable[[str, Path], str]] = {"apache": _apache, "nginx": _nginx, "python": _python}


class RegistryServer(HttpServer):
    """An OCI registry with one repository, `site/cache`, and what registries do to their clients.

    If it has a `login`, it wants tokens, each good for so many requests, and gives them only to this user and password.
    It redirects blobs to `blobs_at`, if that is given: the URL of a folder that has them by their digests.
    """

    repository = "site/cache"

    def __init__(
        self,
        *,
        login: str | None = None,
        uses: int = 1_000_000,
        tags_a_page: int = 1000,
        blobs_at: str | None = None,
    ) -> None:
        super().__init__(Path(__file__))
        self.login, self.uses, self.tags_a_page, self.blobs_at = login, uses, tags_a_page, blobs_at
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens: dict[str, int] = {}

    @property
    def cache(self) -> str:
        """The URL of the cache as Spack knows it."""
        return f"{self.url.replace('http', 'oci+http')}/{self.repository}"

    def push(self, tag: str, config: bytes, *layers: bytes) -> None:
        """Give a tag to an image of this config and these layers."""
        manifest = {"schemaVersion": 2, "config": self._blob(config), "layers": [*map(self._blob, layers)]}
        self.manifests[tag] = json.dumps(manifest).encode()

    def asked_for(self, kind: str) -> list[str]:
        """Return what clients asked for since this was last called, of the tags, the manifests or the blobs."""
        prefix = f"/v2/{self.repository}/{kind}/"
        asked = [one.path.removeprefix(prefix) for one in self.requests if one.path.startswith(prefix)]
        self.requests = [one for one in self.requests if not one.path.startswith(prefix)]
        return sorted(asked)

    def reply(self, path: str, asked: Request) -> Reply | None:
        """Return the registry's answer."""
        if path == "/token":
            return self._token(asked)
        if self.login and not self._is_allowed(asked.headers.get("authorization", "")):
            challenge = f'Bearer realm="{self.url}/token",service="registry",scope="repository:other:pull,push"'
            return 401, b"{}", {"WWW-Authenticate": challenge}
        prefix, _, name = path.rpartition("/")
        if prefix == f"/v2/{self.repository}/tags":
            return self._tags(asked)
        data = {"manifests": self.manifests, "blobs": self.blobs}.get(prefix.rpartition("/")[2], {}).get(name)
        if data is None or not prefix.startswith(f"/v2/{self.repository}/"):
            return 404, b'{"errors": []}', {}
        if prefix.endswith("blobs") and self.blobs_at:
            return 307, b"", {"Location": f"{self.blobs_at}/{name}?signature=secret-signature"}
        return 200, data, {"Docker-Content-Digest": digest_of(data)} if prefix.endswith("manifests") else {}

    def _blob(self, data: bytes) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return {"digest": digest_of(data), "size": len(data)}

    def _token(self, asked: Request) -> Reply:
        wanted = f"Basic {base64.b64encode((self.login or '').encode()).decode()}"
        scope = parse_qs(asked.path.partition("?")[2]).get("scope")
        if asked.headers.get("authorization") != wanted or scope != [f"repository:{self.repository}:pull"]:
            return 401, b"{}", {}
        token = f"secret-token-{len(self.tokens)}"
        self.tokens[token] = self.uses
        return 200, json.dumps({"token": token}).encode(), {}

    def _is_allowed(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        self.tokens[token] = self.tokens.get(token, 0) - 1
        return self.tokens[token] >= 0

    def _tags(self, asked: Request) -> Reply:
        last = parse_qs(asked.path.partition("?")[2]).get("last", [""])[0]
        left = [tag for tag in sorted(self.manifests) if tag > last]
        page, rest = left[: self.tags_a_page], left[self.tags_a_page :]
        link = f'</v2/{self.repository}/tags/list?last={quote(page[-1])}>; rel="next"' if rest else None
        return 200, json.dumps({"name": self.repository, "tags": page}).encode(), {"Link": link}


def digest_of(data: bytes) -> str:
    """Return the digest by which a registry knows a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class S3Server:
    """Serves a bucket at `endpoint`, with the files of a folder as its objects, to be read by anyone.

    One at a time: moto keeps its buckets in the process, and all of them go when a server ends.
    """

    def __init__(self, folder: Path | None = None, *, bucket: str = "spack-binaries") -> None:
        self.folder, self.bucket = folder, bucket

    def __enter__(self) -> Self:
        import boto3  # a second or two with moto, and only the tests of S3 need them
        from moto.server import ThreadedMotoServer

        self._log = logging.getLogger("werkzeug")
        self._level = self._log.level
        self._log.setLevel(logging.ERROR)  # a line on stderr for every request
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self.host, self.port = self._server.get_host_and_port()
        self.endpoint = f"http://{self.host}:{self.port}"
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self._client.create_bucket(Bucket=self.bucket, ACL="public-read")
        for path in sorted(self.folder.rglob("*") if self.folder else []):
            if self.folder and path.is_file():
                self.put(path.relative_to(self.folder).as_posix(), path.read_bytes())
        return self

    def __exit__(self, *_: object) -> None:
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
        self._client.close()
        self._server.stop()
        self._log.setLevel(self._level)

    def put(self, key: str, data: bytes, *, public: bool = True) -> None:
        """Store an object, in the place of one of the same key."""
        acl = "public-read" if public else "private"
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data, ACL=acl)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=self.bucket, Key=key)
