"""Axes that are no columns of `specs`: a variant, or a list of spec expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cachestats.axes import VARIANT
from cachestats.errors import ArgumentError
from cachestats.naming import variant_names
from cachestats.text import nearest

_VARIANT = re.compile(rf"{VARIANT}(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)")


@dataclass(frozen=True)
class VariantAxis:
    """The values of one variant: `+mpi`, `~mpi`, `cuda_arch=70,80`; null where a spec does not have it."""

    name: str
    made_of = ("variants",)

    @property
    def column(self) -> str:
        """The name of the axis, and of its column."""
        return f"{VARIANT}{self.name}"

    def labels(self, texts: pl.Series) -> pl.Series:
        """Return the labels for some values of the column `variants`.

        Raises
        ------
        ArgumentError
            If there are values, but none has the variant.
        """
        # Imported here and below, as few questions have such axes, and these modules take long to import.
        from cachestats.dataset.satisfying import variant_values

        values = variant_values(texts, self.name)
        if len(texts) and not values.count():
            near = nearest([self.name], sorted(variant_names(texts)))
            raise ArgumentError(
                f"expected a variant of these specs as an axis, found {self.name!r}",
                hint=f"try {', '.join(near)}" if near else None,
            )
        signs = {"true": f"+{self.name}", "false": f"~{self.name}"}
        sign = values.replace_strict(signs, default=None, return_dtype=pl.String)
        return sign.zip_with(sign.is_not_null(), f"{self.name}=" + values)


@dataclass(frozen=True)
class ExpressionAxis:
    """A list of spec expressions: a spec is counted for each that it satisfies, and left out if it satisfies none."""

    texts: tuple[str, ...]
    column = "spec"
    made_of = ("snapshot", "hash")


AnyAxis = str | VariantAxis | ExpressionAxis


def as_axis(value: str | Sequence[str], axes: Sequence[str], what: str) -> AnyAxis:
    """Return an axis: one of the columns in `axes`, `variant:NAME`, or a list of spec expressions.

    Raises
    ------
    ArgumentError
        If it is none of these.

    Examples
    --------
    >>> import polars as pl
    >>> from cachestats.analysis.derived import as_axis
    >>> as_axis("os", ["os", "target"], "rows"), as_axis("variant:mpi", ["os"], "rows").labels(pl.Series(["+mpi"]))[0]
    ('os', '+mpi')
    """
    if isinstance(value, str):
        if found := _VARIANT.fullmatch(value):
            return VariantAxis(found["name"])
        if value not in axes:
            near = nearest([value], axes, 1)
            raise ArgumentError(
                f"expected one of {', '.join(axes)} as {what}, found {value!r}",
                hint=f"{f'try {near[0]}; ' if near else ''}{VARIANT}NAME and a list of spec expressions are axes, too",
            )
        return value
    texts = list(value)
    if not texts or not all(isinstance(text, str) for text in texts) or len({*texts}) < len(texts):
        raise ArgumentError(
            f"expected an axis or a list of distinct spec expressions as {what}, found {value!r}",
            hint="such as ['hdf5+mpi', 'hdf5~mpi']",
        )
    from cachestats.dataset.expressions import Alternatives

    for text in texts:
        Alternatives.parse(text)
    return ExpressionAxis(tuple(texts))


def column_of(axis: AnyAxis) -> str:
    """Return the column that holds the names on an axis."""
    return axis if isinstance(axis, str) else axis.column
