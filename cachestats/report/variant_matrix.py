"""The variants with which a package is built, by version."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from cachestats.analysis.spec_rows import SpecsLike, spec_rows
from cachestats.naming import split_variant, split_variants, version_key

_MOST_VERSIONS = 6
_MOST_TEXTS = 1 << 14  # packages share many lists of variants


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


class VariantMatrices:
    """The variants of all packages in the specs of a snapshot."""

    def __init__(self, specs: SpecsLike) -> None:
        by = ("package", "version", "variants")
        counts = spec_rows(specs, (*by, "hash")).count(*by, of=["hash"]).sort(by)
        # Frames take a fraction of the memory of tuples, and only one package is looked at at a time.
        self._specs = counts.partition_by("package", as_dict=True, include_key=False)

    def of(self, package: str) -> VariantMatrix | None:
        """Return the variants of one package, or None if the snapshot does not have it, or not its variants."""
        specs = self._specs.get((package,))
        if specs is None:
            return None
        counts: dict[str, Counter[tuple[str, str]]] = {}
        totals: Counter[str] = Counter()
        for version, variants, number in specs.iter_rows():
            totals[version] += number
            for name, variant in _named(variants or ""):
                counts.setdefault(name, Counter())[version, variant] += number
        if not counts:
            return None
        versions = sorted(totals, key=lambda version: (version_key(version), version), reverse=True)
        common: list[str] = []
        rows: dict[str, list[list[tuple[str, int]]]] = {}
        for name, found in sorted(counts.items()):
            values = {variant for _, variant in found}
            if len(values) == 1 and found.total() == totals.total():
                common += values
            else:
                rows[name] = [
                    [(value, found[version, value]) for value in sorted(values) if found[version, value]]
                    for version in versions[:_MOST_VERSIONS]
                ]
        return VariantMatrix(versions[:_MOST_VERSIONS], len(versions), rows, common)


@lru_cache(_MOST_TEXTS)
def _named(variants: str) -> list[tuple[str, str]]:
    """Return the name of each variant in a value of the column `variants`, and the variant itself."""
    return [(split_variant(variant)[0], variant) for variant in split_variants(variants)]
