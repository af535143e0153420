"""The DAG hash of a spec, computed again from its node: Spack itself never does this when it reads a file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

_OF_BUILD_SPEC = 7  # characters at the end of a spliced spec's hash that are those of its build spec's


def dag_hash(node: Mapping[str, Any] | bytes) -> str:
    """Return the hash that Spack gives to a node.

    It is the SHA-1 of the node as JSON, without the key `hash`, without white space and with the keys in the order in
    which they stand, in base32 and in lower case. Of a spliced spec the last seven characters are those of its build
    spec. So says "How the DAG Hash Is Computed" in Spack's lib/spack/docs/file_formats/specfile.rst.

    A node has this hash if it was first written in the format that it stands in. Older ones
    (`original_specfile_version`) keep the hash of their old form, and formats 1 and 2 left build dependencies and the
    recipe out of it.

    Parameters
    ----------
    node
        A node of a spec file, an index or a lockfile, of format 3 or later, or its JSON as bytes.

    Returns
    -------
    32 characters.

    Raises
    ------
    ValueError
        If the bytes are no JSON object.

    Examples
    --------
    >>> dag_hash({"name": "zlib-ng", "version": "2.2.1", "hash": "whatever it was"})
    'wwqa7or5e6pvpyceoyreabzaivyt2dqx'
    >>> dag_hash(b'{"name": "zlib-ng", "version": "2.2.2"}')
    'edufd5ixcfin25rgkrnc63wlfe7dbu36'
    """
    if isinstance(node, bytes):
        node = json.loads(node)
        if not isinstance(node, dict):
            raise ValueError(f"expected a node as a JSON object, found {type(node).__name__}")
    # Not msgspec: it writes what is not ASCII as it is, where Spack escapes it.
    text = json.dumps({key: value for key, value in node.items() if key != "hash"}, separators=(",", ":"))
    digest = base64.b32encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode().lower()
    if build_spec := node.get("build_spec"):
        return f"{digest[:-_OF_BUILD_SPEC]}{build_spec['hash'][-_OF_BUILD_SPEC:]}"
    return digest
