"""Alerts of a dataset: losses that were told and are not made good, so that nobody is told twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec

from cachestats.atomic import replaced_file
from cachestats.dataset.publication import ALERTS
from cachestats.decode import JsonError, decode
from cachestats.errors import DatasetError, reported
from cachestats.regular import read_regular


class Alert(msgspec.Struct, frozen=True):
    """A loss that was told."""

    question: str
    """What was checked: the axis and the filters."""
    name: str | None
    """The stack, target, ... that lost packages; None for no stack, and if there is no axis."""
    snapshot: str
    """The first snapshot that lacks the packages."""
    known_since: date
    old_packages: int
    """The packages that it had before."""
    packages: tuple[str, ...]
    """Those that it still lacks, sorted."""


def read_alerts(folder: Path) -> list[Alert]:
    """Return the alerts of a dataset.

    Raises
    ------
    DatasetError
        If they cannot be read.
    """
    try:
        return decode(read_regular(folder / ALERTS), list[Alert])
    except FileNotFoundError:
        return []
    except (OSError, JsonError) as error:
        raise DatasetError(
            f"expected a list of alerts in {folder / ALERTS}, found: {error}",
            hint="remove the file: what is still lost is then told again",
        ) from error


def write_alerts(folder: Path, alerts: Sequence[Alert]) -> None:
    """Replace the alerts of a dataset.

    Raises
    ------
    DatasetError
        If they cannot be written.
    """
    path = folder / ALERTS
    with reported(folder):
        path.parent.mkdir(exist_ok=True)
    with replaced_file(path) as unfinished:
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(alerts)) + b"\n")
