"""Read YAML files that users wrote, safely: no file can use up time, memory or the stack."""

from __future__ import annotations

import os
import reprlib
from pathlib import Path
from typing import Any

from cachestats.errors import SourceError
from cachestats.regular import open_regular

MAX_BYTES = 1 << 20
"""Larger files are refused: YAML is read at a few megabytes per second, and nobody writes so much by hand."""
MAX_SHOWN = 80
"""The characters of a value that a message shows."""

_MERGE = "<<"
_MAX_SCALAR = 4096
_MAX_DEPTH = 50
_CUT = reprlib.Repr()
_CUT.maxlevel, _CUT.maxlist, _CUT.maxdict, _CUT.maxstring, _CUT.maxother = 2, 2, 2, MAX_SHOWN, MAX_SHOWN


def file_name(path: Path) -> str:
    """Return the name of a file for a message."""
    return os.fsencode(path).decode("utf-8", "replace")


def read_yaml(path: Path) -> Any:
    """Return the contents of a YAML file.

    Raises
    ------
    SourceError
        If it cannot be read, is not YAML in UTF-8, or is too large or nested too deeply.
    """
    # Import on first use: only configuration files need it.
    import yaml

    name = file_name(path)
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OSError(f"it has more than {MAX_BYTES:,} bytes")
    except (OSError, ValueError) as error:
        raise SourceError(
            f"cannot read {name}: {getattr(error, 'strerror', None) or error}", hint="check the path"
        ) from error
    try:
        # libyaml is ten times as fast as the pure Python loader, but not available on every platform.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = data.decode("utf-8-sig")
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:  # libyaml ends the process if nesting is too deep for its stack
                raise ValueError(f"more than {_MAX_DEPTH} levels of nesting")
            # Merged mappings are copied, and numbers such as 1:59:59 are computed, so a small file could use up memory.
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                if event.value == _MERGE:
                    raise ValueError(f"the merge key {_MERGE}, which is not supported: write the values out")
                if len(event.value) > _MAX_SCALAR:
                    raise ValueError(f"a value of more than {_MAX_SCALAR:,} characters")
        return yaml.load(text, Loader=loader)  # noqa: S506 (a safe loader)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"expected text in UTF-8, found byte 0x{data[error.start]:02x} at offset {error.start}: {name}",
            hint="save it as UTF-8",
        ) from None
    except (
        Exception
    ) as error:  # besides its own errors, PyYAML passes on any error that a tag such as `!!int ""` causes
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1} of {name}" if mark else name
        problem = getattr(error, "problem", None) or str(error)
        raise SourceError(f"expected YAML, found a fault: {problem}: {where}", hint="check its syntax") from None


def mapping(value: Any, location: str, name: str) -> dict[str, Any]:
    """Return keys and values, without the colon that makes Spack override the values of a key in other files."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SourceError(
            f"expected keys and values, found {shown(value)}: {location} in {name}",
            hint="see Spack's documentation",
        )
    return {key.removesuffix(":"): item for key, item in value.items() if isinstance(key, str)}


def shown(value: object) -> str:
    """Return a value in abbreviated form for a message."""
    if value is None:
        return "nothing"
    try:
        return _CUT.repr(value)
    except ValueError:  # Python does not convert numbers with thousands of digits to text
        return "a very large number"
