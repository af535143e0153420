"""OCI registries, through their API over HTTP: paths are URLs of the API, and requests carry a token.

A registry asks for a token with its first answer, and again when that has expired. Blobs may be redirected to another
host, as many registries do, since whoever reads a blob checks its digest; the token is not sent there. Nothing else is
redirected.

No library for OCI, such as oras: it reads answers of any length, waits for them without an end, and follows each
redirect. The API is four kinds of requests, and what `http` and `transfer` do for them is what such libraries lack.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import SourceError
from cachestats.sources.storage.http import HttpStorage
from cachestats.sources.storage.input_limits import InputLimits, limit_hint
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.transfer import DamagedError, ForbiddenError, MissingError, Opened, received
from cachestats.sources.storage.urls import WEB_PORTS, check_host, redact_url, split_url
from cachestats.text import counted

SCHEMES = {"oci": "https", "oci+http": "http"}
"""The schemes of URLs of OCI caches, as Spack spells them, with those of the requests."""

_HUB = "registry-1.docker.io"
_NAMES_OF_HUB = frozenset({"docker.io", "index.docker.io", _HUB})
_PART = "[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_PATH = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/]+)/v2/(?P<name>.+?)(?:/(?P<what>manifests|blobs|tags)/(?P<which>[^/]+))?"
)
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        # Not specs, but a registry says that there is nothing at a tag if it may not send what there is.
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_CHALLENGE = re.compile(r'(?:^|[\s,])(Bearer|Basic)\s((?:\s{0,9}\w{1,40}="[^"]{0,2000}"\s{0,9},?){1,9})', re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_NEXT = re.compile(r'<([^<>]{1,4096})>\s{0,9};[^,]{0,200}\brel="?next\b')
_TOKEN = re.compile(r"[\x21-\x7e]+")

_MOST_RENEWALS = 2  # a token may expire right after another request has renewed it
_MAX_TOKEN_BYTES = 1 << 20
_MAX_PAGE_BYTES = 16 << 20
_TAGS_A_PAGE = 1000


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Page(msgspec.Struct):
    tags: list[str] | None = None


class _Repository(NamedTuple):
    """A registry, as the beginning of its URLs, and the name of a repository in it."""

    registry: str
    name: str


def api_url(address: str) -> str:
    """Return the URL in the API of a registry for that of an OCI cache.

    Raises
    ------
    SourceError
        If it is not the URL of a repository, or has credentials in it.

    Examples
    --------
    >>> from cachestats.sources.storage.oci import api_url
    >>> api_url("oci://registry.example.org/Spack/Cache"), api_url("oci+http://localhost:5000/site/cache")
    ('https://registry.example.org/v2/spack/cache', 'http://localhost:5000/v2/site/cache')
    """
    parts = split_url(address)
    shown = redact_url(address)
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.username is not None or parts.password is not None:
        raise SourceError(
            f"expected a URL without credentials, found some in {shown}", hint=f"log in instead: docker login {host}"
        )
    name = parts.path.strip("/").lower()  # as Spack does
    if host and "." not in host and ":" not in host and host != "localhost":  # as Spack and Docker do
        host, name = _HUB, f"{host}/{name}"
    if host in _NAMES_OF_HUB:
        host = _HUB
    if not host or not _NAME.fullmatch(name) or parts.query or parts.fragment:
        raise SourceError(
            f"expected the URL of an OCI cache, such as oci://HOST/NAME, found {shown}",
            hint="give the URL of the mirror as in `spack mirror list`, without a tag",
        )
    return f"{SCHEMES[parts.scheme]}://{host}/v2/{name}"


class RegistryStorage(HttpStorage):
    """OCI registries, by URLs of their API: `.../v2/NAME/manifests/TAG` and `.../v2/NAME/blobs/DIGEST`."""

    def __init__(self, network: Network, limits: InputLimits | None = None) -> None:
        super().__init__(network, limits)
        self._authorizations: dict[_Repository, str] = {}
        self._one_at_a_time = threading.Lock()

    def name(self, path: str) -> str:
        """Return the URL of the cache as a user gives it, with the tag or the digest."""
        match = _PATH.fullmatch(path.partition("?")[0])
        if match is None:
            return redact_url(path)
        scheme, host = "oci" if match["scheme"] == "https" else "oci+http", match["host"]
        mark = {"manifests": ":", "blobs": "@"}.get(match["what"] or "")
        which = f"{mark}{match['which']}" if mark else ""
        return redact_url(f"{scheme}://{'docker.io' if host == _HUB else host}/{match['name']}{which}")

    def tags(self, path: str) -> set[str]:
        """Return the tags of the repository at a URL of the API.

        Raises
        ------
        MissingError
            If there is no such repository.
        SourceError
            If the tags cannot be read, or have no end.
        """
        found: set[str] = set()
        query: str | None = urlencode({"n": _TAGS_A_PAGE})
        pages = 0
        while query is not None:
            tags, query = self._page(f"{path}/tags/list?{query}")
            pages += 1
            count = len(found)
            found.update(tags)
            if query is None:
                break
            limits = {"listings": pages == self.limits.listings, "records": len(found) > self.limits.records}
            exceeded = next((limit for limit, is_reached in limits.items() if is_reached), None)
            if exceeded or len(found) == count:
                raise SourceError(
                    f"expected an end to the tags of {self.name(path)}, found another page after {pages:,} with "
                    f"{counted(len(found), 'tag')}",
                    hint=limit_hint(exceeded) if exceeded else "tell the maintainers of the registry",
                )
        return found

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a blob at an offset, or a manifest at its start, which is compared with the digest sent along."""
        if not _is_manifest(path):
            return super().open_at(path, offset, identity)
        file = self._request(path).file
        return Opened(_Verified(file, file.r.headers.get("Docker-Content-Digest", ""), self.name(path)))

    def refusal(self, path: str, error: Exception) -> SourceError | None:
        """Return the error to raise if a registry wants other credentials, has nothing at a path, or speaks no TLS."""
        import aiohttp

        name, status = self.name(path), getattr(error, "status", None)
        if status in {401, 403}:
            host = split_url(path).netloc
            return ForbiddenError(
                f"cannot read {name}: HTTP {status}",
                hint=f"check the name, or log in: docker login {'' if host == _HUB else host}".rstrip(),
            )
        if isinstance(error, FileNotFoundError):
            return MissingError(f"expected an OCI cache, found nothing at {name}", hint="check the URL")
        if isinstance(error, aiohttp.ClientSSLError):
            return SourceError(
                f"cannot read {name}: no connection by TLS", hint="if it is a registry without TLS, use oci+http://"
            )
        return None

    def _request(self, path: str, headers: dict[str, str] | None = None) -> Opened:
        """Request a path, with the token of its repository, and again with a new one if that is refused."""
        repository = _repository(path)
        headers = {**(headers or {}), **({"Accept": _MANIFESTS} if _is_manifest(path) else {})}
        for renewals in range(_MOST_RENEWALS + 1):
            known = self._authorizations.get(repository)
            try:
                return self._get(path, known, headers=headers, trace_request_ctx={"is_blob": _kind(path) == "blobs"})
            except Exception as error:
                if renewals == _MOST_RENEWALS or getattr(error, "status", None) != 401:
                    raise
                challenges = _challenges(getattr(error, "headers", None))
            with self._one_at_a_time:
                if self._authorizations.get(repository) == known:  # no other thread has renewed it
                    self._authorizations[repository] = self._authorize(repository, challenges)
        raise AssertionError("the last try has returned or raised")

    def _get(self, url: str, authorization: str | None, **options: Any) -> Opened:
        """Request a URL; the authorization goes to its server only, and what a `.netrc` has for a host goes to none."""
        server = _server(url)

        async def authorize(request: Any, handler: Any) -> Any:
            request.headers.pop("Authorization", None)
            if authorization is not None and _server(str(request.url)) == server:
                request.headers["Authorization"] = authorization
            return await handler(request)

        options |= {"middlewares": (self._in_time, authorize)}
        file = self.filesystem.open(url, "rb", block_size=0, size=1, **options)
        tag = file.r.headers.get("ETag", "")
        return Opened(file, None if tag.startswith("W/") else tag or None)

    def _page(self, url: str) -> tuple[list[str], str | None]:
        """Return a page of tags, and the query of the next one; None if it is the last."""

        def ask() -> tuple[bytes, str]:
            with closing(self._request(url).file) as file:
                return self._body(file, _MAX_PAGE_BYTES, url), file.r.headers.get("Link", "")

        data, links = self.again(url, ask)
        try:
            tags = decode(data, _Page).tags or []
        except JsonError as error:
            raise SourceError(f"expected the tags of {self.name(url)}, found: {error}", hint="try again") from error
        following = _NEXT.search(links)
        # Only the query counts: so a link leads nowhere else.
        return tags, urlsplit(following[1]).query if following else None

    def _body(self, file: Any, limit: int, url: str) -> bytes:
        data = bytearray()
        for chunk in received(file, self.network):
            data += chunk
            if len(data) > limit:
                raise SourceError(
                    f"expected at most {limit:,} bytes, found more at {self.name(url)}", hint="check the registry"
                )
        return bytes(data)

    def _authorize(self, repository: _Repository, challenges: dict[str, dict[str, str]]) -> str:
        """Return the header that a registry asks for: with a token, or with the credentials themselves."""
        from cachestats.sources.storage.docker_login import DOCKER_HUB, find_credentials  # it runs other programs

        host = split_url(repository.registry).netloc
        credentials = find_credentials(DOCKER_HUB if host == _HUB else host)
        if (asked := challenges.get("bearer")) and (realm := asked.get("realm")):
            query = {"scope": f"repository:{repository.name}:pull"}
            if service := asked.get("service"):
                query["service"] = service
            url = f"{_checked_realm(realm, repository)}{'&' if '?' in realm else '?'}{urlencode(query)}"
            return f"Bearer {self._token(url, credentials.basic() if credentials else None, host)}"
        if "basic" in challenges and credentials:
            return credentials.basic()
        raise ForbiddenError(
            f"cannot read {repository.name} from {host}: it asks for credentials, and there are none",
            hint=f"log in: docker login {host}",
        )

    def _token(self, url: str, authorization: str | None, host: str) -> str:
        try:
            with closing(self._get(url, authorization, allow_redirects=False).file) as file:
                status, data = file.r.status, self._body(file, _MAX_TOKEN_BYTES, url)
        except Exception as error:
            status = getattr(error, "status", None)
            if status in {400, 401, 403}:
                raise ForbiddenError(
                    f"cannot log in to {host}: HTTP {status} from {redact_url(url)}",
                    hint=f"log in again: docker login {host}",
                ) from None
            if not isinstance(error, FileNotFoundError):
                raise
            status, data = 404, b""
        try:
            found = decode(data, _Token) if status == 200 else _Token()
        except JsonError:  # whose words might quote the token
            found = _Token()
        token = found.token or found.access_token
        if not _TOKEN.fullmatch(token):
            raise SourceError(
                f"expected a token for {host} from {redact_url(url)}, found none (HTTP {status})",
                hint="try again later, or tell the maintainers of the registry",
            )
        return token

    async def _check_redirect(self, session: Any, context: Any, params: Any) -> None:
        if not (context.trace_request_ctx or {}).get("is_blob"):
            await super()._check_redirect(session, context, params)
            return
        target = urljoin(str(params.url), params.response.headers.get("Location") or "")
        check_host(target, str(params.url), {split_url(target).hostname or ""})


