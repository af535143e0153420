"""Frames for every picture, and where a saved picture has its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import cachestats as cs

Name = str | None

STATES = ("native", "usable", "missing")
CHANGES = ("removed", "added", "representation", "updated", "rebuilt")


def numbers(count: int, most: int = 1000) -> list[int]:
    """Return whole numbers that are the same every time."""
    return np.random.default_rng(count).integers(0, most, count).tolist()


def weekly(count: int) -> list[date]:
    return [date(2024, 1, 7) + timedelta(weeks=week) for week in range(count)]


def history(dates: Sequence[date], *, names: Sequence[Name] = (), snapshots: Sequence[str] = ()) -> pl.DataFrame:
    """Return a history of these dates, of each of these names, or of snapshots that are called something else."""
    called = snapshots or [f"develop-{day}" for day in dates]
    counts = numbers(len(called))
    rows = pl.DataFrame(
        {
            "snapshot": called,
            "snapshot_date": dates if not snapshots else [None] * len(called),
            "packages": counts,
            "specs": [count * 10 for count in counts],
            "share": [count / 1000 for count in counts],
            "previous": [None, *called[:-1]],
            "kept": [None, *counts[1:]],
            "new": [None, *counts[:-1]],
            "gone": [None, *counts[:-1]],
        },
        schema_overrides={"previous": pl.String, "kept": pl.Int64, "new": pl.Int64, "gone": pl.Int64},
    )
    if not names:
        return rows
    packages = pl.col("packages")
    return pl.concat(
        rows.select(pl.lit(name, pl.String).alias("stack"), pl.all()).with_columns(packages + 150 * place)
        for place, name in enumerate(names)
    )


def overlap(names: Sequence[Name]) -> pl.DataFrame:
    pairs = list(combinations(names, 2))
    common = numbers(len(pairs))
    shares = [count / 1000 for count in common]
    return pl.DataFrame(
        {"stack": [one for one, _ in pairs], "other_stack": [other for _, other in pairs]}
        | {"common_hashes": common, "common_packages": common, "jaccard_hashes": shares, "jaccard_packages": shares}
    )


def sets(names: Sequence[Name]) -> pl.DataFrame:
    called = [(name or "none").replace(", ", " ") for name in names]
    members = [called[:3], *([name] for name in called), *map(list, combinations(called[:9], 2))]
    counts = numbers(len(members))
    return pl.DataFrame(
        {
            "combination": [", ".join(part) for part in members],
            "members": [len(part) for part in members],
            "hashes": [count + 1 for count in counts],
            "packages": counts,
        }
    )


def matrix(names: Sequence[Name], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"package": names} | columns, schema_overrides={"package": pl.String})


def lifespans(names: Sequence[Name], dates: Sequence[date]) -> pl.DataFrame:
    """Return lifespans of packages that are called so, from the first of these dates, every other up to the last."""
    rows = range(len(names))
    return pl.DataFrame(
        {"package": names, "kind": "dated", "first_date": dates[0], "last_date": [dates[-(row % 2)] for row in rows]}
        | {"snapshots": [row % 30 + 1 for row in rows], "missed": [row % 3 for row in rows]}
        | {"is_current": [row % 2 > 0 for row in rows]},
        schema_overrides={"package": pl.String},
    )


def retention(names: Sequence[Name], snapshots: Sequence[str]) -> pl.DataFrame:
    """Return a retention curve of environments that are called so."""
    last = len(snapshots)
    return pl.DataFrame(
        [
            (newest, snapshot, newest * 700, newest * 10**11, 0, name, newest * 2 + place, newest / (last + place))
            for newest, snapshot in enumerate(snapshots, 1)
            for place, name in enumerate(names)
        ],
        schema={
            "newest": pl.Int64, "snapshot": pl.String, "specs": pl.Int64, "bytes": pl.Int64, "unknown_sizes": pl.Int64,
            "environment": pl.String, "hits": pl.Int64, "rate": pl.Float64,
        },
        orient="row",
    )  # fmt: skip


class Picture(NamedTuple):
    """How to draw something."""

    plot: Callable[..., Axes]
    frame: pl.DataFrame
    options: Mapping[str, Any] = MappingProxyType({})

    def draw(self, ax: Axes | None = None) -> Axes:
        return self.plot(self.frame, ax=ax, **self.options)


def pictures(names: Sequence[Name]) -> dict[str, Picture]:
    """Return each picture of things that are called so."""
    size = len(names)
    counts, dates, words = numbers(size), weekly(max(size, 2)), names[-1]
    columns = {f"{name or 'nothing'} {place}": counts for place, name in enumerate(names[:20])}
    cells = (*STATES, None)
    states = {name: [cells[(row + place) % 4] for row in range(size)] for place, name in enumerate(columns)}
    snapshots = [f"{name or 'none'} {place}" for place, name in enumerate([*names, "last"])]
    half = [count // 2 for count in counts]
    shares = [count / 1000 for count in counts]
    called = {"package": names}
    every = {
        "coverage": Picture(cs.plot_coverage, matrix(names, **columns)),
        "usable": Picture(cs.plot_coverage, matrix(names, **states)),
        "history": Picture(cs.plot_history, history(dates, names=names), {"subtitle": words}),
        "history of the whole": Picture(cs.plot_history, history(dates), {"measure": "share"}),
        "history around a change": Picture(
            cs.plot_history, history([date(2025, 3, 23), date(2025, 3, 30), date(2025, 6, 1)], names=names)
        ),
        "churn": Picture(cs.plot_churn, history([], snapshots=snapshots), {"subtitle": words}),
        "gaps": Picture(
            cs.plot_gaps,
            pl.DataFrame(
                {"stack": [*names, *["last"] * size], "package": [*names, *names[::-1]], "num_columns": counts * 2}
                | {"num_dependents": half * 2}
            ),
        ),
        "gaps everywhere": Picture(
            cs.plot_gaps,
            pl.DataFrame({"stack": names[::-1], **called, "num_columns": counts, "num_dependents": [None] * size}),
        ),
        "versions": Picture(
            cs.plot_versions, pl.DataFrame({**called, "stack": names, "is_behind": [count % 2 > 0 for count in counts]})
        ),
        "duplicates": Picture(
            cs.plot_duplicates,
            pl.DataFrame({**called, "excess": counts, "excess_bytes": [count * 10**6 for count in counts]}),
            {"subtitle": words},
        ),
        "changes": Picture(
            cs.plot_changes,
            pl.DataFrame({"stack": names, "old_packages": counts, "new_packages": half} | dict.fromkeys(CHANGES, half)),
        ),
        "usable host": Picture(
            cs.plot_usable,
            pl.DataFrame({**called, "cell": [STATES[place % 3] for place in range(size)], "best_target": names})
            .with_columns(status=pl.lit("libc"), by=pl.col("package"))
            .with_columns(package=pl.int_range(size).cast(pl.String)),
            {"subtitle": words},
        ),
        "match": Picture(
            cs.plot_match,
            pl.DataFrame(
                {"status": ["hit", *["near"] * size], "causes": [None, *(f"{name}; other" for name in names)]}
            ),
            {"subtitle": words},
        ),
        "lifespans": Picture(cs.plot_lifespans, lifespans(names, dates)),
        "coverage of one": Picture(cs.plot_coverage, matrix(names, **{f"{words or 'nothing'} column": counts})),
        "usable of one": Picture(cs.plot_coverage, matrix(names, column=[STATES[place % 3] for place in range(size)])),
        "gaps of one": Picture(
            cs.plot_gaps,
            pl.DataFrame({"stack": [words] * size, **called, "num_columns": counts, "num_dependents": half}),
        ),
        "losses": Picture(
            cs.plot_losses, pl.DataFrame({"stack": names, "old_packages": counts, "lost": half, "drop": shares})
        ),
        "holes": Picture(cs.plot_holes, pl.DataFrame({**called, "hash": ["abcdefghijkl"] * size, "breaks": counts})),
        "hit rates": Picture(
            cs.plot_hit_rates,
            pl.DataFrame(
                {"snapshot": snapshots[:size], "stack": names, "hits": half, "near": half, "specs": counts}
                | {"rate": shares}
            ),
        ),
        "retain": Picture(cs.plot_retain, retention(names[:1], snapshots), {"subtitle": words}),
        "retain hits": Picture(cs.plot_retain, retention(names[:20], snapshots), {"measure": "hits"}),
        "overlap sets": Picture(cs.plot_overlap_sets, sets(names), {"subtitle": words}),
    }
    if size > 1:
        every["overlap"] = Picture(cs.plot_overlap, overlap(names))
        every["overlap in numbers"] = Picture(cs.plot_overlap, overlap(names), {"measure": "common_packages"})
    return every


class Box(NamedTuple):
    """A text that was drawn: its corners in pixels, and the height and width of the picture."""

    text: str
    corners: np.ndarray
    picture: tuple[float, float]


@contextmanager
def drawn_texts() -> Iterator[dict[Text, Box]]:
    """Give what every text is added to when it is drawn, such as when a picture is saved, and where it was at last."""
    boxes: dict[Text, Box] = {}
    draw = Text.draw

    def spy(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            centre = np.array(self.get_window_extent(renderer).corners()).mean(axis=0)
            angle = self.get_rotation()
            self.set_rotation(0)
            size = np.array(self.get_window_extent(renderer).size)
            self.set_rotation(angle)
            turn = np.radians(angle)
            turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
            figure = self.get_figure(root=True)
            boxes[self] = Box(self.get_text(), corners @ turned + centre, tuple(figure.bbox.size))
        draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", spy)
        yield boxes


def faint(ax: Axes, boxes: Mapping[Text, Box]) -> list[str]:
    """Return the texts that contrast with what is behind them by less than WCAG 2 asks for, 4.5 to 1."""
    figure = ax.get_figure(root=True)
    figure.set_layout_engine("none")
    for text in boxes:
        text.set_visible(False)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255
    found = []
    for text, box in boxes.items():
        (left, bottom), (right, top) = box.corners.min(axis=0).astype(int), box.corners.max(axis=0).astype(int) + 1
        behind = luminances(pixels[max(bottom, 0) : top, max(left, 0) : right].reshape(-1, 3))
        own = luminances(np.array([to_rgb(text.get_color())]))
        contrasts = (np.maximum(behind, own) + 0.05) / (np.minimum(behind, own) + 0.05)
        if np.quantile(contrasts, 0.05) < 4.5:  # but for a line that may pass behind a text
            found.append(box.text)
    return found


def luminances(colours: np.ndarray) -> np.ndarray:
    """Return the relative luminance of colours, as WCAG 2 defines it."""
    linear = np.where(colours <= 0.03928, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def cut_off(boxes: Sequence[Box]) -> list[str]:
    """Return the texts that are not wholly within the picture."""
    return [
        text
        for text, corners, picture in boxes
        if (corners.min(axis=0) < -1).any() or (corners.max(axis=0) > np.array(picture) + 1).any()
    ]


def overlapping(boxes: Sequence[Box]) -> list[tuple[str, str]]:
    """Return the pairs of texts that lie on each other."""
    low = np.array([box.corners.min(axis=0) for box in boxes]) + 1
    high = np.array([box.corners.max(axis=0) for box in boxes]) - 1
    near = ((low[:, None] < high[None]) & (low[None] < high[:, None])).all(axis=2)
    pairs = zip(*np.nonzero(np.triu(near, 1)), strict=True)
    return [(boxes[one].text, boxes[two].text) for one, two in pairs if _touch(boxes[one].corners, boxes[two].corners)]


def _touch(one: np.ndarray, two: np.ndarray) -> bool:
    """Return whether two rectangles overlap: whether there is no line between them, which would run along a side."""
    for corners in (one, two):
        for side in (corners[1] - corners[0], corners[3] - corners[0]):
            across = side / np.hypot(*side)
            a, b = one @ across, two @ across
            if a.max() <= b.min() + 1 or b.max() <= a.min() + 1:
                return False
    return True
