"""The table widget of a report: DataTables, as bundled with the package itables."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

_BUNDLE = "dt_bundle"


def write_widget(folder: Path) -> None:
    """Write the script and the style sheet of DataTables.

    The bundle comes from the wheel of itables, because DataTables itself is published for npm only. It is a module. A
    page opened from disk may not load a module from another file, but it may load one from a data URL, so the script
    contains the module as a data URL.
    """
    bundle = files("itables") / "html"
    module = base64.b64encode((bundle / f"{_BUNDLE}.js").read_bytes()).decode()
    script = f'window.datatables = import("data:text/javascript;base64,{module}");\n'
    (folder / "datatables.js").write_text(script)
    (folder / "datatables.css").write_bytes((bundle / f"{_BUNDLE}.css").read_bytes())
