"""A report: whole, the same every time, and saying what the analyses say."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import filelock
import msgspec
import polars as pl
import pytest

import cachestats as cs
from cachestats.axes import STATES
from cachestats.dataset.subset import snapshot_names
from cachestats.errors import ArgumentError, BusyError, DatasetError
from cachestats.hosts import host_of
from cachestats.naming import UNION_STACK, split_variant
from cachestats.report.badges import badge
from cachestats.report.packages import by_package
from cachestats.report.paths import path_of
from cachestats.report.ranks import SPEC_COLUMNS, Ranks, in_order
from cachestats.report.variant_matrix import variant_matrix
from conftest import SAMPLE
from tests.support.cli import run
from tests.support.indices import index
from tests.support.markup import words
from tests.support.mirrors import DEFAULT, build, layout_2
from tests.support.site import HOSTILE, page, spec, write


class Links(HTMLParser):
    """The addresses and the anchors in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.code: list[str] = []
        """Scripts and styles that stand in the page itself."""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.code.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.code.append(name)
            if name in {"href", "src", "srcset", "data-script"} and value and not value.startswith("data:"):
                self.addresses.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def script_data(path: Path) -> Any:
    """Return the data that a script passes to the page that loads it."""
    call = re.fullmatch(r'cachestats\.data\("([\w+/=]*)"\);\n', path.read_text())
    assert call
    return json.loads(zlib.decompress(base64.b64decode(call[1])))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "odd"])
def test_every_link_leads_somewhere(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    pages = {path: Links(path.read_text()) for path in folder.rglob("*.html")}
    checked = 0
    for path, links in pages.items():
        for address in links.addresses:
            place, anchor = urldefrag(address)
            target = (path.parent / unquote(place)).resolve() if place else path
            assert target.is_file(), f"{path} links to {address}"
            assert target.is_relative_to(folder.resolve())
            if anchor and target.suffix == ".html" and "=" not in anchor:
                assert anchor in pages[folder / target.relative_to(folder.resolve())].anchors, f"{path}: {address}"
            checked += 1
    assert checked > 100
    # Nothing is made that no page leads to, but for programs and for the badges.
    linked = {
        (path.parent / unquote(urldefrag(one)[0])).resolve() for path, found in pages.items() for one in found.addresses
    }
    orphans = {
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.resolve() not in linked
    }
    assert {str(path) for path in orphans} <= {"report.json", "summary.md", "names.js", "variants.js"}


@pytest.mark.slow
def test_the_same_dataset_gives_the_same_bytes(odd: Path, tmp_path: Path) -> None:
    script = (
        "import sys, matplotlib, cachestats as cs; matplotlib.use('agg');"
        "cs.write_report(cs.open_dataset(sys.argv[1]), sys.argv[2], title=sys.argv[3])"
    )
    words = [str(odd.parent / "dataset"), str(tmp_path / "again"), f"{HOSTILE} & more"]
    subprocess.run([sys.executable, "-c", script, *words], check=True)
    first, again = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (odd, tmp_path / "again")
    )
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


@pytest.mark.slow
def test_the_page_of_a_package_says_what_needs_it_and_what_it_needs(report: Path, sample: cs.Dataset) -> None:
    total = sample.newest.num_specs
    for package in ("hdf5", "gcc-runtime", "mesa-glu", "zlib-ng"):
        text = re.sub(r"<[^>]+>", "", (report / path_of("packages", package)).read_text())
        text = " ".join(text.partition("Dependencies")[2].partition("Specs")[0].split())
        needing = cs.dependents(sample, package, by=None).filter(pl.col("package") != package)
        direct = needing.filter(pl.col("num_direct") > 0).sort("num_direct", "package", descending=[True, False])
        own = sample.newest.where(package=package).num_specs
        if needing.is_empty():
            assert f"No other package of {snapshot_names(sample)[-1]} needs it." in text
            continue
        assert f"Needed by {html.escape(str(needing.height))} other package" in text
        assert f", {direct.height:,} directly; {needing['num_specs'].sum():,} of the {total - own:,} specs of" in text
        for name, number, _, every in direct.head(24).iter_rows():
            assert f"{name} {number:,} of {every:,} spec" in text
    assert "glibc 8 of 8 specs" in " ".join(re.sub(r"<[^>]+>", "", (report / "packages/hdf5.html").read_text()).split())


