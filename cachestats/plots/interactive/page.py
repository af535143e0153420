"""Interactive charts as pages that need no network."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.atomic import replaced_file
from cachestats.errors import ArgumentError, require_extra

if TYPE_CHECKING:
    import altair

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 1em; background: {paper}; color: {ink}; font-family: Verdana, sans-serif; font-size: 13px; }}
.chart-wrapper {{ display: flex; flex-direction: column; }}
.vega-bindings {{ order: -1; margin: 0.5em; }}
</style>
<script>
{javascript}
</script>
</head>
<body>
<div id="chart"></div>
<script>
const actions = {{"export": true, "source": false, "compiled": false, "editor": false}};
vegaEmbed("#chart", {chart}, {{"mode": "vega-lite", "renderer": "svg", "actions": actions}});
</script>
</body>
</html>
"""


def save_chart(chart: altair.TopLevelMixin, out: str | os.PathLike[str]) -> None:
    """Save an interactive chart as a page that needs no network: it holds the data and the code that draws them.

    Parameters
    ----------
    chart
        The chart that a function such as `chart_history` returned, or any other Altair chart.
    out
        The file to write, which ends in `.html`; it takes about a megabyte. The same chart always gives the same bytes.

    Raises
    ------
    ArgumentError
        If the file does not end in `.html`.
    MissingExtraError
        If the extra `interactive` is not installed.
    DatasetError
        If the file cannot be written.

    Examples
    --------
    >>> import cachestats as cs
    >>> chart = cs.chart_history(cs.history(cs.example_dataset(), by="stack"))
    >>> cs.save_chart(chart, "history.html")
    """
    path = Path(out)
    if path.suffix != ".html":
        raise ArgumentError(
            f"expected a file that ends in .html, found {path.name!r}", hint=f"try {path.with_suffix('.html')}"
        )
    require_extra("interactive", "vl_convert", purpose="an interactive chart")
    from vl_convert import javascript_bundle

    spec = chart.to_dict()
    config, title = spec.get("config", {}), spec.get("title", "")
    page = _PAGE.format(
        title=escape(title["text"] if isinstance(title, dict) else title),
        paper=config.get("background", "white"),
        ink=config.get("title", {}).get("color", "black"),
        javascript=javascript_bundle(),  # type: ignore[call-arg]  # its stub lacks a default
        # Names come from anybody, and `</script>` would end the script.
        chart=json.dumps(spec).replace("<", "\\u003c"),
    )
    with replaced_file(path) as unfinished:
        unfinished.write_text(page, "utf-8")
