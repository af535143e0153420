"""What the verbs `match` and `hit-rates` are asked about: concrete environments, or roots."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.question import Question, rules_in_words
from cachestats.errors import ArgumentError
from cachestats.text import byte_size, counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.roots import Summary
    from cachestats.environment import Environment
    from cachestats.hosts import Host
    from cachestats.roots import Root

_A_BOUND = "roots are looked at one by one: this is a bound on what Spack's solver would reuse, not its solution"
_YAML = (".yaml", ".yml")
_FILES = (".lock", ".json", ".sig", ".gz", *_YAML)
_ROOTS_FILE = "spack.yaml"
_CONCRETE_FILES = ("spack.lock", ".spack-db", "index.json")
_HASH = re.compile(r"[^/\s]*/[a-z2-7]{1,32}")

asked_for_argument = click.argument("asked_for", metavar="ENVIRONMENT|SPEC...", nargs=-1, required=True)


def roots_in(asked_for: tuple[str, ...]) -> tuple[Root, ...] | None:
    """Return the roots that arguments give as specs or in files, or None if all are files with concrete specs.

    Raises
    ------
    ArgumentError
        If they are of both kinds, or a text is not a spec.
    SourceError
        If a file cannot be read.
    """
    from cachestats.roots import as_roots, read_roots

    concrete = [text for text in asked_for if is_file(text) and not has_roots(text)]
    if len(concrete) == len(asked_for):
        return None
    if concrete:
        raise ArgumentError(
            f"expected environments that are concretized, or roots, found both: {concrete[0]} is concretized",
            hint="ask about one kind at a time",
        )
    roots: list[Root] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in asked_for:
            roots += read_roots(text) if is_file(text) else as_roots(text)
    for warning in caught:
        talk(f"warning: {warning.message}")
    return tuple(roots)


def is_file(text: str) -> bool:
    """Return whether an argument names a file or folder rather than a spec.

    It does if there is such a file, or if it ends like one or has a slash that does not begin a hash.

    Examples
    --------
    >>> from cachestats.cli.asked_for import is_file
    >>> [is_file(text) for text in ("no/spack.lock", "my/env-1", "hdf5/abc", "hdf5+mpi prefix='/opt'")]
    [True, True, False, False]
    """
    if len(text) < 4096 and "\0" not in text and Path(text).exists():
        return True
    if text.endswith(_FILES):
        return True
    is_word = not re.search(r"[\s='\"@]", text)
    return is_word and "/" in text and not _HASH.fullmatch(text)


def has_roots(text: str) -> bool:
    """Return whether a file or folder has roots rather than concrete specs."""
    path = Path(text)
    if path.is_dir():
        return (path / _ROOTS_FILE).exists() and not any((path / name).exists() for name in _CONCRETE_FILES)
    return path.suffix in _YAML


def emit_roots(
    roots: tuple[Root, ...], asked: Question, host: Host | None, spack: str | None, form: str, out: Path | None
) -> float:
    """Print which cached specs satisfy roots, and return the share of roots that are available."""
    from cachestats.analysis.roots import match_roots, summary

    found = match_roots(roots, asked.subset, host=host, spack=spack)
    counts = summary(found)
    talk(f"{asked.words}: {_words(counts, host)}{'' if host is None else f', {_rules(asked, spack)}'}")
    if counts.added_specs is not None:
        added_bytes = found["added_bytes"]
        is_known = added_bytes.null_count() == found["added_specs"].null_count()
        size = f", {byte_size(int(added_bytes.sum()))}" if is_known else ""
        talk(f"the best specs, with their link and run dependencies: {counted(counts.added_specs, 'spec')}{size}")
    if host is None:
        talk("no host was given: add --host host to see what this machine can reuse")
    talk(_A_BOUND)
    emit(_for_eyes(found, host, asked) if form in {"table", "markdown"} else found, form, out)
    return counts.available / counts.roots


def emit_root_rates(
    roots: tuple[Root, ...], asked: Question, by: Any, host: Host | None, spack: str | None, form: str, out: Path | None
) -> float:
    """Print for how many roots each snapshot or stack has specs, and return the share in the best one."""
    from cachestats.analysis.roots import root_rates

    rates = root_rates(roots, asked.subset, by=by, host=host, spack=spack, union=asked.union)
    top: dict[str, Any] = rates.row(0, named=True) if rates.height else {"available_roots": 0}
    verb = "cached" if host is None else f"reusable on {host}"
    if top["available_roots"]:
        name = " ".join(filter(None, (top["snapshot"], top.get("stack"))))
        words = f"{top['available_roots']:,} of {counted(len(roots), 'root')} {verb}"
        talk(f"best of {counted(rates.height, by)}: {name}, {words}")
    else:
        talk(f"none of the {counted(len(roots), 'root')} is {verb} in any of {counted(rates.height, by)}")
    talk(_A_BOUND)
    emit(rates, form, out, percent=True)
    return int(top["available_roots"]) / len(roots)


def say_what_reuse_gives(environment: Environment, asked: Question, host: Host | None, spack: str | None) -> None:
    """Say how many roots of an environment could be reused if it were concretized again with reuse."""
    from cachestats.analysis.roots import match_roots, summary

    host = _host_of(environment, host)
    if not environment.roots or host is None:
        return
    counts = summary(match_roots(environment, asked.subset, host=host, spack=spack))
    added = "" if counts.added_specs is None else f", {counted(counts.added_specs, 'spec')} in all"
    available = f"{counts.available:,} of {counted(counts.roots, 'root')}"
    where = f"{host.target}:{host.os or host.libc}"
    talk(f"if concretized again with reuse, up to {available} could come from the cache{added}, on {where}")


def _host_of(environment: Environment, given: Host | None) -> Host | None:
    """Return the host that an environment was concretized for, unless a complete one is given; None if there are many.

    A target that is given counts in any case.
    """
    from cachestats.hosts import host_of

    if given is not None and given.is_complete:
        return given
    systems = environment.specs.filter("is_root").select("target", "platform", "os").unique()
    if systems.height != 1:
        return None
    target, platform, os = systems.row(0)
    return host_of(target if given is None else given.target, platform, os)


def _rules(asked: Question, spack: str | None) -> str:
    return rules_in_words(asked.subset.dataset, asked, spack)


def _words(counts: Summary, host: Host | None) -> str:
    verb = "cached" if host is None else f"reusable on {host}"
    parts = [f"{counts.available:,} of {counted(counts.roots, 'root')} {verb}"]
    parts += [f"{counts.cached:,} cached for others"] if counts.cached else []
    parts += [f"{counts.missing:,} missing"] if counts.missing else []
    parts += [f"{counts.unknown:,} unknown"] if counts.unknown else []
    return ", ".join(parts)


def _for_eyes(found: pl.DataFrame, host: Host | None, asked: Question) -> pl.DataFrame:
    """Return what a table shows: the roots, the best specs with short hashes, and why there are none."""
    import polars as pl

    specs = pl.col("num_cached" if host is None else "num_reusable")
    return found.select(
        "root",
        "status",
        specs.alias("specs"),
        *(["snapshot"] if len(asked.chosen) > 1 else []),
        "version",
        pl.col("hash").str.slice(0, 7),
        "target",
        "os",
        pl.col("added_specs").alias("added"),
        pl.concat_str("cause", "by", separator=": ", ignore_nulls=True).replace("", None).alias("because"),
    )