@pytest.mark.slow
def test_the_scripts_hold_every_spec(report: Path) -> None:
    found = []
    for path in (report / "specs").iterdir():
        specs = script_data(path)
        for snapshot, distances in specs["snapshots"]:
            for position in accumulate(distances):
                codes = [one if isinstance(one, int) else one[position] for one in specs["codes"]]
                fields = [column[code] for column, code in zip(specs["values"], codes, strict=True)]
                found.append((unquote(path.stem), snapshot, specs["hashes"][position], *fields))
    table = pl.read_parquet(SAMPLE / "specs" / "*.parquet")
    stacks = pl.col("stack").filter(pl.col("stack") != UNION_STACK).sort().str.join(", ").alias("stacks")
    key = ["package", "snapshot", "hash"]
    others = [pl.col(name).first() for name in SPEC_COLUMNS if name not in {"hash", "stacks"}]
    expected = table.group_by(key).agg(stacks, *others).select(*key, *SPEC_COLUMNS[1:])
    assert sorted(found, key=lambda row: row[:3]) == expected.sort(key).rows()
    assert len(found) == 8216


def test_the_order_of_rows_does_not_decide_on_the_order_of_specs(tmp_path: Path) -> None:
    hashes = [str(number) * 32 for number in range(2, 8)]
    pages = {
        (snapshot, "zlib"): page("zlib", snapshot, [spec(one, stacks=[stack]) for one in hashes])
        for snapshot, stack in (("develop-2025-06-01", "e4s"), ("develop-2025-06-08", "hep"), ("develop", "ml"))
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    ranks = Ranks(cs.Subset(dataset))
    (rows,) = ranks.rows()
    ((_, specs),) = by_package(rows, ranks)
    assert len(specs.hashes) == 3 * len(hashes)
    assert [("zlib", specs)] == [*by_package(in_order(rows.drop("position", "id").reverse()), ranks)]


@pytest.mark.slow
def test_what_programs_read_is_what_the_analyses_say(report: Path) -> None:
    specs = cs.open_dataset(SAMPLE).specs.filter(snapshot="develop-2025-05-25")
    newest = dict(cs.versions(specs, by="snapshot").select("package", "version").rows())
    cells = cs.coverage(specs, rows="package", columns="target", usable=True).rows()
    here = specs.select("package", "hash", "version", "compiler").unique().collect()
    every: dict[str, list[tuple[str, int]]] = {}
    for package, *found in cs.coverage(cs.open_dataset(SAMPLE).at("all"), rows="package", columns="snapshot").rows():
        every.setdefault(package, []).append((found[0], found[1]))
    for path in (report / "api").iterdir():
        said = json.loads(path.read_text())
        package = said["package"]
        assert path.name == Path(path_of("api", package)).name
        assert said["newest_version"] == newest.get(package)
        assert said["is_covered"] == (package in newest)
        assert said["targets"] == {target: cell for name, target, cell in cells if name == package}
        for column in ("version", "compiler"):
            own = here.filter(package=package).group_by(pl.col(column).fill_null("none")).len()
            assert said[f"{column}s"] == dict(own.iter_rows())
        assert said["hashes"] == here.filter(package=package)["hash"].sort().to_list()
        assert said["history"] == dict(every[package])
    of_zlib = json.loads((report / "api/zlib-ng.json").read_text())
    assert (of_zlib["num_specs"], of_zlib["stacks"]) == (4, ["build_systems", "e4s", "ml-linux-x86_64-cpu", "radiuss"])
    about = json.loads((report / "report.json").read_text())
    assert (about["snapshot"], about["before"]) == ("develop-2025-05-25", "develop-2025-03-09")
    assert (about["day"], about["usual_days"]) == ("2025-05-25", 49)
    lost = cs.losses(cs.open_dataset(SAMPLE).at(about["before"]), cs.open_dataset(SAMPLE).newest).filter(
        pl.col("lost") > 0
    )
    assert about["check"]["lost"] == dict(lost.select("stack", "lost").iter_rows())
    assert not about["check"]["has_passed"]
    described = words(report / "data.html").partition("report.json")[2].partition("api/PACKAGE.json")[0]
    assert all(key in described for key in ("check", "hosts", "environments"))
    assert about["stacks"]["e4s"] == specs.filter(stack="e4s").select("package").unique().collect().height


@pytest.mark.slow
def test_the_page_of_a_package_counts_variants(report: Path, sample: cs.Dataset) -> None:
    here, ranks = sample.newest, Ranks(sample.newest)
    specs = {name: one for rows in ranks.rows() for name, one in by_package(rows, ranks)}
    rows = sample.scan("variants", snapshots=here.names).select("hash", "variant", "value").unique()
    versions = here.specs.select("package", "hash", "version").unique()
    counts = rows.join(versions, on="hash").group_by("package", "version", "variant", "value").len().collect()
    totals = here.specs.select("package", "version", "hash").unique().group_by("package", "version").len().collect()
    for (package,), found in counts.partition_by("package", as_dict=True).items():
        assert isinstance(package, str)
        matrix = variant_matrix(specs[package], here.names[0])
        assert matrix
        said: Counter[tuple[str, str, str]] = Counter()
        cells = [
            (version, variant, number)
            for row in matrix.rows.values()
            for version, cell in zip(matrix.versions, row, strict=True)
            for variant, number in cell
        ]
        every = totals.filter(package=package).select("version", "len").rows()
        cells += [(version, variant, number) for version, number in every for variant in matrix.common]
        for version, variant, number in cells:
            name, values = split_variant(variant)
            said.update({(version, name, value): number for value in values})
        shown = found.filter(pl.col("version").is_in(matrix.versions))
        expected = {(*row[:3],): row[3] for row in shown.select("version", "variant", "value", "len").iter_rows()}
        assert {key: number for key, number in said.items() if key[0] in matrix.versions} == expected
    assert len(counts) > 1000
    text = (report / "packages/hdf5.html").read_text()
    assert '<td><code>+fortran</code> <span class="soft">4</span><br><code>~fortran</code>' in text


@pytest.mark.slow
def test_pages_may_load_nothing_from_elsewhere_and_hold_no_code(report: Path, odd: Path) -> None:
    for path in itertools.chain(report.rglob("*.html"), odd.rglob("*.html")):
        text = path.read_text()
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in text
        links = Links(text)
        assert (links.code, [one for one in links.addresses if ":" in one]) == ([], []), path


@pytest.mark.slow
def test_the_summary_says_what_changed(report: Path) -> None:
    text = (report / "summary.md").read_text()
    old, new = (cs.open_dataset(SAMPLE).specs.filter(snapshot=f"develop-{day}") for day in ("2025-03-09", "2025-05-25"))
    counts = cs.compare_counts(old, new, by=None).row(0, named=True)
    assert f"{counts['removed']} removed, {counts['added']} added, {counts['updated']} updated" in text
    assert "| ml-darwin-aarch64-mps | 0 | 260 | 260 | 0 | 0 |".replace("-", r"-") in text


def test_develop_is_compared_with_the_newest_dated_snapshot(odd: Path) -> None:
    about = json.loads((odd / "report.json").read_text())
    assert (about["snapshot"], about["before"]) == ("develop", "develop-2025-06-01")
    assert about["stacks"] == {HOSTILE: 1, "../e4s": 1, "none": 1}
    assert "2 added" in (odd / "summary.md").read_text()


def test_no_name_is_markup(odd: Path) -> None:
    for path in odd.rglob("*.html"):
        assert "<img src=x" not in path.read_text(), path
    assert HOSTILE not in (odd / "summary.md").read_text()
    assert "<img" not in badge(HOSTILE, HOSTILE, share=1)


@pytest.mark.slow
def test_a_report_replaces_a_report_whole_or_not_at_all(
    demo: cs.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"
    cs.write_report(demo, out, title="first")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cachestats.report.report.summary_markdown", fail)
        with pytest.raises(DatasetError, match="No space left"):
            cs.write_report(demo, out, title="second")
    assert "first" in (out / "index.html").read_text()

    # Killed between the two renames, with a new one half made.
    out.rename(tmp_path / ".report.old")
    (tmp_path / ".report.new" / "charts").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("cachestats.report.report.summary_markdown", fail)
        with pytest.raises(DatasetError, match="No space left"):
            cs.write_report(demo, out)
    assert "first" in (out / "index.html").read_text()

    link = tmp_path / "link"
    link.symlink_to(out)
    cs.write_report(demo, link, title="third")
    assert link.is_symlink()
    assert "third" in (out / "index.html").read_text()
    with filelock.FileLock(tmp_path / ".report.lock"), pytest.raises(BusyError, match="another process"):
        cs.write_report(demo, out)
    assert {path.name for path in tmp_path.iterdir()} - {".report.lock"} == {"link", "report"}


@pytest.mark.slow
def test_nothing_but_a_report_is_replaced(demo: cs.Dataset, tmp_path: Path) -> None:
    report, home, tested, inside = (tmp_path / name for name in ("report", "home", "tested", "inside"))
    for folder in (home, tested):
        folder.mkdir()
    (home / "thesis.tex").touch()
    (tested / "report.json").write_text('{"tests": 3}')
    cs.write_report(demo, report)
    (report / ".git").mkdir()
    cs.write_report(demo, inside)
    shutil.copytree(demo.path, inside / "dataset")
    for place in (home, home / "thesis.tex", tested, report, inside):
        with pytest.raises(DatasetError, match="expected an empty folder or an earlier report"):
            cs.write_report(cs.open_dataset(inside / "dataset"), place)
    assert (home / "thesis.tex").exists()
    assert (report / ".git").exists()


def test_a_mirror_without_stacks_has_a_report(tmp_path: Path) -> None:
    pages = {
        (name, "zlib"): page("zlib", name, [spec(name[-2:] * 16, stacks=["root"])])
        for name in ("develop-2025-06-01", "develop-2025-06-08")
    }
    dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    cs.write_report(dataset, tmp_path / "report")
    text = (tmp_path / "report/index.html").read_text()
    assert "There is no stack other than <code>root</code>" in text
    assert "Packages by OS and target" in text
    assert "0 stacks" not in (tmp_path / "report/packages/zlib.html").read_text()


def test_a_snapshot_that_lost_everything_is_reported(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop-2026-11-28/e4s", DEFAULT)
    layout_2(tmp_path / "mirrors/develop-2026-12-05/e4s", index({}, cached=set()))
    cs.write_report(build(tmp_path), tmp_path / "report")
    about = json.loads((tmp_path / "report/report.json").read_text())
    assert about["check"] == {"allowed": 0.05, "has_passed": False, "lost": {"e4s": 2}}
    assert "2 removed, 0 added" in (tmp_path / "report/summary.md").read_text()
    assert "lost 2 packages in develop-2026-12-05" in (tmp_path / "report/feeds/snapshots.xml").read_text()
    for name in ("index.html", "snapshots/develop-2026-12-05.html"):
        text = words(tmp_path / "report" / name)
        assert "develop-2026-11-28 to" in text
        assert "removed 2 " in text
        assert "pages of the cache site" not in text


def test_a_dataset_without_specs_has_a_report(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop-2026-12-05/e4s", index({}, cached=set()))
    dataset = build(tmp_path)
    done = run("report", str(dataset.path), "--out", str(tmp_path / "report"))
    assert done.stderr.endswith(b"\nno specs in develop-2026-12-05\n")
    assert "0 packages and 0 specs in 0 stacks." in (tmp_path / "report/summary.md").read_text()
    text = words(tmp_path / "report/index.html")
    assert "This report has no specs of develop-2026-12-05 ." in text
    assert "There is no earlier snapshot to compare develop-2026-12-05 with." in text
    assert "Stacks There are none." in text
    assert not any(word in text for word in ("Coverage", "broken", "Over time"))


def test_paths_of_this_machine_are_not_published(tmp_path: Path) -> None:
    secret = tmp_path / "home of somebody"
    for number, name in enumerate(("develop-2025-06-01", "develop-2025-06-08")):
        pages = {(name, "zlib"): page("zlib", name, [spec(str(number + 2) * 32)]), (name, "broken"): "---\nno page"}
        write(secret / str(number) / "site", pages)
    sources = [secret / "0/site", secret / "1/site"]
    dataset = cs.build_dataset(sources[0], out=tmp_path / "dataset", max_rejected=1)
    cs.update_dataset(dataset.path, sources[1], max_rejected=1)
    dataset = cs.open_dataset(dataset.path)
    assert str(secret) in dataset.rejected.collect().write_csv()
    cs.write_report(dataset, tmp_path / "report")
    tables = {path.stem: pl.read_parquet(path) for path in (tmp_path / "report/tables").glob("*.parquet")}
    said = [path.read_text() for path in (tmp_path / "report").rglob("*") if path.suffix in {".html", ".json", ".md"}]
    said += [json.dumps(table.to_dicts(), default=str) for table in tables.values()]
    assert [text for text in said if secret.name in text] == []
    assert {*tables["inputs"]["source"]} == {"site", "site (2)"}
    for name in ("snapshots", "inputs", "rejected"):
        whole = getattr(dataset, name).collect()
        assert tables[name].schema == whole.schema
        assert tables[name].height == whole.height


def test_the_name_of_a_snapshot_is_no_part_of_the_address_of_its_source(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirror", DEFAULT)
    dataset = cs.build_dataset(f"develop-2026-12-05={tmp_path / 'mirror'}", out=tmp_path / "dataset")
    cs.write_report(dataset, tmp_path / "report")
    assert json.loads((tmp_path / "report/report.json").read_text())["source"] == "mirror"
    for name in ("index.html", "data.html", "snapshots/develop-2026-12-05.html"):
        assert "develop-2026-12-05=" not in (tmp_path / "report" / name).read_text()


def test_versions_stand_in_spacks_order_newest_first(tmp_path: Path) -> None:
    versions = ["9.1.0", "10.2.1", "develop", "9.10"]
    specs = [spec(str(place) * 32, versions=[version]) for place, version in enumerate(versions)]
    site = write(tmp_path / "site", {("develop", "fmt"): page("fmt", "develop", specs)})
    cs.write_report(cs.build_dataset(site, out=tmp_path / "dataset"), tmp_path / "report")
    found = script_data(tmp_path / "report/specs/fmt.js")
    assert found["values"][0] == ["develop", "10.2.1", "9.10", "9.1.0"]
    assert script_data(tmp_path / "report/names.js")["names"]["version"] == [None, *found["values"][0]]
    text = (tmp_path / "report/packages/fmt.html").read_text()
    assert [text.index(f"<td>{version}</td>") for version in ("develop", "10.2.1", "9.10", "9.1.0")] == sorted(
        text.index(f"<td>{version}</td>") for version in versions
    )


@pytest.mark.slow
def test_what_a_machine_can_use_is_what_usable_says(demo: cs.Dataset, tmp_path: Path) -> None:
    cs.write_report(demo, tmp_path / "report")
    here = demo.specs.filter(snapshot="develop")
    text = (tmp_path / "report/packages/py-propcache.html").read_text()
    rows = re.findall(r'<th scope="row">([^<]+)</th>((?:<td class="(?:native|usable|missing|none)">.*?</td>)+)', text)
    targets = re.findall(r'<th scope="col">([^<]+)</th>', text.split('class="matrix"')[1].split("</thead>")[0])[1:]
    seen = set()
    for os_name, cells in rows:
        states = re.findall(r'<td class="(\w+)">', cells)
        platform = here.filter(os=os_name).select("platform").first().collect().item()
        for target, state in zip(targets, states, strict=True):
            said = cs.usable(here, host=host_of(target, platform, os_name))
            expected = said.filter(package="py-propcache")["cell"][0]
            exists = not here.filter(platform=platform, target=target).first().collect().is_empty()
            assert state == (expected if exists else "none") or (state, expected) == ("none", "missing")
            seen.add(state)
    assert seen == {"native", "usable", "missing", "none"}
    assert re.search(r'<td class="native">[1-9][0-9]* native</td>', text)
    words = html.unescape(text)
    assert [meaning for state, meaning in STATES.items() if f"{state}: {meaning}; " not in words] == []
    said = json.loads((tmp_path / "report/api/py-propcache.json").read_text())["targets"]
    assert said["neoverse_v1"] == "usable"


def test_what_is_missing_to_make_a_report_is_named() -> None:
    script = (
        "import sys; sys.modules['jinja2'] = None\n"
        "import cachestats as cs\n"
        "try:\n    cs.write_report\nexcept cs.CachestatsError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == (
        "expected jinja2 for a report, found it not installed\nhint: pip install 'cachestats[report]'\n"
    )


def test_a_dataset_without_snapshots_is_refused(demo: cs.Dataset, tmp_path: Path) -> None:
    empty = cs.Dataset(demo.path, msgspec.structs.replace(demo.manifest, snapshots={}))
    with pytest.raises(ArgumentError, match="expected a dataset with at least one snapshot"):
        cs.write_report(empty, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_report_of_a_subset_is_about_its_specs_alone(sample: cs.Dataset, tmp_path: Path) -> None:
    subset = sample.at("develop-2024-*").where(spec="hdf5~mpi")
    cs.write_report(subset, tmp_path / "report", title="hdf5")
    about = json.loads((tmp_path / "report" / "report.json").read_text())
    assert about["snapshots"] == ["develop-2024-06-02", "develop-2024-04-14", "develop-2024-03-17"]
    assert (about["num_packages"], about["num_specs"]) == (
        1,
        cs.find(sample.at("develop-2024-06-02"), "hdf5~mpi").height,
    )
    assert [path.stem for path in (tmp_path / "report" / "packages").iterdir()] == ["hdf5"]
    specs = pl.read_parquet(tmp_path / "report" / "tables" / "specs.parquet")
    assert specs.sort(specs.columns).equals(subset.specs.collect().select(specs.columns).sort(specs.columns))


def test_a_report_of_specs_that_the_newest_snapshot_lacks(sample: cs.Dataset, tmp_path: Path) -> None:
    cs.write_report(sample.where(spec="hdf5~mpi"), tmp_path / "report")
    about = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (about["snapshot"], about["num_specs"], about["stacks"]) == ("develop-2025-05-25", 0, {})
    text = words(tmp_path / "report/index.html")
    assert "This report has no specs of develop-2025-05-25 ." in text
    assert "removed 1 " in text


def test_a_report_of_specs_that_no_snapshot_has(sample: cs.Dataset, tmp_path: Path) -> None:
    filters = ("--where", "stack=e4s", "--where", "package=lerc")
    done = run("report", str(sample.path), "--out", str(tmp_path / "report"), *filters)
    assert done.stderr.endswith(b"\nno specs in 5 snapshots, stack=e4s, package=lerc\n")
    text = words(tmp_path / "report/index.html")
    assert "There is nothing to compare: this report has no specs of develop-2025-03-09 either." in text
    assert "broken" not in text
    text = words(tmp_path / "report/snapshots/develop-2025-05-25.html")
    assert "this report has no specs of this snapshot or of develop-2025-03-09 ." in text
