"""Small pages of every generation, for the tests, and the means to lay them out as a checkout of the site."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

GENERATIONS = ("g1", "g2", "g3", "g4")
HOSTILE = "<img src=x onerror=alert(1)>"
"""A name that does something where it is taken for markup."""


def spec(hash_: str = "a" * 32, **fields: Any) -> dict[str, Any]:
    """Return a spec as it stands in `spec_details` of the present generation, keys sorted."""
    defaults = {
        "compiler": "gcc@13.2.0",
        "hash": hash_,
        "os": "ubuntu22.04",
        "platform": "linux",
        "size": "-",
        "stacks": ["e4s", "root"],
        "target": "x86_64_v3",
        "variants": ["+shared", "build_system=cmake"],
        "versions": ["1.0"],
    }
    return dict(sorted((defaults | fields).items()))


def meta_of(specs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the site's generator writes into `meta`."""

    def listed(key: str) -> list[str]:
        return sorted({value for one in specs for value in (one[key] if isinstance(one[key], list) else [one[key]])})

    stacks = listed("stacks")
    return {
        "compilers": listed("compiler"),
        "num_specs": len(specs),
        "num_specs_by_stack": {stack: sum(stack in one["stacks"] for one in specs) for stack in stacks},
        "oss": listed("os"),
        "platforms": listed("platform"),
        "stacks": stacks,
        "targets": listed("target"),
        "versions": listed("versions"),
    }


def page(
    package: str = "zlib",
    snapshot: str = "develop",
    specs: Iterable[dict[str, Any]] = (),
    *,
    generation: str = "g4",
    meta: dict[str, Any] | None = None,
) -> str:
    """Return a page of one generation; the compilers are the caller's."""
    details = [dict(one) for one in specs]
    meta = meta_of(details) if meta is None else meta
    if generation in ("g1", "g2"):
        for one in details:
            one["tarball"] = f"https://example.org/build_cache/{one['hash']}.spack"
    if generation == "g1":
        order = ("hash", "compiler", "versions", "os", "platform", "target", "variants", "size", "stacks", "tarball")
        details = [{key: one[key] for key in order if key in one} for one in details]
        meta = dict(reversed(meta.items()))
    else:
        details = [dict(sorted(one.items())) for one in details]
    return (
        f"---\ntitle: {json.dumps(package, ensure_ascii=False)}\nlayout: cache\n"
        f"categories: [package, {snapshot}]\n"
        f"meta: {json.dumps(meta, ensure_ascii=False)}\n"
        f"spec_details: {json.dumps(details, ensure_ascii=False)}\n---"
    )


def write(root: Path, pages: dict[tuple[str, str], str | bytes]) -> Path:
    """Write pages, by (snapshot, package), below `root`/_cache and return `root`."""
    for (snapshot, package), text in pages.items():
        path = root / "_cache" / snapshot / package / "specs.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


G0A = """---
title: "zlib"
layout: package
category: package
meta: {"versions": ["1.2.11"], "compilers": ["gcc@7.5.0"]}
spec_files:
 - "zlib@1.2.11%gcc@7.5.0+optimize+pic+shared arch=linux-ubuntu18.04-x86_64": spec-0.json
 - "zlib@1.2.11%gcc@9.3.0+optimize+pic+shared arch=linux-ubuntu20.04-x86_64 LONG": spec-1.json
---
""".replace("LONG", 40 * "^libiconv@1.16%gcc@9.3.0 arch=linux-ubuntu20.04-x86_64 ")

G0B = """---
title: "zlib"
layout: package
category: package
meta: {"versions": ["1.2.11"], "compilers": ["gcc@7.5.0"]}
spec_files: ["spec-0.json", "spec-1.json", "spec-2.json"]
spec_names:
 - 'zlib@1.2.11%gcc@7.5.0+optimize+pic+shared arch=linux-ubuntu18.04-x86_64'
 - 'zlib@1.2.11%gcc@7.5.0+optimize+pic+shared arch=linux-ubuntu18.04-x86_64'
 - 'zlib@1.2.12%gcc@7.5.0+optimize+pic+shared arch=linux-ubuntu18.04-x86_64'
---
"""

G0C = G0B.replace("category: package", "categories: [package, develop]").replace("layout: package", "layout: cache")
