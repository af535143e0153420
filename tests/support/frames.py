"""Frames of specs that Hypothesis makes up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

from cachestats.schema import SPECS

PACKAGES = ("zlib", "gcc-runtime", "compiler-wrapper", "llvm", "cmake")
DATED = ("develop-2025-03-09", "develop-2025-03-16", "develop-2025-04-06")


def specs_of(snapshots: Sequence[str]) -> st.SearchStrategy[pl.DataFrame]:
    """Return specs in these snapshots; as in life a hash says all that is in a spec but where it stands."""
    spec = st.fixed_dictionaries(
        {
            "package": st.sampled_from(PACKAGES),
            "version": st.sampled_from(["1.9", "1.10", "develop"]),
            "target": st.sampled_from(["x86_64", "zen4", "unheard"]),
            "os": st.sampled_from(["rhel8", "ubuntu24.04"]),
            "compiler": st.none() | st.sampled_from(["gcc@13", "none"]),
            "compiler_name": st.sampled_from(["gcc"] * 4 + ["llvm"] * 3 + [None]),
        }
    )
    place = st.fixed_dictionaries(
        {
            "snapshot": st.sampled_from(snapshots),
            "hash": st.sampled_from("uvwxyz"),
            "stack": st.none() | st.sampled_from(["root", "e4s", "radiuss"]),
        }
    )

    def frame(of_hash: dict[str, dict[str, Any]], places: list[dict[str, Any]]) -> pl.DataFrame:
        rows = [row | of_hash[row["hash"]] for row in places]
        return pl.DataFrame(rows, schema=SPECS.polars())

    return st.builds(frame, st.fixed_dictionaries(dict.fromkeys("uvwxyz", spec)), st.lists(place, max_size=20))
