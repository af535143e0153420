"""What a report shows of hosts, against plain SQL, over specs that are made up."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.reuse import REUSED
from cachestats.hosts import host_of
from cachestats.naming import natural_key
from cachestats.report.matrix import Matrices
from cachestats.targets import target_order
from tests.support.judging import SNAPSHOTS, Frames, ask, needs

STATES = ("native", "usable", "missing", "none")


@given(needs, st.sampled_from([*SNAPSHOTS]))
def test_any_matrix_is_as_in_sql(frames: Frames, snapshot: str) -> None:
    specs = frames[0].filter(snapshot=snapshot)
    matrices: Any = Matrices(specs)
    platforms = specs.select("platform", "os").unique().join(specs.select("platform", "target").unique(), on="platform")
    hosts = [host_of(*row) for row in platforms.select("target", "platform", "os").rows()]
    query = f"""
        SELECT package, host_os, runs_on, count(DISTINCT hash) FILTER (status = 'native')
        FROM judged WHERE snapshot = '{snapshot}' AND status IN {REUSED} GROUP BY ALL
    """
    reused = {tuple(key): number for *key, number in ask(query, frames, hosts)}
    pairs = set(specs.select("os", "target").rows())
    covered: dict[str, dict[str, str]] = {}
    for package, target, cell in cs.coverage(specs, rows="package", columns="target", usable=True).rows():
        covered.setdefault(package, {})[target] = cell
    for package in "abc":
        own = set(specs.filter(package=package)["os"])
        cells = {}
        for os, target in itertools.product(set(specs["os"]), set(specs["target"])):
            number = reused.get((package, os, target))
            state = "missing" if (os, target) in pairs else "none"
            cells[os, target] = (state, 0) if number is None else ("native", number) if number else ("usable", 0)
        there = {place for place, (state, _) in cells.items() if state in REUSED}
        rows = sorted(own | {os for os, _ in there}, key=natural_key)
        columns = {target for os, target in pairs | there if os in rows}
        found = matrices.of(package)
        if not own:
            assert found is None
            continue
        assert found.targets == sorted(columns, key=target_order)
        assert [*found.rows] == rows
        assert found.rows == {os: [cells[os, target] for target in found.targets] for os in rows}
        best = found.best()
        assert best.keys() <= columns
        assert {target: best.get(target, "missing") for target in set(specs["target"])} == covered[package]


def test_a_system_on_two_platforms_has_the_best_of_both() -> None:
    requirement = "platform={} os=sles15 target=zen4 libc=glibc@2.31 format=5 spack=1.1"
    specs = pl.DataFrame(
        [
            {"snapshot": "develop", "package": name, "hash": name, "platform": platform, "os": "sles15"}
            | {"target": "zen4", "requirement": requirement.format(platform)}
            for name, platform in (("a", "cray"), ("b", "linux"))
        ]
    )
    matrices = Matrices(specs)
    assert [matrices.of(name) for name in "ab"] == [(["zen4"], {"sles15": [("native", 1)]})] * 2
