"""Find the storage of a URL or path."""

from __future__ import annotations

import os
import threading
from typing import Self

from cachestats.errors import SourceError
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.disk import DiskStorage
from cachestats.sources.storage.http import HttpStorage
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.oci import SCHEMES, RegistryStorage, api_url
from cachestats.sources.storage.s3 import S3Storage
from cachestats.sources.storage.urls import WEB_PORTS, is_url, public_url, redact_urls, split_url


class Storages:
    """The storages that one build reads from; connections are reused for further files of a server."""

    def __init__(self, network: Network, limits: InputLimits) -> None:
        self.network, self.limits = network, limits
        self._open: dict[type[Storage], Storage] = {}
        self._one_at_a_time = threading.Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[Network, InputLimits]]:
        return type(self), (self.network, self.limits)

    def find(self, address: str) -> tuple[Storage, str]:
        """Return the storage of a URL or path, and the path in it.

        Raises
        ------
        SourceError
            If the URL is invalid, or of a kind that cannot be read.
        """
        if not is_url(address):
            return self._storage(DiskStorage), os.path.abspath(address)
        address = public_url(address)
        parts = split_url(address)
        if parts.scheme in SCHEMES:
            return self._storage(RegistryStorage), api_url(address)
        if parts.scheme in WEB_PORTS and parts.hostname:
            return self._storage(HttpStorage), address
        if parts.scheme == "s3" and parts.hostname:
            return self._storage(S3Storage), address.partition("://")[2]
        raise SourceError(
            f"expected a path or a URL that begins with https://, http://, s3:// or oci://, found "
            f"{redact_urls(address)!r}",
            hint="download it, and give its path",
        )

    def _storage(self, kind: type[Storage]) -> Storage:
        with self._one_at_a_time:
            if kind not in self._open:
                self._open[kind] = kind(self.network, self.limits)
            return self._open[kind]
