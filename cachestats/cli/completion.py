"""Completion in the shell: names from the dataset that is on the command line, and no word where anything fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from cachestats.naming import LEAVES_OUT, SNAPSHOT_WORDS
from cachestats.text import visible

if TYPE_CHECKING:
    from cachestats.dataset.dataset import Dataset

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_NEVER = "hash"  # a dataset may have a million of them

_BASH = """\
%(complete_func)s() {
    local value
    COMPREPLY=()
    while IFS= read -r value; do
        case $value in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*)
                COMPREPLY+=("${value#*,}")
                [[ $value == *= ]] && compopt -o nospace
                ;;
        esac
    done < <(
        export COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" COMP_WORDBREAKS
        %(complete_var)s=bash_complete $1 2>/dev/null
    )
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Completion for bash, which takes `os=rhel9` for three words, as Click does not expect."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the arguments before the word to complete, and the word."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem) -> str:
        """Return the part of a word that bash replaces: in quotes all of it, otherwise what is after the last break."""
        _, incomplete = self.get_completion_args()
        is_quoted = os.environ["COMP_WORD"].startswith(("'", '"'))
        breaks = "" if is_quoted else os.environ["COMP_WORDBREAKS"]
        kept = 1 + max(map(incomplete.rfind, breaks), default=-1)
        return f"{item.type},{item.value[kept:] if item.type == 'plain' else item.value}"


add_completion_class(_Bash, "bash")


def _quietly(complete: Callable[[Dataset, str], Iterable[str]]) -> Complete:
    """Return a function for Click that completes a word by the dataset of the command line, or not at all."""

    def completed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            values = complete(ctx.params["dataset"], incomplete)
            return [CompletionItem(value) for value in values if visible(value) == value]
        except Exception:  # there is no dataset, it is damaged, ...: nothing can be said in the middle of a line
            return []

    return completed


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that begin with a word; a leading `!` is kept."""
    leading = LEAVES_OUT if incomplete.startswith(LEAVES_OUT) else ""
    start = incomplete[len(leading) :]
    return [leading + name for name in names if name.startswith(start)]


@_quietly
def complete_snapshots(dataset: Dataset, incomplete: str) -> list[str]:
    """Return the names of snapshots, the newest first, and the words that stand for some."""
    from cachestats.dataset.subset import snapshot_names

    return _starting(incomplete, (*reversed(snapshot_names(dataset)), *SNAPSHOT_WORDS))


@_quietly
def complete_packages(dataset: Dataset, incomplete: str) -> list[str]:
    """Return the names of packages."""
    from cachestats.dataset.subset import Subset

    return _starting(incomplete, Subset(dataset).values("package"))


@_quietly
def complete_filters(dataset: Dataset, incomplete: str) -> list[str]:
    """Return columns with `=`, or the values of the column that is there."""
    from cachestats.dataset.subset import FILTER_COLUMNS, Subset, snapshot_names

    column, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{name}=" for name in FILTER_COLUMNS if name.startswith(column)]
    name = column.removesuffix(LEAVES_OUT)
    if name not in FILTER_COLUMNS or name == _NEVER:
        return []
    names = snapshot_names(dataset) if name == "snapshot" else Subset(dataset).values(name)
    return [f"{column}={one}" for one in _starting(value, names)]


def complete_words(choices: Iterable[str]) -> Complete:
    """Return a function for Click that completes a word, or the last of several with commas, by some choices."""
    names = tuple(choices)

    def completed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + name) for name in names if name.startswith(last)]

    return completed
