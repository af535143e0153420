"""Generated caches, for the tests: specs that look alike or not, and what they depend on."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import strategies as st

from cachestats.schema import DEPENDENCIES, SPECS

SNAPSHOTS = ("develop", "v1.0")
CACHED = "abcdef"
GONE = "yz"  # hashes that no snapshot has


@st.composite
def caches(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return specs and dependencies of a cache: no circles, and a hash says the same in all rows of its snapshot."""
    specs: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for snapshot in SNAPSHOTS:
        package = {hash_: draw(st.sampled_from(["p", "q", "r"])) for hash_ in CACHED + GONE}
        external = {hash_: draw(st.sampled_from([True, False, None])) for hash_ in GONE}
        for place, hash_ in enumerate(CACHED):
            spec = {
                "snapshot": snapshot, "hash": hash_, "package": package[hash_], "version": "1", "platform": "linux",
                "os": "o", "target": draw(st.sampled_from(["x", "y"])), "variants": "",
                "compiler": draw(st.sampled_from([None, "gcc@1"])),
                "flags": draw(st.sampled_from(["", "", "", "cflags=-O3", None])),
                "namespace": draw(st.sampled_from(["builtin"] * 4 + ["ours", None])),
                "package_hash": draw(st.sampled_from(["r1", "r1", "r2", None])),
                "spec_format": draw(st.sampled_from([5] * 20 + [None])),
                "size_bytes": draw(st.sampled_from([None, 1, 2, 5])),
            }  # fmt: skip
            specs += [spec | {"stack": stack} for stack in draw(st.sets(st.sampled_from(["e4s", "root", None])))]
            edges += [
                {
                    "snapshot": snapshot, "hash": hash_, "dependency_hash": needed,
                    "dependency_package": draw(st.sampled_from([None, *[package[needed]] * 3])),
                    **{f"is_{kind}": draw(st.booleans()) for kind in ("build", "link", "run", "test")},
                    "is_external": external.get(needed, False),
                }
                for needed in draw(st.sets(st.sampled_from(CACHED[place + 1 :] + GONE), max_size=3))
            ]  # fmt: skip
    return pl.DataFrame(specs, schema=SPECS.polars()), pl.DataFrame(edges, schema=DEPENDENCIES.polars())


def one_snapshot() -> st.SearchStrategy[tuple[pl.DataFrame, pl.DataFrame]]:
    """Return specs and dependencies of one snapshot of such a cache, as if an index had listed every spec."""
    here = pl.col("snapshot") == SNAPSHOTS[0]
    is_indexed = pl.lit(5, pl.Int64).alias("spec_format")
    return caches().map(lambda cache: (cache[0].filter(here).with_columns(is_indexed), cache[1].filter(here)))
