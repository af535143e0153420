"""Roots: which cached specs satisfy what an environment asks for before it is concretized, and what keeps others away.

It is a bound, not a solve: roots are looked at one by one, while Spack chooses versions and variants that go together,
and lets recipes and preferences decide between specs that all satisfy a root.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import polars as pl

from cachestats.analysis.frames import check_choice
from cachestats.analysis.reuse import REUSED
from cachestats.analysis.spec_rows import SpecRows, chosen, spec_rows
from cachestats.analysis.usable import judged, nearness
from cachestats.axes import HIT_RATE_AXES, MISSING, HitRateAxis
from cachestats.codes import code_of
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.expressions import EncodedSource, EncodedTables
from cachestats.dataset.levels import levels
from cachestats.dataset.satisfying import is_compiler, needs_dependencies, satisfying
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.expressions.syntax import Expression, Variant
from cachestats.hosts import Host, as_host
from cachestats.naming import natural_key, snapshot_order, sort_versions, split_variant, split_variants, version_key
from cachestats.roots import Root, RootsLike, as_roots
from cachestats.spec_lists import constrain
from cachestats.targets import runnable, target_order
from cachestats.text import nearest

REUSABLE, CACHED, UNKNOWN = "reusable", "cached", "unknown"
RootStatus = Literal["reusable", "cached", "missing", "unknown"]
AskedFor: TypeAlias = "Environment | RootsLike"

_NAMED = ("package", "version", "variants", "compiler", "platform", "os", "target")
_COLUMNS = (*_NAMED, "snapshot", "hash", "stacks", "requirement", "size_bytes")
_MOST_SHOWN = 3
_SCHEMA = {
    "root": pl.String,
    "status": pl.String,
    "num_cached": pl.Int64,
    "num_reusable": pl.Int64,
    "cause": pl.String,
    "by": pl.String,
    **dict.fromkeys(("snapshot", "package", "version", "hash", *_NAMED[2:], "stacks"), pl.String),
    "closure_specs": pl.Int64,
    "added_specs": pl.Int64,
    "added_bytes": pl.Int64,
}


def match_roots(
    roots: AskedFor, specs: Dataset | Subset, *, host: Host | str | None = None, spack: str | None = None
) -> pl.DataFrame:
    """Find the cached specs that satisfy what an environment asks for, before anything is concretized.

    The result is a bound, not a solution: roots are looked at one by one. Spack chooses specs that go together, and
    recipes that have changed may keep it from reusing a spec that satisfies a root.

    Parameters
    ----------
    roots
        What `read_roots` returns, spec expressions as text or values, or an environment from a lockfile, which says
        what its roots were concretized from.
    specs
        A dataset, which stands for its newest snapshot, or a subset of one.
    host
        The machine, as in `reusable`. By default, specs need not be reusable on any machine.
    spack
        The Spack version whose reuse rules apply, as in `reusable`.

    Returns
    -------
    polars.DataFrame
        One row per root, in the given order:

        - `root` (String): the root as it was written.
        - `status` (String): `reusable` if the host can reuse a spec that satisfies it; `cached` if such specs are
          cached but the host cannot reuse them, or no host is given; `missing` if there are none; `unknown` if the
          snapshots lack what it asks about, such as dependencies.
        - `num_cached` (Int64): the cached specs that satisfy it.
        - `num_reusable` (Int64): those that the host can reuse; null if no host is given.
        - `cause` (String): what stands in the way; null if nothing does. For missing roots, the first condition that
          leaves no spec, when they are applied in the order `package`, `namespace`, `version`, `variant`, `flags`,
          `compiler`, `platform`, `os`, `target`, `dependency`, `hash`. For cached ones, the host's obstacle, as in
          `reusable`. For unknown ones, `unknown`.
        - `by` (String): that condition or obstacle, and what there is instead.
        - `snapshot`, `package`, `version`, `hash`, `variants`, `compiler`, `platform`, `os`, `target` and `stacks`
          (joined by commas; String): the best of the reusable specs, otherwise of those with this obstacle. It has the
          newest version; then the fewest variants with another value than most cached specs of its package; then the
          target closest to the host's; then it is in the newest snapshot, and has the smallest hash.
        - `closure_specs` (Int64): that spec and the cached specs below it that are needed to link or run it.
        - `added_specs` (Int64): those that are not in the closures of the rows before.
        - `added_bytes` (Int64): the size of the added specs, if it is known.

        The last three columns are null if the root is not available, or if the specs come from pages, which do not list
        dependencies.

    Raises
    ------
    ExpressionError
        If a text is not a spec expression.
    ArgumentError
        If there are no roots, an environment does not say what its roots were concretized from, or `specs` is not a
        dataset or a subset of one.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> found = cs.match_roots(["zlib-ng@2.2:", "hdf5+mpi", "hdf5@2:"], ds, host="zen4:rhel9")
    >>> for row in found.select("root", "status", "num_cached", "cause", "by").rows():
    ...     print(row)
    ('zlib-ng@2.2:', 'reusable', 5, None, None)
    ('hdf5+mpi', 'cached', 7, 'libc', 'glibc@2.35')
    ('hdf5@2:', 'missing', 0, 'version', '@2:; there is 1.14.5, 1.8.23')
    """
    asked, subset, machine = _asked(roots), _subset(specs, every_snapshot=False), _host(host)
    parts = [_OneSnapshot(one, asked, machine, spack) for one in _each_snapshot(subset)]
    rows = [_row(root, parts, machine) for root in asked]
    _add_closures(rows, subset)
    return pl.DataFrame(rows, schema=_SCHEMA)


def root_rates(
    roots: AskedFor,
    specs: Dataset | Subset,
    *,
    by: HitRateAxis = "snapshot",
    host: Host | str | None = None,
    spack: str | None = None,
    union: bool = False,
) -> pl.DataFrame:
    """Rank snapshots, or their stacks, by the roots that they have a spec for, before anything is concretized.

    As in `match_roots`, the result is a bound, not a solution.

    Parameters
    ----------
    roots, host, spack
        As in `match_roots`.
    specs
        A dataset, which stands for all of its snapshots, or a subset of one.
    by
        `snapshot`: a row for each snapshot. `stack`: a row for each stack of each snapshot.
    union
        Keep `root`, the union of the stacks, among the stacks.

    Returns
    -------
    polars.DataFrame
        One row per snapshot, or per stack of a snapshot, sorted by `available_roots` in descending order, then the
        newest snapshot first, then by stack:

        - `snapshot`, and `stack` if by stack (String).
        - `available_roots` (Int64): the roots that a spec there satisfies; if a host is given, one that it can reuse.
        - `roots` (Int64): all roots.
        - `rate` (Float64, from 0 to 1): `available_roots` divided by `roots`.
        - `unknown_roots` (Int64): the roots that ask about something that the snapshot lacks, such as dependencies.

    Raises
    ------
    ExpressionError
        As in `match_roots`.
    ArgumentError
        As in `match_roots`, or if `by` is not one of these.

    Examples
    --------
    >>> import cachestats as cs
    >>> rates = cs.root_rates("hdf5+mpi zlib-ng@2.2:", cs.example_dataset())
    >>> rates.select("snapshot", "available_roots", "roots", "rate").rows()
    [('develop-2025-03-09', 2, 2, 1.0), ('develop-2024-06-02', 1, 2, 0.5)]
    """
    check_choice(by, HIT_RATE_AXES, "by")
    asked, subset, machine = _asked(roots), _subset(specs, every_snapshot=True), _host(host)
    rows: list[tuple[str, str | None, int, int]] = []
    for one in _each_snapshot(subset):
        part = _OneSnapshot(one, asked, machine, spack)
        available = [part.available(root) for root in asked]
        unknown = sum(isinstance(part.found(root), ArgumentError) for root in asked)
        if by == "snapshot":
            rows.append((part.name, None, sum(specs.height > 0 for specs in available), unknown))
            continue
        counts = Counter(stack for specs in available for stack in part.stacks(specs, union=union))
        there = spec_rows(one, ("stack",), union=union).names("stack")
        rows += [(part.name, stack, counts[stack], unknown) for stack in there]
    order = {name: age for age, name in enumerate(sorted(subset.snapshots or (), key=snapshot_order, reverse=True))}
    rows.sort(key=lambda row: (-row[2], order[row[0]], row[1] is None, natural_key(row[1] or "")))
    names = ("snapshot", "stack", "available_roots", "unknown_roots")
    types = (pl.String, pl.String, pl.Int64, pl.Int64)
    answer = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    rates = pl.Series([count / len(asked) for count in answer["available_roots"]], dtype=pl.Float64)
    answer = answer.with_columns(roots=pl.lit(len(asked), pl.Int64), rate=rates)
    keys = ["snapshot", *(["stack"] if by == "stack" else [])]
    return answer.select(*keys, "available_roots", "roots", "rate", "unknown_roots")


class Summary(NamedTuple):
    """How many roots of an environment are available before it is concretized."""

    roots: int
    available: int
    """Roots that the host can reuse; without a host, those that are cached."""
    cached: int
    """Roots that are cached, but that the host cannot reuse."""
    missing: int
    unknown: int
    added_specs: int | None
    """Specs in the closures of the available roots, each counted once; None if pages are the source."""


def summary(answer: pl.DataFrame) -> Summary:
    """Count what `match_roots` returns.

    Examples
    --------
    >>> import cachestats as cs
    >>> from cachestats.analysis.roots import summary
    >>> summary(cs.match_roots("hdf5 zlib-ng@3", cs.example_dataset()))
    Summary(roots=2, available=1, cached=0, missing=1, unknown=0, added_specs=10)
    """
    counts = Counter(answer["status"])
    num_blocked = int(answer["cause"].is_not_null().sum()) - counts[MISSING] - counts[UNKNOWN]
    added = answer["added_specs"].drop_nulls()
    return Summary(
        roots=answer.height,
        available=counts[REUSABLE] + counts[CACHED] - num_blocked,
        cached=num_blocked,
        missing=counts[MISSING],
        unknown=counts[UNKNOWN],
        added_specs=int(added.sum()) if len(added) else None,
    )


def _asked(roots: AskedFor) -> tuple[Root, ...]:
    if not isinstance(roots, Environment):
        return as_roots(roots)
    if not roots.roots:
        raise ArgumentError(
            f"expected what the roots were concretized from, found a {roots.kind} without it",
            hint="give a spack.lock, a spack.yaml, or specs",
        )
    return roots.roots


def _subset(specs: Dataset | Subset, *, every_snapshot: bool) -> Subset:
    if not isinstance(specs, Dataset | Subset):
        raise ArgumentError(
            f"expected a dataset or a subset of one, found {type(specs).__name__}",
            hint="such as open_dataset('dataset')",
        )
    return chosen(specs, every_snapshot=every_snapshot)


def _host(host: Host | str | None) -> Host | None:
    return None if host is None else as_host(host)


def _each_snapshot(subset: Subset) -> Iterator[Subset]:
    """Yield the snapshots of a subset, the newest first."""
    for name in sorted(subset.snapshots or (), key=snapshot_order, reverse=True):
        yield replace(subset, snapshots=(name,))


class _Tables(EncodedTables):
    """The tables of a snapshot, each of which is read once, however many roots are looked for."""

    def __init__(self, subset: Subset) -> None:
        super().__init__(subset.dataset, subset.snapshots or ())
        self.only: list[int] | None = None
        """The packages of which specs are needed; None for all."""

    @property
    def specs(self) -> pl.LazyFrame:
        return self._specs

    @property
    def edges(self) -> pl.LazyFrame:
        return self._edges

    @cached_property
    def _specs(self) -> pl.LazyFrame:
        specs = super().specs
        if self.only is not None:
            specs = specs.filter(pl.col("package").is_in(self.only))
        return specs.collect(engine="streaming").lazy()

    @cached_property
    def _edges(self) -> pl.LazyFrame:
        return super().edges.collect(engine="streaming").lazy()


class _OneSnapshot:
    """The specs of one snapshot that satisfy roots, as codes, and what keeps the others away."""

    def __init__(self, subset: Subset, roots: Sequence[Root], host: Host | None, spack: str | None) -> None:
        (self.name,) = subset.snapshots or ("",)
        self._subset, self._host, self._spack = subset, host, spack
        self._tables = _Tables(subset)
        (facts,) = EncodedSource(subset.dataset, (self.name,)).snapshots
        self._is_spack_1, self.has_dependencies = facts.is_spack_1, facts.has_dependencies
        names = {root.expression.name for root in roots}
        if not any(self._needs_others(root.expression) for root in roots):
            self._tables.only = [code_of(name) for name in names if name is not None]
        self._found: dict[Expression, pl.DataFrame | ArgumentError] = {}
        self._unusual: dict[int, dict[int, int]] = {}

    def _needs_others(self, expression: Expression) -> bool:
        """Return whether specs of packages with another name decide what satisfies an expression."""
        name = expression.name
        is_virtual = name not in self._tables.packages and name in self._tables.virtuals
        return name is None or is_virtual or needs_dependencies(expression, is_spack_1=self._is_spack_1)

    @cached_property
    def specs(self) -> pl.DataFrame:
        """The specs of the subset that may satisfy a root, with `status` and `by` if there is a host."""
        subset = self._subset
        if not subset.is_whole:
            frame = subset.encoded("spec", *(name for name in _COLUMNS if name != "hash")).rename({"spec": "hash"})
            if self._tables.only is not None:
                frame = frame.filter(pl.col("package").is_in(self._tables.only))
        else:
            frame = self._tables.specs.select(*_COLUMNS)
        specs = frame.collect(engine="streaming")
        if self._host is None:
            return specs
        verdicts = judged(SpecRows(specs.lazy(), subset, union=False), self._host, self._spack)
        codes = pl.Series([code_of(text) for text in verdicts["requirement"]], dtype=pl.Int64)
        return specs.join(verdicts.with_columns(requirement=codes), on="requirement", how="left")

    def found(self, root: Root | Expression) -> pl.DataFrame | ArgumentError:
        """Return the specs that satisfy a root, or the error that says why the snapshot does not tell."""
        expression = root.expression if isinstance(root, Root) else root
        if expression not in self._found:
            specs = self.specs  # outside of `try`, as a fault of the host concerns all roots
            try:
                self._found[expression] = self._satisfying(expression, specs)
            except ArgumentError as error:
                self._found[expression] = error
        return self._found[expression]

    def _satisfying(self, expression: Expression, specs: pl.DataFrame) -> pl.DataFrame:
        needs = needs_dependencies(expression, is_spack_1=self._is_spack_1)
        is_told = self.has_dependencies or all(map(is_compiler, expression.dependencies))
        if needs and not is_told:
            raise ArgumentError(f"dependencies are not known in {self.name}: pages do not list them")
        found = satisfying(self._tables, expression, is_spack_1=self._is_spack_1)
        return specs.filter(pl.col("hash").is_in(found["hash"].implode()))

    def available(self, root: Root) -> pl.DataFrame:
        """Return the specs that satisfy a root and that the host, if there is one, can reuse."""
        found = self.found(root)
        if isinstance(found, ArgumentError):
            return self.specs.clear()
        return found if self._host is None else found.filter(pl.col("status").is_in(REUSED))

    def stacks(self, specs: pl.DataFrame, *, union: bool) -> list[str | None]:
        """Return the stacks that list some specs."""
        rows = SpecRows(specs.lazy(), self._subset, union)
        return rows.distinct_codes("hash", "stack")["stack"].unique().to_list()

    def names(self, column: str, codes: pl.Series) -> dict[int, str]:
        """Return the names of some codes."""
        names = self._tables.named(column, codes.unique())
        return dict(names.select("code", "name").iter_rows())

    def unusual(self, package: int) -> dict[int, int]:
        """Return, for each code of `variants` of a package, the number of values that most of its specs do not have."""
        if package not in self._unusual:
            specs = self.specs.filter(pl.col("package") == package)["variants"]
            counts = dict(specs.value_counts().iter_rows())
            values = {
                code: dict(map(split_variant, split_variants(text)))
                for code, text in self.names("variants", specs).items()
                if code in counts
            }
            usual = _usual((values[code], counts[code]) for code in values)
            self._unusual[package] = {
                code: sum(usual[name] != value for name, value in own.items()) for code, own in values.items()
            }
        return self._unusual[package]

    def why(self, expression: Expression) -> tuple[str, str | None]:
        """Return the first condition of a root that no spec fulfils, and what there is instead."""
        before = self.specs
        if not self._is_spack_1:
            expression = _with_what_follows_compilers(expression)
        for cause, wanted, part in _steps(expression):
            found = self.found(part)
            if isinstance(found, ArgumentError):
                return cause, found.message
            if found.is_empty():
                instead = self._instead(cause, expression, wanted, before)
                there = f"there is {', '.join(instead)}" if instead else None
                return cause, "; ".join(filter(None, (wanted, there)))
            before = found
        return "dependency", None

    def _instead(self, cause: str, expression: Expression, wanted: str, specs: pl.DataFrame) -> list[str]:
        """Return what there is instead of what no spec fulfils, the nearest first."""
        if cause == "package":
            return nearest([wanted], sorted(self._tables.packages | self._tables.virtuals), _MOST_SHOWN)
        if cause == "variant":
            texts = self.names("variants", specs["variants"])
            own = [texts[code] for code in specs["variants"]]
            return _variants_there(own, wanted)
        if cause not in _NAMED:
            return []
        there = [*self.names(cause, specs[cause].drop_nulls()).items()]
        present = {*specs[cause]}
        names = [name for code, name in there if code in present]
        if cause == "version":
            return _nearest_versions(names, expression)
        order: Callable[[str], Any] = target_order if cause == "target" else natural_key
        return sorted(names, key=order, reverse=True)[:_MOST_SHOWN]


def _usual(variants: Iterable[tuple[dict[str, tuple[str, ...]], int]]) -> dict[str, tuple[str, ...]]:
    """Return the most frequent value of each variant; of several, the one that sorts first."""
    counts: dict[str, Counter[tuple[str, ...]]] = {}
    for own, number in variants:
        for name, value in own.items():
            counts.setdefault(name, Counter())[value] += number
    return {name: min(values, key=lambda value: (-values[value], value)) for name, values in counts.items()}


def _with_what_follows_compilers(expression: Expression) -> Expression:
    """Return an expression with what follows a compiler among its own conditions, as Spack before 1.0 reads it."""
    dependencies = []
    try:
        for dependency in expression.dependencies:
            if is_compiler(dependency):
                own = replace(dependency.expression, name=None, versions=None)
                expression = constrain(expression, own)
                compiler = Expression(name=dependency.expression.name, versions=dependency.expression.versions)
                dependency = replace(dependency, expression=compiler)
            dependencies.append(dependency)
    except ArgumentError:  # nothing fulfils both, which the compiler is blamed for
        return expression
    return replace(expression, dependencies=tuple(dependencies))


def _steps(expression: Expression) -> Iterator[tuple[str, str, Expression]]:
    """Yield the conditions of an expression: their kind, text, and the expression of all so far."""
    compilers = [dependency for dependency in expression.dependencies if is_compiler(dependency)]
    others = [dependency for dependency in expression.dependencies if dependency not in compilers]
    own, propagated = ([one for one in expression.variants if one.is_propagated is kind] for kind in (False, True))
    one_by_one: list[tuple[str, str, str, Iterable[Any]]] = [
        ("package", "name", "{}", [expression.name]),
        ("namespace", "namespace", "namespace={}", [expression.namespace]),
        ("version", "versions", "@{}", [expression.versions]),
        ("variant", "variants", "{}", own),
        ("flags", "flags", "{}", expression.flags),
        ("compiler", "dependencies", "{}", compilers),
        ("platform", "platform", "platform={}", [expression.platform]),
        ("os", "os", "os={}", [expression.os]),
        ("target", "targets", "target={}", [",".join(expression.targets) or None]),
        ("dependency", "dependencies", "{}", others),
        ("variant", "variants", "{}", propagated),
        ("hash", "hash_prefix", "/{}", [expression.hash_prefix]),
    ]
    so_far = Expression()
    for cause, field, text, conditions in one_by_one:
        for condition in conditions:
            if condition is not None:
                before = getattr(so_far, field)
                value = (*before, condition) if isinstance(before, tuple) else condition
                change: dict[str, Any] = {field: expression.targets if field == "targets" else value}
                so_far = replace(so_far, **change)
                yield cause, text.format(condition), so_far


def _variants_there(texts: Iterable[str], wanted: str) -> list[str]:
    """Return the most frequent values of a variant, or the most similar names if no spec has it."""
    name = _variant_name(wanted)
    names: set[str] = set()
    counts: Counter[str] = Counter()
    for text in texts:
        for variant in split_variants(text):
            own, values = split_variant(variant)
            names.add(own)
            if own == name:
                counts[str(Variant(own, values))] += 1
    if counts:
        return sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_SHOWN]
    return nearest([name], sorted(names), _MOST_SHOWN)


def _variant_name(text: str) -> str:
    return text.strip("+~").partition("=")[0].removesuffix(":")


def _nearest_versions(versions: Iterable[str], expression: Expression) -> list[str]:
    """Return the versions closest in Spack's order to those that are wanted, the newest first."""
    there = sort_versions(versions)
    ends = [end for end in str(expression.versions).replace(":", ",").replace("=", "").split(",") if end]
    if not ends:
        return there[-_MOST_SHOWN:][::-1]
    place = bisect_left([version_key(version) for version in there], version_key(ends[-1]))
    start = max(0, min(place - 2, len(there) - _MOST_SHOWN))
    return there[start : start + _MOST_SHOWN][::-1]


