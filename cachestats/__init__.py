"""Ask Spack's binary build cache what it covers.

>>> import cachestats as cs
>>> ds = cs.example_dataset()
>>> matrix = cs.coverage_matrix(ds, rows="package", columns="target")
>>> ax = cs.plot_coverage(matrix)

The public names are imported on first use: a build needs no plots, and importing Matplotlib alone takes half a second.
"""

import re
from importlib import import_module
from typing import Any

from cachestats.version import __version__ as __version__

# The names stand once, in the stub that type checkers read. (lazy-loader would open the stub by its path, and a package
# in a zip, as Spark sends it to workers, has none.)
_STUB = __loader__.get_data(f"{__file__}i").decode()
_HOMES = {name: module for module, name in re.findall(r"^from (\.\S+) import (\w+) as \2$", _STUB, re.MULTILINE)}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
