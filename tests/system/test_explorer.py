"""The explorer of a report, in a real browser: what it counts is what the analyses count."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
import pytest

import cachestats as cs
from cachestats.axes import AXES
from cachestats.codes import BASE32
from cachestats.errors import ArgumentError
from tests.support.browser import PHONE, assert_usable, ready
from tests.support.indices import glibc, index, needs_libc
from tests.support.mirrors import build, layout_3, sized_binary
from tests.support.nodes import edge, node
from tests.support.site import HOSTILE, page, spec, write

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Question = dict[str, Any]
Cells = dict[tuple[str | None, str | None], dict[str, Any]]

QUESTIONS = 100  # for each report
DIMENSIONS = (*AXES, "libc")
FILTERS = ("package", "os", "target", "compiler", "stack", "version")
HOSTS = ("zen4:rhel9", "zen4:ubuntu22.04", "skylake:ubuntu24.04", "neoverse_v1:amzn2", "m2:sequoia", "zen3:glibc@2.35")
EXPRESSIONS = (
    "{package}", "{package}@{version}", "@:{version}", "@={version}", "@{version}: +shared", "+shared ~mpi", "~shared",
    "{package}+shared", "build_system=cmake", "build_system:=cmake,python", "build_type=*", "target=x86_64_v2:",
    "target=:x86_64_v3", "target={target},ppc64le", "arch=linux-{os}-{target}", "os={os} platform=linux",
    "{package}@:1 {package}@2:", "not {package}", "not +shared", "namespace=builtin", "builtin.{package}", "cflags=-O3",
    "%gcc@11:", "%gcc@9: +shared", "{package}%gcc", "%oneapi", "%c", "not %gcc os={os}", "no-such-package",
    "@{version}:=", "patches=*", "libs=shared,static", "{package}@git.main", "@1.2:1.8,=2.0,4:", "+SHARED", "*",
)  # fmt: skip
STACKS = (["root"], [], ["e4s", "root"], ["hep", "ml", "root"])
ASK = """async (addresses) => {
    const { answers } = cachestats;
    const report = await answers.Report.open();
    const found = [];
    for (const address of addresses) {
        try {
            const answer = await answers.answer(answers.asked(address, report), report);
            const cells = [];
            answer.rows.forEach((row, r) => answer.columns.forEach((column, c) => {
                const cell = answer.cell(r, c);
                if (!cell.isEmpty) cells.push([row.label, column.label, cell]);
            }));
            found.push({ cells });
        } catch (error) {
            found.push({ error: `${error.name}: ${error.message}` });
        }
    }
    return found;
}"""


@pytest.fixture(scope="session")
def paged(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return a dataset of random pages: specs that move between stacks, without stack or compiler."""
    draw = random.Random(5)
    pages = {}
    specs = {
        name: [
            spec(
                "".join(draw.choices(BASE32, k=32)),
                versions=[draw.choice(("1.2.3", "1.10", "2.0", "2.0-rc1", "develop", "git.main=1.2"))],
                os=draw.choice(("ubuntu22.04", "rhel9", "unheard_of")),
                target=draw.choice(("x86_64_v3", "zen4", "x86_64", "no-such-target")),
                compiler=draw.choice(("gcc@13.2.0", "gcc@=11.4.0", "clang@15.0", "none")),
                variants=sorted(
                    [draw.choice(("+shared", "~shared")), draw.choice(("libs=shared", "libs=shared,static"))]
                ),
            )
            for _ in range(draw.randrange(1, 30))
        ]
        for name in ("zlib", "hdf5", "py-numpy", "a", "gcc")
    }
    for snapshot in ("develop-2024-03-17", "develop-2025-06-01", "develop"):
        for name, every in specs.items():
            some = [one for one in every if draw.random() < 0.7]
            moved = [
                one | {"stacks": draw.choice((["root"], [], ["e4s", "root"], ["hep", "ml", "root"]))} for one in some
            ]
            if moved:
                pages[snapshot, name] = page(name, snapshot, moved)
    folder = tmp_path_factory.mktemp("paged")
    return cs.build_dataset(write(folder / "site", pages), out=folder / "dataset")


