"""Ask Spack's binary build cache what it covers.

>>> import cachestats as cs
>>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
>>> matrix = cs.coverage_matrix(ds.specs, rows="package", columns="target")
>>> ax = cs.plot_coverage(matrix)

The public names are imported on first use: a build needs no plots, and importing Matplotlib alone takes half a second.
"""

import lazy_loader

from cachestats.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
