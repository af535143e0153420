"""Ask Spack's binary build cache what it covers.

>>> import cachestats as cs
>>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
>>> matrix = cs.coverage_matrix(ds.specs, rows="package", columns="target")
>>> ax = cs.plot_coverage(matrix)

The public names are imported on first use: a build needs no plots, and importing Matplotlib alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cachestats.version import __version__ as __version__

if TYPE_CHECKING:
    from cachestats.analysis.causes import causes
    from cachestats.analysis.compare import compare, compare_counts, compare_specs
    from cachestats.analysis.coverage import coverage, coverage_matrix
    from cachestats.analysis.duplicates import duplicates
    from cachestats.analysis.gaps import column_coverage, gaps
    from cachestats.analysis.history import history, lifespans
    from cachestats.analysis.holes import holes
    from cachestats.analysis.losses import losses
    from cachestats.analysis.match import hit_rates, match
    from cachestats.analysis.overlap import overlap, overlap_sets
    from cachestats.analysis.usable import reusable, usable, usable_by_system
    from cachestats.analysis.versions import versions
    from cachestats.dataset.dataset import Dataset, open_dataset
    from cachestats.environment import Environment, read_environment
    from cachestats.errors import CachestatsError
    from cachestats.export.datapackage.export import export_package
    from cachestats.export.site import export_site
    from cachestats.export.table import export_table
    from cachestats.hashing import dag_hash
    from cachestats.hosts import Host, host
    from cachestats.ingest.build import build_dataset, plan_build
    from cachestats.ingest.page import ParsedPage, parse_page
    from cachestats.ingest.update import plan_update, update_dataset
    from cachestats.packages_yaml import read_packages
    from cachestats.plots.changes import plot_changes
    from cachestats.plots.churn import plot_churn
    from cachestats.plots.coverage import plot_coverage
    from cachestats.plots.duplicates import plot_duplicates
    from cachestats.plots.gaps import plot_gaps
    from cachestats.plots.history import plot_history
    from cachestats.plots.hit_rates import plot_hit_rates
    from cachestats.plots.holes import plot_holes
    from cachestats.plots.losses import plot_losses
    from cachestats.plots.overlap import plot_overlap
    from cachestats.plots.overlap_sets import plot_overlap_sets
    from cachestats.plots.saving import save_plot
    from cachestats.plots.versions import plot_versions
    from cachestats.report.report import write_report
    from cachestats.schema import data_dictionary
    from cachestats.sources.storage.base import Network
    from cachestats.targets import host_target, runnable


_HOMES = {
    "CachestatsError": "errors",
    "Dataset": "dataset.dataset",
    "Environment": "environment",
    "Host": "hosts",
    "Network": "sources.storage.base",
    "ParsedPage": "ingest.page",
    "build_dataset": "ingest.build",
    "causes": "analysis.causes",
    "column_coverage": "analysis.gaps",
    "compare": "analysis.compare",
    "compare_counts": "analysis.compare",
    "compare_specs": "analysis.compare",
    "coverage": "analysis.coverage",
    "coverage_matrix": "analysis.coverage",
    "dag_hash": "hashing",
    "data_dictionary": "schema",
    "losses": "analysis.losses",
    "duplicates": "analysis.duplicates",
    "export_package": "export.datapackage.export",
    "export_site": "export.site",
    "export_table": "export.table",
    "gaps": "analysis.gaps",
    "history": "analysis.history",
    "hit_rates": "analysis.match",
    "holes": "analysis.holes",
    "host": "hosts",
    "host_target": "targets",
    "match": "analysis.match",
    "open_dataset": "dataset.dataset",
    "overlap": "analysis.overlap",
    "overlap_sets": "analysis.overlap",
    "parse_page": "ingest.page",
    "plan_build": "ingest.build",
    "plan_update": "ingest.update",
    "plot_changes": "plots.changes",
    "plot_churn": "plots.churn",
    "plot_coverage": "plots.coverage",
    "plot_losses": "plots.losses",
    "plot_duplicates": "plots.duplicates",
    "plot_gaps": "plots.gaps",
    "plot_history": "plots.history",
    "plot_hit_rates": "plots.hit_rates",
    "plot_holes": "plots.holes",
    "plot_overlap": "plots.overlap",
    "plot_overlap_sets": "plots.overlap_sets",
    "plot_versions": "plots.versions",
    "read_environment": "environment",
    "read_packages": "packages_yaml",
    "reusable": "analysis.usable",
    "runnable": "targets",
    "save_plot": "plots.saving",
    "lifespans": "analysis.history",
    "update_dataset": "ingest.update",
    "usable": "analysis.usable",
    "usable_by_system": "analysis.usable",
    "versions": "analysis.versions",
    "write_report": "report.report",
}

__all__ = [
    "CachestatsError",
    "Dataset",
    "Environment",
    "Host",
    "Network",
    "ParsedPage",
    "build_dataset",
    "causes",
    "column_coverage",
    "compare",
    "compare_counts",
    "compare_specs",
    "coverage",
    "coverage_matrix",
    "dag_hash",
    "data_dictionary",
    "duplicates",
    "export_package",
    "export_site",
    "export_table",
    "gaps",
    "history",
    "hit_rates",
    "holes",
    "host",
    "host_target",
    "lifespans",
    "losses",
    "match",
    "open_dataset",
    "overlap",
    "overlap_sets",
    "parse_page",
    "plan_build",
    "plan_update",
    "plot_changes",
    "plot_churn",
    "plot_coverage",
    "plot_duplicates",
    "plot_gaps",
    "plot_history",
    "plot_hit_rates",
    "plot_holes",
    "plot_losses",
    "plot_overlap",
    "plot_overlap_sets",
    "plot_versions",
    "read_environment",
    "read_packages",
    "reusable",
    "runnable",
    "save_plot",
    "update_dataset",
    "usable",
    "usable_by_system",
    "versions",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"cachestats.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cachestats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
