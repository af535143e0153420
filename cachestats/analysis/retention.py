"""What `retain` answers: the specs that stay and those that go, counted, listed, and what is lost with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import polars as pl

from cachestats.analysis.explain import specs_of
from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_graph import SpecGraph
from cachestats.analysis.spec_rows import spec_rows, unfolded
from cachestats.axes import RETAIN_ROWS, RetainRow
from cachestats.codes import code_of_hash
from cachestats.dataset.levels import levels
from cachestats.dataset.names import name_of
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.naming import snapshot_order
from cachestats.text import counted


class Counts(NamedTuple):
    """How much stays and goes, each hash counted once; bytes are those of the known sizes, None if none is known."""

    kept: int
    dropped: int
    kept_bytes: int | None
    dropped_bytes: int | None
    unknown_sizes: int
    """Specs whose size is not known."""
    unknown_dependencies: int
    """Kept specs whose dependencies are not known, because only pages have them."""


_OF_ENVIRONMENT = ("package", "version", "hash", "is_root")
_OF_REASON = ("kept", "kept_bytes", "only", "only_bytes", "unknown_sizes")
_COUNTED = ("kept", "dropped", "kept_bytes", "dropped_bytes", "unknown_sizes")


def _bytes(is_meant: pl.Expr) -> pl.Expr:
    """Return the sum of the known sizes, or null if there are specs but none has a known size."""
    size = pl.col("size_bytes")
    return pl.when((size.count() > 0) | (pl.len() == 0)).then(size.filter(is_meant).sum())


_SUMS = {
    "kept": pl.col("keeps").sum().cast(pl.Int64),
    "dropped": (~pl.col("keeps")).sum().cast(pl.Int64),
    "kept_bytes": _bytes(pl.col("keeps")),
    "dropped_bytes": _bytes(~pl.col("keeps")),
    "unknown_sizes": pl.col("size_bytes").null_count().cast(pl.Int64),
}


def _total(name: str) -> pl.Expr:
    """Return the sum of counts, or of bytes: null if none of these is known."""
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum())


@dataclass(frozen=True, eq=False, repr=False)
class Retention:
    """The specs of a cache that stay under some policies, and those that go.

    `retain` returns it.

    Parameters
    ----------
    subset, environments
        The attributes.

    Attributes
    ----------
    subset : Subset
        The snapshots that were asked about.
    environments : mapping of str to Environment
        The environments whose hits are counted, by name.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> retention = cs.retain(ds, packages="hdf5")
    >>> retention.by("reason").select("reason", "kept", "only").rows()
    [('packages', 13, 13), ('dependency', 50, 50)]
    """

    subset: Subset
    environments: Mapping[str, Environment]
    _graph: SpecGraph = field(repr=False)
    _keeps: pl.Series = field(repr=False)
    _reasons: Mapping[str, pl.Series] = field(repr=False)

    def __repr__(self) -> str:
        counts = self.counts
        sizes = "sizes unknown" if counts.unknown_sizes else f"{counts.kept_bytes:,} bytes stay"
        return f"<Retention: {counted(counts.kept, 'spec')} stay, {counts.dropped:,} go; {sizes}>"

    @cached_property
    def counts(self) -> Counts:
        """How much stays and goes, and how much of it is not known."""
        specs, kept = self._graph.specs, int(self._keeps.sum())
        return Counts(
            kept=kept,
            dropped=specs.height - kept,
            kept_bytes=self._bytes_of(self._keeps),
            dropped_bytes=self._bytes_of(~self._keeps),
            unknown_sizes=specs["size_bytes"].null_count(),
            unknown_dependencies=int((self._keeps & ~specs["is_known"]).sum()),
        )

    @cached_property
    def specs(self) -> pl.DataFrame:
        """All specs, a row for each hash, sorted by package and hash.

        `hash`, `package`, `version` and the newest `snapshot` (String); `size_bytes` (Int64), null if it is unknown;
        `keeps` (Boolean), whether it stays; and `reasons` (String): the policies that keep it, joined by commas, or
        `dependency` if it stays only because a kept spec needs it; empty if it goes.
        """
        ages = sorted(self.subset.names, key=snapshot_order, reverse=True)
        names = self.subset.dataset.names.of_columns(
            {name: self._graph.specs[name] for name in ("package", "version")}, self.subset.names
        )
        hashes = self.subset.dataset.scan("encoded_specs", snapshots=self.subset.names).select("spec", "hash").unique()
        reasons = [pl.when(one).then(pl.lit(name)) for name, one in self._reasons.items()]
        return (
            self._graph.specs.select("spec", "package", "version", "age", "size_bytes")
            .with_columns(
                *(name_of(column, found) for column, found in names.items()),
                pl.Series(ages, dtype=pl.String).gather(self._graph.specs["age"]).alias("snapshot"),
                self._keeps.alias("keeps"),
                pl.concat_str(*reasons, separator=",", ignore_nulls=True).alias("reasons"),
            )
            .join(hashes.collect(engine="streaming"), on="spec")
            .select("hash", "package", "version", "snapshot", "size_bytes", "keeps", "reasons")
            .sort("package", "hash")
        )

    def hashes(self, *, keep: bool) -> list[str]:
        """Return the hashes that stay, or those that go, sorted.

        Parameters
        ----------
        keep
            Whether to return those that stay.

        Returns
        -------
        list of str
            The hashes.

        Examples
        --------
        >>> import cachestats as cs
        >>> len(cs.retain(cs.example_dataset(), newest=1).hashes(keep=False))
        29
        """
        wanted = self._graph.specs["spec"].filter(self._keeps if keep else ~self._keeps)
        return (
            self.subset.dataset.names.of_hashes(wanted, self.subset.names)
            .filter(pl.col("code").is_in(wanted.implode()))["name"]
            .sort()
            .to_list()
        )

    def by(self, axis: RetainRow, *, union: bool = False) -> pl.DataFrame:
        """Count what stays and goes by stack, package, snapshot or reason.

        Parameters
        ----------
        axis
            `stack`, `package` or `snapshot`: a row for each; a spec of several counts in each. `reason`: a row for each
            policy that was given, and one for `dependency`.
        union
            Keep `root`, the union of the stacks, among the stacks.

        Returns
        -------
        polars.DataFrame
            By stack, package or snapshot, sorted by `dropped` in descending order, then by name:

            - `<by>` (String): the name.
            - `kept`, `dropped` (Int64): the specs that stay and go.
            - `kept_bytes`, `dropped_bytes` (Int64): their bytes, as far as their sizes are known; null if none is.
            - `unknown_sizes` (Int64): the specs whose sizes are not known.

            By reason, in the order of the policies of `retain`:

            - `reason` (String): the policy, named as the parameter, or `dependency`.
            - `kept`, `kept_bytes` (Int64): the specs that it keeps.
            - `only`, `only_bytes` (Int64): those of them that nothing else keeps.
            - `unknown_sizes` (Int64): the kept specs whose sizes are not known.

        Raises
        ------
        ArgumentError
            If `axis` is not one of these.

        Examples
        --------
        >>> import cachestats as cs
        >>> retention = cs.retain(cs.example_dataset(), newest=1)
        >>> retention.by("snapshot").select("snapshot", "kept", "dropped").rows()
        [('develop-2024-06-02', 0, 29), ('develop-2025-03-09', 39, 0)]
        """
        check_choice(axis, RETAIN_ROWS, "axis")
        if axis == "reason":
            return self._by_reason()
        stays = {"keeps": self._keeps, "size_bytes": self._graph.specs["size_bytes"]}
        specs = self._graph.specs.select("spec", "package").with_columns(**stays)
        if axis == "package":
            counts = self._named("package", specs.group_by("package").agg(**_SUMS))
        elif axis == "snapshot":
            rows = self.subset.dataset.scan("encoded_specs", snapshots=self.subset.names).select("spec", "snapshot")
            joined = rows.join(specs.lazy(), on="spec").group_by("snapshot").agg(**_SUMS)
            counts = self._named("snapshot", joined.collect(engine="streaming"))
        else:
            counts = self._by_stack(specs, union=union)
        return counts.select(axis, *_COUNTED).sort("dropped", axis, descending=[True, False], nulls_last=True)

    @cached_property
    def hits(self) -> pl.DataFrame:
        """What each environment has in the cache now and afterwards, in the order in which they were given.

        `environment` (String): its name; `specs`, all of its specs; `hits`, those that are cached; `kept_hits`, those
        of them that stay; and `lost_hits`, those that go (Int64).
        """
        rows = []
        for name, environment in self.environments.items():
            found = self._found(environment)
            kept = int(found["keeps"].sum())
            specs = specs_of(environment).height
            rows.append((name, specs, found.height, kept, found.height - kept))
        schema = {"environment": pl.String, **dict.fromkeys(("specs", "hits", "kept_hits", "lost_hits"), pl.Int64)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    @cached_property
    def lost_hits(self) -> pl.DataFrame:
        """The cached specs of environments that go, a row for each, sorted by environment, package and hash.

        `environment`, `package`, `version`, `hash` (String) and `is_root` (Boolean).
        """
        parts = [
            self._found(one).filter(~pl.col("keeps")).select(pl.lit(name).alias("environment"), *_OF_ENVIRONMENT)
            for name, one in self.environments.items()
        ]
        schema = {**dict.fromkeys(("environment", "package", "version", "hash"), pl.String), "is_root": pl.Boolean}
        return pl.concat(parts or [pl.DataFrame(schema=schema)]).sort("environment", "package", "hash")

    @cached_property
    def holes(self) -> pl.DataFrame:
        """What goes although a kept spec is linked to it or runs with it: nothing, unless dependencies may break.

        Only what is in a snapshot together with the kept spec counts, as in `holes`: elsewhere it is missing already.
        A row for each such spec, sorted by `breaks` in descending order, then by package and hash: `package`, `version`
        and `hash` (String); `direct` (Int64), the kept specs that need it directly; and `breaks` (Int64), those that
        need it directly or through other kept ones.
        """
        torn = self._torn
        above = pl.concat([torn, self._kept_edges]).rename({"spec": "hash", "dependency": "dependency_hash"})
        rows = []
        for row in torn["dependency"].unique().sort():
            found = list(levels(pl.Series([row], dtype=torn.schema["dependency"]), above))
            rows.append((row, found[0].height, pl.concat(found)["hash"].n_unique()))
        schema = {"row": pl.Int64, "direct": pl.Int64, "breaks": pl.Int64}
        counts = pl.DataFrame(rows, schema=schema, orient="row")
        about = self._graph.specs.select("spec", "package", "version")[counts["row"]]
        named = self._named("hash", self._named("version", self._named("package", about)).rename({"spec": "hash"}))
        return (
            pl.concat([named, counts], how="horizontal")
            .select("package", "version", "hash", "direct", "breaks")
            .sort("breaks", "package", "hash", descending=[True, False, False])
        )

    @cached_property
    def num_broken(self) -> int:
        """The number of kept specs that need something that goes, directly or indirectly."""
        start = self._torn["spec"].unique()
        above = levels(start, self._kept_edges, at="dependency", to="spec")
        return pl.concat([start, *(level["spec"] for level in above)]).n_unique()

    @cached_property
    def _torn(self) -> pl.DataFrame:
        """The edges from kept specs to those that go."""
        edges = self._graph.edges
        torn = edges.filter(self._keeps.gather(edges["spec"]) & ~self._keeps.gather(edges["dependency"]))
        return torn if torn.is_empty() else self._graph.in_one_snapshot(torn, self.subset)

    @cached_property
    def _kept_edges(self) -> pl.DataFrame:
        """The edges between kept specs."""
        edges = self._graph.edges
        return edges.filter(self._keeps.gather(edges["spec"]) & self._keeps.gather(edges["dependency"]))

    def _bytes_of(self, specs: pl.Series) -> int | None:
        """Return the bytes of some specs, as far as sizes are known; None if there are specs but no size is known."""
        size = self._graph.specs["size_bytes"]
        return None if size.len() and size.null_count() == size.len() else int(size.filter(specs).sum())

    def _by_reason(self) -> pl.DataFrame:
        number = pl.DataFrame(self._reasons).sum_horizontal()
        size = self._graph.specs["size_bytes"]
        rows = []
        for name, one in self._reasons.items():
            only = one & (number == 1)
            rows.append(
                {
                    "reason": name,
                    "kept": int(one.sum()),
                    "kept_bytes": self._bytes_of(one),
                    "only": int(only.sum()),
                    "only_bytes": self._bytes_of(only),
                    "unknown_sizes": size.filter(one).null_count(),
                }
            )
        return pl.DataFrame(rows, schema={"reason": pl.String, **dict.fromkeys(_OF_REASON, pl.Int64)})

    def _by_stack(self, specs: pl.DataFrame, *, union: bool) -> pl.DataFrame:
        rows = spec_rows(self.subset, ("hash", "stack"), union=union)
        united, masks, names = rows.united(["hash"], "stack")
        # The streaming engine unites a million specs in a fraction of the time that a row per stack would take.
        per_set = (
            united.join(specs.lazy(), left_on="hash", right_on="spec")
            .group_by(masks)
            .agg(**_SUMS)
            .collect(engine="streaming")
        )
        return unfolded(per_set, masks, names, "stack").group_by("stack").agg(_total(name) for name in _COUNTED)

    def _found(self, environment: Environment) -> pl.DataFrame:
        """Return the specs of an environment that are cached, and whether they stay."""
        return cached_specs_of(environment, self._graph.specs.select("spec").with_columns(keeps=self._keeps))

    def _named(self, column: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with the names of the codes in a column."""
        names = self.subset.dataset.names
        asked = names.of_hashes if column == "hash" else lambda codes, of: names.of_codes(column, codes, of)
        return frame.with_columns(name_of(column, asked(frame[column], self.subset.names)))


def cached_specs_of(environment: Environment, specs: pl.DataFrame) -> pl.DataFrame:
    """Return the specs of an environment that are among some, whose codes are in `spec`, with the columns of these."""
    wanted = specs_of(environment)
    return wanted.with_columns(spec=codes_of(wanted["asked"])).join(specs, on="spec")


def codes_of(hashes: pl.Series) -> pl.Series:
    """Return the codes of hashes."""
    return pl.Series([code_of_hash(one) for one in hashes], dtype=pl.Int64)
