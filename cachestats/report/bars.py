"""Small bar charts within a page, drawn in its colours: a bar for each snapshot."""

from __future__ import annotations

from typing import NamedTuple


class Bars(NamedTuple):
    """A bar chart: a bar for each snapshot, 4 wide in steps of 5, at most 40 high."""

    path: str
    """The bars as the path of an SVG, to be drawn with a line that is as wide as they are."""
    most: int
    """The value of the highest possible bar."""
    first: str
    last: str
    number: int


def bars(values: dict[str, int], names: list[str], *, most: int | None = None) -> Bars:
    """Return the bars of some snapshots, in their order; one without a value has none.

    Examples
    --------
    >>> from cachestats.report.bars import bars
    >>> bars({"a": 1, "c": 4}, ["a", "b", "c"]).path
    'M2 40v-10M12 40v-40'
    """
    highest = max(values.values(), default=0) if most is None else most
    found = []
    for position, name in enumerate(names):
        if values.get(name):
            height = max(1, round(40 * values[name] / highest))
            found.append(f"M{position * 5 + 2} 40v{-height}")
    return Bars("".join(found), highest, names[0], names[-1], len(names))
