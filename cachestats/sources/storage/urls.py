"""Addresses: whose they are, where they may lead, and how they are told to people, without secrets."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit, urlunsplit

from cachestats.errors import SourceError
from cachestats.text import printable

WEB_PORTS = {"http": 80, "https": 443}

# The public cache's bucket is served to everyone at this address.
_PUBLIC_BUCKET = "s3://spack-binaries/"
_PUBLIC_ADDRESS = "https://binaries.spack.io/"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def is_url(text: str) -> bool:
    """Whether a source is an address and not a path."""
    return bool(_SCHEME.match(text))


def split_url(address: str) -> SplitResult:
    """Return the parts of an address.

    Raises
    ------
    SourceError
        If it is none.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname  # these are looked at only now
    except ValueError as error:
        raise SourceError(f"expected an address, found one that is none: {error}", hint="check the address") from None
    return parts


def redact_url(address: str) -> str:
    """Return an address without what may be a secret: credentials and query.

    Examples
    --------
    >>> redact_url("https://me:secret@example.org/develop?token=secret")
    'https://example.org/develop'
    """
    parts = split_url(address)
    return printable(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def redact_urls(text: str) -> str:
    """Return a text with the addresses in it plain."""

    def plain(found: re.Match[str]) -> str:
        try:
            return redact_url(found[0])
        except SourceError:
            return "an address"

    return _ADDRESS_IN_TEXT.sub(plain, text)


def public_url(address: str) -> str:
    """Return the https address of what lies in the public cache's bucket, and any other address as it is."""
    return _PUBLIC_ADDRESS + address.removeprefix(_PUBLIC_BUCKET) if address.startswith(_PUBLIC_BUCKET) else address


def check_host(target: str, origin: str, allowed: Collection[str]) -> None:
    """Refuse an address to which `origin` must not lead without leave.

    Raises
    ------
    SourceError
        If it leads to another host or from https to http, or is no web address.
    """
    here, there = split_url(origin), split_url(target)
    hint = f"if you trust it: --allow-host {there.hostname}"
    if there.scheme not in WEB_PORTS or (there.scheme == "http" and here.scheme == "https"):
        hint = "read it from a server that you trust"
    elif there.hostname in allowed or _server(here) == _server(there):
        return
    raise SourceError(
        f"expected everything of {redact_url(origin)} on its own host, found that it leads to {redact_url(target)}",
        hint=hint,
    )


def _server(parts: SplitResult) -> tuple[str | None, int | None]:
    port = parts.port or WEB_PORTS.get(parts.scheme)
    return parts.hostname, 443 if port == 80 else port  # from http to https of the same host is no other host
