"""The same work as `cachestats build`, the plain way: PyYAML for each page, Python loops, Polars frames.

    python benchmarks/peers/yaml_polars_build.py FOLDER OUT

Run on a sample: nearly all of its time goes into the YAML parser, at some 4 MB/s with libyaml.
"""

from __future__ import annotations

import argparse
import datetime
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import yaml

COMPILERS = {
    "arm": "acfl",
    "clang": "llvm",
    "intel": "intel-oneapi-compiler-classic",
    "intel-oneapi-compilers-classic": "intel-oneapi-compiler-classic",
    "oneapi": "intel-oneapi-compilers",
    "rocmcc": "llvm-amdgpu",
}
SPECS = {
    "package": pl.String,
    "version": pl.String,
    "snapshot": pl.String,
    "snapshot_date": pl.Date,
    "hash": pl.String,
    "platform": pl.String,
    "os": pl.String,
    "target": pl.String,
    "compiler": pl.String,
    "compiler_name": pl.String,
    "compiler_version": pl.String,
    "stack": pl.String,
    "variants": pl.String,
    "size_bytes": pl.Int64,
}
VARIANTS = {"snapshot": pl.String, "hash": pl.String, "variant": pl.String, "value": pl.String, "sign": pl.String}

Rows = list[tuple[Any, ...]]


def build(folder: Path, out: Path) -> None:
    """Read all pages, then write the tables of each snapshot."""
    specs: dict[str, Rows] = defaultdict(list)
    variants: dict[str, Rows] = defaultdict(list)
    for path in folder.glob("_cache/*/*/specs.md"):
        front_matter = yaml.load(path.read_text(encoding="utf-8").strip("-\n"), Loader=yaml.CSafeLoader)
        snapshot = front_matter["categories"][1]
        for spec in front_matter["spec_details"]:
            words = sorted((named(word) for word in set(spec["variants"])), key=lambda word: (word[0], word[2]))
            texts = " ".join(text for _, _, text, _ in words)
            specs[snapshot] += spec_rows(front_matter["title"], snapshot, spec, texts)
            variants[snapshot] += [
                (snapshot, spec["hash"], name, value, sign) for name, values, _, sign in words for value in values
            ]
    for name, tables, schema, key in (
        ("specs", specs, SPECS, ["package", "hash", "stack"]),
        ("variants", variants, VARIANTS, ["hash", "variant", "value"]),
    ):
        (out / name).mkdir(parents=True)
        for snapshot, rows in tables.items():
            frame = pl.DataFrame(rows, schema=schema, orient="row").unique(key).sort(key)
            frame.write_parquet(out / name / f"{snapshot}.parquet", compression="zstd", compression_level=1)


def spec_rows(package: str, snapshot: str, spec: dict[str, Any], variants: str) -> Rows:
    """Return a row for each stack of one spec."""
    name, _, version = spec["compiler"].partition("@")
    name, version = COMPILERS.get(name, name), version.removeprefix("=")
    compiler = (f"{name}@{version}" if version else name, name, version or None)
    if name == "none":
        compiler = (None, None, None)
    dated = re.fullmatch(r"develop-(\d{4}-\d\d-\d\d)", snapshot)
    date = datetime.date.fromisoformat(dated[1]) if dated else None
    common = (package, spec["versions"][0], snapshot, date, spec["hash"], spec["platform"], spec["os"], spec["target"])
    return [(*common, *compiler, stack, variants, None) for stack in spec["stacks"]]


def named(word: str) -> tuple[str, list[str], str, str]:
    """Return the name, the values, the canonical text and the sign of one variant."""
    if word.startswith(("+", "~")):
        return word[1:], ["true" if word[0] == "+" else "false"], word, word[0]
    name, _, values = word.partition("=")
    sign = ":=" if name.endswith(":") else "="
    name = name.removesuffix(":")
    return name, values.split(","), f"{name}={values}", sign


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    build(arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
