"""What indices say together: contradictions, holes, specs that no host can use, and the union of the stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cachestats as cs
from tests.support.nodes import changed_dag, edge, node
from tests.support.whole import HDF5, KEYS, NODES, ZLIB, changed, counts, found, messages, write_index

OTHER_PARAMETERS = {"build_system": "cmake", "shared": False, "cflags": ["-O3"], "patches": ["0b8a3b8c1d2e3f"]}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"version": "1.1"}, "version"),
        ({"parameters": OTHER_PARAMETERS}, "variants"),
        ({"package_hash": "other"}, "package_hash"),
        ({"dependencies": []}, "dependencies"),
    ],
)
@pytest.mark.parametrize("folders", [("develop", "develop/e4s"), ("develop", "v1.0"), ("one", "two")])
def test_one_hash_with_two_contents_is_a_contradiction(
    folders: tuple[str, str], fields: dict[str, Any], what: str, tmp_path: Path
) -> None:
    write_index(tmp_path / "mirrors" / folders[0])
    write_index(tmp_path / "mirrors" / folders[1], changed("hdf5", **fields))
    verified = cs.verify(tmp_path / "mirrors")
    assert found(verified) == [("contradiction", "hdf5"), ("hash", "hdf5")]
    assert f"found different {what} in " in messages(verified)
    assert all(f"{folder}/build_cache/index.json" in messages(verified) for folder in folders)


def test_two_sources_are_compared(tmp_path: Path) -> None:
    one = write_index(tmp_path / "a" / "develop")
    two = write_index(tmp_path / "b" / "develop", changed("zlib", version="1.1"))
    assert found(cs.verify(one, two)) == [("contradiction", "zlib"), ("hash", "zlib")]


def test_a_spec_in_the_words_of_another_format_is_no_contradiction(tmp_path: Path) -> None:
    parts = {"compiler": {"name": "gcc", "version": "11.4.0"}, "package_hash": "p"}
    old = changed_dag({ZLIB: node("zlib", ZLIB, **parts)}, {})
    ((key, spec),) = old.items()
    annotations = {"original_specfile_version": 4, "compiler": "gcc@=11.4.0"}
    new = {key: {name: value for name, value in spec.items() if name != "compiler"} | {"annotations": annotations}}
    write_index(tmp_path / "v0.23.1", old, version="7")
    write_index(tmp_path / "v1.0.0", new)
    verified = cs.verify(tmp_path)
    assert [row for row in found(verified) if row[0] != "unusable"] == []
    assert counts(verified, "contradiction")[:2] == (1, 0)


def test_the_whole_snapshot_should_have_the_specs_of_all_stacks(tmp_path: Path) -> None:
    write_index(tmp_path / "develop", {KEYS["zlib"]: NODES[KEYS["zlib"]]})
    write_index(tmp_path / "develop" / "e4s")
    verified = cs.verify(tmp_path)
    assert found(verified) == [("union", "hdf5")]
    assert "the spec of e4s" in messages(verified)


def test_a_hole_is_named_with_what_it_breaks(tmp_path: Path) -> None:
    verified = cs.verify(write_index(tmp_path / "develop", cached={KEYS["hdf5"]}))
    assert found(verified) == [("hole", "zlib")]
    assert f"it breaks 1 spec, such as hdf5/{KEYS['hdf5'][:7]} > zlib/{KEYS['zlib'][:7]}" in messages(verified)
    assert counts(verified, "hole") == (1, 1, 0, None)


def test_specs_that_no_host_can_use_are_told(tmp_path: Path) -> None:
    nodes = changed_dag(
        {
            ZLIB: node("compiler-wrapper", ZLIB, package_hash="p"),
            HDF5: node("hdf5", HDF5, package_hash="q", annotations={"original_specfile_version": 4},
                       dependencies=[edge("compiler-wrapper", ZLIB, ["build"], [])]),
        },
        {},
    )  # fmt: skip
    verified = cs.verify(write_index(tmp_path / "v1.0.0", nodes))
    assert found(verified) == [("unusable", "compiler-wrapper"), ("unusable", "hdf5")]
    assert verified.count("error") == 0
    assert "format 4" in messages(verified)
    old = cs.verify(write_index(tmp_path / "v0.20.0", nodes, version="7"))
    assert "unusable" not in dict(found(old)), "older releases reuse every format"
