"""The scheduled job, run twice with a change of the source between; and the files that schedule it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cachestats as cs
from conftest import ROOT
from tests.support.site import page, spec, write

JOB = ROOT / "jobs" / "refresh"
STACKS = ("e4s", "radiuss")


def source(folder: Path, snapshot: str, packages: dict[str, list[str]]) -> Path:
    """Write a page for each package of a snapshot, which is in these stacks."""
    pages = {
        (snapshot, name): page(
            name, snapshot, [spec(f"{name}{snapshot[-2:]}".rjust(32, "a"), stacks=[*stacks, "root"])]
        )
        for name, stacks in packages.items()
    }
    return write(folder, pages)


def path_with_cachestats(folder: Path) -> str:
    """Return a PATH with the command line in it."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    command = bin_folder / "cachestats"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cachestats "$@"\n')
    command.chmod(0o755)
    return f"{bin_folder}:{os.environ['PATH']}"


def run(folder: Path, site: Path, **environment: str) -> tuple[int, str, str]:
    """Run the job and return its exit code, its summary and its log."""
    summary = folder / "summary.md"
    summary.unlink(missing_ok=True)
    done = subprocess.run(
        [str(JOB), str(folder / "dataset"), str(folder / "report"), str(site)],
        cwd=ROOT,
        env=os.environ | {"PATH": path_with_cachestats(folder), "GITHUB_STEP_SUMMARY": str(summary)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, summary.read_text() if summary.exists() else "", done.stderr


@pytest.mark.slow
def test_the_job_reports_what_changed_between_two_runs(tmp_path: Path) -> None:
    packages = {f"package{number}": [*STACKS] for number in range(10)}
    site = source(tmp_path / "site", "develop-2025-06-01", packages)
    code, summary, log = run(tmp_path, site)
    assert code == 0, log
    assert "There is no earlier snapshot" in summary
    assert "\r" not in log
    assert "\x1b" not in log

    code, summary, log = run(tmp_path, site)
    assert (code, "up to date" in log) == (0, True)
    assert "Snapshots that changed" not in summary

    fewer = {name: stacks if name > "package1" else ["e4s"] for name, stacks in packages.items()} | {"new": ["e4s"]}
    source(tmp_path / "site", "develop-2025-06-08", fewer)
    code, summary, log = run(tmp_path, site)
    assert code == 1, log
    assert summary.startswith("**Failed** with exit code 1")
    assert "0 removed, 1 added, 0 updated, 10 rebuilt" in summary
    assert "| radiuss | 8 | 10 | 2 | 0 | 0 |" in summary
    assert "develop-2025-06-08" in summary.split("### Snapshots that changed")[1].split("###")[0]
    assert "20.0%" in summary.split("### Stacks that lost packages")[1]
    assert json.loads((tmp_path / "report/report.json").read_text())["snapshot"] == "develop-2025-06-08"
    code, summary, log = run(tmp_path, site)
    assert code == 0, log
    assert "20.0% | develop-2025-06-08 |" in summary.split("### Stacks that lost packages")[1]
    assert "1 known loss is not made good" in log
    assert sorted(cs.open_dataset(tmp_path / "dataset").manifest.snapshots) == [
        "develop-2025-06-01",
        "develop-2025-06-08",
    ]


@pytest.mark.slow
def test_a_source_that_is_gone_is_told_and_the_report_stays(tmp_path: Path) -> None:
    site = source(tmp_path / "site", "develop-2025-06-01", {"zlib": ["e4s"]})
    assert run(tmp_path, site)[0] == 0
    code, summary, log = run(tmp_path, tmp_path / "mistyped")
    assert code == 10, log
    assert summary.startswith("**Failed** with exit code 10")
    (tmp_path / "report" / "mine.txt").touch()
    code, summary, _ = run(tmp_path, site)
    assert (code, summary) == (12, "**Failed** with exit code 12: see the log.\n\n")
    assert run(tmp_path, site, GITHUB_STEP_SUMMARY="/nowhere/summary.md")[0] != 0


@pytest.mark.slow
def test_without_a_source_there_is_no_report_and_a_code_that_says_why(tmp_path: Path) -> None:
    code, summary, log = run(tmp_path, tmp_path / "nothing")
    assert (code, summary) == (10, "")
    assert "hint:" in log
    assert not (tmp_path / "report").exists()
    done = subprocess.run([str(JOB)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "jobs/refresh DATASET REPORT SOURCE" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_without_a_place_for_it_the_summary_goes_to_stdout(kind: str, tmp_path: Path) -> None:
    site = source(tmp_path / "site", "develop-2025-06-01", {"zlib": ["e4s"]})
    job = f"{shlex.quote(str(JOB))} {tmp_path}/dataset {tmp_path}/report {site}"
    environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    environment["PATH"] = path_with_cachestats(tmp_path)
    ours, theirs = socket.socketpair() if kind == "socket" else (None, None)
    with open(tmp_path / "log", "wb") as file:
        stdout = {"file": file, "pipe": subprocess.PIPE, "socket": theirs}[kind]
        # The log goes there too, as in `jobs/refresh ... >log 2>&1`, and others write before and after it.
        script = f"exec 2>&1; echo before; {job}; echo code $?"
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, stdout=stdout, check=False)
    if ours and theirs:
        theirs.close()
        with ours:
            found = b"".join(iter(lambda: ours.recv(1 << 16), b"")).decode()
    else:
        found = (tmp_path / "log").read_text() if kind == "file" else done.stdout.decode()
    assert found.startswith("before\n")
    assert "INFO develop-2025-06-01: 1 spec of 1 package" in found
    assert "There is no earlier snapshot" in found
    assert found.endswith("\ncode 0\n")
    assert "\0" not in found


@pytest.mark.slow
@pytest.mark.parametrize("target", ["/dev/full", "&-"])
def test_a_summary_that_cannot_be_written_fails_the_job(target: str, tmp_path: Path) -> None:
    site = source(tmp_path / "site", "develop-2025-06-01", {"zlib": ["e4s"]})
    environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    environment["PATH"] = path_with_cachestats(tmp_path)
    script = f"{shlex.quote(str(JOB))} {tmp_path}/dataset {tmp_path}/report {site} >{target}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    assert (tmp_path / "report/report.json").exists()


@pytest.mark.parametrize("name", ["ci", "report"])
def test_workflows_run_what_there_is(name: str) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"].split()[0] for step in steps if "run" in step]
    assert commands
    for command in commands:
        assert command in {"make", "python", "exit"} or (ROOT / command).is_file()
    assert workflow["permissions"]["contents"] == "read", "nothing is committed"
    if name == "report":
        assert workflow[True]["schedule"], "YAML reads `on` as true"


def test_the_timer_starts_a_service_that_runs_the_job() -> None:
    service = (ROOT / "jobs" / "cachestats.service").read_text()
    assert "/jobs/refresh " in service
    assert "OnCalendar=" in (ROOT / "jobs" / "cachestats.timer").read_text()
    assert os.access(JOB, os.X_OK)
