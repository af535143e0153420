"""The credentials that `docker login` left: in its configuration, or with the credential helper that it names."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import SourceError
from cachestats.regular import read_regular

DOCKER_HUB = "https://index.docker.io/v1/"
"""The name under which Docker keeps the credentials of its own registry."""

_HELPER = re.compile("[A-Za-z0-9_.-]+")
_HELPER_SECONDS = 30
_NONE_FOUND = "credentials not found"


class Credentials(NamedTuple):
    """A user and a password or access token; both are secrets, and are not in the text of this value."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(...)"

    def basic(self) -> str:
        """Return the value of the header `Authorization` of a request with these credentials."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


class _Login(msgspec.Struct):
    auth: str = ""
    identity_token: str = msgspec.field(name="identitytoken", default="")


class _Config(msgspec.Struct):
    auths: dict[str, _Login] = {}
    helpers: dict[str, str] = msgspec.field(name="credHelpers", default_factory=dict)
    store: str = msgspec.field(name="credsStore", default="")


class _Answer(msgspec.Struct):
    user: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


def find_credentials(registry: str) -> Credentials | None:
    """Return the credentials for a registry, such as `localhost:5000`; None if nobody logged in to it.

    A helper is run only if the configuration names one for this registry, or names one for all and lists this registry
    among those that were logged in to.

    Raises
    ------
    SourceError
        If the configuration cannot be read, its helper fails, or the credentials are of a kind that is not used here.
    """
    path = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser()) / "config.json"
    config = _read(path)
    login = next((one for name, one in config.auths.items() if _is_same(name, registry)), None)
    helper = next((one for name, one in config.helpers.items() if _is_same(name, registry)), "")
    if not helper and login and not login.auth and not login.identity_token:
        helper = config.store
    if helper:
        name = next((name for name in (*config.helpers, *config.auths) if _is_same(name, registry)), registry)
        return _ask(helper, name, path)
    if login is None:
        return None
    found = _split(login.auth)
    if login.identity_token or found is None:
        kind = "an identity token" if login.identity_token else "none"
        raise SourceError(
            f"expected a user and a password for {registry} in {path}, found {kind}",
            hint=f"log in with a password or an access token: docker login {registry}",
        )
    return found


def _read(path: Path) -> _Config:
    try:
        return decode(read_regular(path), _Config)
    except (FileNotFoundError, NotADirectoryError):
        return _Config()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}", hint="check its permissions") from error
    except JsonError:  # whose words might quote a secret
        raise SourceError(
            f"expected the configuration of docker in {path}, found something else", hint="log in again: docker login"
        ) from None


def _ask(helper: str, registry: str, path: Path) -> Credentials | None:
    """Return what a credential helper answers."""
    program = f"docker-credential-{helper}"
    problem = ""
    try:
        if not _HELPER.fullmatch(helper):
            raise FileNotFoundError
        done = subprocess.run(  # noqa: S603 (no shell; the user's own configuration names the program)
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
        if done.returncode and _NONE_FOUND in done.stdout.decode("utf-8", "replace").lower():
            return None
        problem = f"that it failed with exit code {done.returncode}"
        if not done.returncode:
            problem = "another answer"  # which may have secrets
            answer = decode(done.stdout, _Answer)
            problem = "an identity token"
            if answer.user != "<token>":
                return Credentials(answer.user, answer.secret)
    except FileNotFoundError:
        problem = "no such program"
    except subprocess.TimeoutExpired:
        problem = f"no answer in {_HELPER_SECONDS} s"
    except OSError as error:
        problem = f"that it cannot be run: {error.strerror}"
    except JsonError:
        pass
    raise SourceError(
        f"expected the credentials for {registry} from the helper {program}, which {path} names, found {problem}",
        hint=f"repair the helper, or log in without it: remove it from that file, then docker login {registry}",
    )


def _split(auth: str) -> Credentials | None:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:  # it is not base64, not ASCII, or not of UTF-8
        return None
    return Credentials(user, password.strip("\0")) if colon and user else None


def _is_same(name: str, registry: str) -> bool:
    """Whether a name in the configuration is that of a registry: some are URLs."""
    if registry == DOCKER_HUB:
        return name == DOCKER_HUB
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0] == registry
