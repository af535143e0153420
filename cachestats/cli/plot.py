"""The verb `plot`, with a verb of its own for each chart.

Each takes the options of the verb whose answer it draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cachestats.axes import HISTORY_MEASURES, OVERLAP_MEASURES, RETAIN_MEASURES, SET_MEASURES, THEMES
from cachestats.cli.compare import compare_counts
from cachestats.cli.completion import complete_snapshots
from cachestats.cli.coverage import coverage
from cachestats.cli.duplicates import duplicates
from cachestats.cli.gaps import Packages, gaps, packages_in_question, words_of
from cachestats.cli.history import history, lifespans
from cachestats.cli.holes import holes
from cachestats.cli.match import environment_argument, environment_in, hit_rates, match
from cachestats.cli.output import talk
from cachestats.cli.overlap import overlap, overlap_sets
from cachestats.cli.parameters import NAME, dataset_argument, host_options, system_options
from cachestats.cli.question import Question, chosen_snapshots, known_snapshots, sides
from cachestats.cli.retain import environments_by_name, watch_option
from cachestats.cli.sections import Verbs
from cachestats.cli.usable import given_host, usable
from cachestats.cli.versions import versions
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


@click.group(cls=Verbs)
def plot() -> None:
    """Draw a chart as a PNG, SVG, PDF or HTML file.

    Each chart takes the options of the verb whose answer it draws.
    """


_GOOD_NEWS = frozenset({"gaps", "duplicates", "holes"})
"""What charts say that there are none of: their functions draw empty answers, too."""


class _Size(click.ParamType[tuple[float, float]]):
    """A width and a height in inches, such as `8x4.5`."""

    name = "widthxheight"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return the width and the height."""
        width, _, height = str(value).partition("x")
        try:
            size = float(width), float(height)
        except ValueError:
            size = (0, 0)
        if not all(_SIZES[0] <= length <= _SIZES[1] for length in size):
            least, most = _SIZES
            self.fail(f"expected a width and a height of {least} to {most} inches, such as 8x4.5, found {value!r}")
        return size


_SIZES = (1, 100)
_ENDINGS = (".png", ".svg", ".pdf", ".html")
_PICTURE_OPTIONS = (
    click.option(
        "--top",
        type=click.IntRange(1),
        metavar="N",
        help="Draw at most this many rows, series or bars; the title says so.",
    ),
    click.option(
        "--theme",
        type=click.Choice(THEMES),
        default=THEMES[0],
        show_default=True,
        help="Colours for a light or a dark page, or for black-and-white print.",
    ),
    click.option(
        "--size", type=_Size(), metavar="WIDTHxHEIGHT", help="Size in inches, such as 8x4.5.  [default: what fits]"
    ),
    click.option("--title", type=NAME, metavar="TEXT", help="First line of the title, instead of the usual one."),
    click.option(
        "--out",
        required=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="File to write; its ending, .png, .svg or .pdf, says the format. With .html, coverage, history, overlap "
        "and gaps become interactive charts, which take the extra `interactive`.",
    ),
)


class _Picture(NamedTuple):
    """The file of a picture, and how it should look."""

    out: Path
    title: str | None
    size: tuple[float, float] | None
    theme: Any
    top: int | None

    @property
    def is_page(self) -> bool:
        """Whether the picture is an interactive chart."""
        return self.out.suffix == ".html"


