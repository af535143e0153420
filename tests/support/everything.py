"""Imports what the verbs import on first use, so that a process that is forked afterwards starts at once."""

import importlib
import pkgutil

import aiohttp
import itables
import loky
import matplotlib.backends.backend_agg
import matplotlib.backends.backend_svg
import matplotlib.pyplot
import pyarrow.csv

import cachestats

__all__ = ["aiohttp", "cachestats", "itables", "loky", "matplotlib", "pyarrow"]

for _module in pkgutil.walk_packages(cachestats.__path__, "cachestats."):
    if not _module.name.startswith(("cachestats.spark", "cachestats.__main__")):
        importlib.import_module(_module.name)
