"""The table widget of a report: DataTables, as bundled with the package itables."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

_BUNDLE = "dt_bundle"
_EXPORTS = re.compile(r"export\{[^{}]*?([\w$]+) as default[^{}]*\};")


def write_widget(folder: Path) -> None:
    """Write the script and the style sheet of DataTables.

    The bundle comes from the wheel of itables, because DataTables itself is published for npm only. It is a module,
    which a page opened from disk may not load, so it becomes the body of a function that returns what the module
    exports by default.
    """
    bundle = files("itables") / "html"
    module = (bundle / f"{_BUNDLE}.js").read_text(encoding="utf-8")
    body, replaced = _EXPORTS.subn(r"return \1;", module)
    if replaced != 1:
        raise RuntimeError(f"expected a module with one list of exports in itables, found {replaced}")
    script = f'window.DataTable = (() => {{ "use strict";\n{body}\n}})();\n'
    (folder / "datatables.js").write_text(script, encoding="utf-8", newline="\n")
    (folder / "datatables.css").write_bytes((bundle / f"{_BUNDLE}.css").read_bytes())
