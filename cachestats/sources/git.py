"""Folders of a checkout whose files are those of a commit, as git says: then their dates do not matter.

A fresh clone gives every page a new date, and so does a switch to another branch and back. A folder whose git tree is
the one that was read need not be read again, provided that its files are unchanged from the commit. The history does
not matter, so that a shallow clone and a rewritten branch will do.

A repository may be anybody's, and its configuration names programs that git would run. So nothing is asked that needs
hooks, diff drivers or the network, and monitors and filters are switched off: a page that only a filter can compare
counts as changed. As a filter may also write other files than those that were read (large files instead of pointers),
the sizes of pages must be the same, too.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from cachestats.sources.look import checksum, pages_in
from cachestats.sources.storage.disk import size_and_date

_TIMEOUT = 120.0
_MOST_ARGUMENTS = 1 << 16
_REGULAR = frozenset({b"100644", b"100755"})
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
"""Variables of git that say where the user's own configuration is; all others may lead to another repository."""
_CONFIG = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.ignoreStat": "false",
    "core.trustctime": "true",
    "core.checkStat": "default",
    "protocol.allow": "never",
}


class GitError(Exception):
    """Git cannot say what a folder has; the message says why."""


class CleanFolder(NamedTuple):
    """A folder of pages, all of whose files are those of a commit."""

    by_git: str
    """A checksum of its git tree, and of the names and sizes of its pages."""
    by_date: str
    """A checksum of the names, sizes and dates of its pages, as in `sources.look`."""
    num_pages: int


class Checkout(NamedTuple):
    """What git says about the folders of pages of a checkout."""

    commit: str
    clean: Mapping[str, CleanFolder]
    unclean: Mapping[str, str]
    """The reason why a folder may differ from the commit."""


def checkout(top: str, folders: Collection[str]) -> Checkout:
    """Ask git which folders of pages are as in the commit that is checked out.

    Whatever git says holds at some moment between the call and the look at the pages that follows it.

    Parameters
    ----------
    top
        The path of a source.
    folders
        Paths of folders of pages inside it; "" is the source itself.

    Raises
    ------
    GitError
        If git is not installed or does not answer, or the source is not in a checkout.
    """
    git = _Git(top)
    commit, trees = git.trees(folders)
    tracked, unclean = git.tracked(folders)
    changed = git.changed(commit, folders)
    dirty = {above for path in changed for above in _above(path)}
    clean = {}
    for folder in folders:
        if folder in unclean:
            continue
        pages = pages_in(os.path.join(top, folder))
        if (tree := trees.get(folder)) is None or pages is None:
            unclean[folder] = "it is not in the commit"
        elif folder in dirty:
            unclean[folder] = "its files differ from the commit"
        elif pages.keys() != tracked.get(folder):
            unclean[folder] = "git does not track all of its pages"
        else:
            dates = checksum((name, size_and_date(status)) for name, status in pages.items())
            clean[folder] = CleanFolder(_with_tree(tree, pages), dates, len(pages))
    return Checkout(commit, clean, unclean)


def _with_tree(tree: str, pages: Mapping[str, os.stat_result]) -> str:
    names = checksum((name, str(status.st_size)) for name, status in pages.items())
    return hashlib.sha256(f"{tree} {names}".encode()).hexdigest()[:32]


class _Git:
    """Calls of git in a folder, all paths relative to it."""

    def __init__(self, top: str) -> None:
        self._top = top
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
        self._environment = kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
        self._set(_CONFIG)
        inside, _, prefix = self._ask("rev-parse", "--is-inside-work-tree", "--show-prefix").partition(b"\n")
        if inside != b"true":
            raise GitError("it is not in the working tree of a repository")
        self._prefix = prefix.removesuffix(b"\n")
        keys = self._ask("config", "-z", "--name-only", "--get-regexp", r"^filter\.", may_fail=True).split(b"\0")
        filters = {os.fsdecode(key.rpartition(b".")[0]) for key in keys if key}
        off = {"clean": "", "process": "", "required": "false"}
        self._set(_CONFIG | {f"{name}.{key}": value for name in sorted(filters) for key, value in off.items()})

    def trees(self, folders: Collection[str]) -> tuple[str, dict[str, str]]:
        """Return the commit that is checked out, and the trees in it of the folders that it has."""
        commit = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
        asked = [folder for folder in folders if "\n" not in folder]  # a question is a line
        if b"\n" in self._prefix:
            return commit.decode(), {}
        paths = [(self._prefix + os.fsencode(folder)).rstrip(b"/") for folder in asked]
        questions = b"".join(commit + b":" + path + b"\n" for path in paths)
        answers = self._ask("cat-file", "--batch-check=%(objecttype) %(objectname)", questions=questions).splitlines()
        found = {}
        for folder, answer in zip(asked, answers, strict=True):
            if answer.startswith(b"tree "):
                found[folder] = answer.removeprefix(b"tree ").decode()
        return commit.decode(), found

    def tracked(self, folders: Collection[str]) -> tuple[dict[str, set[str]], dict[str, str]]:
        """Return the names of the tracked pages of each folder, and the folders in which git does not look at all."""
        pages: dict[str, set[str]] = {folder: set() for folder in folders}
        unseen: dict[str, str] = {}
        for record in self._ask("ls-files", "-z", "-v", "-s", "--", *_paths(folders)).split(b"\0")[:-1]:
            facts, _, path = record.partition(b"\t")
            tag, mode, _ = facts.split(b" ", 2)
            place, _, file = os.fsdecode(path).rpartition("/")
            folder, _, name = place.rpartition("/")
            if tag == b"H" and mode in _REGULAR:
                if file == "specs.md" and folder in pages:
                    pages[folder].add(name)
                continue
            reason = "git does not look at all of its files" if mode in _REGULAR else "it has links or submodules"
            unseen |= {above: reason for above in _above(os.fsdecode(path)) if above in pages}
        return pages, unseen

    def changed(self, commit: str, folders: Collection[str]) -> list[str]:
        """Return the files in some folders that differ from a commit, as far as git looks at them."""
        options = ("--relative", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all")
        found = self._ask("diff-index", "-z", "--name-only", *options, commit, "--", *_paths(folders))
        return [os.fsdecode(path) for path in found.split(b"\0")[:-1]]

    def _set(self, config: Mapping[str, str]) -> None:
        """Set configuration, which then no file can change."""
        self._environment["GIT_CONFIG_COUNT"] = str(len(config))
        for number, (key, value) in enumerate(config.items()):
            self._environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def _ask(self, *arguments: str, questions: bytes = b"", may_fail: bool = False) -> bytes:
        command = ["git", "--no-pager", "--literal-pathspecs", *arguments]
        try:
            done = subprocess.run(  # noqa: S603 (no shell, and no argument from outside)
                command, cwd=self._top, env=self._environment, input=questions, capture_output=True, timeout=_TIMEOUT
            )
        except FileNotFoundError:
            raise GitError("git is not installed") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitError(f"git does not answer: {error}") from None
        if done.returncode and not may_fail:
            words = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise GitError(words.removeprefix("fatal: ") or f"git {arguments[0]} fails")
        return done.stdout


def _paths(folders: Collection[str]) -> Collection[str]:
    """Return paths as arguments; there is a limit to their length, beyond which everything is meant."""
    return ["."] if "" in folders or sum(map(len, folders)) > _MOST_ARGUMENTS else folders


def _above(path: str) -> Iterable[str]:
    """Yield the folders above a path, up to "" at the top."""
    while path:
        path = path.rpartition("/")[0]
        yield path
