"""The verb `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, log, progress_bar, talk, with_settings
from cachestats.cli.parameters import input_options, output_options
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError, CheckError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.verification.ledger import Verification

_MOST_HINTS = 3
"""Of a check: hints that name a mirror may be many."""


@click.command(cls=Verb)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...|DATASET")
@click.option(
    "--deep",
    is_flag=True,
    help="Also look at the storage of mirrors and OCI caches: whether each spec of an index has a spec file and a "
    "binary, and whether there are specs that no index has.",
)
@click.option(
    "--blobs", is_flag=True, help="Also read all these files, and compare their checksums and lengths; implies --deep."
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --blobs: write down in this file which files are whole, so that a run that was stopped continues.",
)
@click.option(
    "--keyring",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also verify signatures, with gpg and the public keys in this file, which `gpg --export` wrote; implies "
    "--deep.",
)
@input_options
@output_options
def verify(sources: tuple[str, ...], form: str, out: Path | None, **options: Any) -> None:
    """Check that a build cache or a dataset is whole.

    SOURCE is a mirror, a folder of mirrors, an OCI cache, a catalogue, an index or an installation, as for `build`.
    Its DAG hashes are computed again, and its indices are compared with each other and, with --deep and --blobs, with
    what is there. Several sources should have the same content for each hash that they share. Of a DATASET, which is
    given alone, the files are read. In either, there should be no holes, no specs that no host can use, and no hash
    with two contents.

    The answer has a row for each finding. The exit code is 1 if there are errors, and 0 if there are only warnings.
    """
    from cachestats.verification.verify import verify as verified

    log()
    if options["resume"] is not None and not options["blobs"]:
        raise ArgumentError("expected --resume with --blobs, found it alone", hint="add --blobs, or leave out --resume")
    with progress_bar() as (progress, on_bytes):
        found = verified(*sources, progress=progress, **with_settings(options, on_bytes))
    emit(_for_eyes(found, sources) if form in {"table", "markdown"} else found.findings, form, out)
    hints = found.findings.select("check", "hint").unique(maintain_order=True)
    left_out: dict[tuple[str, str], list[str]] = {}
    for row in found.checks.iter_rows(named=True):
        if row["found"] or (row["checked"] and row["not_checked"]):
            talk(_in_words(**row))
        for hint in hints.filter(check=row["check"])["hint"].head(_MOST_HINTS):
            talk(f"hint for {row['check']}: {hint}")
        if row["not_checked"] is None or (row["not_checked"] and not row["checked"]):
            words = "in part not checked" if row["checked"] else "not checked"
            left_out.setdefault((words, row["why"]), []).append(row["check"])
    for (words, why), checks in left_out.items():
        talk(f"{words}: {', '.join(checks)} ({_option(why)})")
    made = found.checks.filter(found.checks["checked"] + found.checks["found"] > 0)["check"]
    errors, warnings = found.count("error"), found.count("warning")
    talk(
        f"{', '.join(sources)}: {counted(errors, 'error')}, {counted(warnings, 'warning')} by "
        f"{counted(len(made), 'check')} ({', '.join(made)})"
    )
    if errors:
        raise CheckError(f"expected no errors, found {errors:,}")


def _for_eyes(found: Verification, sources: Sequence[str]) -> pl.DataFrame:
    """Shorten hashes, leave out hints, which are told once, and the snapshot and the source if there is only one."""
    import polars as pl

    findings = found.findings
    num_indices = found.checks.filter(check="unreadable")["checked"].sum()
    place = pl.col("source")
    if len(sources) == 1:  # a mirror is named by its whole path, whatever was given
        for above in (sources[0].rstrip("/"), Path(sources[0]).resolve()):
            place = place.str.strip_prefix(f"{above}/")
    return findings.select(
        "severity",
        "check",
        *(["snapshot"] if findings["snapshot"].n_unique() > 1 else []),
        "package",
        pl.col("hash").str.head(7),
        *([place] if len(sources) > 1 or num_indices > 1 else []),
        "message",
    )


def _in_words(*, check: str, checked: int, found: int, not_checked: int | None, why: str | None) -> str:
    """Return a line such as `hash: 2 findings in 39; 4 not checked (first written in format 4)`."""
    parts = [counted(found, "finding") + (f" in {checked:,}" if checked else "")]
    parts += [f"{not_checked:,} not checked ({why})"] if not_checked and checked else []
    return f"{check}: {'; '.join(parts)}"


def _option(why: str) -> str:
    """Return the reason with the name of the option here, if it is that an argument of Python was not given."""
    return why.replace("without ", "without --") if why.startswith("without ") else why
