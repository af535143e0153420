"""Pages as people read them."""

from __future__ import annotations

import re
from pathlib import Path


def words(path: Path) -> str:
    """Return what a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", path.read_text()).split())
