"""Check a tag, and make what is attached to its release: `packaging/release.py TAG COMMIT DIST OUT`.

It fails if the tag is not the version of the package, if DIST does not hold that version, or if the changelog has no
dated section about it. It writes to OUT:

- `notes.md`: the section of the changelog
- `recipe.yaml`: the conda recipe, with the checksum of the sdist in DIST
- `package.py`: the Spack recipe, with the commit of the tag
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def release_notes(changelog: str, version: str) -> str:
    """Return the section of a version, which begins with its number and its date: `## 0.1.0 (2026-12-01)`."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n"
    section = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if section is None:
        sys.exit(f"CHANGELOG.md: expected a heading such as '## {version} (2026-12-01)', found none")
    return section[1].strip() + "\n"


def replace_once(text: str, old: str, new: str) -> str:
    """Return a text in which `old`, which must be there exactly once, is replaced."""
    if text.count(old) != 1:
        sys.exit(f"expected {old!r} once, found it {text.count(old)} times")
    return text.replace(old, new)


def main(tag: str, commit: str, dist: Path, out: Path) -> None:
    """Check the tag, and write the files."""
    found = re.search(r'__version__ = "(.+)"', (ROOT / "cachestats" / "version.py").read_text())
    version = found[1] if found else None
    if tag != f"v{version}":
        sys.exit(f"expected the tag v{version}, by cachestats/version.py, found {tag}")
    sdist, wheel = dist / f"cachestats-{version}.tar.gz", dist / f"cachestats-{version}-py3-none-any.whl"
    if {*dist.iterdir()} != {sdist, wheel}:
        sys.exit(
            f"{dist}: expected {sdist.name} and {wheel.name}, found {sorted(path.name for path in dist.iterdir())}"
        )
    checksum = hashlib.sha256(sdist.read_bytes()).hexdigest()
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    package = (ROOT / "packaging" / "spack" / "package.py").read_text()
    files = {
        "notes.md": release_notes((ROOT / "CHANGELOG.md").read_text(), version),
        "recipe.yaml": replace_once(recipe, "0" * 64, checksum),
        "package.py": replace_once(package, f'tag="{tag}"', f'tag="{tag}", commit="{commit}"'),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: packaging/release.py TAG COMMIT DIST OUT")
    main(*sys.argv[1:3], *map(Path, sys.argv[3:]))