def _picture_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of every picture, as `picture`."""

    @wraps(function)
    def with_picture(*, out: Path, title: Any, size: Any, theme: Any, top: Any, **options: Any) -> None:
        if out.suffix not in _ENDINGS:
            other = "picture.png" if out.name in {"", "-"} else out.with_suffix(".png")
            raise ArgumentError(
                f"expected a file that ends in {', '.join(_ENDINGS)}, found {out.name!r}", hint=f"try --out {other}"
            )
        function(picture=_Picture(out, title, size, theme, top), **options)

    for option in _PICTURE_OPTIONS[::-1]:
        with_picture = option(with_picture)
    return with_picture


_packages_option = click.option(
    "--packages",
    "listed",
    type=Packages(),
    metavar="FILE",
    help="Only the packages in this file, one on each line. Those that the cache lacks are left out.",
)


def _options_of(verb: click.Command, *names: str) -> list[click.Parameter]:
    """Return the options of a verb that have these names."""
    options = {option.name: option for option in verb.params}
    return [options[name] for name in names]


def _measure_option(choices: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--measure", type=click.Choice(choices), default=choices[0], show_default=True, help="What to draw."
    )


def _save(
    draw: Callable[..., Axes],
    frame: pl.DataFrame,
    picture: _Picture,
    asked: Question,
    what: str,
    chart: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Draw a frame, write the file, and say so; if the frame is empty, the picture says that there are none of what."""
    if frame.is_empty() and (asked.has_only_root or not asked.subset.num_specs):
        what = "specs"
    if picture.is_page:
        _write_page(chart, frame, picture, asked, what, **options)
    else:
        _write_picture(draw, frame, picture, asked, what, **options)
    if frame.is_empty():
        talk(f"no {what} in {asked.words}")
        asked.hint_at_union()
    talk(f"wrote {picture.out}")


def _write_page(
    chart: Callable[..., Any] | None, frame: pl.DataFrame, picture: _Picture, asked: Question, what: str, **options: Any
) -> None:
    """Write an interactive chart as a page."""
    if chart is None:
        raise ArgumentError(
            f"expected a file that ends in .png, .svg or .pdf, found {picture.out.name!r}",
            hint="only coverage, history, overlap and gaps can be interactive",
        )
    if given := [f"--{name}" for name in ("top", "size") if getattr(picture, name) is not None]:
        raise ArgumentError(
            f"expected {' and '.join(given)} with .png, .svg or .pdf, found .html", hint="a page shows everything"
        )
    from cachestats.plots.interactive.chart import chart_of_nothing, retitled
    from cachestats.plots.interactive.page import save_chart
    from cachestats.plots.themes import theme

    with theme(picture.theme):
        found = (
            chart_of_nothing(f"no {what}", _title_of_nothing(asked)) if frame.is_empty() else chart(frame, **options)
        )
        save_chart(retitled(found, picture.title) if picture.title else found, picture.out)


def _write_picture(
    draw: Callable[..., Axes], frame: pl.DataFrame, picture: _Picture, asked: Question, what: str, **options: Any
) -> None:
    """Write a picture."""
    import matplotlib

    from cachestats.plots.drawing import draw_nothing
    from cachestats.plots.saving import save_plot
    from cachestats.plots.sizes import fit_title, sized_axes
    from cachestats.plots.themes import theme

    matplotlib.use("agg")
    if picture.top is not None:
        options["top"] = picture.top
    with theme(picture.theme):
        ax = sized_axes(picture.size) if picture.size else None
        if frame.is_empty() and what not in _GOOD_NEWS:
            ax = draw_nothing(f"no {what}", title=_title_of_nothing(asked), ax=ax)
        else:
            ax = draw(frame, ax=ax, **options)
        if picture.title or picture.size:
            fit_title(ax, picture.title)
        save_plot(ax, picture.out)


def _title_of_nothing(asked: Question) -> list[str]:
    """Return the title of a picture of nothing: the verb, because only an answer tells more, and the specs."""
    from cachestats.plots.drawing import in_words

    return [str(click.get_current_context().command.name).replace("-", " ").capitalize(), *in_words(asked.words)]


