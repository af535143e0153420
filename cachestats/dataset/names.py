"""The names of the codes in the encoded tables, read when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from cachestats.errors import DatasetError
from cachestats.schema import COMMONLY_NAMED

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.dataset import Dataset

Snapshots = tuple[str, ...] | None


def name_of(column: str, names: pl.DataFrame) -> pl.Expr:
    """Return the names of the codes in a column, from the columns `code` and `name`; null for other codes."""
    import polars as pl

    return pl.col(column).replace_strict(names["code"], names["name"], default=None, return_dtype=pl.String)


class Names:
    """The names of the codes of a dataset; what was read is kept, as a question asks for the same names again."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[tuple[str, Snapshots], pl.DataFrame] = {}

    def of(self, column: str, snapshots: Snapshots) -> pl.DataFrame:
        """Return the names in a column of some snapshots, or of all: the columns `code` and `name`, sorted by name.

        Raises
        ------
        DatasetError
            If two names have the same code.
        """
        import polars as pl

        if snapshots is not None and len(snapshots) == len(self._dataset.manifest.snapshots):
            snapshots = None
        if (column, snapshots) not in self._known:
            is_common = column in COMMONLY_NAMED and snapshots is None
            frame = self._common if is_common else self._dataset.scan("names", snapshots=snapshots)
            names = frame.filter(pl.col("column") == column).select("code", "name")
            self._known[column, snapshots] = self._checked(column, names.unique().sort("name").collect())
        return self._known[column, snapshots]

    def of_codes(self, column: str, codes: pl.Series, snapshots: Snapshots) -> pl.DataFrame:
        """Return names of a column, among which are those of some codes: the columns `code` and `name`."""
        return self.of_columns({column: codes}, snapshots)[column]

    def of_columns(self, codes: Mapping[str, pl.Series], snapshots: Snapshots) -> dict[str, pl.DataFrame]:
        """Return what `of_codes` returns for the codes of several columns, whose names are read at once."""
        import polars as pl

        known = {column: self.of(column, None) for column in codes if column in COMMONLY_NAMED}
        wanted = {column: codes[column].drop_nulls().unique() for column in codes if column not in known}
        wanted = {column: found for column, found in wanted.items() if not found.is_empty()}
        nothing = pl.DataFrame(schema={"code": pl.Int64, "name": pl.String})
        known |= {column: nothing for column in codes if column not in known}
        if wanted:
            names = self._dataset.scan("names", snapshots=snapshots).filter(
                pl.col("column").is_in([*wanted]), pl.col("code").is_in(pl.concat(wanted.values()).implode())
            )
            found = names.unique().collect()
            for column in wanted:
                known[column] = self._checked(column, found.filter(column=column).select("code", "name"))
        return known

    def of_hashes(self, codes: pl.Series, snapshots: Snapshots) -> pl.DataFrame:
        """Return the hashes of some codes of specs, or of dependencies: the columns `code` and `name`."""
        import polars as pl

        wanted = codes.drop_nulls().unique()
        specs = self._dataset.scan("encoded_specs", snapshots=snapshots)
        found = specs.filter(pl.col("spec").is_in(wanted.implode())).select(code="spec", name="hash").unique()
        known = self._checked("hash", found.collect(engine="streaming"))
        if known.height < wanted.len():  # the others are dependencies that are not cached
            known = pl.concat([known, self.of("dependency", snapshots)]).unique("code")
        return known

    def stacks(self, snapshots: Snapshots) -> pl.DataFrame:
        """Return the stacks in the sets of some snapshots, a row each: `code` of the set, and `stack`.

        The stack is null in the set of the specs that no stack lists.
        """
        import polars as pl

        stacks = pl.col("name").str.json_decode(pl.List(pl.String))
        return self.of("stacks", snapshots).select("code", stack=stacks).explode("stack", empty_as_null=True)

    @cached_property
    def _common(self) -> pl.LazyFrame:
        return self._dataset.scan("common_names").select("column", "code", "name").collect().lazy()

    def _checked(self, column: str, names: pl.DataFrame) -> pl.DataFrame:
        if names["code"].n_unique() < names.height:
            raise DatasetError(
                f"expected a code of its own for each {column} in {self._dataset.path}, found one for two names",
                hint="rename one of them: a code of 64 bits cannot tell them apart",
            )
        return names
