"""S3, through fsspec and s3fs, which retries by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from cachestats.errors import require_extra
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.transfer import Opened
from cachestats.sources.storage.urls import redact_url


class S3Storage(Storage):
    """Buckets, by bucket and key."""

    is_remote = True

    @cached_property
    def filesystem(self) -> Any:
        """The file system of S3.

        Raises
        ------
        MissingExtraError
            If s3fs is not installed.
        """
        require_extra("s3", "s3fs", purpose="an s3:// URL")
        import s3fs

        class FileSystem(s3fs.S3FileSystem):  # type: ignore[misc]
            """The file system, with an end to the pages of a listing, which all are one answer."""

            async def _iterdir(_, bucket: str, **options: Any) -> AsyncIterator[Any]:  # noqa: N805
                count = 0
                async for entry in super()._iterdir(bucket, **options):
                    count += 1
                    self.check_listed(self.name(f"{bucket}/{options.get('prefix', '')}"), 1, count)
                    yield entry

        network = self.network
        timeouts = {"connect_timeout": network.timeout, "read_timeout": network.timeout}
        filesystem = FileSystem(
            anon=not network.signed,
            config_kwargs=timeouts | {"retries": {"max_attempts": network.retries + 1, "mode": "standard"}},
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        filesystem.retries = network.retries + 1
        return filesystem

    def name(self, path: str) -> str:
        """Return the s3:// URL."""
        return redact_url(f"s3://{path}")

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a file at an offset; buckets and folders are not files."""
        if "/" not in path.rstrip("/"):
            raise FileNotFoundError(path)  # a bucket
        opened = super().open_at(path, offset, identity)
        if opened.file.details["type"] == "directory":
            raise FileNotFoundError(path)  # s3fs opens a folder as if it were an empty file
        return opened