@plot.command(
    "coverage",
    params=_options_of(
        coverage, "rows", "columns", "measure", "denominator", "snapshot", "where", "expressions", "union", "usable"
    ),
)
@dataset_argument
@system_options
@_packages_option
@_picture_options
def plot_coverage(dataset: Any, picture: _Picture, usable: bool, host: Any, spack: Any, **question: Any) -> None:
    """Draw coverage as a heatmap."""
    from cachestats.analysis.coverage import coverage as count
    from cachestats.analysis.coverage import coverage_matrix
    from cachestats.plots.coverage import plot_coverage as draw
    from cachestats.plots.interactive.coverage import chart_coverage as chart

    asked = Question(dataset, **question)
    options: dict[str, Any] = {**asked.axes, "usable": usable, "host": host, "spack": spack}
    system = f"hosts with {host.system}" if host else ""
    if picture.is_page:
        subtitle = ", ".join(filter(None, (asked.words, system)))
        cells = count(asked.subset, **options)
        _save(draw, cells, picture, asked, "specs", chart, measure=asked.axes["measure"], subtitle=subtitle)
        return
    matrix = coverage_matrix(asked.subset, **options)
    matrix.only = ", ".join(filter(None, (asked.filters, system))) or None
    _save(draw, matrix, picture, asked, "specs")


