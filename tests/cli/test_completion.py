"""Completion in the shell: what bash asks, and what it gets to put in the place of its own word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

import cachestats as cs
from cachestats.cli import cli


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("cov", "cov", "coverage"),
        ("info ", "", "dir:"),
        ("coverage {} --snapshot ", "", "develop develop-2025-03-09 newest previous all"),
        ("coverage {} --snapshot !develop-", "!develop-", "!develop-2025-03-09"),
        ("coverage {} --rows s", "s", "snapshot stack"),
        ("coverage {} --where compiler_n", "compiler_n", "compiler_name="),
        # Bash has a word of its own after `=` and `@`, unless there is a quote.
        ("coverage {} --where os=", "", "sequoia ubuntu18.04 ubuntu20.04 ubuntu22.04 ubuntu24.04"),
        ("coverage {} --where package!=py-p", "py-p", "py-propcache"),
        ("coverage {} --where 'package=py-p", "'package=py-p", "package=py-propcache"),
        ("coverage {} --where snapshot=n", "n", ""),
        ("coverage {} --where hash=", "", ""),
        ("coverage {}/nowhere --snapshot ", "", ""),
        ("lifespans {} --by package,v", "package,v", "package,version"),
        ("compare {} develop n", "n", "newest"),
        ("plot changes {} p", "p", "previous"),
        ("versions {} --by os -q -v --package py-f", "py-f", "py-filelock"),
    ],
)
def test_names_are_those_of_the_dataset(
    line: str, word: str, expected: str, demo: cs.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", f"cachestats {line.format(demo.path)}")
    monkeypatch.setenv("COMP_WORD", word)
    monkeypatch.setenv("COMP_WORDBREAKS", " \t\n\"'@><=;|&(:")
    bash = get_completion_class("bash")
    assert bash is not None
    lines = bash(cli, {}, "cachestats", "_CACHESTATS_COMPLETE").complete().split()
    assert [line.replace("plain,", "").replace("dir,", "dir:") for line in lines] == expected.split()


@pytest.mark.slow
def test_bash_asks_and_puts_the_answer_in_the_place_of_its_word(demo: cs.Dataset, tmp_path: Path) -> None:
    program = tmp_path / "cachestats"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cachestats "$@"\n')
    program.chmod(0o755)
    script = f"""
PATH={tmp_path}:$PATH
eval "$(_CACHESTATS_COMPLETE=bash_source cachestats)"
COMP_LINE="cachestats coverage {demo.path} --where os=ubuntu2 --union"
COMP_WORDS=(cachestats coverage D --where os = ubuntu2)
COMP_POINT=$((${{#COMP_LINE}} - 14)) COMP_CWORD=6
_cachestats_completion cachestats
echo "${{COMPREPLY[*]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "ubuntu18.04 ubuntu20.04 ubuntu22.04 ubuntu24.04\n", done.stderr
