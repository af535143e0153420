"""A first look at the sources of a dataset, which finds out what need not be looked at any more.

Nothing here imports Arrow or Polars, which takes longer than the look: most updates find that nothing changed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cachestats.dataset.manifest import SourceRecord
from cachestats.ingest.by_git import ByGit
from cachestats.ingest.existing import Existing
from cachestats.ingest.remember import are_changed, made_by, remembered_requests, source_records
from cachestats.sources.detect import open_sources
from cachestats.sources.folder import FolderSource
from cachestats.sources.items import Source
from cachestats.sources.look import Look
from cachestats.sources.request import Selection, SourceRequest
from cachestats.text import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstLook:
    """What a first look at the sources of a dataset found."""

    existing: Existing
    """The dataset, with the folders that are settled."""
    opened: Mapping[Source, SourceRequest]
    """The sources."""
    is_all: bool
    """Whether nothing changed in the sources, nor in what is asked of them."""
    by_git: ByGit | None
    """Answers of git, if it is to be asked."""


def first_look(
    existing: Existing, request: SourceRequest, sources: Sequence[str | os.PathLike[str]], *, recheck: bool, git: bool
) -> FirstLook:
    """Look at the sources of a dataset.

    Only folders of pages whose selection is everything, now and before, can be settled. If in doubt, nothing is.

    Raises
    ------
    DatasetError
        If it remembers no sources and none is given.
    SourceError
        If a source cannot be opened.
    """
    opened = open_sources(remembered_requests(request, sources, existing))
    known = existing.manifest.sources
    by_git = ByGit(opened) if git else None
    looks: dict[str, Look] = {}
    if not recheck and existing.manifest.made_by == made_by():
        for source in opened:
            record = known.get(source.name)
            if record and isinstance(source, FolderSource) and not _selects(record) and not _selects(source.selection):
                settle = partial(by_git.settle, source.name, record) if by_git else None
                looks[source.name] = source.look(record.folders, is_whole=record.is_whole, settle=settle)
    files = Counter({name: sum(look.settled.values()) for name, look in looks.items()})
    records = source_records(opened, existing, files, keeps_selections=not sources)
    is_all = len(looks) == len(opened) and all(look.is_all for look in looks.values())
    is_asked = git and any(known[name].folders.keys() - known[name].by_git.keys() for name in looks)
    return FirstLook(
        replace(existing, settled={name: look.settled for name, look in looks.items()}),
        opened,
        is_all and not is_asked and not are_changed(records, existing.manifest),
        by_git,
    )


def log_files(source: Source, files: int) -> None:
    """Log how many files a source has."""
    others = counted(source.passed_over, "other")
    logger.info("%s: found %s, passed over %s", source.name, counted(files, "file"), others)


def _selects(selected: SourceRecord | Selection) -> bool:
    return bool(selected.snapshots or selected.stacks or selected.name is not None)
