"""The verb `match`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import HIT_RATE_AXES
from cachestats.cli.output import emit, printable, talk
from cachestats.cli.parameters import (
    NAME,
    NEWEST,
    Share,
    check_target,
    dataset_argument,
    output_options,
    snapshots_option,
    union_option,
    where_option,
)
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError, CheckError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.environment import Environment

_CAUSE = "cause"

environment_argument = click.argument(
    "environments", metavar="ENVIRONMENT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)


@click.command(cls=Verb)
@dataset_argument
@environment_argument
@click.option("--best", is_flag=True, help="Rank snapshots by how much of the environment they have.")
@click.option(
    "--by",
    type=click.Choice((*HIT_RATE_AXES, _CAUSE)),
    help="With --best: rank snapshots (the default) or stacks. Without --best, `cause` ranks the causes of misses by "
    "how many specs would hit without each.",
)
@click.option(
    "--fail-under",
    type=Share(),
    metavar="SHARE",
    help="Exit with 1 if less than this share of the specs is cached, such as 90%; with --best, in the best snapshot "
    "or stack.",
)
@click.option(
    "--host",
    type=NAME,
    metavar="TARGET[:OS]|host",
    help="Also say how many more specs would hit if the environment were concretized for another target that this host "
    "runs.",
)
@snapshots_option(f"{NEWEST}; all with --best")
@where_option
@union_option
@output_options
def match(
    dataset: Any,
    environments: tuple[Path, ...],
    best: bool,
    by: Any,
    fail_under: float | None,
    host: str | None,
    form: str,
    out: Path | None,
    union: bool,
    **question: Any,
) -> None:
    """Show which specs of an environment are cached, and why not all.

    ENVIRONMENT is a spack.lock, a spec.json, the output of `spack spec --json`, or the folder of an environment or an
    installation. If there are several, their specs are put together.

    A spec is a `hit` if the cache has its hash, `near` if the cache has other specs of its package, and a `miss`
    otherwise. For a near one, the answer says how the closest cached spec differs. The specs left to build come first,
    in an order in which they can be built. A table or Markdown shows no hits, and only the first cause of each spec;
    the formats csv, json and parquet have all of them, and the closest spec.
    """
    from cachestats.hosts import Host

    _check_options(best=best, by=by, host=host, union=union)
    target = Host.parse(host).target if host else None
    if target is not None:
        check_target(target, [dataset])
    environment = environment_in(environments)
    asked = Question(dataset, everything=best, union=union, **question)
    names = ", ".join(path.name or str(path) for path in environments)
    talk(f"{names}: {_words_of(environment)}")
    rate = (
        _emit_best(environment, asked, by or "snapshot", form, out)
        if best
        else _emit_matches(environment, asked, by, target, form, out)
    )
    if fail_under is not None and rate < fail_under:
        raise CheckError(
            f"expected at least {fail_under:.1%} of the specs to hit, found {rate:.1%}",
            hint=None if best or by == _CAUSE else "--by cause says why the others do not",
        )


def _check_options(*, best: bool, by: str | None, host: str | None, union: bool) -> None:
    """Refuse options that do not go together."""
    if (by == _CAUSE and best) or (by not in (None, _CAUSE) and not best):
        given, there = ("--best", "with it") if best else (f"--by {by}", "it alone")
        raise ArgumentError(
            f"expected {given} {'without --by cause' if best else 'with --best'}, found {there}",
            hint=f"{'leave out' if best else 'add'} --best",
        )
    if best and host:
        raise ArgumentError("expected --host without --best, found both", hint="leave out one of them")
    if union and not best:
        raise ArgumentError("expected --union with --best, found it alone", hint="add --best")


def environment_in(paths: tuple[Path, ...]) -> Environment:
    """Return the environment in these files, and print the warnings about them."""
    from cachestats.environment import read_environment

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        environment = read_environment(*paths)
    for warning in caught:
        talk(f"warning: {warning.message}")
    if environment.specs.is_empty():
        raise ArgumentError(
            f"expected the concrete specs of an environment, found none in {', '.join(map(str, paths))}",
            hint="run `spack concretize`, and give the spack.lock that it writes",
        )
    return environment


def _words_of(environment: Environment) -> str:
    roots = int(environment.specs["is_root"].sum())
    written = f", written by Spack {printable(environment.spack)}" if environment.spack else ""
    return f"{counted(environment.specs.height, 'spec')}, {counted(roots, 'root')}{written}"


def _emit_best(environment: Environment, asked: Question, by: Any, form: str, out: Path | None) -> float:
    """Print how much of the environment each snapshot or stack has, and return the share of the best."""
    from cachestats.analysis.match import hit_rates

    rates = hit_rates(environment, asked.subset, by=by, union=asked.union)
    words = counted(rates.height, by)
    top: dict[str, Any] = rates.row(0, named=True) if rates.height else {"hits": 0}
    if top["hits"]:
        name = " ".join(filter(None, (top["snapshot"], top.get("stack"))))
        talk(f"best of {words}: {name}, {_words(top)}")
    else:
        talk(f"none of the {counted(environment.specs.height, 'spec')} is in any of {words}")
    emit(rates, form, out, percent=True)
    return int(top["hits"]) / environment.specs.height


def _emit_matches(
    environment: Environment,
    asked: Question,
    by: str | None,
    target: str | None,
    form: str,
    out: Path | None,
) -> float:
    """Print the specs or the causes, and return the share of hits."""
    from cachestats.analysis.causes import hits_if_target_changed
    from cachestats.analysis.match import match_and_causes, summary

    matches, causes = match_and_causes(environment, asked.subset, dependencies=asked.dependencies, among=asked.among)
    counts = summary(matches)
    talk(f"{asked.words}: {_words(counts._asdict())}")
    steps = f" in {counted(counts.build_steps, 'step')}" if counts.to_build else ""
    talk(f"{counts.near:,} near, {counts.missing:,} missing; {counts.to_build:,} left to build{steps}")
    if causes.height and causes["cures"][0]:
        talk(f"{causes['words'][0]} alone keeps {counted(causes['cures'][0], 'spec')} from hitting")
    if target is not None:
        for other, hits in hits_if_target_changed(matches, machine=target).head(1).iter_rows():
            talk(f"concretized for {other}, which {target} runs, {hits:,} more would hit")
    if counts.represented:
        talk(
            f"{counts.represented:,} of the near ones are written in another format, so their hashes differ in any case"
        )
    is_for_eyes = form in {"table", "markdown"}
    if by == _CAUSE:
        emit(_causes_for_eyes(causes) if is_for_eyes else causes, form, out)
    else:
        emit(_for_eyes(matches) if is_for_eyes else matches, form, out)
    return counts.hits / counts.specs


def _words(counts: dict[str, Any]) -> str:
    """Return the hits among all specs and among the roots, as numbers and shares."""
    parts = (("hits", "specs", "spec", " hit"), ("root_hits", "roots", "root", ""))
    return "; ".join(
        f"{counts[hits]:,} of {counted(counts[whole], noun)}{verb}"
        + (f", {counts[hits] / counts[whole]:.1%}" if counts[whole] else "")
        for hits, whole, noun, verb in parts
    )


def _for_eyes(matches: pl.DataFrame) -> pl.DataFrame:
    """Drop the hits, the closest specs, and all causes but the first."""
    import polars as pl

    left = matches.filter(pl.col("status") != "hit")
    because = [_because(*row) for row in left.select("causes", "differs", "proof").iter_rows()]
    return left.select(
        pl.col("build_step").alias("step"),
        "package",
        "version",
        pl.col("is_root").alias("root"),
        "status",
        pl.Series("because", because, dtype=pl.String),
    )


def _because(causes: str | None, differs: str | None, proof: str | None) -> str | None:
    """Return the first cause, or the fields that differ if no cause is known."""
    if differs is None:
        return None
    first, *others = (causes or differs.replace(",", ", ")).split("; ")
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more}{' (supposed)' * (proof == 'supposed')}"


def _causes_for_eyes(causes: pl.DataFrame) -> pl.DataFrame:
    return causes.select("cures", "misses", "words", "proof").rename({"words": "cause"})
