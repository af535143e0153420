"""Web servers, through fsspec and aiohttp, with requests limited to the requested host and bounded in time.

aiohttp rather than httpx, whose synchronous client would do without coroutines: it has no limit on the time that the
head of an answer takes (https://github.com/encode/httpx/issues/1450), and fsspec reads S3 through aiohttp anyway.
"""

from __future__ import annotations

import html
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urljoin

from cachestats.sources.storage.base import Entry, Fingerprint, Storage
from cachestats.sources.storage.transfer import Opened
from cachestats.sources.storage.urls import check_host, redact_url, split_url

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_LIST_BYTES = 16 << 20
_LONGEST_SECONDS = 9  # digits
_LINK = re.compile(r"""href\s{0,9}=\s{0,9}(?:"([^"]{1,4096})"|'([^']{1,4096})')""", re.IGNORECASE)


class HttpStorage(Storage):
    """One or more web servers, by URL; the entries of a folder are the links on its page."""

    is_remote = True

    @cached_property
    def filesystem(self) -> Any:
        """The file system over HTTP, with a client of our own."""
        from fsspec.implementations.http import HTTPFileSystem

        return HTTPFileSystem(get_client=self._client, skip_instance_cache=True, use_listings_cache=False)

    def name(self, path: str) -> str:
        """Return the URL without credentials and query."""
        return redact_url(path)

    def parts(self, path: str) -> list[str]:
        """Return the names of the folders above a path, and its own; none for a server's root."""
        return [unquote(part) for part in split_url(path).path.split("/") if part]

    def fingerprint(self, path: str) -> Fingerprint:
        """Return the entity tag, the date and the length of the file."""

        def ask() -> Fingerprint:
            with closing(self._request(path).file) as file:
                return _fingerprint(file.r.headers)

        return self.again(path, ask)

    def modified(self, path: str) -> datetime | None:
        """Return the date of the file according to the server."""

        def ask() -> datetime | None:
            with closing(self._request(path).file) as file:
                told = file.r.headers.get("Last-Modified", "")
            try:
                return parsedate_to_datetime(told).replace(tzinfo=UTC)  # HTTP dates are in GMT
            except ValueError:
                return None

        return self.again(path, ask)

    def size(self, path: str) -> int | None:
        """Return the length of a file according to the server."""

        def ask() -> int | None:
            with closing(self._request(path).file) as file:
                length = file.r.headers.get("Content-Length", "")
                return int(length) if length.isdecimal() else None

        return self.again(path, ask)

    def entries(self, path: str) -> list[Entry]:
        """Return the entries that the page of a folder links to, sorted."""
        top = f"{path.rstrip('/')}/"
        page = self.read(top, limit=_MAX_LIST_BYTES).decode("utf-8", "replace")
        if not page.lstrip().startswith("<"):
            return []
        links = {urljoin(top, html.unescape(one or other)) for one, other in _LINK.findall(page)}
        names = {link.removeprefix(top) for link in links if link.startswith(top)}
        return sorted(
            Entry(f"{top}{name.rstrip('/')}", name.endswith("/"), None)
            for name in names
            if re.fullmatch(r"[^./?#&;][^/?#]*/?", name) and ".." not in unquote(name) and "/" not in unquote(name[:-1])
        )

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a file at an offset if the server says that it is still the same file, or at its start."""
        # Reading can only be resumed if it is still the same file.
        headers = {"Range": f"bytes={offset}-", "If-Range": identity} if offset and identity else {}
        opened = self._request(path, headers)
        goes_on = (
            opened.file.r.status == 206
            and opened.identity == identity
            and opened.file.r.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        )
        return replace(opened, start=offset if goes_on else 0)

    def is_temporary(self, error: Exception) -> bool:
        """Whether a server is busy, or a connection broke."""
        import aiohttp

        if isinstance(error, aiohttp.ClientResponseError):
            return error.status in _TRY_AGAIN
        broken = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
        return isinstance(error, broken) and not isinstance(error, aiohttp.ClientSSLError)

    def requested_pause(self, error: Exception) -> float | None:
        """Return the seconds in the server's header `Retry-After`, or until the date in it."""
        headers = getattr(error, "headers", None) or {}
        asked = headers.get("Retry-After", "").strip()
        if asked.isascii() and asked.isdecimal():
            return float(asked[:_LONGEST_SECONDS])
        try:
            date = parsedate_to_datetime(asked)
        except ValueError:
            return None
        # A date without a zone is in UTC, as all dates of HTTP are.
        until = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())

    def _request(self, path: str, headers: dict[str, str] | None = None) -> Opened:
        # With any size other than None fsspec makes this one request, and no other before it.
        file = self.filesystem.open(path, "rb", block_size=0, size=1, headers=headers or {})
        tag = file.r.headers.get("ETag", "")
        return Opened(file, None if tag.startswith("W/") else tag or None)

    async def _client(self, **options: Any) -> Any:
        import aiohttp

        guard = aiohttp.TraceConfig()
        guard.on_request_redirect.append(self._check_redirect)
        timeout = aiohttp.ClientTimeout(total=None, connect=self.network.timeout, sock_read=self.network.timeout)
        return aiohttp.ClientSession(
            timeout=timeout,
            trace_configs=[guard],
            middlewares=(self._in_time,),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            trust_env=True,
            **options,
        )

    async def _in_time(self, request: Any, handler: Any) -> Any:
        """Fail if a server does not complete the head of its answer in time, whatever it has sent by then."""
        import asyncio

        return await asyncio.wait_for(handler(request), 2 * self.network.timeout)

    async def _check_redirect(self, session: Any, context: Any, params: Any) -> None:
        headers = params.response.headers
        target = urljoin(str(params.url), headers.get("Location") or headers.get("URI") or "")
        check_host(target, str(params.url), self.network.allow_hosts)


def _fingerprint(headers: Any) -> Fingerprint:
    told = [headers[name] for name in ("ETag", "Last-Modified", "Content-Length") if name in headers]
    return " ".join(told) if "ETag" in headers or len(told) == 2 else None
