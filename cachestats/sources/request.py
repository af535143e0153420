"""What the user asked for of a source."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from cachestats.errors import SourceError
from cachestats.sources.storage.base import Network
from cachestats.text import counted, nearest

_MOST_NAMED = 30


@dataclass(frozen=True)
class Selection:
    """Which snapshots and stacks are wanted of a source; all where none is named."""

    snapshots: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()

    def takes(self, snapshot: str | None, stack: str | None = None) -> bool:
        """Whether something of this snapshot and stack is wanted; what is not known, is."""
        return (not self.snapshots or snapshot is None or snapshot in self.snapshots) and (
            not self.stacks or stack is None or stack in self.stacks
        )

    def check_named(self, name: str, snapshots: Collection[str], stacks: Collection[str]) -> None:
        """Refuse a choice of what a source does not have.

        Raises
        ------
        SourceError
            If a snapshot or stack is named that it does not have.
        """
        for kind, wanted, there in (("snapshot", self.snapshots, snapshots), ("stack", self.stacks, stacks)):
            for one in wanted:
                if one not in there:
                    near = nearest([one], there) or sorted(there)[:_MOST_NAMED]
                    more = " and others" if len(near) < len(there) else ""
                    raise SourceError(
                        f"expected the {kind} {one} in {name}, found {counted(len(there), kind)} without it",
                        hint=f"there is {', '.join(near)}{more}" if near else "check the address",
                    )

    def check_pages(self, name: str) -> None:
        """Refuse to choose stacks of pages, which have all stacks of a package in one.

        Raises
        ------
        SourceError
            If stacks are named.
        """
        if self.stacks:
            raise SourceError(
                f"expected indices to choose the stacks {', '.join(self.stacks)} of, found pages in {name}",
                hint="leave out --stack; choose stacks when you ask: --where stack=NAME",
            )


@dataclass(frozen=True)
class SourceRequest:
    """A source as the user gives it."""

    address: str
    selection: Selection = field(default_factory=Selection)
    network: Network = field(default_factory=Network)
    sizes: bool = False
    """Whether the sizes of binaries are wanted as well."""
    name: str | None = None
    """What a path is called; by default as it is given."""
