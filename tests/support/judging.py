"""What hosts can reuse, in plain SQL over the columns of the table `requirements`, and specs made up to ask about.

It is written from the rules as Spack has them, and reads no text of a requirement.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import archspec.cpu
import duckdb
import polars as pl
from hypothesis import strategies as st

import cachestats as cs
from cachestats.schema import REQUIREMENTS, SPECS
from cachestats.targets import targets_table

RULES = (None, "0.21", "0.23", "1.1")
SNAPSHOTS = {"develop": "1.1", "v0.23.1": "0.23", "v0.21.0": "0.21"}
MACOS = ["ventura", "sonoma", "sequoia"]
GLIBC = {"ubuntu18.04": "2.27", "ubuntu20.04": "2.31", "ubuntu22.04": "2.35", "ubuntu24.04": "2.39", "rhel8": "2.28"}
GLIBC |= {"rhel8.4": "2.28", "rhel9": "2.34", "amzn2": "2.26"}
CUDA = "cuda@12.4 prefix=/usr/local/cuda"
APPLE = "apple-libuuid@1 prefix=/sdk"

HOSTS = (
    cs.Host("zen4", os="ubuntu22.04"),
    cs.Host("zen4", os="rhel9"),
    cs.Host("zen4", os="unheard7", libc="glibc@2.35"),
    cs.Host("m2", os="sonoma"),
    cs.Host("zen2", os="ubuntu24.04"),
    cs.Host("x86_64_v4", os="rhel8", libc="glibc@2.9"),
    cs.Host("icelake", os="ubuntu24.04"),
    cs.Host("unheard", os="ubuntu22.04"),
    cs.Host("neoverse_v2", os="ubuntu22.04"),
    cs.Host("zen4", os="alpine3.20"),
    cs.Host("m1", os="sequoia"),
    cs.Host("zen4", os="rhel8", platform="cray"),
)

X86 = ["x86_64_v3", "x86_64", "zen4", "zen2", "zen3", "x86_64_v4", "icelake", "unheard"]
ARM = ["aarch64", "armv8.2a", "armv8.5a", "neoverse_v1", "neoverse_v2"]
RUNS = pl.DataFrame(targets_table(["unheard"]))
_USUAL = pl.DataFrame([*GLIBC.items()], schema=["os", "usual_version"], orient="row")


def _mostly(value: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([value] * 6 * len(others) + [*others])


_LINUX = {
    "platform": _mostly("linux", "cray"),
    "target": st.sampled_from([*X86[:3] * 5, *X86, *ARM]),
    "other_target": _mostly(None, *X86),
    "os": st.sampled_from(["ubuntu22.04", "rhel8", "rhel9", "rhel8.4", "unheard7"]),
    "other_os": _mostly(None, "ubuntu24.04"),
    "libc": _mostly("glibc", None, "musl", "glibc at /opt/glibc"),
    "libc_version": st.sampled_from(["2.9", "2.28", "2.34", "2.35", "1.2.5"]),
    "external": st.sampled_from([None, None, CUDA]),
}
_MACOS = {
    "platform": st.just("darwin"),
    "target": st.sampled_from(["aarch64", "m1", "m2", "x86_64_v3"]),
    "other_target": _mostly(None, "aarch64"),
    "os": st.sampled_from(MACOS),
    "other_os": st.sampled_from([None, *MACOS]),
    "libc": st.none(),
    "libc_version": st.none(),
    "external": st.sampled_from([None, APPLE, CUDA]),
}
_ANY = {
    "package": st.sampled_from("ab"),
    "version": st.sampled_from(["1.9", "1.10", "main"]),
    "is_assumed": _mostly(False, True),
    "spec_format": _mostly(5, 4),
    "missing": _mostly(None, "gone/0123456"),
    "excluded": _mostly(None, "compiler-wrapper"),
    "compiler": st.sampled_from(["gcc@13", None]),
}
_specs = st.one_of(*(st.fixed_dictionaries(_ANY | fields) for fields in [_LINUX] * 5 + [_MACOS]))
_places = st.fixed_dictionaries(
    {"snapshot": st.sampled_from([*SNAPSHOTS]), "stack": st.sampled_from(["e4s", "root", None])}
)

Frames = tuple[pl.DataFrame, pl.DataFrame]


def _frames(found: list[tuple[dict[str, Any], dict[str, Any]]]) -> Frames:
    specs, needs = [], {}
    for fields, place in found:
        need = _requirement(fields, place["snapshot"])
        needs[need["snapshot"], need["requirement"]] = need
        said = {name: fields[name] for name in ("package", "version", "platform", "os", "target", "compiler")}
        # A hash stands for all that a spec is.
        digest = "|".join([*map(str, said.values()), need["requirement"].rpartition(" spack=")[0]])
        specs.append(said | place | {"hash": digest, "requirement": need["requirement"]})
    return (
        pl.DataFrame(specs, schema=SPECS.polars()),
        pl.DataFrame([*needs.values()], schema=REQUIREMENTS.polars()),
    )


def _requirement(fields: dict[str, Any], snapshot: str) -> dict[str, Any]:
    """Return a row of `requirements`: what the fields of a spec say, and the text that stands for it."""
    rules = SNAPSHOTS[snapshot]
    oses = {fields["os"], fields["other_os"]} - {None}
    if fields["platform"] == "darwin":
        oses = {max(oses, key=MACOS.index)}
    targets = {fields["target"], fields["other_target"]} - {None}
    targets = {one for one in targets if not any(one in ancestors(other) for other in targets)}
    libc, version, spec_format = fields["libc"], fields["libc_version"], fields["spec_format"]
    names_libc = libc is not None or fields["platform"] != "linux"
    external, missing = fields["external"], fields["missing"]
    if fields["is_assumed"]:
        oses, targets, external, missing = {fields["os"]}, {fields["target"]}, None, None
        libc = version = None
        if rules != "0.21" and fields["os"] in GLIBC:
            libc, version = "glibc", GLIBC[fields["os"]]
        spec_format = 5 if rules == "1.1" else 4
        names_libc = fields["platform"] != "linux" or rules != "0.21"
    words = [f"platform={fields['platform']}", *(f"os={one}" for one in sorted(oses))]
    words += [f"target={one}" for one in sorted(targets)]
    if libc is not None:
        name, _, prefix = libc.partition(" at ")
        words.append(f"'libc={name}@{version} prefix={prefix}'" if prefix else f"libc={name}@{version}")
    words += [] if names_libc else ["libc=none"]
    words.append(f"format={spec_format}")
    words += [] if missing is None else [f"missing={missing}"]
    words += [] if fields["excluded"] is None else [f"excluded={fields['excluded']}"]
    words += [] if external is None else [f"'external={external}'"]
    words += [f"spack={rules}", *(["assumed"] if fields["is_assumed"] else [])]
    return {
        "snapshot": snapshot,
        "requirement": " ".join(words),
        "platform": fields["platform"],
        "os": ",".join(sorted(oses)),
        "target": ",".join(sorted(targets)),
        "libc": libc,
        "libc_version": None if libc is None else version,
        "libc_version_key": None if libc is None else f"v{''.join(f'{int(part):04}.' for part in version.split('.'))}",
        "names_libc": names_libc,
        "spec_format": spec_format,
        "missing": missing,
        "excluded": fields["excluded"],
        "externals": None if external == APPLE else external,
        "reuse_rules": rules,
        "is_assumed": fields["is_assumed"],
    }


def ancestors(target: str) -> set[str]:
    known = archspec.cpu.TARGETS.get(target)
    return {str(one) for one in known.ancestors} if known else set()


hosts = st.sampled_from(HOSTS[:4] * 6 + HOSTS)
_rows = st.tuples(_specs, _places)
needs = (st.lists(_rows, max_size=6) | st.lists(_rows, min_size=8, max_size=25)).map(_frames)
"""Specs, and the rows of `requirements` that belong to them."""

_JUDGED = f"""
    WITH pairs AS (
        SELECT hosts.*, requirements.os AS needs_os,
            requirements.* EXCLUDE (os, libc, libc_version),
            coalesce($rules, reuse_rules) AS rules,
            host_platform = 'linux' AND rules <> '0.21' AS compares_libc,
            needs_os IS NOT DISTINCT FROM host_os AS is_same_os,
            is_assumed AND requirements.libc IS NULL AND NOT is_same_os AS is_by_os,
            usual_version,
            CASE WHEN NOT is_by_os THEN requirements.libc WHEN usual_version IS NOT NULL THEN 'glibc' END AS libc,
            CASE WHEN is_by_os THEN usual_version ELSE requirements.libc_version END AS libc_version,
            (SELECT list(runs.target) FROM runs WHERE runs.runs_on = hosts.runs_on) AS run
        FROM requirements LEFT JOIN usual ON usual.os = requirements.os CROSS JOIN hosts
    ),
    facts AS (
        SELECT *,
            CASE WHEN rules = '0.23' AND NOT names_libc THEN 'names no libc'
                 WHEN host_libc IS NULL AND is_same_os THEN NULL
                 WHEN is_by_os AND usual_version IS NULL THEN concat('libc of ', needs_os, ' is not known')
                 WHEN libc IS NOT NULL AND (libc <> host_libc OR host_libc IS NULL OR
                    list_transform(string_split(libc_version, '.'), lambda part: TRY_CAST(part AS INT)) >
                    list_transform(string_split(host_libc_version, '.'), lambda part: TRY_CAST(part AS INT)))
                 THEN concat(regexp_replace(libc, ' at .*', ''), '@', libc_version, regexp_extract(libc, ' at .*'))
            END AS no_libc,
            CASE WHEN is_same_os OR host_platform = 'darwin'
                    AND list_position({MACOS}, needs_os) <= list_position({MACOS}, host_os) THEN NULL
                 ELSE array_to_string(list_filter(string_split(needs_os, ','),
                    lambda one: host_platform = 'darwin' OR one IS DISTINCT FROM host_os), ', ')
            END AS no_os,
            list_filter(string_split(target, ','), lambda one: NOT list_contains(run, one)) AS no_targets,
            regexp_replace(externals, ' prefix=', ' at ') AS undeclared
        FROM pairs
    ),
    verdicts AS (
        SELECT snapshot, requirement, runs_on, host_os, host_libc, host_libc_version,
            CASE WHEN rules = '1.1' AND excluded IS NOT NULL THEN 'excluded'
                 WHEN platform <> host_platform THEN 'platform'
                 WHEN no_targets <> [] THEN 'target'
                 WHEN compares_libc AND no_libc IS NOT NULL THEN 'libc'
                 WHEN NOT compares_libc AND no_os IS NOT NULL THEN 'os'
                 WHEN rules = '1.1' AND spec_format < 5 THEN 'format'
                 WHEN missing IS NOT NULL THEN 'incomplete'
                 WHEN externals IS NOT NULL AND NOT declares THEN 'external'
                 ELSE 'usable'
            END AS verdict,
            CASE verdict WHEN 'excluded' THEN excluded WHEN 'platform' THEN platform
                 WHEN 'target' THEN array_to_string(no_targets, ', ') WHEN 'libc' THEN no_libc WHEN 'os' THEN no_os
                 WHEN 'format' THEN concat('format ', spec_format) WHEN 'incomplete' THEN missing
                 WHEN 'external' THEN undeclared
            END AS why
        FROM facts
    ),
    judged AS (
        SELECT specs.* EXCLUDE (libc, libc_version), verdicts.* EXCLUDE (snapshot, requirement),
            CASE WHEN verdict = 'usable' AND target = runs_on THEN 'native' ELSE verdict END AS status
        FROM specs JOIN verdicts USING (snapshot, requirement)
    )
"""


def ask(query: str, frames: Frames, hosts: Iterable[cs.Host], rules: str | None = None) -> list[tuple[Any, ...]]:
    """Answer a query over `judged`: every spec of every stack with every host, and `status` and `why`."""
    rows = []
    for host in hosts:
        libc, _, version = (host.libc or "").partition("@")
        place = (host.target, host.platform, host.os, libc or None, version or None)
        rows.append((*place, host.externals is not None))
    columns = ("runs_on", "host_platform", "host_os", "host_libc", "host_libc_version")
    described = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String) | {"declares": pl.Boolean}, orient="row")
    with duckdb.connect(config={"threads": 1}) as database:
        tables = {"specs": frames[0], "requirements": frames[1], "hosts": described, "usual": _USUAL, "runs": RUNS}
        for name, frame in tables.items():
            database.register(name, frame)
        return database.execute(f"{_JUDGED} {query}", {"rules": rules}).fetchall()
