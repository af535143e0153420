"""Compute the DAG hash of a spec from its node, which Spack itself never does when it reads a file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

_OF_BUILD_SPEC = 7  # the number of characters that a spliced spec's hash takes from its build spec's hash


def dag_hash(node: Mapping[str, Any] | bytes) -> str:
    """Return the hash that Spack gives to a node.

    It is the SHA-1 of the node as JSON without the key `hash`, without white space and with the keys in their given
    order, encoded in lower-case base32. The last seven characters for a spliced spec are those of its build spec. This
    is documented in "How the DAG Hash Is Computed" in Spack's lib/spack/docs/file_formats/specfile.rst.

    A node has this hash if it was first written in its present format. Nodes first written in an older one
    (`original_specfile_version`) keep the hash of their old form, and formats 1 and 2 left build dependencies and the
    recipe out of it.

    Parameters
    ----------
    node
        A node of a spec file, an index or a lockfile, of format 3 or later, or its JSON as bytes.

    Returns
    -------
    str
        The hash, 32 characters.

    Raises
    ------
    ValueError
        If the bytes are not a JSON object.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.dag_hash({"name": "zlib-ng", "version": "2.2.1", "hash": "whatever it was"})
    'wwqa7or5e6pvpyceoyreabzaivyt2dqx'
    >>> environment = cs.read_environment(cs.example_dataset().path / "spack.lock")
    >>> all(cs.dag_hash(node) == digest for digest, node in environment.nodes.items())
    True
    """
    if isinstance(node, bytes):
        node = json.loads(node)
        if not isinstance(node, dict):
            raise ValueError(f"expected a node as a JSON object, found {type(node).__name__}")
    # Do not use msgspec: it leaves characters outside ASCII unchanged, whereas Spack escapes them.
    text = json.dumps({key: value for key, value in node.items() if key != "hash"}, separators=(",", ":"))
    digest = _encoded(text.encode())
    if build_spec := node.get("build_spec"):
        return f"{digest[:-_OF_BUILD_SPEC]}{build_spec['hash'][-_OF_BUILD_SPEC:]}"
    return digest


def is_as_hashed(node: bytes, digest: str) -> bool:
    """Whether the JSON of a node is exactly what a hash was computed from, apart from the hash itself.

    It is for nodes that Spack wrote, and nothing is parsed: it takes a tenth of the time of `dag_hash`. Of JSON that is
    written in another way, and of spliced specs, only `dag_hash` tells.

    Examples
    --------
    >>> from cachestats.hashing import is_as_hashed
    >>> key = "wwqa7or5e6pvpyceoyreabzaivyt2dqx"
    >>> is_as_hashed(b'{"name":"zlib-ng","version":"2.2.1","hash":"%b"}' % key.encode(), key)
    True
    >>> is_as_hashed(b'{"name":"zlib-ng","version":"2.2.2","hash":"%b"}' % key.encode(), key)
    False
    """
    content = node.replace(b',"hash":"%b"' % digest.encode(), b"", 1)
    return _encoded(content) == digest and b'"build_spec":' not in content


def _encoded(content: bytes) -> str:
    return base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode().lower()
