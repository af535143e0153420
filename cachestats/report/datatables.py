"""The table widget of a report: DataTables, as the package itables brings it along."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

_BUNDLE = "dt_bundle"


def write_widget(folder: Path) -> None:
    """Write the script and the style sheet of DataTables.

    The bundle is a module, which a page that was opened from disk may not load from a file beside it. It may from an
    address that holds the module itself, so that is what the script loads.
    """
    bundle = files("itables") / "html"
    module = base64.b64encode((bundle / f"{_BUNDLE}.js").read_bytes()).decode()
    script = f'window.datatables = import("data:text/javascript;base64,{module}");\n'
    (folder / "datatables.js").write_text(script)
    (folder / "datatables.css").write_bytes((bundle / f"{_BUNDLE}.css").read_bytes())
