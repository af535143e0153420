"""The vocabulary of questions: axes, measures, kinds of rows and of changes, and states of a coverage cell.

Analyses, plots and exports take their words from here, and the command line makes its choices from them. Nothing heavy
is imported.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Axis = Literal["snapshot", "package", "version", "platform", "os", "target", "compiler", "compiler_name", "stack"]
Measure = Literal["specs", "packages", "share"]
Denominator = Literal["row", "column", "all"]
AXES: tuple[Axis, ...] = get_args(Axis)
MEASURES: tuple[Measure, ...] = get_args(Measure)
DENOMINATORS: tuple[Denominator, ...] = get_args(Denominator)

VARIANT: Final = "variant:"
"""What the axis of a variant begins with: `variant:mpi`."""

# Not every axis makes sense in every question.
GapAxis = Literal["snapshot", "version", "platform", "os", "target", "compiler", "compiler_name", "stack"]
HistoryAxis = Literal["package", "version", "platform", "os", "target", "compiler", "compiler_name", "stack"]
GroupAxis = Literal["snapshot", "platform", "os", "target", "compiler", "compiler_name", "stack"]
ChangeAxis = Literal["platform", "os", "target", "compiler", "compiler_name", "stack"]
GAP_AXES: tuple[GapAxis, ...] = get_args(GapAxis)
"""Axes that can lack a package: all but the package itself."""
HISTORY_AXES: tuple[HistoryAxis, ...] = get_args(HistoryAxis)
"""Axes that can be followed from snapshot to snapshot: all but the snapshot itself."""
GROUP_AXES: tuple[GroupAxis, ...] = get_args(GroupAxis)
"""Axes whose values are collections of packages, which can be compared with each other."""
CHANGE_AXES: tuple[ChangeAxis, ...] = get_args(ChangeAxis)
"""Axes whose values are collections of packages within a snapshot, and can change from one snapshot to another."""

HitRateAxis = Literal["snapshot", "stack"]
HIT_RATE_AXES: tuple[HitRateAxis, ...] = get_args(HitRateAxis)
"""Axes whose values can be ranked by how much of an environment they have."""

HistoryMeasure = Literal["packages", "specs", "share"]
OverlapMeasure = Literal["jaccard_hashes", "jaccard_packages", "common_hashes", "common_packages"]
SetMeasure = Literal["hashes", "packages"]
HISTORY_MEASURES: tuple[HistoryMeasure, ...] = get_args(HistoryMeasure)
OVERLAP_MEASURES: tuple[OverlapMeasure, ...] = get_args(OverlapMeasure)
SET_MEASURES: tuple[SetMeasure, ...] = get_args(SetMeasure)

# What a row of an answer is.
DuplicateRow = Literal["spec", "package", "cause"]
HoleRow = Literal["spec", "missing"]
DUPLICATE_ROWS: tuple[DuplicateRow, ...] = get_args(DuplicateRow)
HOLE_ROWS: tuple[HoleRow, ...] = get_args(HoleRow)

RetainRow = Literal["stack", "package", "snapshot", "reason"]
RETAIN_ROWS: tuple[RetainRow, ...] = get_args(RetainRow)
"""What the specs that stay and go can be counted by."""
RetainMeasure = Literal["bytes", "specs", "hits"]
RETAIN_MEASURES: tuple[RetainMeasure, ...] = get_args(RetainMeasure)
"""What is drawn against the snapshots that are kept: bytes or specs; or hits, against bytes."""

Change = Literal["removed", "added", "representation", "updated", "rebuilt", "unchanged"]
CHANGES: tuple[Change, ...] = get_args(Change)

State = Literal["native", "usable", "missing"]
NATIVE: Final = "native"
USABLE: Final = "usable"
MISSING: Final = "missing"
STATES: dict[State, str] = {
    NATIVE: "a spec built for exactly the host's target can be reused",
    USABLE: "only specs built for an ancestor of the host's target can be reused",
    MISSING: "no spec can be reused",
}
"""The states of a coverage cell, the best first, and what each means. Help, docs, charts and reports say the same."""

PackageFormat = Literal["parquet", "csv"]
PACKAGE_FORMATS: tuple[PackageFormat, ...] = get_args(PackageFormat)
"""Formats of the tables in a data package."""

ThemeName = Literal["light", "dark", "print"]
THEMES: tuple[ThemeName, ...] = get_args(ThemeName)
"""Sets of colours for pictures."""
