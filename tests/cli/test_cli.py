"""The command line: what each verb prints and where, its formats, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner

import cachestats as cs
from cachestats.axes import AXES, CHANGE_AXES, GAP_AXES, GROUP_AXES, HISTORY_AXES
from cachestats.cli import cli, main
from cachestats.cli.output import _columns, _table
from cachestats.cli.sections import Verbs
from conftest import ROOT, SEEDS
from tests.support.cli import run
from tests.support.site import page, spec, write

QUESTION = ("--rows", "package", "--columns", "os")
EXPECTED = [
    ("py-filelock", "sequoia", 15),
    ("py-filelock", "ubuntu18.04", 12),
    ("py-filelock", "ubuntu20.04", 4),
    ("py-filelock", "ubuntu22.04", 45),
    ("py-filelock", "ubuntu24.04", 48),
    ("py-propcache", "sequoia", 14),
    ("py-propcache", "ubuntu22.04", 16),
    ("py-propcache", "ubuntu24.04", 38),
]


@pytest.mark.parametrize(
    ("ending", "start"),
    [("csv", b"package,os"), ("JSON", b"[{"), ("parquet", b"PAR1"), ("md", b"| package"), ("txt", b"package  ")],
)
def test_the_ending_of_a_file_says_its_format(ending: str, start: bytes, demo: cs.Dataset, tmp_path: Path) -> None:
    (tmp_path / f"out.{ending}").write_text("what was there before")
    done = run("coverage", demo.path, *QUESTION, "--out", tmp_path / f"out.{ending}")
    assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [f"out.{ending}"]
    assert done.stderr.decode().startswith(f"wrote {tmp_path}/out.{ending}\n")


def test_machines_get_the_tidy_table_in_every_format(demo: cs.Dataset, tmp_path: Path) -> None:
    def output(form: str) -> bytes:
        stdout = run("coverage", demo.path, *QUESTION, "--format", form).stdout
        run("coverage", demo.path, *QUESTION, "--format", form, "--out", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == stdout, "a file gets what stdout would"
        return stdout

    rows = list(csv.reader(io.StringIO(output("csv").decode())))
    assert rows == [["package", "os", "value"], *[[*map(str, row)] for row in EXPECTED]]
    assert [tuple(row.values()) for row in json.loads(output("json"))] == EXPECTED
    assert pl.read_parquet(io.BytesIO(output("parquet"))).rows() == EXPECTED


def test_eyes_get_the_matrix(demo: cs.Dataset) -> None:
    markdown = run("coverage", demo.path, *QUESTION, "--format", "markdown").stdout.decode().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown]
    assert cells[0] == ["package", "sequoia", "ubuntu18.04", "ubuntu20.04", "ubuntu22.04", "ubuntu24.04"]
    assert cells[3] == ["py-propcache", "14", "0", "0", "16", "38"]
    table = (
        run("coverage", demo.path, *QUESTION, "--measure", "share", "--denominator", "all").stdout.decode().splitlines()
    )
    assert table[0].split() == cells[0]
    assert table[3].split() == ["py-propcache", "50.0%", "0.0%", "0.0%", "50.0%", "50.0%"]


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ((), 192),
        (("--snapshot", "develop-2025-03-09"), 18),
        (("--snapshot", "all"), 210),
        (("--where", "os=sequoia"), 29),
        (("--where", "os=sequoia", "--where", "os=ubuntu18.04"), 41),
        (("--where", "os=sequoia", "--where", "package=py-filelock"), 15),
        (("--where", "compiler=none"), 68),
        (("--where", "compiler_name=none", "--where", "compiler_name=gcc"), 164),
        (("--where", "os=ubuntu18.04", "--where", "package=py-propcache"), 0),
        (("--where", "os=ubuntu*"), 163),
        (("--where", "os!=ubuntu*"), 29),
        (("--where", "os=ubuntu*", "--where", "os=!ubuntu1*"), 151),
        (("--where", "compiler!=none"), 124),
        (("--where", "stack=root"), 192),
        (("--where", "snapshot=develop-2025-03-09"), 18),
        (("--snapshot", "develop-2025-03-09", "--snapshot", "develop"), 210),
    ],
)
def test_snapshots_and_filters_choose_specs(options: tuple[str, ...], total: int, demo: cs.Dataset) -> None:
    done = run("coverage", demo.path, *QUESTION, *options, "--format", "json")
    assert sum(row["value"] for row in json.loads(done.stdout)) == total
    if not total:
        assert "no specs in develop, os=ubuntu18.04, package=py-propcache" in done.stderr.decode()


def test_a_compiler_without_its_version_is_told_how_to_ask(demo: cs.Dataset) -> None:
    failed = run("coverage", demo.path, *QUESTION, "--where", "compiler=gcc", code=2).stderr.decode()
    assert "found 'gcc'\nhint: try gcc@" in failed
    assert failed.endswith(", or gcc@* for any version\n")


def test_a_dataset_without_snapshots_is_named(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "a"): b"\xff"})
    run("build", site, "--out", tmp_path / "dataset", "--max-rejected", "1")
    done = run("coverage", tmp_path / "dataset", *QUESTION)
    assert f"no specs in {tmp_path}/dataset, which has no snapshots" in done.stderr.decode()


def test_the_default_snapshot_is_the_newest_where_there_is_no_develop(tmp_path: Path) -> None:
    names = ["develop-2024-12-29", "develop-2025-03-09", "v0.23.1"]
    site = write(tmp_path / "site", {(name, "a"): page("a", name, [spec(target=name)]) for name in names})
    cs.build_dataset(site, out=tmp_path / "dataset")
    done = run("coverage", tmp_path / "dataset", "--rows", "package", "--columns", "target", "--format", "json")
    assert [row["target"] for row in json.loads(done.stdout)] == ["develop-2025-03-09"]
    done = run("coverage", tmp_path / "dataset", "--rows", "package", "--columns", "snapshot", "--format", "json")
    assert [row["snapshot"] for row in json.loads(done.stdout)] == names


def test_each_verb_prints_data_to_stdout_and_talk_to_stderr(demo: cs.Dataset, tmp_path: Path) -> None:
    done = run("build", SEEDS, "--out", tmp_path / "dataset")
    assert not done.stdout
    assert "INFO develop: 192 specs of 2 packages" in done.stderr.decode(), "log lines where there is no terminal"
    assert json.loads(run("info", demo.path, "--format", "json").stdout)[1]["num_specs"] == 192
    assert run("info", demo.path).stdout.decode().splitlines()[2].split()[:4] == ["develop-2025-03-09", "18", "1", "9"]
    assert b"| `package` | string | no |" in run("dictionary", "--format", "markdown").stdout
    assert json.loads(run("dictionary", "--format", "json").stdout)[0]["column"] == "package"
    assert not run("plot", "coverage", demo.path, *QUESTION, "--out", tmp_path / "chart.svg").stdout
    assert (tmp_path / "chart.svg").read_text().startswith("<?xml")


def test_a_verb_may_say_only_errors_or_more(demo: cs.Dataset, tmp_path: Path) -> None:
    question = ("coverage", demo.path, *QUESTION, "--where", "target=x86*", "--where", "os!=sequoia")
    normal, quiet, verbose = (run(*question, *options) for options in ((), ("-q",), ("-v",)))
    assert normal.stdout == quiet.stdout == verbose.stdout
    assert not quiet.stderr
    resolved = "snapshots: develop\ntarget: x86_64_v3\nos: ubuntu18.04, ubuntu20.04, ubuntu22.04, ubuntu24.04\n"
    assert verbose.stderr.decode() == resolved + normal.stderr.decode()
    assert not run("build", SEEDS, "--out", tmp_path / "dataset", "--quiet").stderr
    failed = run("check", demo.path, "--snapshot", "newest", "-q", code=2).stderr
    assert failed.startswith(b"error: expected a snapshot that has a previous one, found 'develop'")
    assert b"expected --quiet or --verbose, found both" in run("info", demo.path, "-q", "-v", code=2).stderr
    for group in (cli, cli.commands["plot"]):
        assert isinstance(group, Verbs)
        for verb in group.commands.values():
            options = {name for param in verb.params for name in param.opts}
            assert verb is cli.commands["plot"] or {"--quiet", "--verbose"} <= options, verb.name


def test_rejected_shows_what_why_and_what_to_try(tmp_path: Path) -> None:
    bad = {("develop", "a"): b"\xff", ("develop", "b"): page("b", specs=[spec(), spec("b" * 32, size="big")])}
    site = write(tmp_path / "site", bad)
    run("build", site, "--out", tmp_path / "dataset", code=11)
    run("build", site, "--out", tmp_path / "dataset", "--max-rejected", "50%")
    done = run("rejected", tmp_path / "dataset", "--severity", "error", "--format", "json")
    (row,) = json.loads(done.stdout)
    assert (row["rule"], row["location"], row["snapshot"], row["package"]) == ("encoding", "line 1", "develop", "a")
    assert (
        "1 of 2 rows, 0 specs left out, and an unknown number of specs of 1 page: 1 error (encoding)"
        in done.stderr.decode()
    )
    assert json.loads(run("rejected", tmp_path / "dataset", "--rule", "size", "--format", "json").stdout)[0]["hint"]


def test_exit_codes_tell_what_went_wrong(demo: cs.Dataset, tmp_path: Path) -> None:
    big = write(tmp_path / "big", {("develop", "a"): page("a", specs=[spec(f"{n:032d}") for n in range(9)])})
    small = write(tmp_path / "small", {("develop", "a"): page("a", specs=[spec()])})
    run("build", big, "--out", tmp_path / "dataset")
    for code, arguments, words in (
        (2, ("coverage", demo.path), "Missing option '--rows'"),
        (2, ("coverage", demo.path, "--rows", "tarket", "--columns", "os"), "hint: try target"),
        (2, ("coverage", demo.path, *QUESTION, "--snapshot", "develp"), "hint: try develop"),
        (2, ("coverage", demo.path, *QUESTION, "--where", "tarket=x"), "try target=x"),
        (2, ("coverage", demo.path, *QUESTION, "--where", "tarket!=x"), "try target!=x"),
        (2, ("coverage", demo.path, *QUESTION, "--columns", "os"), "expected one axis, or several spec expr"),
        (2, ("gaps", demo.path, "--by", "os", "--by", "stack"), "expected --by once, found it twice"),
        (2, ("coverage", demo.path, *QUESTION, *["--union"] * 3), "expected --union once, found it 3 times"),
        (2, ("plot", "holes", demo.path, "--out", "x.svg", "--out", "y.svg"), "expected --out once, found it twice"),
        (2, ("coverage", demo.path, *QUESTION, "--denominator", "row"), "expected --denominator with --measure share"),
        (2, ("build", SEEDS, "--out", tmp_path / "x", "--max-rejected", "lots"), "such as 1% or 0.01, found 'lots'"),
        (2, ("plot", "coverage", demo.path, *QUESTION, "--out", tmp_path / "x.bmp"), "ends in .png, .svg, .pdf, .html"),
        (
            2,
            ("plot", "coverage", demo.path, *QUESTION, "--where", "os=x", "--out", tmp_path / "x.svg"),
            "expected an os",
        ),
        (10, ("build", tmp_path / "nowhere", "--out", tmp_path / "x"), "found nothing at"),
        (12, ("info", tmp_path / "nowhere"), "expected a dataset, found nothing"),
        (12, ("coverage", demo.path, *QUESTION, "--out", tmp_path / "no" / "x.csv"), "cannot write"),
        (2, ("coverage", demo.path, *QUESTION, "--out", "x.xlsx"), ".json, .md, .parquet, found 'x.xlsx'\nhint: say"),
        (2, ("coverage", demo.path, *QUESTION, "--out", ""), "expected the name of a file as --out, found '.'"),
        (13, ("build", small, "--out", tmp_path / "dataset"), "at least half of the 9 specs of develop, found 1"),
        (0, ("build", small, "--out", tmp_path / "dataset", "--allow-shrink"), "1 spec in 2 rows"),
    ):
        assert words in run(*arguments, code=code).stderr.decode()


@pytest.mark.slow
def test_odd_places_to_write_to_are_no_tracebacks(demo: cs.Dataset, tmp_path: Path) -> None:
    python = f"{sys.executable} -m cachestats"
    for command, code in (
        (f"{python} dictionary > /dev/full", 12),
        (f"{python} coverage {demo.path} --rows os --columns target >&-", 12),
        (f"{python} build {SEEDS} --out '{tmp_path}/y[/red]y'", 0),
        (f"{python} --help > /dev/full", 12),
        (f"{python} check {demo.path} 2> /dev/full", 0),
        (f"{python} info {demo.path} 2>&1 > /dev/null | true; exit ${{PIPESTATUS[0]}}", 0),
        (f"{python} --help | true; exit ${{PIPESTATUS[0]}}", 0),
        (f"{python} unheard 2> /dev/full", 2),
    ):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "y[/red]y: 2 snapshots" in done.stderr or "[/red]" not in command


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_any_of_the_standard_streams_may_be_closed(closed: str, demo: cs.Dataset, tmp_path: Path) -> None:
    python = f"{sys.executable} -m cachestats"
    no_stdout = 12 if ">&-" in closed.split() else 0
    for command, code in (
        (f"build {SEEDS} --out {tmp_path}/dataset", 0),
        (f"update {tmp_path}/dataset", 0),
        (f"update {tmp_path}/dataset --format csv", no_stdout),
        (f"info {demo.path}", no_stdout),
        (f"info {demo.path} --out {tmp_path}/info.csv", 0),
        (f"export {demo.path} --out {tmp_path}/package", 0),
        ("--help", no_stdout),
        (f"info {tmp_path}/nowhere", 12),
        (f"build {tmp_path}/nowhere --out {tmp_path}/dataset", 10),
        ("unheard", 2),
    ):
        done = subprocess.run(
            ["bash", "-c", f"{python} {command} {closed}"], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, (command, done.stderr)
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
    assert cs.open_dataset(tmp_path / "dataset").specs.collect().equals(demo.specs.collect())


def test_no_file_takes_the_place_of_a_stream_that_is_closed(demo: cs.Dataset, tmp_path: Path) -> None:
    code = f"""
