"""What a machine can use: what is built for it, or for an ancestor of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from cachestats.analysis.frames import collected, lazy
from cachestats.errors import ArgumentError
from cachestats.naming import version_key
from cachestats.targets import runnable

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

CELLS = ("native", "usable", "missing")


def usable(specs: IntoFrame, *, target: str, os: str | None = None, platform: str = "linux") -> pl.DataFrame:
    """Say which versions of which packages a machine can use, and how well they fit it.

    A machine runs binaries that were built for its own target or for an ancestor of it, on the same platform and
    operating system.

    Parameters
    ----------
    specs
        Any frame that narwhals knows, with the columns `package, version, snapshot, hash, platform, os, target` of the
        table `specs`. The counting is done where the frame lives.
    target
        Microarchitecture of the machine, such as `zen4`. One that archspec does not know runs its own binaries only.
    os
        Operating system of the machine, such as `ubuntu22.04`; None asks for no particular one.
    platform
        Platform of the machine.

    Returns
    -------
    One row per package and version in `specs`, sorted by package and by version in Spack's order, with the columns
    `package`, `version`, `cell` (`native`: built for this very target, `usable`: for an ancestor, `missing`: only for
    what this machine cannot run), `best_target` (the target of the binary that fits best: the nearest of the
    ancestors; null where the cell is missing) and `num_specs` (Int64: distinct specs that the machine can run).

    Raises
    ------
    ArgumentError
        If the target, the operating system or the platform is no name, or the frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.usable(demo.specs, target="neoverse_v2", os="ubuntu22.04").rows()
    [('py-filelock', '3.12.4', 'native', 'neoverse_v2', 1), ('py-propcache', '0.3.1', 'missing', None, 0)]
    >>> cs.usable(demo.specs, target="neoverse_v2", os="ubuntu24.04").rows()
    [('py-filelock', '3.12.4', 'usable', 'aarch64', 28), ('py-propcache', '0.3.1', 'usable', 'aarch64', 19)]
    """
    for value, what in ((target, "target"), ("any" if os is None else os, "os"), (platform, "platform")):
        if not isinstance(value, str) or not value:
            raise ArgumentError(
                f"expected the name of one {what}, found {value!r}", hint=f"take one from the column {what} of specs"
            )
    frame = lazy(specs, ("package", "version", "snapshot", "hash", "platform", "os", "target"))
    order = runnable(target)
    runs = (nw.col("platform") == platform) & nw.col("target").is_in(order)
    if os is not None:
        runs &= nw.col("os") == os
    built = frame.filter(runs).select("package", "version", "target", "snapshot", "hash").unique()
    counts = collected(built.group_by("package", "version", "target").agg(num_specs=nw.len()))
    place = pl.col("target").replace_strict(order, range(len(order)), return_dtype=pl.Int64)
    best = counts.group_by("package", "version").agg(
        best_target=pl.col("target").sort_by(place).first(), num_specs=pl.col("num_specs").sum()
    )
    everything = collected(frame.select("package", "version").unique())
    native, ancestor, missing = map(pl.lit, CELLS)
    answer = everything.join(best, on=["package", "version"], how="left").select(
        "package",
        "version",
        pl.when(pl.col("best_target") == target)
        .then(native)
        .when(pl.col("best_target").is_not_null())
        .then(ancestor)
        .otherwise(missing)
        .alias("cell"),
        "best_target",
        pl.col("num_specs").fill_null(0),
    )
    rows = sorted(answer.rows(), key=lambda row: (row[0], version_key(row[1]), row[1]))
    return pl.DataFrame(rows, schema=answer.schema, orient="row")
