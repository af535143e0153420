"""Verify signatures with gpg and a keyring of the user; keyrings of the machine are neither read nor written."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from cachestats.errors import ArgumentError
from cachestats.regular import read_regular
from cachestats.text import storable

_SECONDS = 60


class Keyring:
    """The public keys in a file, as `gpg --export` writes them; to be used in a `with` block.

    Raises
    ------
    ArgumentError
        If gpg is not installed, or the file cannot be read or has no keys.
    """

    def __init__(self, path: Path) -> None:
        program = shutil.which("gpg")
        if program is None:
            raise ArgumentError("expected gpg to verify signatures, found it not installed", hint="install GnuPG")
        self._folder = tempfile.TemporaryDirectory(prefix="cachestats-")
        self._command = [program, "--homedir", self._folder.name, "--batch", "--no-tty", "--status-fd", "1"]
        try:
            done = self._run("--import", data=read_regular(path))  # gpg itself would wait for a pipe
        except OSError as error:
            self._folder.cleanup()
            raise ArgumentError(
                f"cannot read the keyring {storable(str(path))}: {error.strerror or error}", hint="give another file"
            ) from error
        if b"[GNUPG:] IMPORT_OK" not in done.stdout:
            self._folder.cleanup()
            raise ArgumentError(
                f"expected public keys in {storable(str(path))}, found none",
                hint="write them with: gpg --export --output FILE",
            )

    def fault(self, signed: bytes) -> str | None:
        """Return what is wrong with the signature of a clear-signed message, or None if it is valid."""
        # The keys were given as those to trust.
        try:
            done = self._run("--trust-model", "always", "--verify", "-", data=signed)
        except subprocess.TimeoutExpired:
            return f"one that gpg did not read within {_SECONDS} seconds"
        status = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(b"[GNUPG:] ")]
        if done.returncode == 0 and b"VALIDSIG" in status and b"GOODSIG" in status:
            return None
        words = {
            b"BADSIG": "a signature of other text",
            b"NO_PUBKEY": "a signature by a key that is not in the keyring",
            b"EXPKEYSIG": "a signature by a key that has expired",
            b"REVKEYSIG": "a signature by a key that was revoked",
            b"EXPSIG": "a signature that has expired",
        }
        return next((text for mark, text in words.items() if mark in status), "no signature that gpg can read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def _run(self, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 (no shell; the only word of the user is the path of the keyring)
            [*self._command, *arguments], input=data, capture_output=True, check=False, timeout=_SECONDS
        )
