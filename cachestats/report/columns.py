"""The specs of every snapshot as columns of small numbers, from which the pages of a report count what is asked.

`columns/<snapshot>.js` has a row for each spec of a snapshot, sorted by package and `id`. The numbers are positions of
names in `names.js`, which also says what decides on reuse, so that a page can judge any host. `variants.js` says which
variants stand in each of the texts that the column `variants` refers to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from cachestats.axes import STATES
from cachestats.dataset.subset import Subset
from cachestats.naming import UNION_STACK, split_variants
from cachestats.report.paths import link_to, path_of
from cachestats.report.ranks import Ranks
from cachestats.report.scripts import write_columns, write_json
from cachestats.requirement import LIBC_PREFIX, Requirement
from cachestats.spack_releases import (
    DECLARED_BY_SPACK,
    FORMAT_OF_SPACK_1,
    MACOS,
    PRESENT_COMPILER_NAMES,
    RULES,
    known_oses,
    usual_libc,
)
from cachestats.targets import known_targets, runnable, target_order

NAMES, VARIANTS = "names.js", "variants.js"
_PLAIN = ("package", "version", "platform", "os", "target", "compiler", "flags", "namespace")
"""Columns with names that are listed as they are."""
COLUMNS = (*_PLAIN, "stacks", "variants", "libc", "libc_version", "requirement", "size_bytes")
"""Columns of rows that are written."""
_TEXTS_AT_ONCE = 20_000  # to bound the memory
_QUOTED = r"['\"\\]"


def write_columns_of_snapshots(rows: pl.DataFrame, ranks: Ranks, subset: Subset, folder: Path) -> None:
    """Write the columns of all snapshots, and the scripts with the names in them."""
    requirements, positions = _requirements(ranks)
    condition = pl.col("requirement").replace_strict(range(len(positions)), positions, return_dtype=pl.UInt32)
    names = {column: ranks.names[column].to_list() for column in _PLAIN}
    libcs, versions = ranks.names["libc"], ranks.names["libc_version"]
    names["libc"] = [_libc(name, version) for name in libcs for version in versions]
    wanted = subset.filters.get("stack")
    head = {
        "current": subset.names[-1],
        "axes": _axes(rows, ranks),
        "snapshots": _snapshots(subset),
        "names": names,
        "sets": [_chosen(stacks, wanted) for stacks in ranks.names["stacks"].to_list()],
        "requirements": requirements,
        "states": STATES,
        "hosts": _hosts(ranks, requirements),
        "has_sizes": bool((rows["size_bytes"] >= 0).any()),
        "compilers": PRESENT_COMPILER_NAMES,
        "links": {
            # The page of any other package is `packages/<package>.html`.
            name: [path, link_to("specs", name)]
            for name in names["package"][1:]
            if (path := link_to("packages", name)) != f"packages/{name}.html"
        },
    }
    write_json(folder / NAMES, head)
    for position, snapshot in enumerate(ranks.names["snapshot"]):
        # One at a time: the columns of all of them at once would take twice the memory of the rows.
        here = rows.lazy().filter(snapshot=position).sort("package", "id", maintain_order=True)
        columns = here.select(
            *_PLAIN,
            "stacks",
            "variants",
            libc=pl.col("libc").cast(pl.UInt32) * len(versions) + pl.col("libc_version"),
            requirement=condition,
            size=pl.col("size_bytes") + 1,
            step=pl.col("id") - pl.col("id").shift(fill_value=0).over("package"),
        ).collect()
        write_columns(folder / path_of("columns", snapshot), {"snapshot": snapshot}, dict(columns.to_dict()))


def _axes(rows: pl.DataFrame, ranks: Ranks) -> list[str]:
    """Return the dimensions that tell most at first sight: those in which the last snapshot has several names."""
    last = rows.filter(snapshot=len(ranks.names["snapshot"]) - 1)
    sets = ranks.names["stacks"].gather(last["stacks"].unique())
    numbers = {"stack": sets.explode().n_unique(), "target": last["target"].n_unique(), "os": last["os"].n_unique()}
    several = [name for name, number in numbers.items() if number > 1]
    return [*several, *(name for name in ("target", "os", "package") if name not in several)]


def _libc(name: str | None, version: str | None) -> str | None:
    return name and (f"{name}@{version}" if version else name)


def _chosen(stacks: list[str], wanted: tuple[str | None, ...] | None) -> list[str]:
    """Return the stacks of a set that a filter leaves."""
    if wanted is None or UNION_STACK in wanted:
        return stacks
    return [stack for stack in stacks if stack in wanted]


def _snapshots(subset: Subset) -> list[dict[str, Any]]:
    """Return what decides how expressions are read and specs are reused in each snapshot, oldest first."""
    table = subset.dataset.snapshots.select("snapshot", "reuse_rules", "has_dependencies").collect()
    facts = {name: (rules, has_dependencies) for name, rules, has_dependencies in table.iter_rows()}
    return [
        {
            "name": name,
            "script": link_to("columns", name),
            "page": link_to("snapshots", name),
            "is_spack_1": facts[name][0] == RULES[-1],
            "has_dependencies": facts[name][1],
        }
        for name in subset.names
    ]


def _requirements(ranks: Ranks) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the distinct conditions on hosts, and for each requirement the position of its own."""
    distinct: dict[str, tuple[int, dict[str, Any]]] = {}
    positions = []
    for text in ranks.names["requirement"]:
        condition = {} if text is None else _condition(Requirement.parse(text))
        position, _ = distinct.setdefault(repr(condition), (len(distinct), condition))
        positions.append(position)
    return [condition for _, condition in distinct.values()], positions


