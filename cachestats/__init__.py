"""Ask Spack's binary build cache what it covers.

>>> import cachestats as cs
>>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
>>> matrix = cs.coverage_matrix(ds.specs, rows="package", columns="target")
>>> ax = cs.plot_coverage(matrix)

The public names are imported on first use: a build needs no plots, and Matplotlib alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachestats.analysis.coverage import coverage, coverage_matrix
    from cachestats.analysis.gaps import column_coverage, gaps
    from cachestats.analysis.usable import usable
    from cachestats.analysis.versions import versions
    from cachestats.build import build_dataset
    from cachestats.dataset import Dataset, export_table, open_dataset
    from cachestats.errors import CachestatsError
    from cachestats.lockfile import read_lockfile
    from cachestats.parse.page import ParsedPage, parse_page
    from cachestats.plots.coverage import plot_coverage
    from cachestats.plots.saving import save_plot
    from cachestats.schema import data_dictionary
    from cachestats.site import export_site
    from cachestats.sources.storage import Network
    from cachestats.update import update_dataset

__version__ = "0.1.0"

_HOMES = {
    "CachestatsError": "errors",
    "Dataset": "dataset",
    "Network": "sources.storage",
    "ParsedPage": "parse.page",
    "build_dataset": "build",
    "column_coverage": "analysis.gaps",
    "coverage": "analysis.coverage",
    "coverage_matrix": "analysis.coverage",
    "data_dictionary": "schema",
    "export_site": "site",
    "export_table": "dataset",
    "gaps": "analysis.gaps",
    "open_dataset": "dataset",
    "parse_page": "parse.page",
    "plot_coverage": "plots.coverage",
    "read_lockfile": "lockfile",
    "save_plot": "plots.saving",
    "update_dataset": "update",
    "usable": "analysis.usable",
    "versions": "analysis.versions",
}

__all__ = [
    "CachestatsError",
    "Dataset",
    "Network",
    "ParsedPage",
    "build_dataset",
    "column_coverage",
    "coverage",
    "coverage_matrix",
    "data_dictionary",
    "export_site",
    "export_table",
    "gaps",
    "open_dataset",
    "parse_page",
    "plot_coverage",
    "read_lockfile",
    "save_plot",
    "update_dataset",
    "usable",
    "versions",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"cachestats.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cachestats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
