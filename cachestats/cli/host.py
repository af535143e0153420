"""The verb `host`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import output_options
from cachestats.cli.sections import Verb

if TYPE_CHECKING:
    from cachestats.hosts import Host


@click.command(cls=Verb)
@output_options
def host(form: str, out: Path | None) -> None:
    """Show this machine's target, system, libc and platform.

    They are spelled as Spack spells them, and as the other verbs take them after --target, --os, --libc and --platform.
    To ask about this machine, use `--host host`.
    """
    import polars as pl

    from cachestats.hosts import host as this_host

    found = this_host()
    row = {"target": found.target, "os": found.os, "libc": found.libc, "platform": found.platform}
    emit(pl.DataFrame([row], schema=dict.fromkeys(row, pl.String)), form, out)
    talk(f"to ask about this machine from another one, use {_options(found)}")


def _options(host: Host) -> str:
    """Return the options that describe a host, without those that others imply."""
    from cachestats.spack_releases import platform_of_os, usual_libc

    words = [f"--target {host.target}", f"--os {host.os}"]
    words += [f"--libc {host.libc}"] if host.libc != usual_libc(str(host.os)) else []
    words += [f"--platform {host.platform}"] if host.platform != platform_of_os(str(host.os)) else []
    return " ".join(words)
