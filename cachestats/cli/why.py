"""The verb `why`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.completion import complete_packages
from cachestats.cli.dependencies import deptype_option, of_types, question_of_known
from cachestats.cli.output import emit, talk, write
from cachestats.cli.parameters import NAME, dataset_argument, output_options, question_options, union_option
from cachestats.cli.sections import Verb
from cachestats.schema import DEPTYPES
from cachestats.text import counted, visible

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.why import ChainTotals

_ARROW = " > "


@click.command(cls=Verb)
@dataset_argument
@click.argument("package", type=NAME, metavar="FROM", shell_complete=complete_packages)
@click.argument("dependency", type=NAME, metavar="TO", shell_complete=complete_packages)
@deptype_option(DEPTYPES)
@union_option
@question_options
@output_options
def why(
    dataset: Any,
    package: str,
    dependency: str,
    deptypes: Any,
    union: bool,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Show the shortest chains of dependencies from FROM to TO.

    FROM and TO are packages, or specs as in `find`. For each path of packages, the answer has the number of specs of
    FROM that have a shortest chain along it, and an example, which begins at the newest version, with the types of its
    dependencies. In a table, an example is a tree; the other formats have a row for each path.

    Filters choose the specs of FROM; what these depend on may be any spec of the snapshot. Only snapshots that were
    read from indices can be asked about, because pages do not list dependencies. If FROM does not depend on TO, the
    answer says so, and the exit code is 0.

    \b
    Examples:
      cachestats why cache hdf5 zlib-ng
      cachestats why cache 'hdf5+mpi %gcc' 'zlib-ng@:2.1'
    """  # noqa: D301 (a real backspace, which tells Click not to wrap the paragraph)
    from cachestats.analysis.why import chains_and_totals

    asked, say_what_is_left_out = question_of_known(dataset, **question, union=union)
    ask = {"deptypes": deptypes, "union": asked.axes["union"]}
    answer, totals = chains_and_totals(asked.subset, package, dependency, **ask)
    if form == "table":
        write("".join(f"{visible(line)}\n" for line in _trees(answer, totals.num_all)).encode(), out)
    else:
        emit(answer, form, out)
    if totals.num_specs:
        share = f"{totals.num_specs / totals.num_all:.1%}; {totals.num_direct:,} directly"
        talk(f"{asked.words}: {_depend(totals, package, dependency, deptypes)}, {share}")
    elif totals.num_all:
        reverse = chains_and_totals(asked.subset, dependency, package, **ask)[1]
        more = f", but {_depend(reverse, dependency, package, deptypes)}" if reverse.num_specs else ""
        talk(f"no spec of {package} in {asked.words} depends on {dependency}{of_types(deptypes)}{more}")
    else:
        talk(f"no specs of {package} in {asked.words}")
    say_what_is_left_out()


def _depend(totals: ChainTotals, package: str, dependency: str, deptypes: list[str]) -> str:
    """Return how many specs of a package depend on another."""
    depend = "depends" if totals.num_specs == 1 else "depend"
    specs = counted(totals.num_all, "spec")
    return f"{totals.num_specs:,} of {specs} of {package} {depend} on {dependency}{of_types(deptypes)}"


def _trees(answer: pl.DataFrame, total: int) -> Iterator[str]:
    """Yield the lines that show each path and its example, one dependency below another, and a blank line between."""
    for number, row in enumerate(answer.iter_rows(named=True)):
        stacks = f", in {row['stacks']}" if row["stacks"] else ""
        if number:
            yield ""
        yield f"{row['path']}: {row['num_specs']:,} of {counted(total, 'spec')}{stacks}"
        first, *others = row["example"].split(_ARROW)
        yield first
        for depth, (spec, types) in enumerate(zip(others, row["deptypes"].split(_ARROW), strict=True)):
            yield f"{'    ' * depth}└── {spec} ({types.replace(',', ', ')})"
