"""A report: a dataset and its analyses as a folder of static files that opens in a browser."""

from importlib.util import find_spec

from cachestats.errors import ArgumentError

if missing := [name for name in ("itables", "jinja2") if find_spec(name) is None]:
    raise ArgumentError(
        f"expected itables and jinja2 to make a report with, found no {' and no '.join(missing)}",
        hint="pip install 'cachestats[report]'",
    )
