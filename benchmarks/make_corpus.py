"""Write a site checkout with the shape of the public one: the input of the benchmarks.

    python benchmarks/make_corpus.py FOLDER [--snapshots 10] [--pages 1200] [--specs 16] [--develop 0] [--seed 1]

One page per snapshot and package, in the site's present template. Specs a page are log-normal (median 8, a few packages
have hundreds), a spec has 1 to 20 variants and stands in about 2.8 stacks with `root`, at about 450 bytes a spec. The
specs of a page share a few variant configurations: about 0.4 distinct lists a spec, as on real pages. Snapshots before
April 2025 spell compilers as Spack did until then. The same arguments write the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
from pathlib import Path
from typing import Any

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
STACKS = [
    "aws-pcluster-x86_64_v4",
    "build_systems",
    "data-vis-sdk",
    "developer-tools-x86_64_v3-linux-gnu",
    "e4s",
    "e4s-neoverse-v2",
    "e4s-oneapi",
    "e4s-rocm-external",
    "hep",
    "ml-darwin-aarch64-mps",
    "ml-linux-x86_64-cpu",
    "ml-linux-x86_64-cuda",
    "radiuss",
    "tutorial",
]
MACHINES = [
    ("linux", "ubuntu22.04", "x86_64_v3", ("gcc@11.4.0", "intel-oneapi-compilers@2024.2.1", "llvm@17.0.6")),
    ("linux", "ubuntu24.04", "x86_64_v3", ("gcc@13.2.0", "llvm@19.1.7", "none")),
    ("linux", "ubuntu24.04", "aarch64", ("gcc@13.2.0", "none")),
    ("linux", "ubuntu22.04", "neoverse_v2", ("gcc@12.3.0",)),
    ("linux", "amzn2", "x86_64_v4", ("gcc@7.3.1", "gcc@12.3.0")),
    ("linux", "rhel8", "zen4", ("gcc@12.3.0", "none")),
    ("darwin", "sequoia", "m1", ("apple-clang@16.0.0", "none")),
]
NAMES_BEFORE_SPACK_1 = {"intel-oneapi-compilers": "oneapi", "llvm": "clang"}
FIRST_SNAPSHOT = datetime.date(2025, 2, 23)
SPACK_1 = "develop-2025-03-30"

BUILD_SYSTEMS = ("autotools", "cmake", "generic", "makefile", "python_pip", "meson")
VALUES = {  # by the number of the option, modulo 16; the others are booleans
    0: ("=Release", "=Debug", "=RelWithDebInfo"),
    2: ("=11", "=14", "=17", "=20"),
    4: ("=shared", "=shared,static", "=static"),
    6: (":=none", ":=70,80,90", ":=gfx90a,gfx942"),
    8: (":=0b8a3b8,9c1f2c1,e0fd7ed,fb3b5d0", ":=9c1f2c1", "=0b8a3b8,9c1f2c1"),
    10: (f"={'0f7c1a2b' * 5}", f"={'9d3e4b5c' * 5}"),
}
SIGMA = 1.18  # of the log-normal shares: the median page has half as many specs as the mean
KEPT = 2 / 3  # of the specs of a snapshot, by the next one
MOVED = 0.1  # of the specs that are kept, into other stacks
CONFIGURATIONS = 0.9  # exponent that gives about 0.4 distinct lists a spec, as some of them turn out alike or unused

Spec = dict[str, Any]


def write_corpus(
    folder: Path, *, snapshots: int, pages: int, specs: float = 16, develop: float = 0, seed: int = 1
) -> dict[str, int]:
    """Write weekly `snapshots` of `pages` pages below `folder`/_cache and return the counts of what was written.

    A page has `specs` specs on average; with `develop`, there is one more snapshot, the rolling one, whose pages have
    that many: in the public archive it holds a third of all specs.
    """
    packages = [_Package(f"{name}-{i:04d}", random.Random(f"{seed}/{i}")) for i, name in enumerate(_names(pages))]
    shares = sum(package.share for package in packages)
    counts = {"snapshots": 0, "pages": 0, "specs": 0, "rows": 0, "bytes": 0}
    means = dict.fromkeys(_weekly_names(snapshots), specs) | ({"develop": develop} if develop else {})
    for snapshot, mean in means.items():
        specs_a_share = mean * pages / shares
        rng = random.Random(f"{seed}/{snapshot}")
        for package in packages:
            details = package.specs(snapshot, specs_a_share, rng)
            text = page(package.name, snapshot, details)
            path = folder / "_cache" / snapshot / package.name / "specs.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            counts["pages"] += 1
            counts["specs"] += len(details)
            counts["rows"] += sum(len(spec["stacks"]) for spec in details)
            counts["bytes"] += len(text)
        counts["snapshots"] += 1
    return counts


def page(package: str, snapshot: str, specs: list[Spec]) -> str:
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
        self.share = rng.lognormvariate(0, SIGMA)  # of all specs of a snapshot
        self.build_system = f"build_system={rng.choice(BUILD_SYSTEMS)}"
        options = sorted(rng.sample(range(100, 500), k=rng.randrange(20)))
        self.choices = [[f"option_{n}{value}" for value in VALUES[n % 16]] for n in options if n % 16 in VALUES]
        self.choices += [[f"+option_{n}", f"~option_{n}"] for n in options if n % 16 not in VALUES]
        self.choices.sort(key=lambda texts: texts[0].lstrip("+"))
        self.versions = [f"{rng.randrange(1, 9)}.{rng.randrange(30)}.{rng.randrange(10)}" for _ in range(3)]
        self.latest: list[Spec] = []  # of the snapshot before

    def specs(self, snapshot: str, specs_a_share: float, rng: random.Random) -> list[Spec]:
        count = max(1, round(self.share * specs_a_share * rng.uniform(0.9, 1.1)))
        if snapshot == SPACK_1:
            self.latest = []  # Spack 1.0 gave everything another hash
        specs = [self._kept(spec, rng) for spec in self.latest if rng.random() < KEPT][:count]
        configurations = [self._variants(rng) for _ in range(round(count**CONFIGURATIONS))]
        before_spack_1 = "develop-" < snapshot < SPACK_1  # the rolling one, `develop`, is always new
        specs += [self._spec(rng.choice(configurations), before_spack_1, rng) for _ in range(count - len(specs))]
        self.latest = sorted(specs, key=lambda spec: spec["hash"])
        return self.latest

    def _kept(self, spec: Spec, rng: random.Random) -> Spec:
        return spec | {"stacks": _stacks(rng)} if rng.random() < MOVED else spec

    def _spec(self, variants: list[str], before_spack_1: bool, rng: random.Random) -> Spec:
        platform, os, target, compilers = rng.choice(MACHINES)
        compiler = rng.choice(compilers)
        if before_spack_1:
            name, _, version = ("gcc@11.4.0" if compiler == "none" else compiler).partition("@")
            compiler = f"{NAMES_BEFORE_SPACK_1.get(name, name)}@={version}"
        return {
            "compiler": compiler,
            "hash": "".join(rng.choices(BASE32, k=32)),
            "os": os,
            "platform": platform,
            "size": "-",
            "stacks": _stacks(rng),
            "target": target,
            "variants": variants,
            "versions": [rng.choice(self.versions)],
        }

    def _variants(self, rng: random.Random) -> list[str]:
        """Return one configuration: mostly the defaults, which stand first."""
        return [self.build_system, *(texts[0] if rng.random() < 0.7 else rng.choice(texts) for texts in self.choices)]


def _stacks(rng: random.Random) -> list[str]:
    return sorted([*rng.sample(STACKS, k=rng.choice((1, 1, 2, 2, 3))), "root"])


def _names(count: int) -> list[str]:
    stems = ("py-", "r-", "", "", "lib", "perl-", "")
    return [stems[i % len(stems)] + "package" for i in range(count)]


def _weekly_names(count: int) -> list[str]:
    return [f"develop-{FIRST_SNAPSHOT + datetime.timedelta(weeks=i)}" for i in range(count)]


def main() -> None:
    """Write the corpus that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--snapshots", type=int, default=10, help="dated snapshots")
    parser.add_argument("--pages", type=int, default=1200, help="pages a snapshot")
    parser.add_argument("--specs", type=float, default=16, help="mean number of specs a page")
    parser.add_argument("--develop", type=float, default=0, help="the same in one more snapshot, `develop`; 0: no such")
    parser.add_argument("--seed", type=int, default=1)
    arguments = vars(parser.parse_args())
    print(json.dumps(write_corpus(arguments.pop("folder"), **arguments)))


if __name__ == "__main__":
    main()
