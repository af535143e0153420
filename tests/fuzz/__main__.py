"""Fuzz by hand: `python -m tests.fuzz --seconds 600`. What fails is saved in `build/fuzz`, with how to repeat it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tests.fuzz.fuzz import Input, fuzz, make_input, parsers, read

FOLDER = Path("build/fuzz")


@click.command()
@click.option("--seconds", type=float, default=60, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Other seeds make other inputs.")
@click.option("--processes", type=int, default=2, show_default=True)
@click.option("--parser", type=click.Choice([*parsers()]), help="Only this parser.")
@click.option("--input", "number", type=int, help="Only this input of the parser, which is printed.")
def main(seconds: float, seed: int, processes: int, parser: str | None, number: int | None) -> None:
    """Feed parsers with mutated inputs, and save those that fail."""
    if number is not None:
        repeat(Input(parser or "", seed, number))
    started = time.monotonic()
    outcome = fuzz(seconds, seed=seed, processes=processes, only=parser)
    took = time.monotonic() - started
    for name, count in outcome.inputs.items():
        click.echo(f"{count:>10,}  {name}")
    click.echo(
        f"{outcome.inputs.total():>10,}  inputs in {took:.0f} s, {outcome.inputs.total() / took:,.0f} per second"
    )
    for kind, failure in outcome.failures.items():
        click.echo(f"{outcome.counts[kind]:,} failed: {kind}\n  {failure.again}\n  saved as {failure.save(FOLDER)}")
    sys.exit(bool(outcome.failures))


def repeat(which: Input) -> None:
    """Print one input, and read it."""
    if which.parser not in parsers():
        raise click.UsageError("--input needs --parser")
    parser = parsers()[which.parser]
    click.echo(make_input(parser, which)[:2000])
    failure = read(parser, which)
    sys.exit(failure.what if failure else 0)


if __name__ == "__main__":
    main()
