"""The verb `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.output import emit, log, progress_bar, talk, with_settings
from cachestats.cli.parameters import input_options, output_options
from cachestats.cli.sections import Verb
from cachestats.errors import CheckError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl


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
    what is there. Several sources are compared with each other, too. Of a DATASET, which is given alone, the files are
    read. In either, there should be no holes, no specs that no host can use, and no hash with two contents.

    The answer has a row for each finding. The exit code is 1 if there are errors, and 0 if there are only warnings.
    """
    from cachestats.verification.verify import verify as verified

    log()
    with progress_bar() as (progress, on_bytes):
        found = verified(*sources, progress=progress, **with_settings(options, on_bytes))
    emit(_for_eyes(found.findings) if form in {"table", "markdown"} else found.findings, form, out)
    left_out: dict[str, list[str]] = {}
    for row in found.checks.iter_rows(named=True):
        if row["not_checked"] is None:
            left_out.setdefault(row["why"], []).append(row["check"])
        elif row["found"] or row["not_checked"]:
            talk(_in_words(**row))
    for why, checks in left_out.items():
        talk(f"not checked {why}: {', '.join(checks)}")
    made = found.checks.filter(found.checks["checked"] > 0)["check"]
    errors, warnings = found.count("error"), found.count("warning")
    talk(
        f"{', '.join(sources)}: {counted(errors, 'error')}, {counted(warnings, 'warning')} by "
        f"{counted(len(made), 'check')} ({', '.join(made)})"
    )
    if errors:
        raise CheckError(f"expected no errors, found {errors:,}", hint="docs/reference/checks.md says what they mean")


def _for_eyes(findings: pl.DataFrame) -> pl.DataFrame:
    """Shorten hashes, and leave out hints, which the reference has, and the snapshot if there is only one."""
    import polars as pl

    same = ["snapshot"] if findings["snapshot"].n_unique() < 2 else []
    return findings.drop("source", "hint", *same).with_columns(pl.col("hash").str.head(7))


def _in_words(*, check: str, checked: int, found: int, not_checked: int, why: str | None) -> str:
    """Return a line such as `hash: 2 findings in 39; 4 not checked: first written in format 4`."""
    parts = [f"{counted(found, 'finding')} in {checked:,}"] if checked or found else []
    parts += [f"{not_checked:,} not checked: {why}"] if not_checked else []
    return f"{check}: {'; '.join(parts)}"