class _Verified:
    """An open manifest, whose bytes must have a digest."""

    def __init__(self, file: Any, digest: str, name: str) -> None:
        self._file, self._digest, self._name = file, digest, name
        self._read = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._read.update(data)
        if not data and self._digest.startswith("sha256:") and self._digest != f"sha256:{self._read.hexdigest()}":
            raise DamagedError(
                f"expected the digest {self._digest} of {self._name}, found sha256:{self._read.hexdigest()}",
                hint="try again, or push it again",
            )
        return data

    def close(self) -> None:
        self._file.close()


def _repository(path: str) -> _Repository:
    match = _PATH.fullmatch(path.partition("?")[0])
    assert match, "`api_url` makes all paths"  # noqa: S101
    return _Repository(f"{match['scheme']}://{match['host']}", match["name"])


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = split_url(url)
    return parts.scheme, parts.hostname, parts.port or WEB_PORTS.get(parts.scheme)


def _is_manifest(path: str) -> bool:
    return _kind(path) == "manifests"


def _kind(path: str) -> str | None:
    match = _PATH.fullmatch(path.partition("?")[0])
    return match["what"] if match else None


def _challenges(headers: Any) -> dict[str, dict[str, str]]:
    """Return the parameters of each kind of authorization that an answer asks for."""
    return {kind: parameters for text in _values(headers) for kind, parameters in _challenges_in(text)}


def _values(headers: Any) -> list[str]:
    return [value for name, value in (headers or {}).items() if name.lower() == "www-authenticate"]


def _challenges_in(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for kind, parameters in _CHALLENGE.findall(text):
        yield kind.lower(), {name.lower(): value for name, value in _PARAMETER.findall(parameters)}


def _checked_realm(realm: str, repository: _Repository) -> str:
    """Return the URL that gives tokens; it may be on another host, but not less protected than the registry."""
    here, there = split_url(repository.registry), split_url(realm)
    if there.scheme not in WEB_PORTS or not there.hostname or (there.scheme == "http" and here.scheme == "https"):
        raise SourceError(
            f"expected {here.netloc} to name an {here.scheme} server that gives tokens, found {redact_url(realm)}",
            hint="tell the maintainers of the registry",
        )
    return realm.partition("#")[0]
