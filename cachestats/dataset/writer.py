"""Write a dataset: new files are staged beside the old ones, and published all at once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import pyarrow as pa

from cachestats.atomic import acquire, refuse_foreign, sync
from cachestats.dataset.checksums import record_of
from cachestats.dataset.manifest import MANIFEST, FileRecord, Manifest, manifest_bytes
from cachestats.dataset.parquet import to_parquet
from cachestats.dataset.paths import arrow_path, file_records, table_file
from cachestats.dataset.publication import COMMIT, JOURNALS, LOCK, NEW, SCRATCH, STATE, move_published, remove_staged
from cachestats.errors import DatasetError, reported
from cachestats.schema import STORED_TABLES

logger = logging.getLogger(__name__)


class Writer:
    """The only writer of a dataset, which locks out others: stages files, then publishes them all at once.

    Raises
    ------
    BusyError
        If another process is still writing after `wait` seconds.
    DatasetError
        If the folder is neither a dataset nor empty, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float) -> None:
        if not os.fspath(path):
            raise DatasetError("expected a folder to write to, found an empty path", hint="give '.' for this one")
        self.path = arrow_path(path)
        self._lock = filelock.FileLock(self.path / LOCK)
        self._wait = wait
        self.started = 0.0
        """When it locked out others, on the monotonic clock."""

    def __enter__(self) -> Self:
        with reported(self.path):
            self._refuse_foreign()
            (self.path / STATE).mkdir(parents=True, exist_ok=True)
            self._acquire()
            self.started = time.monotonic()
            try:
                move_published(self.path)
                remove_staged(self.path)
                self.staging.mkdir()
                (self.path / SCRATCH).mkdir()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not (self.path / COMMIT).exists():
            remove_staged(self.path)
        self._lock.release()

    @property
    def journals(self) -> Path:
        """A folder for the files that a killed process leaves to the next one; removed after a publication."""
        return self.path / JOURNALS

    @property
    def scratch(self) -> Path:
        """A folder for intermediate files, removed when the writer is done."""
        return self.path / SCRATCH

    @property
    def staging(self) -> Path:
        """The folder beside the dataset in which its new files wait, each at its place."""
        return self.path / NEW

    def stage(self, table: str, data: pa.Table, snapshot: str | None = None) -> FileRecord:
        """Write a table, or one snapshot of it, beside the dataset. `data` is sorted as the table declares."""
        return self.stage_file(table, to_parquet(table, data), snapshot)

    def stage_file(self, table: str, content: bytes | pa.Buffer, snapshot: str | None = None) -> FileRecord:
        """Stage a file that `to_parquet` made of a table, or of one snapshot of it."""
        file = self.staged_file(table, snapshot)
        with reported(self.path):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        return record_of(content)

    def staged_file(self, table: str, snapshot: str | None = None, bucket: int | None = None) -> Path:
        """Return the path of a file that was staged."""
        return table_file(self.staging, STORED_TABLES[table], snapshot, bucket)

    def publish(self, manifest: Manifest, before: Collection[str]) -> None:
        """Publish everything that was staged, the manifest last, and remove the files of `before` that it lacks."""
        with reported(self.path):
            moved = sorted(str(file.relative_to(self.staging)) for file in self.staging.rglob("*") if file.is_file())
            (self.staging / MANIFEST).write_bytes(manifest_bytes(manifest))
            removed = sorted({*before} - file_records(manifest).keys())
            draft = self.scratch / "commit.json"
            draft.write_text(json.dumps({"move": [*moved, MANIFEST], "remove": removed}), encoding="utf-8")
            sync([*self.staging.rglob("*"), self.staging, draft])
            os.replace(draft, self.path / COMMIT)
            sync([self.path / STATE])
            move_published(self.path)
        shutil.rmtree(self.journals, ignore_errors=True)

    def _refuse_foreign(self) -> None:
        """Refuse a folder that contains anything but a dataset, or the remains of a first build that was killed."""
        if self.path.exists() and not (self.path / MANIFEST).exists() and not (self.path / STATE).exists():
            refuse_foreign(self.path, (path.name for path in self.path.iterdir()), holds="a dataset")

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.warning("another process is writing %s; waiting up to %.0f s for it", self.path, self._wait)
            busy = f"another process is still writing {self.path} after {self._wait:.0f} s"
            acquire(self._lock, busy, wait=self._wait)
