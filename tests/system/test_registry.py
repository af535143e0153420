"""A real OCI registry, with a cache that Spack pushed: its tables are those of the mirror and the installation."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

import cachestats as cs
from conftest import in_corpus
from tests.support.datasets import bytes_of

pytestmark = pytest.mark.slow
CMAKE = "cmake-3.30.5-ptbb4uccqn2kh5zf35mpypmc6lgetzyj.spack"


class Registry:
    """Debian's docker-registry on loopback, over a copy of the corpus's storage."""

    def __init__(self, program: str, folder: Path) -> None:
        shutil.copytree(in_corpus("oci/docker"), folder / "docker", copy_function=shutil.copyfile)
        for path in folder.rglob("*"):
            path.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"oci+http://127.0.0.1:{port}/site"
        self.repositories = folder / "docker/registry/v2/repositories/site"
        config = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder)}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        (folder / "config.yml").write_text(json.dumps(config))  # which is YAML, too
        self.log = folder / "log"
        self._seen = 0
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, "serve", "config.yml"], cwd=folder, stdout=log, stderr=log)
        self._wait(port)

    def _wait(self, port: int) -> None:
        for _ in range(100):
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                    connection.request("GET", "/v2/")
                    assert connection.getresponse().status == 200
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
            else:
                return
        pytest.fail("docker-registry does not answer")

    def copy_tag(self, tag: str, source: str, target: str) -> None:
        """Give a tag of one repository to another one, which has the layers already."""
        for kind in ("_manifests/revisions", "_layers", f"_manifests/tags/{tag}"):
            shutil.copytree(self.repositories / source / kind, self.repositories / target / kind, dirs_exist_ok=True)

    def asked_for(self) -> list[str]:
        """Return the tags whose manifests clients have asked for since this was last called."""
        time.sleep(0.2)  # the log follows the answer
        asked = re.findall(r'"GET /v2/site/[a-z]+/manifests/(\S+) HTTP/1.1" 200', self.log.read_text())
        seen, self._seen = self._seen, len(asked)
        return sorted(asked[seen:])


@pytest.fixture
def served(docker_registry: str, tmp_path: Path) -> Iterator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(docker_registry, folder)
    yield registry
    registry.process.terminate()
    registry.process.wait(10)


def test_a_cache_a_mirror_and_an_installation_give_equal_tables(served: Registry, tmp_path: Path) -> None:
    url, mirror, installed = f"{served.url}/buildcache", in_corpus("oci/mirror-v2"), in_corpus("oci/installed")
    expected = bytes_of(cs.build_dataset(f"buildcache={mirror}", out=tmp_path / "mirror"))
    assert expected
    for source, options in (
        (url, {}),
        (url, {"without_index": True}),
        (f"buildcache={mirror}", {"without_index": True}),
        (f"buildcache={installed}", {"stacks": ["root"]}),
    ):
        dataset = cs.build_dataset(source, out=tmp_path / f"{options}{source}".replace("/", "-"), **options)
        assert bytes_of(dataset) == expected, (source, options)
        assert dataset.manifest.tables["rejected"] == 0


@pytest.mark.parametrize("without_index", [False, True])
def test_the_sizes_are_those_of_the_last_layers(without_index: bool, served: Registry, tmp_path: Path) -> None:
    dataset = cs.build_dataset(
        f"{served.url}/buildcache", out=tmp_path / "dataset", sizes=True, without_index=without_index
    )
    sizes = dataset.specs.filter(pl.col("package") == "hdf5", pl.col("version") == "1.12.2").collect()["size_bytes"]
    assert sizes.to_list() == [6448]
    assert dataset.specs.collect()["size_bytes"].null_count() == 0


def test_an_update_reads_only_what_changed(served: Registry, tmp_path: Path) -> None:
    dataset = cs.build_dataset(f"{served.url}/noindex", out=tmp_path / "dataset", without_index=True)
    assert dataset.manifest.snapshots["noindex"].num_specs == 3
    assert len(served.asked_for()) == 3
    assert cs.update_dataset(dataset.path).is_empty()
    assert served.asked_for() == []
    served.copy_tag(CMAKE, "buildcache", "noindex")
    assert cs.update_dataset(dataset.path).select("specs_added", "num_specs").rows() == [(1, 4)]
    assert served.asked_for() == [CMAKE]
    served.copy_tag("index.spack", "buildcache", "noindex")
    cs.update_dataset(dataset.path)
    assert served.asked_for() == ["index.spack"]
    rules = cs.open_dataset(dataset.path).rejected.collect()["rule"].to_list()
    assert rules == ["only-indexed"] * 5, "the index lists nine specs, and the cache has four"
