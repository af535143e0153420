"""The verbs `match`, `causes` and `hit-rates`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import HIT_RATE_AXES
from cachestats.cli.asked_for import (
    asked_for_argument,
    emit_root_rates,
    emit_roots,
    has_roots,
    roots_in,
    say_what_reuse_gives,
)
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    Share,
    dataset_argument,
    host_options,
    output_options,
    snapshot_option,
    snapshots_option,
    union_option,
    where_option,
)
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError, CheckError
from cachestats.text import counted, visible

if TYPE_CHECKING:
    import polars as pl

    from cachestats.environment import Environment
    from cachestats.hosts import Host

environment_argument = click.argument(
    "environments", metavar="ENVIRONMENT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)


def _fail_under(where: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--fail-under",
        type=Share(),
        metavar="SHARE",
        help=f"Exit with 1 if less than this share of the specs is cached, or of the roots is available, {where}.",
    )


@click.command(cls=Verb)
@dataset_argument
@asked_for_argument
@_fail_under("such as 90%")
@host_options
@snapshot_option
@where_option
@output_options
def match(
    dataset: Any,
    asked_for: tuple[str, ...],
    fail_under: float | None,
    host: Host | None,
    spack: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Show which specs of an environment are cached, or why not.

    ENVIRONMENT is a spack.lock, a spec.json, the output of `spack spec --json`, or the folder of an environment or an
    installation. If there are several, their specs are put together. A spack.yaml, or SPEC such as 'hdf5+mpi ^mpich',
    asks about roots, before anything is concretized: see below. An argument is taken as a file if that file exists, or
    if it ends in .lock, .json or .yaml or has a slash that does not begin a hash.

    A spec is a `hit` if the cache has its hash, `near` if the cache has other specs of its package, and a `miss`
    otherwise. For a near one, the answer says how the closest cached spec differs. The specs left to build come first,
    in an order in which they can be built. A table or Markdown shows no hits, and only the first cause of each spec;
    the formats csv, json and parquet have all of them, and the closest spec. The first line says how many roots Spack
    could reuse if it concretized the environment again, on the host, or else on the system in the environment.

    A root is `reusable` if the host can reuse a cached spec that satisfies it, and `cached` if cached specs satisfy it,
    but the host cannot reuse them or no host is given. It is `unknown` if the snapshot does not record what the root
    asks for, such as dependencies in pages, and `missing` otherwise. For each root, the answer has the best spec and
    the number of specs that this adds, with all that it needs, to those of the roots above; or else the first condition
    that no cached spec satisfies. Roots are looked at one by one: the answer is a bound, not a solution.
    """
    from cachestats.analysis.causes import hits_if_target_changed

    roots = roots_in(asked_for)
    asked = Question(dataset, **question)
    if roots is not None:
        _check(emit_roots(roots, asked, host, spack, form, out), "roots to be available", fail_under)
        return
    environments = tuple(map(Path, asked_for))
    environment = environment_in(environments)
    matches, found = _matched(environment, asked)
    if not matches.filter("is_root")["status"].eq("hit").all():
        say_what_reuse_gives(environment, asked, host, spack)
    _say_how_much(matches, found, environment, environments, asked)
    if host is not None:
        for other, hits in hits_if_target_changed(matches, machine=host.target).head(1).iter_rows():
            talk(f"concretized for {other}, which {host.target} runs, {hits:,} more would hit")
    emit(_for_eyes(matches) if form in {"table", "markdown"} else matches, form, out)
    hint = "`cachestats causes` says why the others do not"
    _check(int((matches["status"] == "hit").sum()) / matches.height, "specs to hit", fail_under, hint)


@click.command(cls=Verb)
@dataset_argument
@environment_argument
@snapshot_option
@where_option
@output_options
def causes(dataset: Any, environments: tuple[Path, ...], form: str, out: Path | None, **question: Any) -> None:
    """Rank what keeps an environment's specs from being cached.

    Each cause that `match` finds has a row, with how many specs would hit without it. ENVIRONMENT is what `match`
    takes.
    """
    environment = environment_in(environments)
    asked = Question(dataset, **question)
    matches, found = _matched(environment, asked)
    _say_how_much(matches, found, environment, environments, asked)
    for_eyes = found.select("cures", "misses", "words", "proof").rename({"words": "cause"})
    emit(for_eyes if form in {"table", "markdown"} else found, form, out)
    if found.is_empty():
        talk(f"no causes: {'no spec is near' if (matches['status'] == 'miss').any() else 'every spec hits'}")


