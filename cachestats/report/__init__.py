"""A report: a dataset and its analyses as a folder of static files that opens in a browser."""

from cachestats.errors import require_extra

require_extra("report", "itables", "jinja2", purpose="a report")
