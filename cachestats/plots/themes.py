"""Themes: the colours of pictures on a light page, on a dark one, and in black-and-white print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from zlib import crc32

from matplotlib import rc_context
from matplotlib.colors import Colormap, LinearSegmentedColormap

from cachestats.analysis.frames import check_choice
from cachestats.axes import MISSING, NATIVE, THEMES, USABLE, State, ThemeName


class Theme(NamedTuple):
    """The colours of a theme, by what they stand for."""

    paper: str
    ink: str
    grid: str
    empty: str
    """A cell without a value."""
    rest: str
    """What is left of a whole."""
    main: str
    near: str
    """Almost what the main colour stands for."""
    gain: str
    loss: str
    lag: str
    extra: str
    series: tuple[str, ...]
    scale: tuple[str, ...]
    """From the least to the most."""
    states: dict[State, str]

    @property
    def colours(self) -> Colormap:
        """The scale, as a colormap."""
        return LinearSegmentedColormap.from_list("cachestats", list(self.scale)).with_extremes(bad="none")


# The first seven lines and the parts of bars have colours that people with any kind of colour vision can distinguish,
# after Okabe and Ito 2008, https://jfly.uni-koeln.de/color/, with the light ones darker on a light page. Every line
# contrasts with the page by 3 to 1 at least, as WCAG 2 asks of graphics.
_LIGHT = Theme(
    paper="#ffffff",
    ink="#000000",
    grid="#dddddd",
    empty="#f4f4f4",
    rest="#dddddd",
    main="#0072b2",
    near="#56b4e9",
    gain="#009e73",
    loss="#d55e00",
    lag="#e69f00",
    extra="#cc79a7",
    series=(
        "#0072b2", "#d55e00", "#009e73", "#c0508f", "#9a6a00", "#2e8fc6", "#4d4d4d", "#882255", "#332288", "#6f7a1f",
        "#7a4a2b", "#00737a",
    ),
    scale=("#c9e8b5", "#7accb9", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"),
    states={NATIVE: "#0b3c6f", USABLE: "#5a9fd4", MISSING: "#f6d5b0"},
)  # fmt: skip
_DARK = Theme(
    paper="#15191f",
    ink="#e8eaed",
    grid="#3a414b",
    empty="#20262e",
    rest="#4a525d",
    main="#56b4e9",
    near="#2f6f9e",
    gain="#2bc79a",
    loss="#ff8a3d",
    lag="#f0b429",
    extra="#e58bc0",
    series=(
        "#56b4e9", "#ff8a3d", "#2bc79a", "#e58bc0", "#f0b429", "#9ad5ff", "#e8e8e8", "#e0607e", "#a99cf0", "#c3cf5a",
        "#d3a27a", "#5cd6d6",
    ),
    scale=("#274060", "#2f6690", "#2f8fa8", "#46b8a5", "#8fd694", "#d7ee9b", "#fdfbd0"),
    states={NATIVE: "#a8dcff", USABLE: "#3f86bd", MISSING: "#5d4630"},
)  # fmt: skip
_PRINT = Theme(
    paper="#ffffff",
    ink="#000000",
    grid="#cccccc",
    empty="#f4f4f4",
    rest="#e6e6e6",
    main="#404040",
    near="#9a9a9a",
    gain="#b0b0b0",
    loss="#6e6e6e",
    lag="#8c8c8c",
    extra="#5a5a5a",
    series=("#000000", "#6e6e6e", "#3a3a3a", "#909090"),
    scale=("#d4d4d4", "#101010"),
    states={NATIVE: "#303030", USABLE: "#8a8a8a", MISSING: "#e0e0e0"},
)
_ALL: dict[ThemeName, Theme] = {"light": _LIGHT, "dark": _DARK, "print": _PRINT}
_PAPER: tuple[Any, ...] = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
_INK: tuple[Any, ...] = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_CURRENT: ContextVar[Theme] = ContextVar("theme", default=_LIGHT)

# The stacks of the public cache, those that have been there longest first: as far as the colours go, each has its own.
_PUBLIC_STACKS = (
    "e4s", "ml-linux-x86_64-cpu", "radiuss", "build_systems", "ml-darwin-aarch64-mps", "e4s-oneapi", "e4s-power",
    "e4s-neoverse_v1", "ml-linux-x86_64-cuda", "developer-tools", "radiuss-aws", "tutorial", "hep", "data-vis-sdk",
    "aws-isc", "ml-linux-x86_64-rocm", "e4s-rocm-external", "e4s-cray-rhel", "e4s-cray-sles", "e4s-neoverse-v2",
    "radiuss-aws-aarch64", "aws-isc-aarch64", "gpu-tests", "windows-vis",
)  # fmt: skip


def theme(name: ThemeName) -> AbstractContextManager[None]:
    """Draw with the colours of a theme: everything that is drawn within the `with` block.

    Parameters
    ----------
    name
        `light`: for light pages, as without a theme. `dark`: light text and colours on a dark page. `print`: shades of
        grey, told apart by patterns and markers, for black-and-white printers.

    Returns
    -------
    contextlib.AbstractContextManager
        What stands behind `with`. Figures that are made within the block have the colours of the theme, also those of
        other code; figures that were made before keep theirs.

    Raises
    ------
    ArgumentError
        If there is no such theme.

    Examples
    --------
    >>> import cachestats as cs
    >>> with cs.theme("dark"):
    ...     ax = cs.plot_history(cs.history(cs.example_dataset()))
    >>> ax.figure.get_facecolor()[:3] < (0.1, 0.1, 0.13)
    True
    """
    check_choice(name, THEMES, "theme")
    return _themed(_ALL[name])


@contextmanager
def _themed(chosen: Theme) -> Iterator[None]:
    token = _CURRENT.set(chosen)
    try:
        with rc_context(dict.fromkeys(_PAPER, chosen.paper) | dict.fromkeys(_INK, chosen.ink)):
            yield
    finally:
        _CURRENT.reset(token)


def current() -> Theme:
    """Return the theme to draw with."""
    return _CURRENT.get()


def colours_of(names: Sequence[str | None], axis: str | None) -> list[str]:
    """Return a colour for each name: a stack has the same one in every picture, whatever else is drawn."""
    series = current().series
    places = map(_place_of_stack, names) if axis == "stack" else range(len(names))
    return [series[place % len(series)] for place in places]


def _place_of_stack(name: str | None) -> int:
    return _PUBLIC_STACKS.index(name) if name in _PUBLIC_STACKS else crc32((name or "").encode())
