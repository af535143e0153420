"""The same work as `cachestats build` of an index, the plain way: orjson, Python loops, Arrow tables sorted by Arrow.

    python benchmarks/peers/orjson_index.py MIRROR OUT

It does a little less than cachestats: it trusts the index and its checksum, takes nodes of spec files 2 and later, and
records no rejections. Columns are lists that pyarrow takes over, one table after the other.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

COMPILERS = {
    "arm": "acfl",
    "clang": "llvm",
    "intel": "intel-oneapi-compiler-classic",
    "intel-oneapi-compilers-classic": "intel-oneapi-compiler-classic",
    "oneapi": "intel-oneapi-compilers",
    "rocmcc": "llvm-amdgpu",
}
FLAGS = {"cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"}
Node = dict[str, Any]
Columns = dict[str, Any]
Variants = list[tuple[str, str, list[str], str]]


def build(mirror: Path, out: Path) -> None:
    """Read the index, then make and write one table after the other."""
    gc.disable()  # else the collector looks at all of the millions of objects, time and again
    installs = orjson.loads((mirror / "build_cache" / "index.json").read_bytes())["database"]["installs"]
    nodes = {key: record["spec"] for key, record in installs.items()}
    cached = {
        key: nodes[key] for key, record in installs.items() if record["in_buildcache"] and "external" not in nodes[key]
    }
    lists = [spelled(node["parameters"]) for node in cached.values()]
    write(specs(mirror.name, cached, nodes, lists), out / "specs", mirror.name, ["package", "hash", "stack"])
    write(variants(mirror.name, cached, lists), out / "variants", mirror.name, ["hash", "variant", "value"])
    write(dependencies(mirror.name, cached, nodes), out / "dependencies", mirror.name, ["hash", "dependency_hash"])


def write(columns: Columns, folder: Path, snapshot: str, key: list[str]) -> None:
    """Write a table, sorted."""
    table = pa.table(columns).sort_by([(column, "ascending") for column in key])
    folder.mkdir(parents=True)
    pq.write_table(table, folder / f"{snapshot}.parquet", compression="zstd")


def specs(snapshot: str, cached: dict[str, Node], nodes: dict[str, Node], lists: list[Variants]) -> Columns:
    """Return a row for each cached spec."""
    dated = re.fullmatch(r"develop-(\d{4}-\d\d-\d\d)", snapshot)
    date = datetime.date.fromisoformat(dated[1]) if dated else None
    archs = [node["arch"] for node in cached.values()]
    targets = [arch["target"] for arch in archs]
    compilers = [compiler(node, nodes) for node in cached.values()]
    text = pa.string()
    return {
        "package": pa.array([node["name"] for node in cached.values()], text),
        "version": pa.array([node["version"] for node in cached.values()], text),
        "snapshot": pa.repeat(snapshot, len(cached)),
        "snapshot_date": pa.repeat(pa.scalar(date, pa.date32()), len(cached)),
        "hash": pa.array(list(cached), text),
        "platform": pa.array([arch["platform"] for arch in archs], text),
        "os": pa.array([arch["platform_os"] for arch in archs], text),
        "target": pa.array([target if isinstance(target, str) else target["name"] for target in targets], text),
        "compiler": pa.array([f"{name}@{number}" if name else None for name, number in compilers], text),
        "compiler_name": pa.array([name for name, _ in compilers], text),
        "compiler_version": pa.array([number for _, number in compilers], text),
        "stack": pa.repeat("root", len(cached)),
        "variants": pa.array([" ".join(text for _, text, *_ in of_spec) for of_spec in lists], text),
        "size_bytes": pa.nulls(len(cached), pa.int64()),
    }


def compiler(node: Node, nodes: dict[str, Node]) -> tuple[str | None, str | None]:
    """Return the name and the version of a node's compiler, as Spack spells them at present."""
    if "compiler" in node:
        name, version = node["compiler"]["name"], node["compiler"]["version"]
    elif "compiler" in node["annotations"] and node["annotations"]["original_specfile_version"] < 5:
        name, _, version = node["annotations"]["compiler"].partition("@")
    else:
        provides = {
            language: edge["hash"]
            for edge in reversed(node.get("dependencies", ()))
            for language in edge["parameters"]["virtuals"]
            if edge["hash"] in nodes
        }
        found = provides.get("c") or provides.get("cxx") or provides.get("fortran")
        if found is None:
            return None, None
        name, version = nodes[found]["name"], nodes[found]["version"]
    return COMPILERS.get(name, name), version.removeprefix("=")


def spelled(parameters: dict[str, Any]) -> Variants:
    """Return the name, the text, the values and the sign of each variant, sorted."""
    variants = []
    for name, value in parameters.items():
        if name in FLAGS:
            continue
        if isinstance(value, bool):
            sign = "+" if value else "~"
            variants.append((name, f"{sign}{name}", ["true" if value else "false"], sign))
            continue
        if name == "patches":
            value = [patch[:7] for patch in value]
        text, sign = (value, "=") if isinstance(value, str) else (",".join(value), ":=")  # database version 8
        variants.append((name, f"{name}={text}", sorted(set(text.split(","))), sign))
    variants.sort()
    return variants


def variants(snapshot: str, cached: dict[str, Node], lists: list[Variants]) -> Columns:
    """Return a row for each value of each variant."""
    hashes, names, values, signs = [], [], [], []
    for key, of_spec in zip(cached, lists, strict=True):
        for name, _, of_name, sign in of_spec:
            for value in of_name:
                hashes.append(key)
                names.append(name)
                values.append(value)
                signs.append(sign)
    text = pa.string()
    return {
        "snapshot": pa.repeat(snapshot, len(hashes)),
        "hash": pa.array(hashes, text),
        "variant": pa.array(names, text),
        "value": pa.array(values, text),
        "sign": pa.array(signs, text),
    }


def dependencies(snapshot: str, cached: dict[str, Node], nodes: dict[str, Node]) -> Columns:
    """Return a row for each spec that a spec depends on."""
    hashes = [key for key, node in cached.items() for _ in node.get("dependencies", ())]
    edges = [edge for node in cached.values() for edge in node.get("dependencies", ())]
    types = [edge["parameters"]["deptypes"] if "parameters" in edge else edge["type"] for edge in edges]
    virtuals = [edge["parameters"]["virtuals"] if "parameters" in edge else () for edge in edges]
    text = pa.string()
    return {
        "snapshot": pa.repeat(snapshot, len(edges)),
        "hash": pa.array(hashes, text),
        "dependency_hash": pa.array([edge["hash"] for edge in edges], text),
        "dependency_package": pa.array([edge["name"] for edge in edges], text),
        **{f"is_{kind}": pa.array([kind in of_edge for of_edge in types]) for kind in ("build", "link", "run", "test")},
        "virtuals": pa.array([",".join(sorted(of_edge)) or None for of_edge in virtuals], text),
        "is_external": pa.array(
            ["external" in nodes[edge["hash"]] if edge["hash"] in nodes else None for edge in edges], pa.bool_()
        ),
    }


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    build(arguments.mirror, arguments.out)


if __name__ == "__main__":
    main()
