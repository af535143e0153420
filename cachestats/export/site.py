"""Write a dataset back as the pages of the cache site.

    DIR/
      _cache/<snapshot>/<package>/specs.md   a page for each package of each snapshot
      _data/tags.yaml                        the snapshots and their stacks
      api/data.json                          a summary of each page
      .cachestats-site/pages.txt             the pages that an export wrote: no others are ever removed

A page that would not change is not written again.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec
import yaml

from cachestats import naming
from cachestats.atomic import ExportFolder
from cachestats.dataset.dataset import Dataset, one_state
from cachestats.decode import decode
from cachestats.errors import DatasetError, reported
from cachestats.parse.form import summarize
from cachestats.spack_releases import is_spelled_as_spack_1, page_compiler
from cachestats.text import file_stem

if TYPE_CHECKING:
    import polars as pl

_DATA = "api/data.json"
_TAGS = "_data/tags.yaml"
_PAGES = ".cachestats-site/pages.txt"

# Pages are removed according to the list, so lines in it that an export cannot have written are ignored.
_STEM = "[A-Za-z0-9%-][A-Za-z0-9%._-]*"  # the form of the result of `file_stem`
_OWN_PAGE = re.compile(rf"_cache/{_STEM}/{_STEM}/specs\.md")
_NEEDS_NO_ESCAPE = re.compile(r"[A-Za-z0-9_.+-]+")


def export_site(dataset: Dataset, out: str | os.PathLike[str]) -> int:
    """Write a dataset as pages of the cache site, and return the number of pages.

    A dataset built from these pages has the same `variants` and `specs`, except that what only an index tells, such as
    libc and flags, is null. A dataset built from the indices from which the site's pages are made gives the site's
    pages, byte for byte. Pages have the current format, with compilers spelled as in their snapshot: `gcc@=13.2.0` in
    snapshots from before Spack 1.0, and in snapshots that have pages of both kinds.

    In addition to the pages, the export writes `_data/tags.yaml`, in the form used by the site, and `api/data.json`,
    the list that the site's own template makes from its pages: the keys, values and order are the same, but the white
    space differs. The key `rel` is the path at which the site shows the page.

    In paths, all characters of a name except letters, digits, `-`, `.` and `_` are percent-encoded, so that no name
    leads out of the folder; in the pages, names are unchanged.

    Parameters
    ----------
    dataset
        The dataset.
    out
        The folder to write to: a new or empty one, or that of an earlier export, which is updated. Pages that an
        earlier export wrote and this one does not are removed; other files are left alone.

    Returns
    -------
    int
        The number of pages.

    Raises
    ------
    DatasetError
        If the folder contains anything else or cannot be written, the dataset cannot be read, or the name of a package
        or snapshot is empty or longer than a page allows.
    BusyError
        If another process is exporting to the folder.
    RebuiltError
        If another process publishes to the dataset during the export.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> cs.export_site(cs.example_dataset(), "site")
    24
    >>> Path("site/_cache/develop-2025-03-09/hdf5/specs.md").read_text().splitlines()[1]
    'title: "hdf5"'
    """
    if not os.fspath(out):
        raise DatasetError("expected a folder to write to, found an empty path", hint="use '.' for the current folder")
    snapshots = _snapshots(dataset)
    packages = {snapshot.name: _packages(snapshot) for snapshot in snapshots}
    pages = {_path(snapshot, package) for snapshot, names in packages.items() for package in names}
    stacks = {}
    own = ExportFolder(
        Path(out), pages, listing=_PAGES, own=_OWN_PAGE, always=(_DATA, _TAGS), holds="an export of pages"
    )
    with reported(Path(out)), own as folder, one_state(dataset):
        with folder.replaced(_DATA) as file:
            before = b"[\n"
            for snapshot in sorted(snapshots, key=lambda snapshot: f"{file_stem(snapshot.name)}/"):
                frame = _specs(snapshot)
                dataset.check_unchanged()
                stacks[snapshot.name] = sorted(frame["stack"].explode().drop_nulls().unique())
                found = {}
                for page in _Pages(snapshot, frame):
                    folder.write(path := _path(snapshot.name, page.package), page.text.encode())
                    found[path] = page.entry
                for path in sorted(found):
                    file.write(before + json.dumps(found[path]).encode())
                    before = b",\n"
            file.write(b"\n]\n" if pages else b"[]\n")
        with folder.replaced(_TAGS) as file:
            tags = [{"name": name, "stacks": stacks[name]} for name in sorted(stacks, key=_tag_order)]
            file.write(yaml.safe_dump(tags).encode())
    return len(pages)


class _Snapshot(NamedTuple):
    """A snapshot, its files, and whether its pages spell compilers as Spack did before 1.0."""

    name: str
    specs: list[Path]
    variants: list[Path]
    has_old_compilers: bool


class _Page(NamedTuple):
    """The text of one page, and its entry in `api/data.json`."""

    package: str
    text: str
    entry: dict[str, Any]


class _Pages:
    """The pages of one snapshot, in the order of their packages."""

    def __init__(self, snapshot: _Snapshot, frame: pl.DataFrame) -> None:
        self.snapshot, self.frame = snapshot, frame
        self.category = snapshot.name if naming.snapshot_kind(snapshot.name)[0] != "other" else _quoted(snapshot.name)
        # Thousands of specs share a few compilers and variants.
        self.compilers: dict[str | None, str] = {}
        self.variants: dict[tuple[str, str | None], list[str]] = {}
        self.spellings: dict[str, _Spelling] = {}

    def __iter__(self) -> Iterator[_Page]:
        specs = self.frame.drop("package")
        start = 0
        for run in self.frame["package"].rle():
            # Only the specs of one page are Python objects at a time.
            rows = specs.slice(start, run["len"]).rows()
            start += run["len"]
            yield self._page(run["value"], [self._spec(*row) for row in rows])

    def _page(self, package: str, specs: list[dict[str, Any]]) -> _Page:
        meta = msgspec.structs.asdict(summarize(specs))
        text = (
            f"---\ntitle: {_quoted(package)}\nlayout: cache\ncategories: [package, {self.category}]\n"
            f"meta: {json.dumps(meta)}\nspec_details: {json.dumps(specs)}\n---"
        )
        keys = ("versions", "compilers", "oss", "platforms", "targets", "stacks", "num_specs", "num_specs_by_stack")
        entry = {
            "uid": package,
            "tag": self.snapshot.name,
            "url": f"https://packages.spack.io/package.html?name={quote(package, safe='')}",
            "rel": f"package/{quote(_folder_of(self.snapshot.name, package))}/specs/",
            **{key: meta[key] for key in keys},
        }
        return _Page(package, text, entry)

    def _spec(
        self,
        hash_: str,
        os_: str,
        platform: str,
        target: str,
        version: str,
        compiler: str | None,
        size_bytes: int | None,
        variants: str,
        stacks: list[str],
        lists: str | None,
    ) -> dict[str, Any]:
        if compiler not in self.compilers:
            self.compilers[compiler] = page_compiler(compiler, is_old=self.snapshot.has_old_compilers)
        if (variants, lists) not in self.variants:
            self.variants[variants, lists] = self._page_variants(variants, lists)
        return {
            "compiler": self.compilers[compiler],
            "hash": hash_,
            "os": os_,
            "platform": platform,
            "size": "-" if size_bytes is None else str(size_bytes),
            "stacks": stacks,
            "target": target,
            "variants": self.variants[variants, lists],
            "versions": [version],
        }

    def _page_variants(self, text: str, lists: str | None) -> list[str]:
        """Return the variants of a spec as a page spells them; `lists` holds the rows with `:=`, as JSON."""
        listed = {(row["variant"], row["value"]) for row in decode(f"[{lists or ''}]".encode(), list[dict[str, str]])}
        spelled = []
        for variant in naming.split_variants(text):
            spelling = self.spellings.get(variant) or self.spellings.setdefault(variant, _spelling(variant))
            spelled.append(spelling.as_list if listed.issuperset(spelling.rows) else spelling.as_value)
        return spelled


class _Spelling(NamedTuple):
    """A variant: its rows (variant, value), and its spellings on a page with `:=` and with `=`."""

    rows: list[tuple[str, str]]
    as_list: str
    as_value: str


def _spelling(variant: str) -> _Spelling:
    name, values = naming.split_variant(variant)
    spelled = (naming.page_variant(variant, sign=":="), naming.page_variant(variant, sign="="))
    return _Spelling([(name, value) for value in values], *spelled)


def _snapshots(dataset: Dataset) -> list[_Snapshot]:
    """Return the snapshots of a dataset."""
    generations = dict(dataset.snapshots.select("snapshot", "generation").collect().iter_rows())
    specs, variants = dataset.files_by_snapshot("specs"), dataset.files_by_snapshot("variants")
    return [
        _Snapshot(name, specs[name], variants[name], not _is_spelled_as_spack_1(generations[name]))
        for name in sorted(dataset.manifest.snapshots)
    ]


def _is_spelled_as_spack_1(generations: str) -> bool:
    return all(map(is_spelled_as_spack_1, generations.split("+")))


def _packages(snapshot: _Snapshot) -> list[str]:
    """Return the packages of a snapshot, after checking that their pages can be read again."""
    import polars as pl

    frame = pl.scan_parquet(snapshot.specs, glob=False).select("package").unique()
    packages = sorted(frame.collect()["package"])
    for what, name in (("snapshot", snapshot.name), *(("package", package) for package in packages)):
        if not 0 < len(name) <= naming.MAX_NAME:
            raise DatasetError(
                f"expected the name of a {what} of 1 to {naming.MAX_NAME} characters, found {name[:40]!r} "
                f"with {len(name)} in {snapshot.name[:40]}",
                hint="correct the name in its source, and build the dataset again",
            )
    return packages


def _specs(snapshot: _Snapshot) -> pl.DataFrame:
    """Return the specs of a snapshot, one per row, with their stacks and, as JSON, their variants with `:=`."""
    import polars as pl

    lists = (
        pl.scan_parquet(snapshot.variants, glob=False)
        .filter(pl.col("sign") == ":=")
        .group_by("hash")
        .agg(lists=pl.struct("variant", "value").struct.json_encode().str.join(","))
    )
    return (
        pl.scan_parquet(snapshot.specs, glob=False)
        .sort("package", "hash", "stack", nulls_last=True)
        .group_by("package", "hash", maintain_order=True)
        .agg(
            pl.first("os", "platform", "target", "version", "compiler", "size_bytes", "variants"),
            pl.col("stack").drop_nulls(),
        )
        .join(lists, on="hash", how="left", maintain_order="left")
        .collect()
    )


def _path(snapshot: str, package: str) -> str:
    """Return the path of the page of a package."""
    return f"_cache/{_folder_of(snapshot, package)}/specs.md"


def _folder_of(snapshot: str, package: str) -> str:
    return f"{file_stem(snapshot)}/{file_stem(package)}"


def _quoted(name: str) -> str:
    """Return a name in double quotes, escaped for YAML."""
    if _NEEDS_NO_ESCAPE.fullmatch(name):
        return f'"{name}"'
    return yaml.safe_dump(name, default_style='"', width=math.inf).rstrip("\n")


def _tag_order(snapshot: str) -> tuple[int, int, naming.NaturalKey]:
    """Return the sort key of a snapshot in `_data/tags.yaml`: `develop`, releases by version, the newest week first."""
    kind, day = naming.snapshot_kind(snapshot)
    return (
        ("rolling", "release", "dated", "other").index(kind),
        -day.toordinal() if day else 0,
        naming.natural_key(snapshot),
    )
