"""URLs: their parts, the hosts they may lead to, and their display without secrets."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit, urlunsplit

from cachestats.errors import SourceError
from cachestats.text import storable

WEB_PORTS = {"http": 80, "https": 443}

# The public cache's bucket is served to everyone at this URL.
_PUBLIC_BUCKET = "s3://spack-binaries/"
_PUBLIC_ADDRESS = "https://binaries.spack.io/"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def is_url(text: str) -> bool:
    """Whether a source is a URL rather than a path."""
    return bool(_SCHEME.match(text))


def split_url(address: str) -> SplitResult:
    """Return the parts of a URL.

    Raises
    ------
    SourceError
        If it is not a valid URL.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname  # these are only validated on access
    except ValueError as error:
        raise SourceError(f"expected a URL, found an invalid one: {error}", hint="check the URL") from None
    return parts


def redact_url(address: str) -> str:
    """Return a URL without its possible secrets: credentials and query.

    Examples
    --------
    >>> from cachestats.sources.storage.urls import redact_url
    >>> redact_url("https://me:secret@example.org/develop?token=secret")
    'https://example.org/develop'
    """
    parts = split_url(address)
    return storable(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def redact_urls(text: str) -> str:
    """Return a text with all URLs in it redacted."""

    def plain(found: re.Match[str]) -> str:
        try:
            return redact_url(found[0])
        except SourceError:
            return "a URL"

    return _ADDRESS_IN_TEXT.sub(plain, text)


def public_url(address: str) -> str:
    """Return the https URL of a path in the public cache's bucket; any other URL is returned as it is."""
    return _PUBLIC_ADDRESS + address.removeprefix(_PUBLIC_BUCKET) if address.startswith(_PUBLIC_BUCKET) else address


def check_host(target: str, origin: str, allowed: Collection[str]) -> None:
    """Refuse a URL that `origin` must not lead to without permission.

    Raises
    ------
    SourceError
        If it leads to another host or from https to http, or is not a web URL.
    """
    here, there = split_url(origin), split_url(target)
    hint = f"if you trust it: --allow-host {there.hostname}"
    if there.scheme not in WEB_PORTS or (there.scheme == "http" and here.scheme == "https"):
        hint = "read it from a server that you trust"
    elif there.hostname in allowed or _server(here) == _server(there):
        return
    raise SourceError(
        f"expected {redact_url(origin)} to stay on its own host, found that it leads to {redact_url(target)}",
        hint=hint,
    )


def _server(parts: SplitResult) -> tuple[str | None, int | None]:
    port = parts.port or WEB_PORTS.get(parts.scheme)
    return parts.hostname, 443 if port == 80 else port  # http and https on the same host are the same server
