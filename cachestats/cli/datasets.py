"""The datasets that a verb reads: an answer is from one state of each, even if they are built again meanwhile.

What a verb prints waits until it is known that all that was read is of one state. Otherwise the verb runs again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cachestats.errors import RebuiltError

if TYPE_CHECKING:
    from cachestats.dataset.dataset import Dataset

_ATTEMPTS = 10
_WAITING = f"{__name__}.waiting"


def print_later(action: Callable[[], None]) -> None:
    """Print something once the answer is known to be from one state; at once if no dataset is read."""
    context = click.get_current_context(silent=True)
    waiting = context.meta.get(_WAITING) if context else None
    if waiting is None:
        action()
    else:
        waiting.append(action)


def check_unchanged() -> None:
    """Check that what the verb has read is from one state of each dataset, before it replaces a file.

    Raises
    ------
    RebuiltError
        If a dataset was built again.
    """
    if context := click.get_current_context(silent=True):
        for dataset in _datasets(context.params):
            dataset.check_unchanged()


def ask(verb: Callable[..., None], options: dict[str, Any]) -> None:
    """Run a verb, and run it again if a dataset that it reads is built meanwhile.

    Raises
    ------
    RebuiltError
        If that happens too often.
    """
    from cachestats.dataset.dataset import one_state, open_dataset

    context = click.get_current_context()
    for left in reversed(range(_ATTEMPTS)):
        waiting = context.meta[_WAITING] = []
        try:
            with one_state(*_datasets(options)):
                verb(**options)
        except RebuiltError:
            waiting.clear()
            if not left:
                raise
            again = {name: open_dataset(found.path) for name, found in options.items() if _is_dataset(found)}
            options |= again
            context.params |= again
        else:
            return
        finally:
            del context.meta[_WAITING]
            for action in waiting:
                action()


def _datasets(options: dict[str, Any]) -> list[Dataset]:
    return [found for found in options.values() if _is_dataset(found)]


def _is_dataset(value: object) -> bool:
    from cachestats.dataset.dataset import Dataset

    return isinstance(value, Dataset)