def _row(root: Root, parts: Sequence[_OneSnapshot], host: Host | None) -> dict[str, Any]:
    """Return the row of a root, but for its closure."""
    results = [(part, part.found(root)) for part in parts]
    found = [(part, specs) for part, specs in results if isinstance(specs, pl.DataFrame)]
    num_cached = sum(specs.height for _, specs in found)
    available = [(part, part.available(root)) for part, _ in found]
    num_available = sum(specs.height for _, specs in available)
    row: dict[str, Any] = {
        "root": root.text,
        "status": MISSING,
        "num_cached": num_cached,
        "num_reusable": None if host is None else num_available,
    }
    if not num_cached:
        if not found:
            errors = [error for _, error in results if isinstance(error, ArgumentError)]
            return row | {"status": UNKNOWN, "cause": UNKNOWN, "by": errors[0].message}
        row["cause"], row["by"] = found[0][0].why(root.expression)
        return row
    row["status"] = REUSABLE if host is not None and num_available else CACHED
    if not num_available and host is not None:
        row["cause"], row["by"] = obstacle = _nearest_obstacle([specs for _, specs in found], host)
        found = [(part, specs.filter(status=obstacle[0], by=obstacle[1])) for part, specs in found]
    return row | _best(available if num_available else found, host) | {"is_available": num_available > 0}


