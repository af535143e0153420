"""Signed files: the manifests and spec files of build caches are clear text followed by a signature."""

from __future__ import annotations

_HEAD = b"-----BEGIN PGP SIGNED MESSAGE-----"
_END = b"-----BEGIN PGP SIGNATURE"


def is_signed(data: bytes) -> bool:
    """Return whether a file is a clear-signed message."""
    return data.lstrip().startswith(_HEAD)


def signed_text(data: bytes) -> bytes:
    r"""Return the text of a clear-signed message (RFC 9580, section 7) with its dashes unescaped.

    Examples
    --------
    >>> from cachestats.sources.signature import signed_text
    >>> signed_text(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}\n-----BEGIN PGP SIGNATURE-----\n")
    b'{}'
    """
    lines = iter(data.lstrip().splitlines())
    for line in lines:
        if not line.strip():  # the end of the headers
            break
    text = []
    for line in lines:
        if line.startswith(_END):
            break
        text.append(line.removeprefix(b"- "))
    return b"\n".join(text)
