"""What an update asks git, and what it logs about it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from cachestats.dataset.manifest import SourceRecord
from cachestats.sources.folder import FolderSource
from cachestats.sources.items import Source
from cachestats.text import counted

if TYPE_CHECKING:
    from cachestats.sources.git import Checkout

logger = logging.getLogger(__name__)

_SHORT = 12


class ByGit:
    """Asks git about the folders of pages of some sources."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.name: source for source in sources if isinstance(source, FolderSource)}
        self._failed: set[str] = set()

    def settle(self, name: str, record: SourceRecord, doubtful: Collection[str]) -> Mapping[str, int]:
        """Return those doubtful folders of a source that are as they were read, with the numbers of their pages."""
        known = [folder for folder in doubtful if folder in record.by_git]
        if not known:
            logger.info("%s: looked at without git, because no commit of it was read with --git", name)
            return {}
        found = self.ask(name, known)
        if found is None:
            return {}
        clean = found.clean
        same = {folder: clean[folder].num_pages for folder in clean if clean[folder].by_git == record.by_git[folder]}
        logger.info(
            "%s: by git, %s with new dates not read again: unchanged from commit %s to %s",
            name,
            counted(len(same), "folder"),
            str(record.commit)[:_SHORT],
            found.commit[:_SHORT],
        )
        for folder, reason in found.unclean.items():
            logger.warning("%s: looked at %s without git: %s", name, folder or "it", reason)
        return same

    def clean(self, name: str, checksums: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
        """Return the commit of a source, and git's checksums of the folders that are as in it and as they were read.

        Parameters
        ----------
        name
            The name of the source.
        checksums
            Folders of pages with their checksums when they were read. What has the same checksum now did not change in
            between, and so it had the same contents when git looked at it.
        """
        found = self.ask(name, checksums) if checksums else None
        if found is None:
            return None, {}
        same = {folder: one.by_git for folder, one in found.clean.items() if one.by_date == checksums[folder]}
        return found.commit, same

    def ask(self, name: str, folders: Collection[str]) -> Checkout | None:
        """Ask git about some folders of a source; None if it cannot say."""
        if name not in self._sources or name in self._failed:
            return None
        from cachestats.sources.git import GitError

        try:
            return self._sources[name].checkout(folders)
        except GitError as error:
            self._failed.add(name)
            logger.warning("%s: looked at without git: %s", name, error)
            return None
