"""Exports that keep a folder up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cachestats as cs

Export = Callable[[cs.Dataset, Path], object]
EXPORTS: dict[str, tuple[Export, str]] = {
    "site": (cs.export_site, ".cachestats-site/pages.txt"),
    "package": (cs.export_package, ".cachestats-package/files.txt"),
}
