"""Write a site checkout with the shape of the public one: the input of the benchmarks.

    python benchmarks/make_corpus.py FOLDER [--snapshots 10] [--pages 1200] [--seed 1]

One page per snapshot and package in the site's present template. Specs a page are log-normal (mean about 16, a few
packages have hundreds), a spec has 1 to 20 variants and stands in about 2.8 stacks with `root`, at about 450 bytes a
spec. The same arguments write the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
from pathlib import Path

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
STACKS = (
    "aws-pcluster-x86_64_v4 build_systems data-vis-sdk developer-tools-x86_64_v3-linux-gnu e4s e4s-neoverse-v2 "
    "e4s-oneapi e4s-rocm-external hep ml-darwin-aarch64-mps ml-linux-x86_64-cpu ml-linux-x86_64-cuda radiuss tutorial"
).split()
MACHINES = [
    ("linux", "ubuntu22.04", "x86_64_v3", ("gcc@11.4.0", "intel-oneapi-compilers@2024.2.1", "llvm@17.0.6")),
    ("linux", "ubuntu24.04", "x86_64_v3", ("gcc@13.2.0", "llvm@19.1.7", "none")),
    ("linux", "ubuntu24.04", "aarch64", ("gcc@13.2.0", "none")),
    ("linux", "ubuntu22.04", "neoverse_v2", ("gcc@12.3.0",)),
    ("linux", "amzn2", "x86_64_v4", ("gcc@7.3.1", "gcc@12.3.0")),
    ("linux", "rhel8", "zen4", ("gcc@12.3.0", "none")),
    ("darwin", "sequoia", "m1", ("apple-clang@16.0.0", "none")),
]
BUILD_SYSTEMS = ("autotools", "cmake", "generic", "makefile", "python_pip", "meson")
SPECS_A_PAGE = (2.13, 1.18)  # mu and sigma of the log-normal: median 8, mean 16


def write_corpus(folder: Path, *, snapshots: int, pages: int, seed: int) -> dict[str, int]:
    """Write `snapshots` x `pages` pages below `folder`/_cache and return the counts of what was written."""
    packages = [_Package(f"{name}-{i:04d}", random.Random(f"{seed}/{i}")) for i, name in enumerate(_names(pages))]
    counts = {"snapshots": 0, "pages": 0, "specs": 0, "rows": 0, "bytes": 0}
    for snapshot in _snapshot_names(snapshots):
        rng = random.Random(f"{seed}/{snapshot}")
        for package in packages:
            specs = package.specs(rng)
            text = page(package.name, snapshot, specs)
            path = folder / "_cache" / snapshot / package.name / "specs.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            counts["pages"] += 1
            counts["specs"] += len(specs)
            counts["rows"] += sum(len(spec["stacks"]) for spec in specs)
            counts["bytes"] += len(text)
        counts["snapshots"] += 1
    return counts


def page(package: str, snapshot: str, specs: list[dict]) -> str:
    """Return one page of the site's present template."""

    def values(key: str) -> list[str]:
        return sorted({spec[key] for spec in specs})

    stacks = sorted({stack for spec in specs for stack in spec["stacks"]})
    meta = {
        "compilers": values("compiler"),
        "num_specs": len(specs),
        "num_specs_by_stack": {stack: sum(stack in spec["stacks"] for spec in specs) for stack in stacks},
        "oss": values("os"),
        "platforms": values("platform"),
        "stacks": stacks,
        "targets": values("target"),
        "versions": sorted({spec["versions"][0] for spec in specs}),
    }
    return (
        f'---\ntitle: "{package}"\nlayout: cache\ncategories: [package, {snapshot}]\n'
        f"meta: {json.dumps(meta)}\nspec_details: {json.dumps(specs)}\n---"
    )


class _Package:
    """What stays the same of one package from snapshot to snapshot."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = name
        self.mean_specs = max(1.0, rng.lognormvariate(*SPECS_A_PAGE))
        self.build_system = f"build_system={rng.choice(BUILD_SYSTEMS)}"
        self.options = sorted(f"option_{rng.randrange(400)}" for _ in range(min(19, int(rng.expovariate(1 / 5)))))
        self.versions = [f"{rng.randrange(1, 9)}.{rng.randrange(30)}.{rng.randrange(10)}" for _ in range(3)]

    def specs(self, rng: random.Random) -> list[dict]:
        count = max(1, round(self.mean_specs * rng.uniform(0.9, 1.1)))
        return sorted((self._spec(rng) for _ in range(count)), key=lambda spec: spec["hash"])

    def _spec(self, rng: random.Random) -> dict:
        platform, os, target, compilers = rng.choice(MACHINES)
        return {
            "compiler": rng.choice(compilers),
            "hash": "".join(rng.choices(BASE32, k=32)),
            "os": os,
            "platform": platform,
            "size": "-",
            "stacks": sorted({*rng.choices(STACKS, k=rng.choice((1, 1, 2, 2, 3))), "root"}),
            "target": target,
            "variants": [self.build_system, *(self._variant(name, rng) for name in dict.fromkeys(self.options))],
            "versions": [rng.choice(self.versions)],
        }

    def _variant(self, name: str, rng: random.Random) -> str:
        number = int(name.removeprefix("option_"))
        if number % 8 == 0:
            return f"{name}={rng.choice(('Release', 'Debug', 'shared,static', '14', 'none'))}"
        return ("+" if rng.random() < 0.5 else "~") + name


def _names(count: int) -> list[str]:
    stems = ("py-", "r-", "", "", "lib", "perl-", "")
    return [stems[i % len(stems)] + "package" for i in range(count)]


def _snapshot_names(count: int) -> list[str]:
    first = datetime.date(2023, 5, 14)
    return [f"develop-{first + datetime.timedelta(weeks=i)}" for i in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--snapshots", type=int, default=10)
    parser.add_argument("--pages", type=int, default=1200, help="pages a snapshot")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts = write_corpus(
        arguments.folder, snapshots=arguments.snapshots, pages=arguments.pages, seed=arguments.seed
    )
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