def _nearest_obstacle(found: Iterable[pl.DataFrame], host: Host) -> tuple[str, str]:
    """Return the obstacle of the specs that are closest to being reusable; of targets, one of the host's family."""
    obstacles = pl.concat([specs.select("status", "by") for specs in found]).unique()
    family = target_order(host.target)[1]
    words = sorted(obstacles["by"].unique(), key=lambda by: (target_order(by)[1] != family, natural_key(by)))
    position = pl.col("by").replace_strict(words, range(len(words)), return_dtype=pl.Int64)
    status, by = obstacles.sort(nearness(), position).row(0)
    return status, by


def _best(found: Sequence[tuple[_OneSnapshot, pl.DataFrame]], host: Host | None) -> dict[str, Any]:
    """Return the best of some specs."""
    order = {} if host is None else {target: place for place, target in enumerate(runnable(host.target))}
    ranked = []
    for age, (part, specs) in enumerate(found):
        if specs.is_empty():
            continue
        versions, targets = part.names("version", specs["version"]), part.names("target", specs["target"])
        newest = max(map(version_key, (versions[code] for code in specs["version"].unique())))
        codes = [code for code in specs["version"].unique() if version_key(versions[code]) == newest]
        specs = specs.filter(pl.col("version").is_in(codes))
        hashes = part.names("hash", specs["hash"])
        for spec in specs.iter_rows(named=True):
            unusual = part.unusual(spec["package"])[spec["variants"]]
            distance = order.get(targets[spec["target"]], len(order))
            ranked.append(((newest, -unusual, -distance, -age), hashes[spec["hash"]], part, spec))
    top = max(rank for rank, *_ in ranked)
    _, digest, part, spec = min((one for one in ranked if one[0] == top), key=lambda one: one[1])
    named = {
        column: None if spec[column] is None else part.names(column, pl.Series([spec[column]]))[spec[column]]
        for column in _NAMED
    }
    one = pl.DataFrame([spec], schema={"hash": pl.Int64, "stacks": pl.Int64}, strict=False)
    stacks = sorted(filter(None, part.stacks(one, union=False)), key=natural_key)
    return named | {
        "hash": digest,
        "snapshot": part.name,
        "stacks": ",".join(stacks) or None,
        "code": spec["hash"],
        "has_dependencies": part.has_dependencies,
    }