@plot.command("history", params=_options_of(history, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@click.option(
    "--measure",
    type=click.Choice(HISTORY_MEASURES),
    help="What to draw.  [default: specs of packages, versions and spec expressions, otherwise packages]",
)
@_packages_option
@_picture_options
def plot_history(dataset: Any, by: Any, measure: Any, picture: _Picture, **question: Any) -> None:
    """Draw the packages or specs of dated snapshots over time."""
    from cachestats.analysis.history import history as series
    from cachestats.plots.history import plot_history as draw
    from cachestats.plots.interactive.history import chart_history as chart

    asked = Question(dataset, everything=True, by=by, **question)
    rows = series(asked.subset, by=by, union=asked.union)
    _save(draw, rows, picture, asked, "specs", chart, measure=measure, subtitle=asked.filters)


@plot.command("churn", params=_options_of(history, "snapshot", "where", "expressions"))
@dataset_argument
@_packages_option
@_picture_options
def plot_churn(dataset: Any, picture: _Picture, **question: Any) -> None:
    """Draw how many specs each snapshot kept, gained and lost."""
    from cachestats.analysis.history import history as series
    from cachestats.plots.churn import plot_churn as draw

    asked = Question(dataset, everything=True, **question)
    _save(draw, series(asked.subset), picture, asked, "specs", subtitle=asked.filters)


@plot.command("changes", params=_options_of(compare_counts, "against", "by", "where", "expressions", "union"))
@dataset_argument
@click.argument("old", shell_complete=complete_snapshots)
@click.argument("new", shell_complete=complete_snapshots)
@_picture_options
def plot_changes(dataset: Any, old: str, new: str, against: Any, by: Any, picture: _Picture, **question: Any) -> None:
    """Draw what changed between two snapshots, OLD and NEW."""
    from cachestats.analysis.compare import compare_counts as count
    from cachestats.plots.changes import plot_changes as draw

    _draw_compared(count, draw, sides(dataset, old, against or dataset, new, by=by, **question), by, picture)


@plot.command("losses", params=_options_of(compare_counts, "against", "by", "where", "expressions", "union"))
@dataset_argument
@click.argument("old", shell_complete=complete_snapshots)
@click.argument("new", shell_complete=complete_snapshots)
@_picture_options
def plot_losses(dataset: Any, old: str, new: str, against: Any, by: Any, picture: _Picture, **question: Any) -> None:
    """Draw the share of packages each stack lost from OLD to NEW."""
    from cachestats.analysis.losses import losses
    from cachestats.plots.losses import plot_losses as draw

    _draw_compared(losses, draw, sides(dataset, old, against or dataset, new, by=by, **question), by, picture)


def _draw_compared(
    count: Callable[..., pl.DataFrame],
    draw: Callable[..., Axes],
    asked: tuple[Question, Question],
    by: Any,
    picture: _Picture,
) -> None:
    old, new = asked
    rows = count(old.subset, new.subset, by=by, union=old.union, among=(old.among, new.among))
    _save(draw, rows, picture, old, "specs", subtitle=f"{old.names} to {new.words}")


@plot.command("overlap", params=_options_of(overlap, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_measure_option(OVERLAP_MEASURES)
@_packages_option
@_picture_options
def plot_overlap(dataset: Any, by: Any, measure: Any, picture: _Picture, **question: Any) -> None:
    """Draw how much every two stacks have in common."""
    from cachestats.analysis.overlap import overlap as pairs
    from cachestats.plots.interactive.overlap import chart_overlap as chart
    from cachestats.plots.overlap import plot_overlap as draw

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = pairs(asked.subset, by=by, union=asked.union)
    _save(draw, rows, picture, asked, f"two {by}s", chart, measure=measure, subtitle=asked.words)


@plot.command("overlap-sets", params=_options_of(overlap_sets, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_measure_option(SET_MEASURES)
@_packages_option
@_picture_options
def plot_overlap_sets(dataset: Any, by: Any, measure: Any, picture: _Picture, **question: Any) -> None:
    """Draw how much stacks have in common, as an UpSet chart."""
    from cachestats.analysis.overlap import overlap_sets as find
    from cachestats.plots.overlap_sets import plot_overlap_sets as draw

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = find(asked.subset, by=by, union=asked.union)
    _save(draw, rows, picture, asked, "specs", measure=measure, subtitle=asked.words)


@plot.command("gaps", params=_options_of(gaps, "by", "packages", "union", "snapshot", "where", "expressions"))
@dataset_argument
@host_options
@_picture_options
def plot_gaps(
    dataset: Any, packages: list[str] | None, host: Any, spack: Any, picture: _Picture, **question: Any
) -> None:
    """Draw missing packages, ranked by how many others need them."""
    from cachestats.analysis.gaps import gaps as find
    from cachestats.plots.gaps import plot_gaps as draw
    from cachestats.plots.interactive.gaps import chart_gaps as chart

    asked, asking, named = packages_in_question(packages, dataset=dataset, **question)
    rows = find(asked.subset, **asking, dependencies=asked.dependencies, host=host, spack=spack)
    _save(
        draw, rows, picture, asked, "gaps", chart, subtitle=f"{words_of(asked, named)}{f' for {host}' if host else ''}"
    )


@plot.command("versions", params=_options_of(versions, "by", "packages", "union", "snapshot", "where", "expressions"))
@dataset_argument
@_packages_option
@_picture_options
def plot_versions(
    dataset: Any, packages: tuple[str, ...], where: tuple[Any, ...], picture: _Picture, **question: Any
) -> None:
    """Draw how many packages lag behind in each stack."""
    from cachestats.analysis.versions import versions as newest
    from cachestats.plots.versions import plot_versions as draw

    where = (*where, *(("package", name) for name in packages))
    asked = Question(dataset, **question, where=where)
    rows = newest(asked.subset, by=asked.axes["by"], union=asked.axes["union"])
    _save(draw, rows, picture, asked, "specs", subtitle=asked.words)


@plot.command("duplicates", params=_options_of(duplicates, "by", "snapshot", "where", "expressions"))
@dataset_argument
@_packages_option
@_picture_options
def plot_duplicates(dataset: Any, by: Any, picture: _Picture, **question: Any) -> None:
    """Draw what is built more than once, or what causes it."""
    from cachestats.analysis.duplicates import duplicates as find
    from cachestats.plots.duplicates import plot_duplicates as draw

    asked = Question(dataset, **question)
    # Causes take long to find, and only the chart by cause shows them.
    dependencies = asked.dependencies if by == "cause" else None
    rows = find(asked.subset, dependencies=dependencies, among=asked.among, by=by)
    _save(draw, rows, picture, asked, "duplicates", subtitle=asked.words)


@plot.command("holes", params=_options_of(holes, "snapshot"))
@dataset_argument
@_picture_options
def plot_holes(dataset: Any, picture: _Picture, snapshot: tuple[str, ...]) -> None:
    """Draw missing specs, ranked by how many specs they break."""
    from cachestats.analysis.holes import holes as find
    from cachestats.plots.holes import plot_holes as draw

    known = known_snapshots(chosen_snapshots(dataset, [*snapshot]))
    asked = Question(dataset, snapshot=tuple(known), where=())
    rows = find(asked.subset, by="missing")
    _save(draw, rows, picture, asked, "holes", subtitle=asked.words)


@plot.command("usable", params=_options_of(usable, "snapshot", "where", "expressions"))
@dataset_argument
@host_options
@_packages_option
@_picture_options
def plot_usable(dataset: Any, host: Any, spack: Any, picture: _Picture, **question: Any) -> None:
    """Draw how much a host can use, and what stops the rest."""
    from cachestats.analysis.usable import usable as look
    from cachestats.plots.usable import plot_usable as draw

    host = given_host(host)
    asked = Question(dataset, **question)
    _save(draw, look(asked.subset, host=host, spack=spack), picture, asked, "specs", subtitle=f"{host}, {asked.words}")


@plot.command("lifespans", params=_options_of(lifespans, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_packages_option
@_picture_options
def plot_lifespans(dataset: Any, by: Any, picture: _Picture, **question: Any) -> None:
    """Draw from when to when each package and version was there."""
    from cachestats.analysis.history import lifespans as first_and_last
    from cachestats.plots.lifespans import plot_lifespans as draw

    asked = Question(dataset, everything=True, by=by, **question)
    rows = first_and_last(asked.subset, by=by, union=asked.union)
    _save(draw, rows, picture, asked, "specs", subtitle=asked.filters)


@plot.command("match", params=_options_of(match, "snapshot", "where", "expressions"))
@dataset_argument
@environment_argument
@_picture_options
def plot_match(dataset: Any, environments: tuple[Path, ...], picture: _Picture, **question: Any) -> None:
    """Draw how much of an environment is cached, and why not all.

    ENVIRONMENT is a spack.lock, or anything else that `match` takes. If there are several, their specs are put
    together.
    """
    from cachestats.analysis.match import match as find
    from cachestats.plots.match import plot_match as draw

    environment = environment_in(environments)
    asked = Question(dataset, **question)
    rows = find(environment, asked.subset, dependencies=asked.dependencies, among=asked.among)
    _save(draw, rows, picture, asked, "specs", subtitle=asked.words)


@plot.command("hit-rates", params=_options_of(hit_rates, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@environment_argument
@_picture_options
def plot_hit_rates(dataset: Any, environments: tuple[Path, ...], by: Any, picture: _Picture, **question: Any) -> None:
    """Draw how much of an environment each snapshot has.

    ENVIRONMENT is a spack.lock, or anything else that `match` takes. If there are several, their specs are put
    together.
    """
    from cachestats.analysis.match import hit_rates as rank
    from cachestats.plots.hit_rates import plot_hit_rates as draw

    environment = environment_in(environments)
    asked = Question(dataset, everything=True, by=by, **question)
    rows = rank(environment, asked.subset, by=by, union=asked.union)
    _save(draw, rows, picture, asked, "hits", subtitle=asked.words)


@plot.command("retain")
@dataset_argument
@watch_option
@click.option(
    "--measure",
    type=click.Choice(RETAIN_MEASURES),
    help="What to draw.  [default: bytes; specs, if sizes are unknown]",
)
@_picture_options
def plot_retain(dataset: Any, watched: tuple[Path, ...], measure: Any, picture: _Picture) -> None:
    """Draw what keeping the newest snapshots costs and is worth.

    For each number of the newest snapshots: the bytes or specs that they keep, as `retain --newest` would, or, for
    --measure hits, the share of each environment that hits, against bytes (specs, if sizes are unknown).
    """
    from cachestats.analysis.retention_curve import retention_curve
    from cachestats.plots.retain import plot_retain as draw

    if measure == "hits" and not watched:
        raise ArgumentError("expected environments for hits, found none", hint="add --watch ENVIRONMENT")
    asked = Question(dataset, snapshot=(), where=(), everything=True)
    curve = retention_curve(dataset, environments=environments_by_name(watched))
    _save(draw, curve, picture, asked, "snapshots", measure=measure)
