"""The vocabulary of questions: axes, measures, denominators of shares, and states of cells."""

from __future__ import annotations

from typing import Literal, get_args

Axis = Literal["snapshot", "package", "version", "platform", "os", "target", "compiler", "compiler_name", "stack"]
Measure = Literal["specs", "packages", "share"]
Denominator = Literal["row", "column", "all"]
AXES: tuple[Axis, ...] = get_args(Axis)
MEASURES: tuple[Measure, ...] = get_args(Measure)
DENOMINATORS: tuple[Denominator, ...] = get_args(Denominator)


Cell = Literal["native", "usable", "missing"]
CELLS: tuple[Cell, ...] = get_args(Cell)