@pytest.fixture(scope="session")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return a dataset of random mirrors: with sizes, flags, and dependencies that are missing or external.

    Some specs need a libc, so that the oldest snapshot, in an older database, has the rules of Spack 0.23.
    """
    draw = random.Random(6)
    hashes = ["".join(draw.choices(BASE32, k=32)) for _ in range(60)]
    libc, found = glibc("2.34")
    nodes: dict[str, dict[str, Any]] = {}
    for digest in hashes:
        arch = {"platform": "linux", "platform_os": draw.choice(("rhel9", "ubuntu22.04"))}
        needed = draw.sample(sorted(nodes), min(len(nodes), draw.randrange(3)))
        nodes[digest] = node(
            draw.choice(("zlib", "hdf5", "cuda", "mpich")),
            digest,
            version=draw.choice(("1.2.3", "1.10", "2.0")),
            arch=arch | {"target": draw.choice(("x86_64_v3", "zen4"))},
            parameters={"shared": draw.random() < 0.5, "cflags": draw.choice(([], ["-O3"], ["-O3", "-g"]))},
            dependencies=[
                *(edge(nodes[one]["name"], one, [draw.choice(("build", "link", "run"))], []) for one in needed),
                *([needs_libc((libc, found))] if draw.random() < 0.5 else []),
            ],
            **({"external": {"path": "/opt/x"}} if draw.random() < 0.05 else {}),
        )
    nodes[libc] = found["spec"]
    folder = tmp_path_factory.mktemp("mirrored")
    for snapshot, database in (("v0.23.1", 7), ("develop-2025-06-01", 8), ("develop", 8)):
        cached = {digest for digest in hashes if "external" not in nodes[digest] and draw.random() < 0.8}
        mirror = folder / "mirrors" / snapshot
        for place, some in ((mirror, cached), (mirror / "e4s", set(draw.sample(sorted(cached), len(cached) // 2)))):
            layout_3(place, (database, index(nodes, cached=some, version=f"{database}")))
        for digest in sorted(cached):
            if draw.random() < 0.8:
                sized_binary(mirror, nodes[digest]["name"], nodes[digest]["version"], digest, draw.randrange(1 << 40))
    return build(folder, sizes=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "paged", "mirrored"])
def test_the_explorer_counts_what_the_analyses_count(
    name: str, open_page: Open, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    if name == "sample":
        folder: Path = request.getfixturevalue("report")
    else:
        folder = tmp_path / "report"
        cs.write_report(dataset, folder)
    draw = random.Random(name)
    specs = dataset.specs.collect()
    questions = [random_question(draw, specs) for _ in range(QUESTIONS)]
    answers = open_page(folder / "explorer.html").evaluate(ASK, [urlencode(one, doseq=True) for one in questions])
    kinds = compared_answers(dataset, questions, answers)
    assert kinds["counts"] > 30, kinds
    assert kinds["hosts"] > 10, kinds
    assert kinds["compared"] > 10, kinds
    assert kinds["empty"] < 25, kinds
    assert bool(kinds["bytes"]) == (name == "mirrored"), kinds


def compared_answers(dataset: cs.Dataset, questions: list[Question], answers: list[Any]) -> dict[str, int]:
    """Compare the answers of the explorer with those of the analyses, and count the kinds of questions."""
    kinds = dict.fromkeys(("counts", "hosts", "compared", "refused", "empty", "bytes"), 0)
    for question, answer in zip(questions, answers, strict=True):
        expected = expected_cells(dataset, question)
        if expected is None:
            # The shell says that a snapshot does not have a name; the explorer finds nothing that has it.
            is_without = "variant:shared" in (question["rows"], question["columns"])
            is_without |= is_compared(question) or question.get("spec", "").startswith("not ")
            assert is_without or "error" in answer or not answer["cells"], (question, answer)
            kinds["refused"] += 1
            continue
        if "error" in answer:
            # Some snapshots compare the operating system, even if the specs that are left do not.
            is_said = any(words in answer["error"] for words in ("cachestats find", "choose an operating system"))
            assert is_said, (question, answer)
            kinds["refused"] += 1
            continue
        found = {(row, column): cell for row, column, cell in answer["cells"]}
        assert found.keys() == expected.keys(), question
        for place, cell in expected.items():
            assert {key: found[place].get(key) for key in cell} == pytest.approx(cell), (question, place)
        kinds["hosts" if "host" in question else "compared" if is_compared(question) else "counts"] += 1
        kinds["empty"] += not found
        kinds["bytes"] += question["measure"] == "bytes" and any(cell["value"] for cell in found.values())
    return kinds


def random_question(draw: random.Random, specs: pl.DataFrame) -> Question:
    """Return a question about some specs as its address has it: an empty text stands for no compiler, no stack, ..."""
    names = specs["snapshot"].unique().sort().to_list()
    rows, columns = draw.sample([*DIMENSIONS, "variant:shared"], 2)
    has_sizes = specs["size_bytes"].null_count() < specs.height
    question = {
        "rows": rows,
        "columns": columns,
        "measure": draw.choice(("packages", "specs", "share", *(["bytes"] if has_sizes else []))),
        "denominator": draw.choice(("row", "column", "all")),
        "snapshot": draw.choice(names),
    }
    some = specs.filter(snapshot=question["snapshot"], stack="root")
    some = specs.filter(snapshot=question["snapshot"]) if some.is_empty() else some
    some = some.with_columns(libc=libc())
    for column in draw.sample(
        ("package", "os", "target", "compiler", "stack", "version", "libc"), draw.choice((0, 0, 1, 2))
    ):
        values = {one[column] for one in draw.choices(some.rows(named=True), k=draw.choice((1, 3)))} - {"root"}
        if values:
            question[column] = ["" if one is None else one for one in sorted(values, key=str)]
    if draw.random() < 0.4:
        row = draw.choice(some.rows(named=True))
        question["spec"] = draw.choice(EXPRESSIONS).format(**row)
    if draw.random() < 0.3:
        question["host"] = draw.choice(HOSTS)
    elif draw.random() < 0.4:
        question["before"] = draw.choice(names)
    return question


def is_compared(question: Question) -> bool:
    return "before" in question and "snapshot" not in (question["rows"], question["columns"])


def libc() -> pl.Expr:
    return pl.when(pl.col("libc").is_not_null()).then(pl.format("{}@{}", "libc", "libc_version"))


def expected_cells(dataset: cs.Dataset, question: Question) -> Cells | None:
    """Return the cells of the answer, from the analyses and from Polars; None if they refuse the question."""
    try:
        return cells_of_question(dataset, question)
    except ArgumentError:
        return None


def cells_of_question(dataset: cs.Dataset, question: Question) -> Cells:
    is_over_time = "snapshot" in (question["rows"], question["columns"])
    subset = chosen(dataset.at("all") if is_over_time else dataset.at(question["snapshot"]), question)
    if is_compared(question):
        return compared_cells(chosen(dataset.at(question["before"]), question), subset, question)
    cells = counted(subset, question)
    if "host" not in question:
        return cells
    reused = cs.reusable(subset, host=question["host"]).filter(pl.col("status").is_in(["native", "usable"]))
    frame = labelled(subset, question).join(
        reused.select("snapshot", "hash", "status"), on=["snapshot", "hash"], how="left"
    )
    is_native, is_reused = (pl.col("status") == "native").any(), pl.col("status").is_not_null().any()
    state = (
        pl.when(is_native).then(pl.lit("native")).when(is_reused).then(pl.lit("usable")).otherwise(pl.lit("missing"))
    )
    found = frame.group_by("row", "column").agg(state)
    states = {(row, column): state for row, column, state in found.rows()}
    usable = cells_of(frame.drop_nulls("status"), question, denominators=labelled(subset, question, union=True))
    return {place: {"state": states[place], "value": usable.get(place, {"value": 0})["value"]} for place in cells}


def chosen(subset: cs.Subset, question: Question) -> cs.Subset:
    """Return the specs that the filters and the expression leave."""
    for column in FILTERS:
        if column in question:
            subset = subset.where(**{column: [value or None for value in question[column]]})
    if "libc" in question:
        # A pair of columns, which a filter on each does not express.
        wanted = {value or None for value in question["libc"]}
        names = {value and value.split("@")[0] for value in wanted}
        subset = subset.where(libc=list(names))
        there = set(subset.specs.select(value=libc()).unique().collect()["value"])
        versions = {value and value.split("@")[1] for value in there & wanted}
        subset = subset.where(libc_version=list(versions)) if versions else subset.where(package=())
    return subset.where(spec=question["spec"]) if "spec" in question else subset


def counted(subset: cs.Subset, question: Question) -> Cells:
    axes = question["rows"], question["columns"]
    if question["measure"] == "bytes" or "libc" in axes:
        return cells_of(labelled(subset, question), question, denominators=labelled(subset, question, union=True))
    found = cs.coverage(
        subset, rows=axes[0], columns=axes[1], measure=question["measure"], denominator=question["denominator"]
    )
    return {(row, column): {"value": value} for row, column, value in found.rows()}


def labelled(subset: cs.Subset, question: Question, *, union: bool = False) -> pl.DataFrame:
    """Return a row for each spec, row and column of the table; of stacks all but root, unless the union is wanted."""
    shared = r"(?:^| )([+~])shared(?: |$)"
    frame = subset.specs.with_columns(
        libc=libc(), **{"variant:shared": pl.col("variants").str.extract(shared) + "shared"}
    ).collect()
    axes = question["rows"], question["columns"]
    if "stack" in axes and not union:
        frame = frame.filter(pl.col("stack").ne_missing("root"))
    return frame.select(
        "snapshot", "hash", "package", "size_bytes", row=pl.col(axes[0]), column=pl.col(axes[1])
    ).unique()


def cells_of(frame: pl.DataFrame, question: Question, *, denominators: pl.DataFrame) -> Cells:
    by = ["row", "column"]
    if question["measure"] == "bytes":
        found = frame.group_by(by).agg(pl.col("size_bytes").sum())
    elif question["measure"] == "specs":
        found = frame.group_by(by).agg(pl.struct("snapshot", "hash").n_unique())
    else:
        found = frame.group_by(by).agg(pl.col("package").n_unique().alias("value"))
        if question["measure"] == "share":
            along = {"row": ["row"], "column": ["column"], "all": []}[question["denominator"]]
            whole = denominators.group_by(along or pl.lit(1)).agg(whole=pl.col("package").n_unique())
            joined = found.join(whole, on=along, nulls_equal=True) if along else found.join(whole, how="cross")
            found = joined.select(*by, pl.col("value") / pl.col("whole"))
    return {(row, column): {"value": value} for row, column, value in found.rows()}


def compared_cells(old: cs.Subset, new: cs.Subset, question: Question) -> Cells:
    """Return the cells of two snapshots side by side: values, and what came and went."""
    frames = [labelled(one, question) for one in (old, new)]
    values = [counted(one, question) for one in (old, new)]
    thing = "package" if question["measure"] in ("packages", "share") else "hash"
    weight = pl.col("size_bytes").fill_null(0) if question["measure"] == "bytes" else pl.lit(1)
    things = [frame.select("row", "column", thing, weight=weight).unique() for frame in frames]
    on = ["row", "column", thing]
    found: Cells = {}
    zero = {"value": 0}
    for place in values[0].keys() | values[1].keys():
        found[place] = {"old": values[0].get(place, zero)["value"], "value": values[1].get(place, zero)["value"]}
        found[place] |= {"came": 0, "went": 0}
    for word, here, there in (("went", *things), ("came", *reversed(things))):
        sums = (
            here.join(there, on=on, how="anti", nulls_equal=True).group_by("row", "column").agg(pl.col("weight").sum())
        )
        for row, column, value in sums.rows():
            found[row, column][word] = value
    return found


def drawn(page: Any) -> list[str]:
    """Return everything that the address decides on."""
    return page.locator("#heading, #found, #chosen, #legend, #table, #cell").all_inner_texts()


def wait_for_text(page: Any, selector: str, text: str) -> None:
    """Wait for text; a function to wait for would be evaluated, which the pages do not allow."""
    page.locator(selector, has_text=text).wait_for(state="attached")


def wait_for_heading(page: Any, text: str) -> None:
    wait_for_text(page, "#heading", text)


def test_the_address_holds_the_question(open_page: Open, report: Path) -> None:
    page = open_page(report / "explorer.html")
    ready(page)
    assert page.locator("h1").inner_text() == "Packages by stack and OS in develop-2025-05-25"
    page.get_by_label("Rows", exact=True).select_option("compiler")
    wait_for_heading(page, "by compiler")
    page.get_by_label("Snapshot", exact=True).select_option("develop-2024-06-02")
    wait_for_heading(page, "2024-06-02")
    page.get_by_label("Host: target").select_option("neoverse_v1")
    assert "operating system or libc of the host, too" in page.locator("#found").inner_text()
    page.get_by_label("Host: OS or libc").select_option("amzn2")
    wait_for_heading(page, "that neoverse_v1:amzn2 can reuse")
    page.locator("#table thead").get_by_role("button", name="ubuntu22.04").click()
    page.wait_for_selector("#chosen li")
    page.get_by_label("Specs that satisfy").fill("target=x86_64_v3:")
    page.get_by_label("Specs that satisfy").press("Enter")
    page.wait_for_url(re.compile("x86_64_v3"), wait_until="commit")
    page.locator("#table tbody td button").first.click()
    page.wait_for_selector("#cell:not([hidden]) tbody tr")
    shown = drawn(page)
    asked = page.url
    page.goto("about:blank")
    page.goto(asked)
    page.wait_for_selector("#cell:not([hidden]) tbody tr")
    assert drawn(page) == shown
    assert page.get_by_label("Host: target").input_value() == "neoverse_v1"
    page.get_by_role("button", name="Remove the filter OS ubuntu22.04").click()
    page.wait_for_selector("#chosen li", state="detached")
    page.go_back()
    page.wait_for_selector("#cell:not([hidden]) tbody tr")
    assert drawn(page) == shown
    page.get_by_role("button", name="Start again").click()
    wait_for_heading(page, "Packages by stack and OS in develop-2025-05-25")


def test_a_cell_lists_its_specs(open_page: Open, report: Path, sample: cs.Dataset) -> None:
    page = open_page(report / "explorer.html")
    ready(page)
    page.evaluate("location.hash = 'rows=stack&columns=os&measure=specs&spec=hdf5&snapshot=develop-2025-05-25'")
    wait_for_heading(page, "Specs by stack")
    page.locator("#table tbody tr", has_text="e4s").locator("td button").click()
    page.wait_for_selector("#cell:not([hidden]) tbody tr")
    specs = sample.at("develop-2025-05-25").where(package="hdf5", stack="e4s", os="ubuntu22.04").specs.collect()
    assert page.locator("#cell-heading").inner_text() == f"{specs.height} specs of e4s, ubuntu22.04"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    commands = set()
    for button in page.locator("#cell-specs tbody .copy").all():
        button.click()
        button.filter(has_text="copied").wait_for()
        commands.add(page.evaluate("navigator.clipboard.readText()"))
    assert commands == {f"spack install /{dag_hash}" for dag_hash in specs["hash"]}
    listed = [row.locator("td").all_inner_texts() for row in page.locator("#cell-specs tbody tr").all()]
    expected = specs.with_columns(stack=pl.lit("e4s")).select(
        "version", "os", "target", "compiler", "stack", "variants"
    )
    assert sorted(tuple(row[2:]) for row in listed) == sorted(expected.rows())
    page.get_by_role("link", name="hdf5").first.click()
    assert page.locator("h1").inner_text() == "hdf5"


def test_the_page_says_how_a_comparison_differs_from_that_of_the_command_line(
    open_page: Open, report: Path, sample: cs.Dataset
) -> None:
    address = {"rows": "stack", "columns": "target", "before": "develop-2025-03-09", "snapshot": "develop-2025-05-25"}
    page = open_page(report / "explorer.html", anchor=urlencode(address))
    ready(page)
    (counts,) = cs.compare_counts(sample.at(address["before"]), sample.newest).filter(stack="e4s").iter_rows(named=True)
    assert counts["representation"] == 1
    row = page.locator("#table tbody tr", has_text="e4s").locator("td.total").inner_text()
    assert row == f"+{counts['added'] + counts['representation']} \N{MINUS SIGN}{counts['removed']}"
    assert "Unlike in cachestats compare, this includes" in page.locator("#legend").inner_text()


def test_filters_narrow_each_other(open_page: Open, report: Path, sample: cs.Dataset) -> None:
    page = open_page(report / "explorer.html")
    ready(page)
    newest = sample.newest
    facet = page.locator("#facets fieldset", has_text="compiler")
    facet.get_by_text("gcc@7.5.0").click()
    page.wait_for_selector("#chosen li")
    systems = page.locator("#facets fieldset", has=page.get_by_text("OS", exact=True)).locator("label")
    found = dict(text.rsplit("\n", 1) for text in systems.all_inner_texts())
    expected = newest.where(compiler="gcc@7.5.0").specs.group_by("os").agg(pl.col("package").n_unique()).collect()
    assert found == {os: f"{number:,}" for os, number in expected.rows()}
    others = facet.locator("label").all_inner_texts()
    assert len(others) == newest.specs.select("compiler").unique().collect().height


def test_what_only_the_shell_can_tell_is_said(open_page: Open, report: Path) -> None:
    page = open_page(report / "explorer.html")
    ready(page)
    for text, words in (
        ("hdf5 ^mpich", "'^' asks for dependencies"),
        (
            "zlib-ng %gcc",
            "'%' asks for direct dependencies in develop-2025-05-25, which this page does not know; choose a compiler "
            "among the filters, or ask with cachestats find, in a shell",
        ),
        ("zlib/abc", "asks for a hash"),
        ("hdf5 ++mpi", "'++mpi' concerns dependencies"),
        ("mpi", "found 'mpi'; if it is a virtual package, cachestats find, in a shell, can ask for it"),
    ):
        page.get_by_label("Specs that satisfy").fill(text)
        page.get_by_label("Specs that satisfy").press("Enter")
        wait_for_text(page, "#trouble", words)
        assert "cachestats find" in page.locator("#trouble").inner_text()
    page.get_by_label("Specs that satisfy").fill("hdf5@")
    page.get_by_label("Specs that satisfy").press("Enter")
    wait_for_text(page, "#trouble", "hdf5@ ^")
    for text, words in (
        ("hdf5, petsc", "expected spaces between alternatives, such as hdf5 petsc, found ','"),
        ("hdf5 !", "expected a spec such as hdf5@1.14:+mpi target=x86_64_v3, found '!'"),
    ):
        page.get_by_label("Specs that satisfy").fill(text)
        page.get_by_label("Specs that satisfy").press("Enter")
        wait_for_text(page, "#trouble", words)
    page.evaluate("location.hash = 'measure=bytes'")
    wait_for_text(page, "#trouble", "expected a dataset with sizes for bytes, found none")
    page.evaluate("location.hash = 'host=486:dos'")
    wait_for_text(page, "#trouble", "expected a host")
    page.evaluate("location.hash = 'rows=nothing'")
    wait_for_text(page, "#trouble", "there is no dimension nothing")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address",
    [
        "rows=stack&columns=os&host=zen4:rhel9",
        "rows=package&columns=compiler&view=bars&measure=share&os=ubuntu22.04",
        "rows=stack&columns=target&before=develop-2025-03-09&measure=specs",
        "rows=package&columns=snapshot",
        "rows=package&columns=variant:mpi&package=hdf5&cell=hdf5&cell=%2Bmpi&host=zen4:ubuntu22.04",
    ],
)
def test_every_view_fits_a_phone_and_serves_everyone(address: str, scheme: str, open_page: Open, report: Path) -> None:
    page = open_page(report / "explorer.html", anchor=address, color_scheme=scheme, viewport=PHONE)
    page.wait_for_selector("#explorer[aria-busy=false]")
    assert page.locator("#trouble").inner_text() == ""
    assert_usable(page)


def test_a_phone_shows_the_whole_names_of_rows(open_page: Open, report: Path) -> None:
    page = open_page(report / "explorer.html", anchor="rows=package&columns=target", viewport=PHONE)
    ready(page)
    cut = page.locator("#table tbody th").evaluate_all(
        "cells => cells.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    )
    assert cut == []


def test_the_arrows_move_between_cells(open_page: Open, report: Path) -> None:
    page = open_page(report / "explorer.html")
    ready(page)
    page.locator("#table thead button").first.focus()
    said = []
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        said.append(page.evaluate("document.activeElement.textContent"))
    assert said[-2:] == ["radiuss", "ml-linux-x86_64-cpu"]
    assert page.locator("#table button[tabindex='0']").count() == 1
    page.locator("#table tbody td button").first.focus()
    assert page.locator("#readout").inner_text() == "build_systems, ubuntu18.04: 67 packages, 100.0% of the row"


def test_names_from_the_data_do_nothing(open_page: Open, odd: Path) -> None:
    page = open_page(odd / "explorer.html")
    ready(page)
    for rows, columns in (("stack", "package"), ("package", "target"), ("compiler", "stack"), ("variant:x", "package")):
        page.evaluate(
            "([rows, columns]) => { location.hash = new URLSearchParams({ rows, columns }); }", [rows, columns]
        )
        wait_for_heading(page, f"by {rows.replace(':', ' ')} and {columns}")
        assert HOSTILE in page.locator("#explorer").inner_text()
    page.locator("#table tbody td button").first.click()
    page.wait_for_selector("#cell:not([hidden]) tbody tr")
    page.evaluate(
        "address => { location.hash = address; }", urlencode({"rows": HOSTILE, "os": HOSTILE, "host": HOSTILE})
    )
    wait_for_text(page, "#trouble", HOSTILE)