def _condition(requirement: Requirement) -> dict[str, Any]:
    """Return what a requirement asks of a host: what is missing, excluded or external counts, not its name."""
    declared = {name for platform in requirement.platforms for name in DECLARED_BY_SPACK.get(platform, ())}
    return {
        "platforms": requirement.platforms,
        "oses": requirement.oses,
        "targets": requirement.targets,
        # A libc elsewhere is on no host that can be asked about.
        "libcs": [f"{one.name}@{one.version}" if one.prefix == LIBC_PREFIX else None for one in requirement.libcs],
        "names_libc": requirement.names_libc,
        "is_old": requirement.spec_format is not None and requirement.spec_format < FORMAT_OF_SPACK_1,
        "is_incomplete": requirement.missing is not None,
        "is_excluded": requirement.excluded is not None,
        "needs_externals": any(external.name not in declared for external in requirement.externals),
        "rules": requirement.rules or RULES[-1],
        "is_assumed": requirement.is_assumed,
    }


def _hosts(ranks: Ranks, requirements: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the machines that can be asked about, and what they run."""
    targets = sorted(known_targets() | {*ranks.names["target"].drop_nulls()}, key=target_order)
    oses = {*known_oses(), *ranks.names["os"].drop_nulls(), *(os for one in requirements for os in one.get("oses", ()))}
    return {
        "runs": {target: runnable(target) for target in targets},
        "libcs": {os: usual_libc(os) for os in sorted(oses)},
        "macos": MACOS,
    }


def write_variants(texts: pl.Series, folder: Path) -> None:
    """Write the distinct variants and, for each text of variants, how many it has and which."""
    # Split twice: the variants of all texts at once take several times the memory of their numbers.
    names = pl.concat([part.explode().drop_nulls().unique() for part in _split(texts)]).unique().sort()
    positions = pl.DataFrame({"name": names, "position": pl.Series(range(len(names)), dtype=pl.UInt32)})
    lengths, members = [], []
    for part in _split(texts):
        lengths.append(part.list.len())
        found = pl.DataFrame({"name": part.explode().drop_nulls()}).join(positions, on="name", maintain_order="left")
        members.append(found["position"])
    columns = {"lengths": pl.concat(lengths), "members": pl.concat(members)}
    write_columns(folder / VARIANTS, {"names": names.to_list()}, columns)


def _split(texts: pl.Series) -> Iterator[pl.Series]:
    """Yield the variants of some texts at a time, as lists."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = texts.slice(start, _TEXTS_AT_ONCE).fill_null("")
        if some.str.contains(_QUOTED).any():
            yield pl.Series(map(split_variants, some), dtype=pl.List(pl.String))
        else:
            yield some.str.split(" ").list.filter(pl.element() != "")
