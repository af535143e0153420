"""The variants with which a package is built, by version."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from cachestats.naming import split_variant, split_variants
from cachestats.report.packages import Specs

_MOST_VERSIONS = 6


class VariantMatrix(NamedTuple):
    """The variants that differ between specs, and those that all specs have."""

    versions: list[str]
    """The newest versions, the newest first."""
    num_versions: int
    """All versions."""
    rows: dict[str, list[list[tuple[str, int]]]]
    """For each variant whose value differs, for each of the versions: its values, each with its number of specs."""
    common: list[str]
    """The variants that have the same value in all specs of all versions, as Spack writes them."""


def variant_matrix(specs: Specs, snapshot: str) -> VariantMatrix | None:
    """Return the variants of a package in a snapshot, or None if the snapshot does not have it, or not its variants."""
    totals: Counter[str] = Counter()  # by version, the newest first, as the specs are
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by variant, and in it by version
    for (version, variants), number in specs.counts(snapshot, "version", "variants").items():
        totals[version] += number
        for variant in split_variants(variants or ""):
            counts[variant][version] += number
    if not counts:
        return None
    values: defaultdict[str, list[str]] = defaultdict(list)  # the variants of each name
    for variant in sorted(counts):
        values[split_variant(variant)[0]].append(variant)
    versions = [*totals]
    common: list[str] = []
    rows: dict[str, list[list[tuple[str, int]]]] = {}
    for name, found in sorted(values.items()):
        if len(found) == 1 and counts[found[0]].total() == totals.total():
            common += found
        else:
            rows[name] = [
                [(variant, counts[variant][version]) for variant in found if counts[variant][version]]
                for version in versions[:_MOST_VERSIONS]
            ]
    return VariantMatrix(versions[:_MOST_VERSIONS], len(versions), rows, common)
