"""Losses that are accepted."""

from __future__ import annotations

from typing import NamedTuple

from cachestats.errors import ArgumentError


class Limits(NamedTuple):
    """Losses that are accepted."""

    max_rejected: float = 0.01
    """Share (0 to 1) of the files, and of the specs, that may be rejected."""
    allow_shrink: bool = False
    """Whether a snapshot may lose more than half of its specs."""

    def checked(self) -> Limits:
        """Return the limits if they are valid.

        Raises
        ------
        ArgumentError
            If `max_rejected` is not between 0 and 1.
        """
        if not 0 <= self.max_rejected <= 1:
            raise ArgumentError(
                f"expected max_rejected from 0 to 1, found {self.max_rejected}", hint="0.01 is one percent"
            )
        return self
