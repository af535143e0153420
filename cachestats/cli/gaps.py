"""The verb `gaps`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import GAP_AXES
from cachestats.cli.completion import complete_words
from cachestats.cli.output import detail, emit, talk
from cachestats.cli.parameters import (
    Share,
    dataset_argument,
    host_options,
    output_options,
    question_options,
    union_option,
)
from cachestats.cli.question import PAGES_TELL_NONE, Question, filter_in_words, some
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError, CheckError
from cachestats.regular import read_regular
from cachestats.text import alternatives, counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.hosts import Host


class Packages(click.ParamType[list[str]]):
    """A file with the name of one package on each line."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return the names; a `#` starts a comment."""
        try:
            lines = read_regular(str(value)).decode().splitlines()
        except (OSError, UnicodeError) as error:
            self.fail(f"expected a text file, found {value!r}: {error}", param, ctx)
        names = [line.partition("#")[0].strip() for line in lines]
        for line, name in enumerate(names, 1):
            if len(name.split()) > 1 or not name.isprintable():
                self.fail(f"expected the name of one package on line {line} of {value}, found {name!r}", param, ctx)
        if not any(names):
            self.fail(f"expected the names of packages in {value}, one on each line, found none", param, ctx)
        return [name for name in names if name]


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    required=True,
    metavar="AXIS",
    shell_complete=complete_words(GAP_AXES),
    help=f"Axis to compare: {alternatives(GAP_AXES)}.",
)
@click.option(
    "--packages",
    type=Packages(),
    metavar="FILE",
    help="File that lists the packages in question, one on each line, cached or not.  [default: all in the cache]",
)
@click.option(
    "--fail-under",
    type=Share(),
    metavar="SHARE",
    help="Exit with 1 if a stack, or other value of --by, has less than this share of the packages, such as 90%.",
)
@union_option
@host_options
@question_options
@output_options
def gaps(
    dataset: Any,
    packages: list[str] | None,
    fail_under: float | None,
    host: Host | None,
    spack: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """List the packages that one stack lacks and another has.

    Packages that the most others need come first. How many need them is known only for snapshots that were read from
    indices.

    The answer has a row for each package and stack, or other axis (--by), that lacks it. With a host, only the
    packages that it can reuse count as present.

    --where package=NAME restricts the question to these packages, as --packages does. The other filters decide
    which stacks there are.
    """
    from cachestats.analysis.gaps import gaps_and_coverage

    if spack and host is None:
        raise ArgumentError("expected a host with --spack, found none", hint="add --host, such as zen4:rhel9")
    asked, asking, named = packages_in_question(packages, dataset=dataset, **question)
    dependencies = asked.dependencies
    answer, has = gaps_and_coverage(asked.subset, **asking, dependencies=dependencies, host=host, spack=spack)
    unweighed = form in {"table", "markdown"} and dependencies is None
    emit(answer.drop("num_direct_dependents", "num_dependents") if unweighed else answer, form, out)
    if has.is_empty():
        asked.say_there_is_nothing()
    else:
        name, least, lacking, share = has.row(0)
        every = least + lacking
        words = f"{words_of(asked, named)}{f' for {host}' if host else ''}"
        talk(
            f"{'no ' * answer.is_empty()}gaps in {words}: {answer.height:,} of {has.height * every:,} "
            f"pairs of {has.columns[0]} and package are missing, "
            f"{answer.height / (has.height * every):.1%}; {name or 'none'} has the fewest, "
            f"{least:,} of {counted(every, 'package')}, {share:.1%}"
        )
    if asked.unknown:
        talk(f"how many others need a package is unknown for {', '.join(asked.unknown)}: {PAGES_TELL_NONE}")
    if fail_under is not None:
        _check(has, asked.named(asking["by"]), fail_under)


def packages_in_question(
    packages: list[str] | None, *, dataset: Any, where: tuple[tuple[str, str], ...], **question: Any
) -> tuple[Question, dict[str, Any], list[str]]:
    """Return the question, the arguments for the analysis, and the packages that `--where` names.

    These packages are not a filter: the other filters alone decide which columns there are.
    """
    named = [value for column, value in where if column == "package"]
    if named and packages:
        raise ArgumentError(
            "expected --packages or --where package=NAME, found both", hint="put all names into the file"
        )
    others = tuple(pair for pair in where if pair[0] != "package")
    asked = Question(dataset, **question, where=others)
    if named:
        packages = [*filter(None, asked.among.where(package=named).filters["package"])]
        detail(f"package: {some(packages)}")
    return asked, {name: asked.axes[name] for name in ("by", "union")} | {"packages": packages}, named


def words_of(asked: Question, named: list[str]) -> str:
    """Return the description of a question with the packages that `--where` names."""
    return ", ".join([asked.words, *([filter_in_words("package", named)] if named else [])])


def _check(has: pl.DataFrame, wanted: list[str | None], fail_under: float) -> None:
    """Raise if a column has too small a share of the packages, or a column named by a filter has none."""
    low = [
        f"{name or 'none'} {packages:,} ({share:.1%})"
        for name, packages, _, share in has.iter_rows()
        if share < fail_under
    ]
    names = [name or "none" for name in has[:, 0]]
    low += [f"{name} 0 (0.0%)" for name in (name or "none" for name in wanted) if name not in names]
    if low or has.is_empty():
        raise CheckError(
            f"expected at least {fail_under:.1%} of the packages in every {has.columns[0]}, "
            f"found less in {', '.join(low) or 'all, as there are no specs'}",
            hint=None if has.is_empty() else "the output lists what is missing",
        )
