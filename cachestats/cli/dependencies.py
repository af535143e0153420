"""What verbs that follow dependencies share: `--deptype`, and the snapshots whose dependencies are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from cachestats.cli.output import talk
from cachestats.cli.question import PAGES_TELL_NONE, Question, known_snapshots
from cachestats.schema import DEPTYPES


class DepTypes(click.ParamType[list[str]]):
    """Types of dependencies, separated by commas."""

    name = "types"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return the types."""
        types = str(value).split(",")
        if unknown := [name for name in types if name not in DEPTYPES]:
            self.fail(f"expected some of {', '.join(DEPTYPES)}, found {unknown[0]!r}", param, ctx)
        return types


def deptype_option(default: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb `--deptype`, as `deptypes`."""
    return click.option(
        "--deptype",
        "deptypes",
        type=DepTypes(),
        default=",".join(default),
        show_default=True,
        metavar="TYPE[,TYPE]",
        help=f"Types of dependencies that count: any of {', '.join(DEPTYPES)}.",
    )


def question_of_known(
    dataset: Any, *, where: tuple[tuple[str, str], ...], **options: Any
) -> tuple[Question, Callable[[], None]]:
    """Return a question about those of the chosen snapshots whose dependencies are known.

    Returns
    -------
    tuple of Question and callable
        The question, and a function that says which of the chosen snapshots it leaves out.

    Raises
    ------
    ArgumentError
        If there is no such snapshot.
    """
    chosen = Question(dataset, where=where, **options)
    filters = tuple(pair for pair in where if pair[0] != "snapshot")
    known = tuple(known_snapshots(chosen.among))

    def say_what_is_left_out() -> None:
        if chosen.unknown:
            talk(f"left out {', '.join(chosen.unknown)}: {PAGES_TELL_NONE}")

    return Question(dataset, **options | {"snapshot": known}, where=filters), say_what_is_left_out


def of_types(deptypes: list[str]) -> str:
    """Return which types of dependencies count, for messages; empty if all do."""
    return "" if {*deptypes} == {*DEPTYPES} else f" ({', '.join(deptypes)})"
