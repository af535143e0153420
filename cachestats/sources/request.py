"""The user's request for a source: its location, the selection from it, and options."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from cachestats.errors import SourceError
from cachestats.sources.storage.network import Network
from cachestats.text import counted, nearest

_MOST_NAMED = 30


@dataclass(frozen=True)
class Selection:
    """The snapshots and stacks selected from a source; all if none is named."""

    snapshots: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()

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
        """Check that no stacks are selected from pages, each of which has all stacks of a package.

        Raises
        ------
        SourceError
            If stacks are selected.
        """
        if self.stacks:
            raise SourceError(
                f"expected indices to select the stacks {', '.join(self.stacks)} from, found pages in {name}",
                hint="leave out --stack; select stacks in the analyses: --where stack=NAME",
            )


@dataclass(frozen=True)
class SourceRequest:
    """A source as the user specifies it."""

    address: str
    selection: Selection = field(default_factory=Selection)
    network: Network = field(default_factory=Network)
    sizes: bool = False
    """Whether to read the sizes of binaries, too."""
    name: str | None = None
    """The name of the source if it is a path; by default the path as given."""

    @classmethod
    def for_any(
        cls, snapshots: Iterable[str], stacks: Iterable[str], network: Network | None, *, sizes: bool = False
    ) -> Self:
        """Return a request without an address, for the sources that are asked for with these options."""
        return cls("", Selection(tuple(snapshots), tuple(stacks)), network or Network(), sizes)

    def at(self, addresses: Iterable[str | os.PathLike[str]]) -> list[Self]:
        """Return this request for each of some addresses."""
        return [replace(self, address=os.fspath(address)) for address in addresses]
