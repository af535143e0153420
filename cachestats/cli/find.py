"""The verb `find`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.completion import complete_packages
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    NEWEST,
    dataset_argument,
    host_options,
    output_options,
    snapshots_option,
    where_option,
)
from cachestats.cli.question import PAGES_TELL_NONE, Question, known_snapshots
from cachestats.cli.sections import Verb
from cachestats.cli.usable import say_obstacles
from cachestats.errors import ArgumentError
from cachestats.naming import NOT
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.find import Found
    from cachestats.expressions.syntax import Expression
    from cachestats.hosts import Host

_SHORT = 7
_GROUPS = ("snapshot", "package", "version", "platform", "os", "target", "compiler", "stack", "variants")
_PAIR = re.compile(r"(?P<key>[A-Za-z0-9_][A-Za-z0-9_.-]*:?==?)(?P<value>[^'\"].*)", re.DOTALL)


@click.command(cls=Verb)
@dataset_argument
@click.argument("specs", metavar="SPEC...", nargs=-1, shell_complete=complete_packages)
@click.option("-l", "--long", "is_long", is_flag=True, help="Show the first seven characters of each hash.")
@click.option("-L", "--very-long", "is_very_long", is_flag=True, help="Show whole hashes.")
@click.option("-v", "--variants", "shows_variants", is_flag=True, help="Show variants and compiler flags.")
@click.option("-d", "--deps", "shows_dependencies", is_flag=True, help="Show direct dependencies with their versions.")
@click.option(
    "--group-by",
    type=click.Choice(_GROUPS),
    multiple=True,
    help="Count the specs by this instead of listing them; may be repeated.",
)
@host_options
@snapshots_option(NEWEST)
@where_option
@output_options
def find(
    dataset: Any,
    specs: tuple[str, ...],
    is_long: bool,
    is_very_long: bool,
    shows_variants: bool,
    shows_dependencies: bool,
    group_by: tuple[str, ...],
    host: Host | None,
    spack: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """List the specs that satisfy spec expressions.

    SPEC is written as for `spack find`: a name, versions, variants, flags, a compiler, an operating system, a target
    or a range of targets, a hash, dependencies. Several specs are alternatives. Quote what the shell would change. The
    newest versions come first.

    \b
    Examples:
      cachestats find cache hdf5@1.14:+mpi
      cachestats find cache 'hdf5 %gcc@12 target=x86_64_v3:' ^mpich -lv
      cachestats find cache hdf5 --host zen4:rhel9
      cachestats find cache py-numpy --group-by version --group-by stack

    An expression means what it means to the Spack that wrote the snapshot: before Spack 1.0, %gcc is the compiler, and
    what follows it describes the package; since then, it is a direct dependency, and what follows it describes that.

    The formats csv, json and parquet have all columns of the table `specs`, and the direct dependencies with --deps.
    """  # noqa: D301 (a real backspace, which tells Click not to wrap the paragraph)
    from cachestats.analysis.find import add_dependencies, count_by, find_for

    asked = Question(dataset, **question)
    texts = expressions_in(specs)
    if shows_dependencies and asked.dependencies is None:
        known_snapshots(asked.among)  # raises
    answer = find_for(asked.subset, texts, host=host, spack=spack)
    found = answer.specs
    if shows_dependencies:
        found = add_dependencies(found, asked.subset)
    is_for_eyes = form in {"table", "markdown"}
    if group_by:
        found = count_by(found, group_by)
    elif is_for_eyes:
        length = None if is_very_long else _SHORT if is_long else 0
        found = _for_eyes(found, length, shows_variants=shows_variants)
    emit(found, form, out, percent=True)
    _say_how_many(answer, asked, texts, host)
    if shows_dependencies and asked.unknown:
        talk(f"the dependencies are unknown in {', '.join(asked.unknown)}: {PAGES_TELL_NONE}")


def _for_eyes(found: pl.DataFrame, length: int | None, *, shows_variants: bool) -> pl.DataFrame:
    """Return what a person looks at: with hashes of some length, or whole ones if it is None."""
    import polars as pl

    if shows_variants:
        found = found.with_columns(
            variants=pl.concat_str("variants", pl.col("flags").replace("", None), separator=" ", ignore_nulls=True)
        )
    # What was asked for stands on the left: where a terminal is narrow, columns on the right are left out.
    columns = [
        *(["hash"] if length != 0 else []),
        *(["snapshot"] if found["snapshot"].n_unique() > 1 else []),
        *("package", "version"),
        *(name for name in ("status", "dependencies") if name in found.columns),
        *(["variants"] if shows_variants else []),
        *("os", "target", "compiler", "stacks"),
    ]
    return found.with_columns(pl.col("hash").str.slice(0, length)).select(columns)


def _say_how_many(answer: Found, asked: Question, texts: list[str], host: Host | None) -> None:
    """Say how many specs satisfy the expressions, of all specs of the packages that these name."""
    from dataclasses import replace

    from cachestats.dataset.expressions import Alternatives

    number = answer.specs.height + answer.others.height
    included = Alternatives.parse(texts).included
    packages = {one.name for one in included}
    whole, named = asked.subset, ""
    if included and packages <= {*whole.values("package")}:
        whole = replace(whole, filters={**whole.filters, "package": tuple(packages)})
        named = f" of {' or '.join(sorted(filter(None, packages)))}"
    every = whole.num_specs
    share = f", {number / every:.1%}" if every else ""
    reused = ""
    if host is not None and number:
        reused = f"; {host} can reuse {answer.specs.height:,} of them, {answer.specs.height / number:.1%}"
    talk(f"{number:,} of {counted(every, 'spec')}{named} in {asked.words}{share}{reused}")
    if len(included) > 1 or not number:
        _say_what_is_not_there(included, asked)
    _say_what_is_in_the_way(answer)


def _say_what_is_not_there(included: tuple[Expression, ...], asked: Question) -> None:
    """Say, for expressions that no spec satisfies, which condition none fulfils."""
    from cachestats.analysis.roots import match_roots

    missing = [str(one) for one in included if not asked.subset.where(spec=str(one)).num_specs]
    if missing and asked.subset.num_specs:
        for root, cause in match_roots(missing, asked.subset).select("root", "by").iter_rows():
            if cause is not None:
                talk(f"hint: for {root}, no spec has {cause}")


def _say_what_is_in_the_way(answer: Found) -> None:
    """Say why a host cannot reuse some specs."""
    if answer.others.is_empty():
        return
    say_obstacles(answer.others.group_by("status", "by").len().sort("len", "by", descending=[True, False]))


def expressions_in(words: Iterable[str]) -> list[str]:
    """Return the spec expressions in the words of a command line; a word that begins with `not ` stands alone.

    Raises
    ------
    ArgumentError
        If there are words, but all of them are blank.

    Examples
    --------
    >>> from cachestats.cli.find import expressions_in
    >>> expressions_in(["hdf5", "+mpi", "not os=rhel9"])
    ['not os=rhel9', 'hdf5 +mpi']
    """
    given = list(words)
    apart = [word for word in given if word.lstrip().startswith(NOT)]
    text = joined(word for word in given if word not in apart)
    if given and not text.strip() and not apart:
        raise ArgumentError("expected a spec, found nothing", hint="such as 'hdf5@1.14:+mpi', or leave it out for all")
    return [*apart, *([text] if text.strip() else [])]


def joined(words: Iterable[str]) -> str:
    """Return the words of a command line as one text, as Spack joins them: values with spaces are quoted.

    Examples
    --------
    >>> from cachestats.cli.find import joined
    >>> joined(["hdf5", "+mpi", "cflags=-O3 -g"])
    "hdf5 +mpi cflags='-O3 -g'"
    """
    from cachestats.expressions.syntax import quoted

    pairs = ((word, _PAIR.fullmatch(word) if " " in word else None) for word in words)
    return " ".join(f"{pair['key']}{quoted(pair['value'])}" if pair else word for word, pair in pairs)
