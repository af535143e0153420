"""The example: a tiny dataset and a lockfile that the package brings along, made by `make example`."""

from __future__ import annotations

from pathlib import Path

from cachestats.dataset.dataset import Dataset, open_dataset

EXAMPLE = Path(__file__).parent / "example_data"


def example_dataset() -> Dataset:
    """Open the tiny dataset that the package brings along, for trying things out.

    It has two dated snapshots, one with four stacks and one with three. They hold hdf5, zlib-ng and the packages that
    these need to link and run, for Linux and macOS. Spack itself wrote the specs, with their real hashes, when it
    concretized the stacks of its public build cache. Most of each stack is left out, so all counts are far below those
    of the public cache.

    The folder of the dataset, `example_dataset().path`, also holds `spack.lock`, the lockfile of an environment with
    hdf5. Nothing is written when the example is opened. Copy the folder if you want to change it.

    Returns
    -------
    Dataset
        The dataset, whose folder is inside the installed package.

    Raises
    ------
    DatasetError
        If its files are missing, or were changed.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> ds.at("all").names
    ('develop-2024-06-02', 'develop-2025-03-09')
    >>> ds.newest.values("stack")
    ['e4s', 'ml-darwin-aarch64-mps', 'radiuss', 'root']
    >>> cs.read_environment(ds.path / "spack.lock")
    <Environment: 42 specs, 1 root; lockfile of Spack 0.23.0.dev0>
    """
    return open_dataset(EXAMPLE)
