"""Signatures, by gpg itself: good ones, and each way in which one can be bad."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import ArgumentError
from conftest import IS_GATE
from tests.support import spec_files
from tests.support.servers import RegistryServer
from tests.support.whole import NODES, compact, counts, found, messages, write_index, write_layout_2, write_layout_3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("gpg") and not IS_GATE, reason="gpg is not installed"),
]


class Signer:
    """Somebody with a key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._home = folder
        self._run("--passphrase", "", "--quick-generate-key", f"{folder.name}@example.org", "ed25519", "sign")
        self.keyring = folder / "keys.asc"
        self.keyring.write_bytes(self._run("--armor", "--export"))

    def sign(self, path: Path) -> None:
        """Sign a file, in place of an earlier signature."""
        text = path.read_bytes()
        if text.startswith(b"-----BEGIN"):
            text = text.split(b"\n\n", 1)[1].split(b"\n-----BEGIN PGP SIGNATURE", 1)[0]
        path.write_bytes(self._run("--clearsign", "--output", "-", data=text))

    def _run(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--no-tty", "--pinentry-mode", "loopback"]
        return subprocess.run([*command, *arguments], input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("gpg") / "signer")


@pytest.fixture
def mirror(signer: Signer, tmp_path: Path) -> Path:
    """Return a mirror of layout 3 whose manifests are signed."""
    folder = write_layout_3(tmp_path / "develop")
    for path in folder.glob("**/*.spec.manifest.json"):
        signer.sign(path)
    return folder


def manifest(mirror: Path) -> Path:
    return next(mirror.glob("**/zlib*.spec.manifest.json"))


def test_signatures_are_not_checked_without_a_keyring(mirror: Path) -> None:
    verified = cs.verify(mirror, deep=True)
    assert verified.findings.is_empty()
    assert counts(verified, "signature") == (0, 0, None, "without keyring")


def test_good_signatures_are_counted(mirror: Path, signer: Signer) -> None:
    verified = cs.verify(mirror, keyring=signer.keyring)
    assert verified.findings.is_empty()
    assert counts(verified, "signature") == (2, 0, 0, None)
    assert counts(verified, "no-binary")[0] == 2, "a keyring implies deep"


def test_the_spec_files_of_layout_2_are_signed(signer: Signer, tmp_path: Path) -> None:
    mirror = write_layout_2(tmp_path / "develop")
    for path in mirror.glob("**/*.sig"):
        signer.sign(path)
    assert cs.verify(mirror, keyring=signer.keyring).findings.is_empty()


def test_a_changed_manifest_is_found(mirror: Path, signer: Signer) -> None:
    path = manifest(mirror)
    path.write_bytes(path.read_bytes().replace(b'"version": 3', b'"version":  3'))
    verified = cs.verify(mirror, keyring=signer.keyring)
    assert found(verified) == [("signature", "zlib")]
    assert "found a signature of other text" in messages(verified)


def test_a_signature_by_somebody_else_is_found(mirror: Path, signer: Signer, tmp_path: Path) -> None:
    Signer(tmp_path / "other").sign(manifest(mirror))
    verified = cs.verify(mirror, keyring=signer.keyring)
    assert found(verified) == [("signature", "zlib")]
    assert "by a key that is not in the keyring" in messages(verified)


def test_what_only_looks_like_a_signature_is_found(tmp_path: Path, signer: Signer) -> None:
    verified = cs.verify(write_layout_3(tmp_path / "develop"), keyring=signer.keyring)
    assert found(verified) == [("signature", "hdf5"), ("signature", "zlib")]
    assert "found no signature that gpg can read" in messages(verified)


def test_a_spec_without_a_signature_is_a_warning(mirror: Path, signer: Signer) -> None:
    path = manifest(mirror)
    path.write_bytes(path.read_bytes().split(b"\n\n", 1)[1].split(b"\n-----BEGIN PGP SIGNATURE", 1)[0])
    verified = cs.verify(mirror, keyring=signer.keyring)
    assert found(verified) == [("unsigned", "zlib")]
    assert counts(verified, "unsigned") == (2, 1, 0, None)
    assert verified.count("error") == 0


def test_oci_caches_have_none(registry: Callable[..., RegistryServer], signer: Signer) -> None:
    server = registry()
    spec_files.push(server, compact(NODES), listed=compact(NODES))
    verified = cs.verify(server.cache, keyring=signer.keyring)
    assert verified.findings.is_empty()
    assert counts(verified, "signature") == (0, 0, 2, "Spack signs nothing in OCI caches")


def test_an_index_alone_has_none(signer: Signer, tmp_path: Path) -> None:
    index = (write_index(tmp_path / "develop") / "build_cache/index.json").replace(tmp_path / "some.json")
    verified = cs.verify(f"develop={index}", keyring=signer.keyring)
    assert counts(verified, "signature") == (0, 0, 2, "no mirror around the index")


def test_a_file_without_keys_is_an_error(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none").write_text("no keys")
    with pytest.raises(ArgumentError, match="expected public keys"):
        cs.verify(mirror, keyring=tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArgumentError, match="expected gpg"):
        cs.verify(mirror, keyring=tmp_path / "none")