@dataclass(frozen=True)
class _Closures:
    """The specs below some others that are needed to link or run them, in one snapshot, as codes."""

    below: dict[int, list[int]]
    sizes: dict[int, int | None]
    """The sizes of the cached specs."""

    @classmethod
    def of(cls, dataset: Dataset, snapshot: str, starts: Sequence[int]) -> _Closures:
        links = dataset.scan("encoded_dependencies", snapshots=[snapshot]).filter(pl.col("is_link") | pl.col("is_run"))
        edges = links.select("spec", "dependency").collect(engine="streaming")
        below: dict[int, list[int]] = {}
        start = pl.Series(starts, dtype=pl.Int64).unique()
        found = pl.concat(levels(start, edges, at="spec", to="dependency")).unique()
        for spec, needed in found.iter_rows():
            below.setdefault(spec, []).append(needed)
        reached = pl.concat([start, found["dependency"]]).unique()
        specs = dataset.scan("encoded_specs", snapshots=[snapshot]).filter(pl.col("spec").is_in(reached.implode()))
        return cls(below, dict(specs.select("spec", "size_bytes").collect(engine="streaming").iter_rows()))

    def closure(self, start: int) -> set[int]:
        """Return a spec and the cached ones below it."""
        reached, waiting = {start}, [start]
        while waiting:
            for needed in self.below.get(waiting.pop(), ()):
                if needed not in reached and needed in self.sizes:
                    reached.add(needed)
                    waiting.append(needed)
        return reached


def _add_closures(rows: list[dict[str, Any]], subset: Subset) -> None:
    """Add to each row what the closure of its spec has, and turn it into a row of the answer."""
    starts: dict[str, list[int]] = {}
    for row in rows:
        if row.pop("has_dependencies", False) and row["is_available"]:
            starts.setdefault(row["snapshot"], []).append(row["code"])
    closures = {name: _Closures.of(subset.dataset, name, codes) for name, codes in starts.items()}
    added: set[int] = set()
    for row in rows:
        code, is_available = row.pop("code", None), row.pop("is_available", False)
        if not is_available or row["snapshot"] not in closures:
            continue
        found = closures[row["snapshot"]]
        closure = found.closure(code)
        new = closure - added
        added |= new
        sizes = [found.sizes[spec] for spec in new]
        row["closure_specs"], row["added_specs"] = len(closure), len(new)
        row["added_bytes"] = None if None in sizes else sum(size for size in sizes if size is not None)
