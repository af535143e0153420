"""Write a mirror with one big build-cache index, made from real records: the input of the benchmark of indices.

    python benchmarks/make_index.py MIRROR [--corpus ../shared/corpus] [--megabytes 150]

The records of all root indices of the corpus, as Spack wrote them, are repeated until the index has that size. Each
copy has hashes of its own, also where one spec names another, so that every copy is a whole cache; and as many variant
configurations of its own: the booleans of a configuration are flipped by the bits of the copy's number, so the share of
distinct configurations stays about what it is in the corpus. The same arguments write the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

VERSION = "8"  # of the database: its nodes are like those of the newest corpus index, or older, as the others are
HASH = re.compile(r'"([a-z2-7]{32})"')

Record = dict[str, Any]


def write_index(mirror: Path, corpus: Path, *, megabytes: float, taken: str = "") -> dict[str, int]:
    """Write `build_cache/index.json`, and the checksum beside it, in layout 2; return counts of what was written.

    Specs whose hash begins with `taken` are known but not cached, as if they were deleted.
    """
    sources = sorted((corpus / "mirrors").glob("*/build_cache/index.json"))
    if not sources:
        raise SystemExit(f"expected <snapshot>/build_cache/index.json in {corpus / 'mirrors'}, found none")
    indices = {path.parts[-3]: json.loads(path.read_bytes())["database"]["installs"] for path in sources}
    folder = mirror / "build_cache"
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"records": 0, "specs": 0, "edges": 0, "configurations": 0, "copies": 0, "bytes": 0}
    configurations: set[str] = set()
    checksum = hashlib.sha256()
    with (folder / "index.json").open("wb") as file:

        def write(text: str) -> None:
            data = text.encode()
            file.write(data)
            checksum.update(data)
            counts["bytes"] += len(data)

        write(f'{{"database":{{"version":"{VERSION}","installs":{{')
        for copy in count():
            if counts["bytes"] >= megabytes * 1e6:
                break
            counts["copies"] += 1
            for snapshot, installs in indices.items():
                for key, record in _copy(installs, f"{copy}/{snapshot}", copy):
                    record["in_buildcache"] &= not (taken and key.startswith(taken))
                    write(f'{"," if counts["records"] else ""}"{key}":{_json(record)}')
                    counts["records"] += 1
                    counts["specs"] += record["in_buildcache"] and "external" not in record["spec"]
                    counts["edges"] += len(record["spec"].get("dependencies", []))
                    configurations.add(_json(record["spec"]["parameters"]))
        write("}}}")
    (folder / "index.json.hash").write_text(checksum.hexdigest())
    return counts | {"configurations": len(configurations)}


def _copy(installs: dict[str, Record], name: str, number: int) -> Iterator[tuple[str, Record]]:
    """Yield the records of an index with hashes that no other copy has."""
    hashes = {key: _hash(f"{name}/{key}") for key in installs}
    for key, record in installs.items():
        text = HASH.sub(lambda match: f'"{hashes.get(match[1], match[1])}"', _json(record))
        renamed = json.loads(text)
        renamed["spec"]["parameters"] = _flip(renamed["spec"]["parameters"], number)
        yield hashes[key], renamed


def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha1(text.encode()).digest()).decode().lower()


def _flip(parameters: dict[str, Any], number: int) -> dict[str, Any]:
    """Return parameters whose first booleans are flipped where the number's bits say so."""
    bits = iter(f"{number:b}"[::-1])
    return {
        name: value ^ (next(bits, "0") == "1") if isinstance(value, bool) else value
        for name, value in parameters.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main() -> None:
    """Write the index that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path, help="its name is that of the snapshot")
    parser.add_argument("--corpus", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "corpus")
    parser.add_argument("--megabytes", type=float, default=150, help="size that the index has at least")
    parser.add_argument("--taken", default="", help="specs whose hash begins so are not cached")
    arguments = vars(parser.parse_args())
    print(json.dumps(write_index(arguments.pop("mirror"), arguments.pop("corpus"), **arguments)))


if __name__ == "__main__":
    main()
