"""Targets: microarchitectures and their ancestry, from archspec."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from cachestats.naming import NaturalKey, natural_key
from cachestats.schema import TARGETS

if TYPE_CHECKING:
    import pyarrow as pa


@cache
def _known() -> dict[str, Any]:
    # Import on first use: archspec reads its JSON database, which a build from pages needs only at its end.
    import archspec.cpu

    return dict(archspec.cpu.TARGETS)


def archspec_version() -> str:
    """Return the version of archspec that provides the table `targets`.

    Examples
    --------
    >>> from cachestats.targets import archspec_version
    >>> archspec_version().count(".")
    2
    """
    import archspec

    return str(archspec.__version__)


def targets_table(seen: Iterable[str] = ()) -> pa.Table:
    """Return the table `targets`: for each microarchitecture, the machines that run binaries built for it.

    A machine runs binaries built for it and for its ancestors according to archspec. A target in `seen` that archspec
    does not know runs only on itself.

    Examples
    --------
    >>> from cachestats.targets import targets_table
    >>> table = targets_table(["unheard_of"]).to_pylist()
    >>> [row["target"] for row in table if row["runs_on"] == "x86_64_v3"]
    ['x86_64', 'x86_64_v2', 'x86_64_v3']
    >>> [row["runs_on"] for row in table if row["target"] == "unheard_of"]
    ['unheard_of']
    """
    known = _known()
    rows = [
        {
            "target": target,
            "runs_on": machine,
            "is_native": target == machine,
            "family": str(known[target].family),
            "vendor": known[target].vendor,
        }
        for machine, microarchitecture in known.items()
        for target in (machine, *map(str, microarchitecture.ancestors))
    ]
    rows += [
        {"target": target, "runs_on": target, "is_native": True, "family": None, "vendor": None}
        for target in set(seen) - known.keys()
    ]
    rows.sort(key=lambda row: (row["target"], row["runs_on"]))
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=TARGETS.arrow())


def known_targets() -> set[str]:
    """Return the targets that archspec knows.

    Examples
    --------
    >>> from cachestats.targets import known_targets
    >>> sorted(known_targets() & {"zen4", "zen44"})
    ['zen4']
    """
    return set(_known())


def host_target() -> str:
    """Return the microarchitecture of this machine, as archspec detects it.

    Returns
    -------
    str
        Its name, such as `zen4`.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.host_target() in cs.runnable(cs.host_target())
    True
    """
    import archspec.cpu

    return str(archspec.cpu.host())


def runnable(machine: str) -> tuple[str, ...]:
    """Return the targets whose binaries a machine runs, the best first: its own, then its ancestors, nearest first.

    Every target comes after its own descendants. Otherwise the order is that of archspec, which goes by distance but,
    for Arm, puts `aarch64` before its descendants.

    Parameters
    ----------
    machine
        The microarchitecture of the machine. If archspec does not know it, the result is only its own name.

    Returns
    -------
    tuple of str
        Their names.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.runnable("zen2"), cs.runnable("unheard_of")
    (('zen2', 'zen', 'x86_64_v3', 'x86_64_v2', 'x86_64'), ('unheard_of',))
    >>> cs.runnable("neoverse_v2")[-3:]
    ('armv8.2a', 'armv8.1a', 'aarch64')
    """
    known = _known()
    if machine not in known:
        return (machine,)
    left = {str(ancestor): {*map(str, ancestor.ancestors)} for ancestor in known[machine].ancestors}
    order = [machine]
    while left:
        order.append(next(name for name in left if not any(name in above for above in left.values())))
        del left[order[-1]]
    return tuple(order)


def node_targets(name: str) -> list[Any]:
    """Return the forms that a target may have in a spec node: the name for a generic target, otherwise an object.

    Source: `to_dict_or_value` of targets in Spack's lib/spack/spack/target.py, and of microarchitectures in archspec,
    which has included a part number since its release 0.2.5.

    Examples
    --------
    >>> from cachestats.targets import node_targets
    >>> node_targets("x86_64_v3"), node_targets("unheard_of")
    (['x86_64_v3'], ['unheard_of'])
    >>> [list(form) for form in node_targets("zen4")]
    [['name', 'vendor', 'features', 'generation', 'parents'],
     ['name', 'vendor', 'features', 'generation', 'parents', 'cpupart']]
    """
    found = _known().get(name)
    if found is None or found.vendor == "generic":
        return [name]
    whole = {key: value for key, value in found.to_dict().items() if key != "compilers"}
    short = {key: value for key, value in whole.items() if key != "cpupart"}
    return [short, whole] if len(short) < len(whole) else [short]


def target_order(target: str) -> tuple[bool, str, int, NaturalKey]:
    """Return a sort key: by family, ancestors before descendants, then by name; unknown targets last.

    Examples
    --------
    >>> from cachestats.targets import target_order
    >>> sorted(["zen4", "neoverse_v1", "x86_64", "x86_64_v3", "unheard_of"], key=target_order)
    ['neoverse_v1', 'x86_64', 'x86_64_v3', 'zen4', 'unheard_of']
    """
    found = _known().get(target)
    if found is None:
        return True, "", 0, natural_key(target)
    return False, str(found.family), len(found.ancestors), natural_key(target)


def is_in_range(target: str, wanted: str) -> bool:
    """Return whether a target is another one, or in a range such as `x86_64_v2:zen4`, whose ends belong to it.

    A target is above all its ancestors. One that archspec does not know is only above and below itself.

    Examples
    --------
    >>> from cachestats.targets import is_in_range
    >>> [is_in_range(target, "x86_64_v2:x86_64_v4") for target in ("x86_64", "x86_64_v3", "zen4", "neoverse_v1")]
    [False, True, False, False]
    """
    low, colon, high = wanted.partition(":")
    if not colon:
        return wanted in (target, "*")
    return (not low or low in runnable(target)) and (not high or target in runnable(high))
