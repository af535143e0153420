"""Overlap: hashes and packages that several stacks share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import polars as pl

from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_rows import BITS, SpecRows, SpecsLike, spec_rows
from cachestats.axes import GROUP_AXES, GroupAxis

if TYPE_CHECKING:
    import numpy as np


def overlap(specs: SpecsLike, *, by: GroupAxis = "stack", union: bool = False) -> pl.DataFrame:
    """Count the hashes and packages that each pair of stacks shares.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `hash` and
        `package` of the table `specs`, and the one named by `by`. A dataset stands for its newest snapshot, or for all
        of them if `by` is snapshot. A hash counts once even if several snapshots contain it; filter a frame for one
        snapshot to count only that.
    by
        The axis to compare: pairs of stacks, or of snapshots, platforms, os, targets, compilers (`compiler`,
        `compiler_name`). A spec has one target, so two targets may share packages but no hashes.
    union
        Keep `root`, the union of the stacks, if `by` is stack.

    Returns
    -------
    polars.DataFrame
        One row per pair, including those that share nothing, sorted by the pair, whose members are in the same order;
        null (no compiler, no stack) last:

        - `<by>`, `other_<by>` (String): the pair.
        - `hashes`, `other_hashes`, `common_hashes` (Int64): distinct hashes of the first, of the second, and of both.
        - `jaccard_hashes` (Float64, from 0 to 1): common hashes divided by the hashes of either, the Jaccard index
          (Jaccard 1901, https://en.wikipedia.org/wiki/Jaccard_index).
        - `packages`, `other_packages`, `common_packages`, `jaccard_packages`: the same for packages.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, or the frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> subset = cs.example_dataset().at("previous").where(stack=["e4s", "ml-linux-x86_64-cpu"])
    >>> cs.overlap(subset).select("hashes", "other_hashes", "common_hashes", "jaccard_packages").rows()
    [(13, 4, 3, 0.4)]
    """
    import numpy as np  # here, as `overlap_sets` does without, and this takes long

    rows = _checked(specs, by, union)
    names = rows.names(by)
    pairs = list(combinations(range(len(names)), 2))
    columns: dict[str, Any] = {
        by: pl.Series([names[one] for one, _ in pairs], dtype=pl.String),
        f"other_{by}": pl.Series([names[other] for _, other in pairs], dtype=pl.String),
    }
    for item, things in (("hash", "hashes"), ("package", "packages")):
        is_in, counts = _matrix(_sets(rows, by, names, item), len(names))
        both = is_in.T @ (is_in * counts[:, None])
        size, other, common = (
            np.array([both[pair] for pair in some], dtype=np.int64)
            for some in ([(a, a) for a, _ in pairs], [(b, b) for _, b in pairs], pairs)
        )
        columns |= {things: size, f"other_{things}": other, f"common_{things}": common}
        # Every name has a hash, so there is no division by zero.
        columns[f"jaccard_{things}"] = common / (size + other - common)
    return pl.DataFrame(columns)


def overlap_sets(specs: SpecsLike, *, by: GroupAxis = "stack", union: bool = False) -> pl.DataFrame:
    """Count the hashes and packages in exactly each combination of stacks: the bars of an UpSet plot.

    Parameters
    ----------
    specs, by, union
        As in `overlap`.

    Returns
    -------
    polars.DataFrame
        One row per combination that is not empty. Every hash and every package counts in exactly one row. Sorted by
        `hashes` and `packages` in descending order, and then by `combination`:

        - `combination` (String): its names, separated by commas; a missing name is called `none`.
        - `members` (Int64): the number of names.
        - `hashes`, `packages` (Int64): those that are in all of these and in no others.

    Raises
    ------
    ArgumentError
        As in `overlap`.

    Notes
    -----
    UpSet: Lex et al. 2014, https://doi.org/10.1109/TVCG.2014.2346248.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.overlap_sets(cs.example_dataset().at("previous")).rows()[:3]
    [('e4s-neoverse_v1', 1, 13, 1), ('e4s', 1, 10, 0), ('e4s, ml-linux-x86_64-cpu', 2, 3, 0)]
    """
    found = _checked(specs, by, union)
    names = found.names(by)
    hashes, packages = (_sets(found, by, names, item) for item in ("hash", "package"))
    none = "none" if "none" not in names else "(none)"
    rows = [
        (
            ", ".join(names[position] or none for position in positions),
            len(positions),
            hashes.get(positions, 0),
            packages.get(positions, 0),
        )
        for positions in hashes.keys() | packages.keys()
    ]
    schema = {"combination": pl.String, "members": pl.Int64, "hashes": pl.Int64, "packages": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort(
        "hashes", "packages", "combination", descending=[True, True, False]
    )


def _checked(specs: SpecsLike, by: str, union: bool) -> SpecRows:
    check_choice(by, GROUP_AXES, "by")
    return spec_rows(specs, (by, "hash", "package"), union=union, every_snapshot=by == "snapshot")


def _sets(rows: SpecRows, by: str, names: list[str | None], item: str) -> dict[tuple[int, ...], int]:
    """Count hashes or packages by the exact set of names that have them, given as positions in `names`."""
    if not names:
        return {}
    united, masks, _ = rows.united([item], by, names)
    found = rows.collect(united.group_by(*masks).agg(value=rows.api.len()))
    return {tuple(_positions(row[:-1])): row[-1] for row in found.select(*masks, "value").iter_rows()}


def _positions(masks: tuple[int, ...]) -> Iterator[int]:
    for number, mask in enumerate(masks):
        yield from (number * BITS + bit for bit in range(BITS) if mask >> bit & 1)


def _matrix(sets: dict[tuple[int, ...], int], width: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return a row for each set, with a one at the position of each of its names, and the size of each set."""
    import numpy as np

    is_in = np.zeros((len(sets), width), dtype=np.int64)
    for row, positions in enumerate(sets):
        is_in[row, list(positions)] = 1
    return is_in, np.array(list(sets.values()), dtype=np.int64)
