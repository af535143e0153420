# The recipe for Spack. The release workflow adds the commit of the tag, which is not known before, and attaches the
# recipe to the release.

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyCachestats(PythonPackage):
    """Ask Spack's binary build cache what it covers: specs as Parquet tables, coverage matrices and charts."""

    homepage = "https://cachestats.github.io/cachestats/"
    git = "https://github.com/cachestats/cachestats.git"

    license("MIT")

    version("main", branch="main")
    version("0.1.0", tag="v0.1.0")

    variant("interactive", default=False, description="Draw interactive charts")
    variant("report", default=True, description="Write reports that open in a browser")
    variant("s3", default=False, description="Read build caches in S3 buckets")
    variant("spark", default=False, description="Read build caches on a Spark cluster")

    depends_on("py-hatchling@1.27:", type="build")
    depends_on("py-hatch-fancy-pypi-readme@24.1:", type="build")

    with default_args(type=("build", "run")):
        depends_on("python@3.11:")
        depends_on("py-aiohttp@3.12:")
        depends_on("py-archspec@0.2.5:")
        depends_on("py-click@8.4:")
        depends_on("py-filelock@3.16:")
        depends_on("py-fsspec@2024.6:")
        depends_on("py-loky@3.4:")
        depends_on("py-matplotlib@3.10:")
        depends_on("py-msgspec@0.19:")
        depends_on("py-narwhals@2.28:")
        depends_on("py-numpy@2.0:")
        depends_on("py-polars@2.0:")
        depends_on("py-pyarrow@23:")
        depends_on("py-pyyaml@6.0:")
        depends_on("py-rich@14.3:")

        depends_on("arrow+parquet+zstd")  # py-pyarrow has of it what arrow was built with

        with when("+interactive"):
            depends_on("py-altair@6.0:")
            depends_on("py-vl-convert-python@1.9:")
        with when("+report"):
            depends_on("py-itables@2.4:")
            depends_on("py-jinja2@3.1:")
        with when("+s3"):
            depends_on("py-s3fs@2024.6:")
        with when("+spark"):
            depends_on("py-pyspark@4.0:")
            depends_on("py-pandas@2.2:2")