import os, sys
from cachestats.__main__ import main
sys.argv = ["cachestats", "info", {str(demo.path)!r}, "--out", {str(tmp_path / "info.csv")!r}]
main()
descriptor = os.open({str(tmp_path / "info.csv")!r}, os.O_RDWR)
sys.stderr.write("into nothing")
sys.stderr.flush()
os.system("echo into nothing, too >&2")
assert descriptor > 2, descriptor
"""
    expected = run("info", demo.path, "--format", "csv").stdout
    done = subprocess.run(["bash", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code], check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "info.csv").read_bytes() == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        "coverage {} --rows os --columns target --where $'os=\\xff'",
        "coverage {} --rows os --columns target --where os=",
        "coverage {} --rows os --columns $'\\xff'",
        "history {} --snapshot $'\\xff'",
        "usable {} --target $'\\xff'",
        "usable {} --target zen4 --os $'ubuntu\\e[31m'",
        "versions {} --by stack --package $'\\xff'",
        "sql {} $'SELECT 1 AS \"\\xff\"'",
        "rejected {} --rule $'\\xff'",
    ],
)
def test_what_is_no_text_is_no_argument(question: str, demo: cs.Dataset) -> None:
    command = f"{sys.executable} -m cachestats {question.format(demo.path)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert re.search(r"expected (a name|one of|text in UTF-8).*found", done.stderr), done.stderr


def test_what_nobody_foresaw_is_no_failed_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("cachestats.cli.cli", fail)
    with pytest.raises(SystemExit, match="70"):
        main()
    assert capsys.readouterr().err.startswith("internal error: ZeroDivisionError: by zero\nhint: please report it")
    monkeypatch.setenv("CACHESTATS_DEBUG", "1")
    with pytest.raises(SystemExit, match="70"):
        main()
    assert capsys.readouterr().err.startswith("Traceback")


def test_a_reader_that_leaves_early_is_no_error(demo: cs.Dataset) -> None:
    command = f"{sys.executable} -m cachestats dictionary --format json | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, check=True, timeout=60)
    assert done.stdout
    assert not done.stderr


@pytest.mark.slow
def test_on_a_terminal_there_is_a_progress_bar_and_the_table_fits(demo: cs.Dataset, tmp_path: Path) -> None:
    def on_terminal(*arguments: object) -> str:
        main, side = pty.openpty()
        environment = os.environ | {"COLUMNS": "60", "TERM": "xterm"}
        process = subprocess.Popen(
            [sys.executable, "-m", "cachestats", *map(str, arguments)], stdout=side, stderr=side, env=environment
        )
        os.close(side)
        seen = b""
        try:
            while part := os.read(main, 4096):
                seen += part
        except OSError:  # the other side was closed
            pass
        assert process.wait(60) == 0
        os.close(main)
        return seen.decode()

    assert "writing snapshots" in on_terminal("build", SEEDS, "--out", tmp_path / "dataset")
    shown = on_terminal("coverage", demo.path, "--rows", "package", "--columns", "stack")
    assert all(len(line) <= 60 for line in shown.splitlines() if "do not fit" not in line)
    assert re.search(r"^7 columns do not fit the terminal: .* and 2 more; make it wider, or", shown, re.MULTILINE)
    assert re.search(r"^py-propcache +10 ", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("width", "lines", "left_out"),
    [
        (
            43,
            "package   package_count   share   target|" + "─" * 43 + "|zlib-ng           1,000   50.0%   x86_64_v3",
            [],
        ),
        # Names of columns are broken before anything is left out, and text is before a number.
        (
            35,
            "         package_|package     count  share  target|" + "─" * 35 + "|zlib-ng     1,000  50.0%  x86_64_v3",
            [],
        ),
        (34, "package  package_count  share|" + "─" * 29 + "|zlib-ng          1,000  50.0%", ["target"]),
        (17, "         package_|package     count|" + "─" * 17 + "|zlib-ng     1,000", ["share", "target"]),
        (5, "package|───────|zlib-ng", ["package_count", "share", "target"]),
    ],
)
def test_a_table_fits_its_width(width: int, lines: str, left_out: list[str]) -> None:
    frame = pl.DataFrame({"package": "zlib-ng", "package_count": 1000, "share": 0.5, "target": "x86_64_v3"})
    table, dropped = _table(_columns(frame, percent=True), width=width)
    assert table.splitlines() == lines.split("|")
    assert dropped == left_out


def test_long_text_shares_what_numbers_leave_and_is_folded() -> None:
    frame = pl.DataFrame({"chain": "abcdefgh" * 5, "n": 1, "other": "x" * 30})
    table, dropped = _table(_columns(frame, percent=False), width=40)
    assert not dropped
    assert table.splitlines()[2:] == [
        "abcdefghabcdefghab  1  xxxxxxxxxxxxxxxxx",
        "cdefghabcdefghabcd     xxxxxxxxxxxxx",
        "efgh",
    ]


def test_what_a_terminal_would_obey_is_shown_and_not_done(demo: cs.Dataset) -> None:
    query = "SELECT 'a|b\x1b[31m\n' AS \"x|y\", NULL AS compiler, NULL AS os"
    table = run("sql", demo.path, query).stdout.decode().splitlines()
    assert [line.split() for line in table[::2]] == [["x|y", "compiler", "os"], [r"a|b\x1b[31m\n", "none", "-"]]
    markdown = run("sql", demo.path, query, "--format", "markdown").stdout.decode().splitlines()
    assert markdown[2].startswith(r"| a\|b\x1b[31m\n ")
    assert json.loads(run("sql", demo.path, "SELECT CAST('nan' AS DOUBLE) AS n", "--format", "json").stdout) == [
        {"n": None}
    ]


def test_messages_log_lines_and_warnings_show_what_a_terminal_would_obey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = "a\x1b[31m\u202eb"
    site = write(tmp_path / evil, {("develop", "zlib"): page(specs=[spec()])})
    said = run("build", site.name, "--out", f"out-{evil}").stderr.decode()
    said += run("build", f"no-{evil}", "--out", "other", code=10).stderr.decode()
    said += run("update", f"no-{evil}", code=12).stderr.decode()
    assert said.count(r"a\x1b[31m\u202eb") >= 5
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_cells_that_a_spreadsheet_would_run_are_data_in_csv_and_text_in_csv_safe(demo: cs.Dataset) -> None:
    query = "SELECT '=1+1' AS \"=x\", '+mpi' AS a, '-x' AS b, '@a' AS c, 'a=b' AS d, -1 AS n, NULL AS e"
    plain = run("sql", demo.path, query, "--format", "csv").stdout.decode()
    assert plain == "=x,a,b,c,d,n,e\n=1+1,+mpi,-x,@a,a=b,-1,\n"
    safe = run("sql", demo.path, query, "--format", "csv-safe").stdout.decode()
    assert safe == "'=x,a,b,c,d,n,e\n'=1+1,'+mpi,'-x,'@a,a=b,-1,\n"


def test_a_device_is_written_to_and_not_replaced(demo: cs.Dataset, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.csv").symlink_to(tmp_path / "file.csv")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    run("info", demo.path, "--format", "csv", "--out", tmp_path / "pipe")
    run("info", demo.path, "--out", tmp_path / "link.csv")
    assert reader.communicate(timeout=60)[0] == (tmp_path / "file.csv").read_bytes() != b""
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link.csv").is_symlink()


@pytest.mark.parametrize(("words", "group"), [([], cli), (["plot"], cli.commands["plot"])], ids=["cli", "plot"])
def test_no_summary_of_a_verb_is_cut_off_at_80_columns(words: list[str], group: click.Group) -> None:
    shown = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80).output
    summaries = dict(re.findall(r"^  ([a-z-]+) {2,}(.+)$", shown, re.MULTILINE))
    assert [name for name in summaries if name in group.commands] == [*group.commands]
    for name in group.commands:
        assert re.fullmatch(r"[A-Z].+[^.]\.", summaries[name]), summaries[name]
    usage, *lines = shown.splitlines()
    assert usage.endswith("[OPTIONS] COMMAND [ARGS]...")
    assert not [line for line in lines if line.endswith("...") or len(line) > 80]


def test_every_verb_is_in_exactly_one_section_of_the_help() -> None:
    assert isinstance(cli, Verbs)
    assert [name for names in cli.sections.values() for name in names] == [*cli.commands]
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    sections = re.findall(r"^(\w.*):\n((?:  \S.*\n?)+)", shown.partition("Options:")[2], re.MULTILINE)
    assert {title: [line.split()[0] for line in lines.splitlines()] for title, lines in sections} == cli.sections


@pytest.mark.parametrize("name", ["gaps", "plot gaps"])
def test_a_verb_takes_no_other_verbs_name(name: str) -> None:
    group = cli.commands["plot"] if name.startswith("plot ") else cli
    assert isinstance(group, Verbs)
    with pytest.raises(ValueError, match=f"expected a new name for a verb of {group.name}, found gaps, which is one"):
        group.command("gaps")(lambda: None)
    with pytest.raises(TypeError, match=f"expected a Verb or Verbs as x of {group.name}, found Command"):
        group.add_command(click.Command("x"))


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from click.testing import CliRunner
from cachestats.cli import cli
for words in (["--help"], ["coverage", "--help"], ["plot", "gaps", "--help"]):
    assert CliRunner().invoke(cli, words).exit_code == 0
print(sorted({"matplotlib", "numpy", "polars", "pyarrow"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_small_questions_import_only_what_they_need() -> None:
    code = """
import sys
from click.testing import CliRunner
from cachestats.cli import cli
for words in ("gaps --by stack", "coverage --rows stack --columns target", "compare-counts previous newest"):
    verb, *rest = words.split()
    assert CliRunner().invoke(cli, [verb, sys.argv[1], *rest]).exit_code == 0
heavy = {"cachestats.dataset.expressions", "narwhals", "pyarrow"}
print("polars" in sys.modules, sorted(heavy & sys.modules.keys()))
"""
    words = [sys.executable, "-c", code, str(ROOT / "data" / "sample")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True []\n"


def test_help_names_the_axes_that_the_analyses_take() -> None:
    for words, axes in (
        ("coverage --rows", AXES),
        ("gaps --by", GAP_AXES),
        ("versions --by", GROUP_AXES),
        ("overlap --by", GROUP_AXES),
        ("compare --by", CHANGE_AXES),
        ("check --by", CHANGE_AXES),
        ("history --by", HISTORY_AXES),
        ("lifespans --by", HISTORY_AXES),
    ):
        verb, option = words.split()
        (found,) = (param for param in cli.commands[verb].params if option in param.opts)
        assert isinstance(found, click.Option)
        assert [name for name in re.findall(r"\w+", str(found.help)) if name in AXES] == [*axes]
