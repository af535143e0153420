"""The user's request for a source: its location, the selection from it, and options."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Self

from cachestats.errors import SourceError
from cachestats.naming import LEAVES_OUT, MAX_NAME, SNAPSHOT_WORDS, canonical_snapshot, source_address
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.urls import redact_url
from cachestats.text import counted, file_stem, nearest, storable

_MOST_NAMED = 30


@dataclass(frozen=True)
class Selection:
    """The snapshots and stacks selected from a source; all if none is named."""

    snapshots: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    name: str | None = None
    """The name that the user gives the one selected snapshot, in place of its own."""

    def label(self, origin: str) -> str:
        """Return the name of a source or an input: what is read under one name is kept when it gets another."""
        return origin if self.name is None else f"{self.name}={origin}"

    def address(self, label: str) -> str:
        """Return the path or URL in the name of a source, for messages."""
        return source_address(label, self.name)

    def holds(self, snapshot: str | None, stack: str | None = None) -> bool:
        """Whether an input of a dataset, under the name that its snapshot was given, is selected."""
        own = None if self.name is not None and snapshot == self.name else snapshot
        return self.takes(own, stack)

    def renamed(self, name: str, snapshots: Collection[str]) -> str | None:
        """Return the name given to the only one of the snapshots selected from a source; None if none is given.

        Raises
        ------
        SourceError
            If a name is given and there are several snapshots.
        """
        if self.name is not None and len(set(snapshots)) > 1:
            some = sorted(set(snapshots))
            more = f" and {counted(len(some) - _MOST_NAMED, 'other')}" if len(some) > _MOST_NAMED else ""
            raise SourceError(
                f"expected one snapshot to name {self.name} in {self.address(name)}, found "
                f"{counted(len(some), 'snapshot')}: {', '.join(some[:_MOST_NAMED])}{more}",
                hint="choose one with --snapshot, or leave out the name",
            )
        return self.name

    def takes(self, snapshot: str | None, stack: str | None = None) -> bool:
        """Whether this snapshot and stack are selected; an unknown one (None) is."""
        return (not self.snapshots or snapshot is None or snapshot in self.snapshots) and (
            not self.stacks or stack is None or stack in self.stacks
        )

    def check_named(self, name: str, snapshots: Collection[str], stacks: Collection[str]) -> None:
        """Check that a source has the selected snapshots and stacks.

        Raises
        ------
        SourceError
            If it lacks one of them.
        """
        for kind, wanted, there in (("snapshot", self.snapshots, snapshots), ("stack", self.stacks, stacks)):
            for one in wanted:
                if one not in there:
                    near = nearest([one], there) or sorted(there)[:_MOST_NAMED]
                    more = " and others" if len(near) < len(there) else ""
                    raise SourceError(
                        f"expected the {kind} {one} in {name}, found {counted(len(there), kind)} without it",
                        hint=f"there is {', '.join(near)}{more}" if near else "check the path or URL",
                    )

    def check_pages(self, name: str) -> None:
        """Check that pages, each of which has all stacks of a package, get no name and no selection of stacks.

        Raises
        ------
        SourceError
            If a name is given, or stacks are selected.
        """
        if self.name is not None:
            raise SourceError(
                f"expected an index to name {self.name} in {self.address(name)}, found pages",
                hint="leave out the name: pages name their snapshots themselves, and --snapshot chooses among them",
            )
        if self.stacks:
            raise SourceError(
                f"expected indices to select the stacks {', '.join(self.stacks)} from, found pages in {name}",
                hint="leave out --stack; select stacks in the analyses: --where stack=NAME",
            )


@dataclass(frozen=True)
class SpecFileReading:
    """What the reading of spec files, one by one, needs to be resumed and to be stopped."""

    folder: Path | None = None
    """Where spec files that were read are kept, so that the next run need not read them again; None keeps none."""
    stopping: Event = field(default_factory=Event, compare=False)
    """Set once the run is to end."""

    def __reduce__(self) -> tuple[type[Self], tuple[Path | None]]:
        return type(self), (self.folder,)  # no other process reads spec files


@dataclass(frozen=True)
class SourceRequest:
    """A source as the user specifies it."""

    address: str
    selection: Selection = field(default_factory=Selection)
    network: Network = field(default_factory=Network)
    limits: InputLimits = field(default_factory=InputLimits)
    sizes: bool = False
    """Whether to read the sizes of binaries, too."""
    without_index: bool = False
    """Whether to read the spec files of mirrors and OCI caches instead of their indices."""
    reading: SpecFileReading = field(default_factory=SpecFileReading)
    name: str | None = None
    """The name of the source if it is a path; by default the path as given."""
    needs_names: bool = True
    """Whether an index outside a mirror must be given names, as where its specs are kept under them."""

    @classmethod
    def for_any(
        cls,
        snapshots: Iterable[str],
        stacks: Iterable[str],
        network: Network | None,
        limits: InputLimits | None,
        *,
        sizes: bool = False,
        without_index: bool = False,
        reading: SpecFileReading | None = None,
    ) -> Self:
        """Return a request without an address, for the sources that are asked for with these options."""
        selection = Selection(tuple(map(canonical_snapshot, snapshots)), tuple(stacks))
        return cls(
            "",
            selection,
            network or Network(),
            limits or InputLimits(),
            sizes,
            without_index,
            reading or SpecFileReading(),
        )

    @property
    def spec_files(self) -> SpecFileReading | None:
        """How to read spec files instead of indices; None if indices are read.

        Those of each source are kept in a folder of its own, which is removed with the source.
        """
        if not self.without_index or self.reading.folder is None:
            return self.reading if self.without_index else None
        own = file_stem(redact_url(self.address).rstrip("/"))
        return replace(self.reading, folder=self.reading.folder / own)

    def at(self, addresses: Iterable[str | os.PathLike[str]]) -> list[Self]:
        """Return this request for each of some addresses, which may be `NAME=SOURCE`.

        Raises
        ------
        SourceError
            If a name is not one that a snapshot can have.
        """
        split = (split_name(os.fspath(address)) for address in addresses)
        return [replace(self, address=address, selection=replace(self.selection, name=name)) for name, address in split]


def split_name(text: str) -> tuple[str | None, str]:
    """Split `NAME=SOURCE`; the name is None for a source without one, such as an existing path or a URL that has `=`.

    Raises
    ------
    SourceError
        If the name is empty, too long or has characters that cannot be printed.
    """
    name, equals, address = text.partition("=")
    if not equals or "/" in name or "\0" in text or os.path.lexists(text):
        return None, text
    if not name or name.strip() != name or len(name) > MAX_NAME or not name.isprintable() or name in {".", ".."}:
        raise SourceError(
            f"expected NAME=SOURCE with the name of a snapshot, found {storable(name)[:MAX_NAME]!r} before the =",
            hint="for a path that begins like this, write ./ before it",
        )
    if name in SNAPSHOT_WORDS or {*name} & {LEAVES_OUT, "*", "?"}:
        raise SourceError(
            f"expected NAME=SOURCE with a name that means one snapshot, found {name!r} before the =",
            hint=f"{', '.join(SNAPSHOT_WORDS)}, a leading {LEAVES_OUT} and patterns choose snapshots in every verb",
        )
    return name, os.path.expanduser(address)  # which a shell does not do here
