"""Requirements: what a host must have to reuse each spec of a snapshot with its link and run dependencies.

Specs that require the same of a host, and depend on specs that do, share one requirement, so each distinct combination
is computed once, level by level, starting from the specs without dependencies. Source of the rules: `_is_reusable` and
`_has_runtime_dependencies` in Spack's solver/reuse.py, and the facts that its solver/asp.py makes of reused specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.rows import as_array, sort_rows, with_dictionaries
from cachestats.naming import split_variant, split_variants, version_sort_key
from cachestats.parse.arrays import Codes, distinct_pairs, distinct_rows, ranges
from cachestats.requirement import LIBC_PREFIX, External, Requirement, join_requirements, usual_place_libc
from cachestats.schema import REQUIREMENTS
from cachestats.spack_releases import DECLARED_BY_SPACK, Rules, spec_format_of, usual_libc

_RUNTIME = "gcc-runtime"  # Spack replaces it with that of the host's compiler, or a newer one in the cache
_COMPILER_WRAPPER = "compiler-wrapper"
_DEVELOPED = "dev_path"
_LIBC = r"(^|,)libc(,|$)"


def add_requirements(specs: pa.Table, dependencies: pa.Table, rules: Rules) -> pa.Table:
    """Return the table `specs` of a snapshot with its last column, given `dependencies` and the reuse rules.

    All text must be dictionary-encoded.
    """
    closures = _Closures(specs, dependencies, rules)
    texts = pa.array([str(requirement) for requirement in closures.requirements], pa.string())
    # Distinct requirements have distinct texts: a code is the rank of its text.
    rank = np.empty(len(texts), np.int32)
    order = pc.sort_indices(texts).to_numpy()
    rank[order] = np.arange(len(texts), dtype=np.int32)
    codes = rank[closures.codes][closures.spec_of_row]
    return specs.append_column("requirement", pa.DictionaryArray.from_arrays(codes, texts.take(pa.array(order))))


def requirements_table(snapshot: str, counts: Mapping[str, int]) -> pa.Table:
    """Return the table `requirements` of a snapshot, given the number of specs with each requirement."""
    rows = [_row(snapshot, text, Requirement.parse(text), count) for text, count in sorted(counts.items())]
    return sort_rows(with_dictionaries(pa.Table.from_pylist(rows, schema=REQUIREMENTS.arrow())), REQUIREMENTS)


def _row(snapshot: str, text: str, requirement: Requirement, count: int) -> dict[str, object]:
    libcs = requirement.libcs
    declared = {name for platform in requirement.platforms for name in DECLARED_BY_SPACK.get(platform, ())}
    externals = [str(external) for external in requirement.externals if external.name not in declared]
    return {
        "snapshot": snapshot,
        "requirement": text,
        "platform": ",".join(requirement.platforms),
        "os": ",".join(requirement.oses),
        "target": ",".join(requirement.targets),
        "libc": ",".join(_name_and_place(libc) for libc in libcs) or None,
        "libc_version": ",".join(libc.version for libc in libcs) or None,
        "libc_version_key": ",".join(version_sort_key(libc.version) for libc in libcs) or None,
        "names_libc": requirement.names_libc,
        "spec_format": requirement.spec_format,
        "missing": requirement.missing,
        "excluded": requirement.excluded,
        "externals": "; ".join(externals) or None,
        "reuse_rules": requirement.rules,
        "is_assumed": requirement.is_assumed,
        "num_specs": count,
    }


def _name_and_place(libc: External) -> str:
    return libc.name if libc.prefix == LIBC_PREFIX else f"{libc.name} at {libc.prefix}"


class _Own(NamedTuple):
    """The requirements of a spec itself, without its dependencies; `libc` is the text of the external, or None."""

    platform: str
    os: str
    target: str
    libc: str | None
    spec_format: int | None
    excluded: str | None


class _Closures:
    """The distinct requirements of a snapshot, and the number of each spec's requirement."""

    def __init__(self, specs: pa.Table, dependencies: pa.Table, rules: Rules) -> None:
        self.rules = rules
        hashes = as_array(specs.column("hash"))
        self.hashes = hashes.dictionary
        self.spec_of_row = hashes.indices.to_numpy()
        self.first_rows = np.empty(len(self.hashes), np.int64)
        self.first_rows[self.spec_of_row[::-1]] = np.arange(len(specs) - 1, -1, -1)
        self.specs, self.dependencies = specs, dependencies
        # An external that is not in the index is missing like any other spec.
        self.is_external = as_array(dependencies.column("is_external")).fill_null(False).to_numpy(zero_copy_only=False)
        self.leads_to_libc = self._leads_to_libc()
        self.owners = self._specs_with("hash")
        self.requirements: list[Requirement] = []
        self._numbers: dict[Requirement, int] = {}
        libcs = self._libcs()
        own = self._own_codes(libcs)
        owners, needed, extras = self._needs(libcs)
        self.codes = self._closed(own, extras, owners, needed)

    def _number(self, requirement: Requirement) -> int:
        number = self._numbers.setdefault(requirement, len(self.requirements))
        if number == len(self.requirements):
            self.requirements.append(requirement)
        return number

    def _own_codes(self, libcs: Codes) -> Codes:
        """Return for each spec the number of its own requirement; `libcs` are rows of `dependencies`, or -1."""
        columns = {name: self._of_specs(name) for name in ("platform", "os", "target")}
        formats = pc.fill_null(as_array(self.specs.column("spec_format")).take(self.first_rows), -1).to_numpy()
        excluded, words = self._excluded()
        texts = as_array(self.dependencies.column("external"))
        libc_codes = np.where(libcs < 0, -1, texts.indices.fill_null(-1).to_numpy()[libcs] if len(texts) else -1)
        keys = [*(column.indices.to_numpy() for column in columns.values()), libc_codes, formats, excluded]
        first, codes = distinct_rows([key + 1 for key in keys])
        numbers = []
        for platform, os, target, libc, spec_format, is_excluded in zip(
            *(key[first].tolist() for key in keys), strict=True
        ):
            own = _Own(
                platform=columns["platform"].dictionary[platform].as_py(),
                os=columns["os"].dictionary[os].as_py(),
                target=columns["target"].dictionary[target].as_py(),
                libc=texts.dictionary[libc].as_py() if libc >= 0 else None,
                spec_format=spec_format if spec_format >= 0 else None,
                excluded=words[is_excluded],
            )
            numbers.append(self._number(self._own(own)))
        result: Codes = np.array(numbers, np.int64)[codes]
        return result

    def _own(self, own: _Own) -> Requirement:
        is_assumed = own.spec_format is None
        # Before 0.22 Spack did not record the libc, so there is nothing to assume about the specs of that time.
        if is_assumed and self.rules != "0.21":
            usual = usual_libc(own.os)
            libcs = (usual_place_libc(usual),) if usual else ()
        else:
            libcs = (_libc(own.libc),) if own.libc else ()
        names_libc = bool(libcs) or own.platform != "linux" or (is_assumed and self.rules != "0.21")
        return Requirement(
            platforms=(own.platform,),
            oses=(own.os,),
            targets=(own.target,),
            libcs=libcs,
            names_libc=names_libc,
            spec_format=spec_format_of(self.rules) if is_assumed else own.spec_format,
            excluded=own.excluded,
            rules=self.rules,
            is_assumed=is_assumed,
        )

    def _excluded(self) -> tuple[Codes, list[str | None]]:
        """Return for each spec the number of the reason why Spack never reuses it, and the reasons; 0 is no reason."""
        words: list[str | None] = [None, _COMPILER_WRAPPER]
        packages, variants = (self._of_specs(name) for name in ("package", "variants"))
        is_wrapper = np.array([name == _COMPILER_WRAPPER for name in packages.dictionary.to_pylist()], bool)
        result = is_wrapper[packages.indices.to_numpy()].astype(np.int64)
        # As a regular expression, text is found in a fifth of the time.
        may_be = pc.match_substring_regex(variants.dictionary, _DEVELOPED).to_numpy(zero_copy_only=False)
        is_developed = np.zeros(len(may_be), bool)
        for code in np.flatnonzero(may_be).tolist():
            names = (split_variant(one)[0] for one in split_variants(variants.dictionary[code].as_py()))
            is_developed[code] = _DEVELOPED in names
        for spec in np.flatnonzero(is_developed[variants.indices.to_numpy()]).tolist():
            word = f"dev_path of {packages[spec].as_py()}"
            if word not in words:
                words.append(word)
            result[spec] = words.index(word)
        return result, words

    def _libcs(self) -> Codes:
        """Return for each spec the row of `dependencies` that leads to its libc (the first if several), or -1."""
        result = np.full(len(self.hashes), -1, np.int64)
        rows = np.flatnonzero(self.leads_to_libc)[::-1]
        result[self.owners[rows]] = rows
        return result

    def _leads_to_libc(self) -> npt.NDArray[np.bool_]:
        """Return for each row of `dependencies` whether it leads to a libc."""
        virtuals = as_array(self.dependencies.column("virtuals"))
        is_libc = np.append(pc.match_substring_regex(virtuals.dictionary, _LIBC).to_numpy(zero_copy_only=False), False)
        result: npt.NDArray[np.bool_] = is_libc[virtuals.indices.fill_null(-1).to_numpy()] & self.is_external
        return result

    def _needs(self, libcs: Codes) -> tuple[Codes, Codes, dict[int, Requirement]]:
        """Return the edges between cached specs, and the other requirements of specs: externals and missing specs."""
        edges = self.dependencies
        flags = [as_array(edges.column(name)).to_numpy(zero_copy_only=False) for name in ("is_link", "is_run")]
        packages = as_array(edges.column("dependency_package"))
        is_runtime = np.append([name == _RUNTIME for name in packages.dictionary.to_pylist()], False)
        is_needed = (flags[0] | flags[1]) & ~is_runtime[packages.indices.fill_null(-1).to_numpy()].astype(bool)
        is_needed &= ~self.leads_to_libc
        owners, ends = self.owners, self._specs_with("dependency_hash")
        extras: dict[int, list[Requirement]] = {}
        texts, hashes = as_array(edges.column("external")), as_array(edges.column("dependency_hash"))
        of_text: dict[str, Requirement] = {}
        for row in np.flatnonzero(is_needed & (self.is_external | (ends < 0))).tolist():
            if self.is_external[row]:
                text = texts[row].as_py()
                if (extra := of_text.get(text)) is None:
                    extra = of_text[text] = Requirement((), (), (), externals=(External.parse(text),))
            else:
                extra = Requirement((), (), (), missing=_label(packages[row].as_py(), hashes[row].as_py()))
            extras.setdefault(int(owners[row]), []).append(extra)
        # Spack writes one libc; if there are several, a host must have them all.
        for row in np.setdiff1d(np.flatnonzero(self.leads_to_libc), libcs).tolist():
            extras.setdefault(int(owners[row]), []).append(Requirement((), (), (), libcs=(_libc(texts[row].as_py()),)))
        is_here = is_needed & ~self.is_external & (ends >= 0)
        joined = {owner: join_requirements(found) for owner, found in extras.items()}
        return owners[is_here], ends[is_here], joined

    def _closed(self, own: Codes, extras: dict[int, Requirement], owners: Codes, needed: Codes) -> Codes:
        """Return for each spec the number of the requirement of its whole closure."""
        codes = own.copy()
        for spec, extra in extras.items():
            codes[spec] = self._number(join_requirements([self.requirements[codes[spec]], extra]))
        waiting = np.bincount(owners, minlength=len(codes))
        below, by_owner = _Grouped(owners, needed, len(codes)), _Grouped(needed, owners, len(codes))
        level = np.flatnonzero(waiting == 0)
        joined: dict[tuple[int, ...], int] = {}
        while len(level):
            self._close(level, below, codes, joined)
            closed = np.bincount(by_owner.of(level), minlength=len(codes))
            waiting -= closed
            level = np.flatnonzero((closed > 0) & (waiting == 0))
        self._break_cycles(np.flatnonzero(waiting > 0), codes)
        return codes

    def _close(self, level: Codes, below: _Grouped, codes: Codes, joined: dict[tuple[int, ...], int]) -> None:
        """Join the own requirement of each spec of a level with those of its dependencies."""
        lengths = below.lengths[level]
        level = level[lengths > 0]
        if not len(level):
            return
        positions = np.repeat(np.arange(len(level)), below.lengths[level])
        position, code = distinct_pairs(positions, codes[below.of(level)], len(self.requirements))
        ends = np.searchsorted(position, np.arange(len(level) + 1))
        first, numbers = distinct_rows([codes[level], _numbers_of_slices(code, ends)])
        closed = np.empty(len(first), np.int64)
        for row in np.argsort(first).tolist():
            spec = first[row]
            key = (int(codes[level[spec]]), *code[ends[spec] : ends[spec + 1]].tolist())
            if (number := joined.get(key)) is None:
                parts = [self.requirements[part] for part in key]
                number = joined[key] = self._number(join_requirements(parts))
            closed[row] = number
        codes[level] = closed[numbers]

    def _break_cycles(self, specs: Codes, codes: Codes) -> None:
        """Mark specs in a dependency cycle, and those that depend on them, as missing: no cache can provide them."""
        packages = self._of_specs("package")
        for spec in specs.tolist():
            extra = Requirement((), (), (), missing=_label(packages[spec].as_py(), self.hashes[spec].as_py()))
            codes[spec] = self._number(join_requirements([self.requirements[codes[spec]], extra]))

    def _of_specs(self, name: str) -> pa.DictionaryArray:
        return as_array(self.specs.column(name)).take(pa.array(self.first_rows))

    def _specs_with(self, name: str) -> Codes:
        """Return for each row of `dependencies` the spec of the snapshot that has this hash, or -1."""
        column = as_array(self.dependencies.column(name))
        if not len(column):
            return np.empty(0, np.int64)
        found = pc.index_in(column.dictionary, self.hashes).fill_null(-1).to_numpy().astype(np.int64)
        result: Codes = found[column.indices.to_numpy()]
        return result


class _Grouped:
    """Values grouped by key; keys are numbers from 0."""

    def __init__(self, keys: Codes, values: Codes, count: int) -> None:
        self.values = values[np.argsort(keys, kind="stable")]
        self.lengths = np.bincount(keys, minlength=count)
        self.starts = np.cumsum(self.lengths) - self.lengths

    def of(self, keys: Codes) -> Codes:
        """Return the values of these keys, key by key."""
        result: Codes = self.values[ranges(self.starts[keys], self.lengths[keys])]
        return result


def _numbers_of_slices(values: Codes, ends: Codes) -> Codes:
    """Return a number for each slice of some values, from one end to the next; equal slices have equal numbers."""
    size = values.itemsize
    buffers = [None, pa.py_buffer(ends * size), pa.py_buffer(values)]
    slices = pa.Array.from_buffers(pa.large_binary(), len(ends) - 1, buffers)
    numbers: Codes = slices.dictionary_encode().indices.to_numpy()
    return numbers


def _label(package: str | None, digest: str) -> str:
    return f"{package or ''}/{digest[:7]}"


def _libc(text: str) -> External:
    found = External.parse(text)
    return External(found.name, found.version, prefix=found.prefix)
