"""The verb `match`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, output_options, root_option, snapshot_option, where_option
from cachestats.cli.question import Question
from cachestats.errors import ArgumentError
from cachestats.naming import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.environment import Environment

# What matters most stands first: what does not fit a terminal is left out from the end.
_EYES = ("build_step", "package", "version", "is_root", "status", "differs", "compiler", "os", "target")


@click.command()
@dataset_argument
@click.argument("lockfile", type=click.Path(path_type=Path))
@click.option("--best", is_flag=True, help="Rank the snapshots by how much of the environment they have.")
@click.option(
    "--by",
    type=click.Choice(("snapshot", "stack")),
    help="What --best ranks: snapshots or stacks.  [default: snapshot]",
)
@snapshot_option
@where_option
@root_option
@output_options
def match(
    dataset: Any, lockfile: Path, best: bool, by: Any, form: str, out: Path | None, root: bool, **question: Any
) -> None:
    """Say what of an environment is in the cache, why the rest is not, and what is left to build.

    LOCKFILE is the environment's spack.lock. Each of its specs is a hit, which is cached by its hash; near, if the
    cache has its package: then `differs` says in what the closest one differs; or a miss. What is left to build stands
    first, in the order in which it can be built. As a table or as Markdown hits are left out; the formats for machines
    have them, and the closest spec.
    """
    from cachestats.analysis.match import hit_rates
    from cachestats.analysis.match import match as compare

    if (by or root) and not best:
        given = "--by" if by else "--root"
        raise ArgumentError(f"expected {given} with --best, found it alone", hint="add --best")
    environment = environment_in(lockfile)
    asked = Question(dataset, everything=best, root=root, **question)
    if best:
        rates = hit_rates(environment.specs, asked.specs, by=by or "snapshot", root=asked.root)
        emit(rates, form, out, percent=True)
        words = counted(rates.height, by or "snapshot")
        top: dict[str, Any] = rates.row(0, named=True) if rates.height else {"hits": 0}
        if top["hits"]:
            name = " ".join(filter(None, (top["snapshot"], top.get("stack"))))
            talk(f"best of {words}: {name}, {_words(top)}")
        else:
            talk(f"none of the {counted(environment.specs.height, 'spec')} is in any of {words}")
    else:
        matches = compare(environment.specs, asked.specs, dependencies=environment.dependencies)
        emit(_for_eyes(matches) if form in {"table", "markdown"} else matches, form, out)
        hits, roots = matches["status"] == "hit", matches["is_root"]
        counts = {"hits": hits.sum(), "specs": matches.height, "root_hits": (hits & roots).sum(), "roots": roots.sum()}
        steps = matches["build_step"].drop_nulls()
        in_steps = f" in {counted(max(steps), 'step')}" if len(steps) else ""
        talk(f"{asked.words}: {_words(counts)}; {len(steps):,} left to build{in_steps}")
    for hint in asked.hints():
        talk(f"hint: {hint}")


def environment_in(path: Path) -> Environment:
    """Return an environment, and say what is odd about its file."""
    from cachestats.environment import read_environment

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        environment = read_environment(path)
    for warning in caught:
        talk(f"warning: {warning.message}")
    if environment.specs.is_empty():
        raise ArgumentError(
            f"expected the concrete specs of an environment, found none in {path}",
            hint="run `spack concretize`, and give the spack.lock that it writes",
        )
    return environment


def _words(counts: dict[str, Any]) -> str:
    """Return hits in proportion, of all specs and of the roots."""
    parts = (("hits", "specs", "spec"), ("root_hits", "roots", "root"))
    return "; ".join(
        f"{counts[hits]:,} of {counted(counts[whole], noun)} hit"
        + (f", {counts[hits] / counts[whole]:.1%}" if counts[whole] else "")
        for hits, whole, noun in parts
    )


def _for_eyes(matches: pl.DataFrame) -> pl.DataFrame:
    """Leave out the hits, the closest specs, and what the whole environment has in common."""
    import polars as pl

    left = matches.filter(pl.col("status") != "hit").select(_EYES)
    common = [name for name in ("compiler", "os", "target") if matches[name].n_unique() < 2]
    return left.drop(common).with_columns(pl.col("differs").str.replace_all(",", ", "))
