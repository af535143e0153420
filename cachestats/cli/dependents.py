"""The verb `dependents`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.axes import GROUP_AXES
from cachestats.cli.completion import complete_packages
from cachestats.cli.dependencies import deptype_option, of_types, question_of_known
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    NAME,
    by_option,
    dataset_argument,
    output_options,
    question_options,
    union_option,
)
from cachestats.cli.sections import Verb
from cachestats.schema import DEPTYPES
from cachestats.text import counted


@click.command(cls=Verb)
@dataset_argument
@click.argument("package", type=NAME, shell_complete=complete_packages)
@by_option(GROUP_AXES, default="stack")
@deptype_option(DEPTYPES)
@union_option
@question_options
@output_options
def dependents(
    dataset: Any, package: str, by: Any, deptypes: Any, union: bool, form: str, out: Path | None, **question: Any
) -> None:
    """List what depends on PACKAGE, directly or through others.

    PACKAGE is a package, or a spec as in `find`, such as 'openssl@:1' or 'hdf5~mpi'.

    The answer has a row for each package and stack, or other axis (--by), in which a spec depends on PACKAGE, those
    with the most such specs first. num_direct counts the specs that need PACKAGE themselves, num_specs also those that
    need it through others, out of num_all specs of the package there.

    Filters choose the specs that are counted; what these depend on may be any spec of the snapshot. Only snapshots that
    were read from indices can be asked about, because pages do not list dependencies.
    """
    from cachestats.analysis.dependents import dependents_and_totals

    asked, say_what_is_left_out = question_of_known(dataset, **question, by=by, union=union)
    answer, totals = dependents_and_totals(asked.subset, package, by=by, deptypes=deptypes, union=asked.axes["union"])
    emit(answer, form, out)
    if totals.num_all:
        depend = "depends" if totals.num_specs == 1 else "depend"
        talk(
            f"{asked.words}: {totals.num_specs:,} of {counted(totals.num_all, 'spec')} {depend} on {package}"
            f"{of_types(deptypes)}, {totals.num_specs / totals.num_all:.1%}; {totals.num_direct:,} directly"
        )
        if answer.is_empty():
            asked.hint_at_union()
    else:
        asked.say_there_is_nothing()
    say_what_is_left_out()