@click.command("hit-rates", cls=Verb)
@dataset_argument
@asked_for_argument
@click.option("--by", type=click.Choice(HIT_RATE_AXES), default="snapshot", show_default=True, help="What to rank.")
@_fail_under("in the best snapshot or stack")
@host_options
@snapshots_option("all")
@where_option
@union_option
@output_options
def hit_rates(
    dataset: Any,
    asked_for: tuple[str, ...],
    by: Any,
    fail_under: float | None,
    host: Host | None,
    spack: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Rank snapshots by how much of an environment they have.

    ENVIRONMENT and SPEC are what `match` takes. For a spack.yaml or specs, the answer counts the roots that cached
    specs satisfy; with a host, only specs that the host can reuse count. --by stack ranks stacks.
    """
    from cachestats.analysis.match import hit_rates as rank

    roots = roots_in(asked_for)
    asked = Question(dataset, everything=True, **question)
    if roots is not None:
        _check(emit_root_rates(roots, asked, by, host, spack, form, out), "roots to be available", fail_under)
        return
    if host is not None:
        raise ArgumentError(
            "expected a host with roots, found one with concrete specs, which hit by their hashes",
            hint="leave it out, or give a spack.yaml or specs",
        )
    environments = tuple(map(Path, asked_for))
    environment = environment_in(environments)
    _say_what_it_is(environment, environments)
    rates = rank(environment, asked.subset, by=by, union=asked.union)
    words = counted(rates.height, by)
    top: dict[str, Any] = rates.row(0, named=True) if rates.height else {"hits": 0}
    if top["hits"]:
        name = " ".join(filter(None, (top["snapshot"], top.get("stack"))))
        talk(f"best of {words}: {name}, {_words(top)}")
    else:
        talk(f"none of the {counted(environment.specs.height, 'spec')} is in any of {words}")
    emit(rates, form, out, percent=True)
    _check(int(top["hits"]) / environment.specs.height, "specs to hit", fail_under)


def _check(rate: float, what: str, fail_under: float | None, hint: str | None = None) -> None:
    if fail_under is not None and rate < fail_under:
        raise CheckError(f"expected at least {fail_under:.1%} of the {what}, found {rate:.1%}", hint=hint)


def environment_in(paths: tuple[Path, ...]) -> Environment:
    """Return the environment in these files, and print the warnings about them."""
    from cachestats.environment import read_environment

    for path in paths:
        if has_roots(str(path)):
            raise ArgumentError(
                f"expected a concretized environment, found {path}, which only says what to concretize",
                hint="run `spack concretize`, and give the spack.lock; `match` and `hit-rates` take a spack.yaml, too",
            )
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


def _say_what_it_is(environment: Environment, paths: tuple[Path, ...]) -> None:
    roots = int(environment.specs["is_root"].sum())
    written = f", written by Spack {visible(environment.spack)}" if environment.spack else ""
    names = ", ".join(path.name or str(path) for path in paths)
    talk(f"{names}: {counted(environment.specs.height, 'spec')}, {counted(roots, 'root')}{written}")


def _matched(environment: Environment, asked: Question) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the matches and the causes."""
    from cachestats.analysis.match import match_and_causes

    return match_and_causes(environment, asked.subset, dependencies=asked.dependencies, among=asked.among)


def _say_how_much(
    matches: pl.DataFrame, found: pl.DataFrame, environment: Environment, paths: tuple[Path, ...], asked: Question
) -> None:
    """Say how much hits, and the first of the causes."""
    from cachestats.analysis.match import summary

    _say_what_it_is(environment, paths)
    counts = summary(matches)
    talk(f"{asked.words}: {_words(counts._asdict())}")
    steps = f" in {counted(counts.build_steps, 'step')}"
    left = f"{counts.to_build:,} left to build{steps}" if counts.to_build else "nothing is left to build"
    talk(f"{counts.near:,} near, {counts.missing:,} missing; {left}")
    if found.height and found["cures"][0]:
        talk(f"{found['words'][0]} alone keeps {counted(found['cures'][0], 'spec')} from hitting")
    if counts.represented:
        talk(
            f"{counts.represented:,} of the near ones are written in another format, so their hashes differ in any case"
        )


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
