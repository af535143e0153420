"""Folders: what is no page is not waited for, and links and depth do no harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import RejectedError
from tests.support.site import page, spec, write

GOOD = page(specs=[spec(), spec("b" * 32)])


def test_a_page_above_the_limit_is_rejected_unread(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    with (site / "_cache/develop/zlib/specs.md").open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(RejectedError, match="at most 134,217,728 bytes, found 1,099,511,627,776"):
        cs.build_dataset(site, out=tmp_path / "dataset")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [os.mkfifo, dangling, os.mkdir])
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    (site / "_cache/develop/x").mkdir()
    make(site / "_cache/develop/x/specs.md")
    dataset = cs.build_dataset(site, out=tmp_path / "dataset", max_rejected=1)
    assert dataset.manifest.tables["specs"] == 4
    assert dataset.rejected.collect()["rule"].to_list() == ["unreadable"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): GOOD})
    (site / "_cache/again").symlink_to(site)
    (site / "up").symlink_to(tmp_path)
    (site / "_cache/itself").symlink_to("itself")
    (tmp_path / "others").mkdir()
    (site / "others").symlink_to(tmp_path / "others")
    for one in range(9):
        (tmp_path / f"others/{one}").mkdir()
        for other in range(9):
            (tmp_path / f"others/{one}/to-{other}").symlink_to(tmp_path / f"others/{other}")
    assert cs.build_dataset(site, out=tmp_path / "dataset").manifest.tables["specs"] == 4


def test_deep_folders_are_walked(tmp_path: Path) -> None:
    folder = tmp_path.joinpath("site", *["d"] * 300)
    write(folder, {("develop", "zlib"): GOOD})
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        dataset = cs.build_dataset(tmp_path / "site", out=tmp_path / "dataset")
    finally:
        sys.setrecursionlimit(limit)
    assert dataset.manifest.tables["specs"] == 4
