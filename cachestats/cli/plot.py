"""The verb `plot`, with a verb of its own for each chart.

Each takes the options of the verb whose answer it draws.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import HISTORY_MEASURES, OVERLAP_MEASURES, RETAIN_MEASURES, SET_MEASURES
from cachestats.cli.compare import compare_counts
from cachestats.cli.completion import complete_snapshots
from cachestats.cli.coverage import coverage
from cachestats.cli.duplicates import duplicates
from cachestats.cli.gaps import gaps, packages_in_question, words_of
from cachestats.cli.history import history
from cachestats.cli.holes import holes
from cachestats.cli.match import environment_argument, environment_in, hit_rates
from cachestats.cli.output import talk
from cachestats.cli.overlap import overlap, overlap_sets
from cachestats.cli.parameters import dataset_argument, host_options, system_options
from cachestats.cli.question import Question, chosen_snapshots, known_snapshots, sides
from cachestats.cli.retain import environments_by_name, watch_option
from cachestats.cli.sections import Verbs
from cachestats.cli.versions import versions
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


@click.group(cls=Verbs)
def plot() -> None:
    """Draw a chart as a PNG, SVG or PDF file.

    Each chart takes the options of the verb whose answer it draws.
    """


_GOOD_NEWS = frozenset({"gaps", "duplicates", "holes"})
"""What charts say that there are none of: their functions draw empty answers, too."""

_out_option = click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its ending, .png, .svg or .pdf, says the format.",
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
    draw: Callable[..., Axes], frame: pl.DataFrame, out: Path, asked: Question, what: str, **options: Any
) -> None:
    """Draw a frame, write the file, and say so; if the frame is empty, the picture says that there are none of what."""
    import matplotlib

    from cachestats.plots.drawing import draw_nothing, in_words
    from cachestats.plots.saving import save_plot

    matplotlib.use("agg")
    if frame.is_empty() and not asked.subset.num_specs:
        what = "specs"
    if frame.is_empty() and what not in _GOOD_NEWS:
        save_plot(draw_nothing(f"no {what}", title=in_words(asked.words)), out)
    else:
        save_plot(draw(frame, **options), out)
    if frame.is_empty():
        talk(f"no {what} in {asked.words}")
    talk(f"wrote {out}")


@plot.command(
    "coverage",
    params=_options_of(
        coverage, "rows", "columns", "measure", "denominator", "snapshot", "where", "expressions", "union", "usable"
    ),
)
@dataset_argument
@system_options
@_out_option
def plot_coverage(dataset: Any, out: Path, usable: bool, host: Any, spack: Any, **question: Any) -> None:
    """Draw coverage as a heatmap."""
    from cachestats.analysis.coverage import coverage_matrix
    from cachestats.plots.coverage import plot_coverage as draw

    asked = Question(dataset, **question)
    matrix = coverage_matrix(asked.subset, **asked.axes, usable=usable, host=host, spack=spack)
    system = f"hosts with {host.system}" if host else ""
    matrix.only = ", ".join(filter(None, (asked.filters, system))) or None
    _save(draw, matrix, out, asked, "specs")


@plot.command("history", params=_options_of(history, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_measure_option(HISTORY_MEASURES)
@_out_option
def plot_history(dataset: Any, by: Any, measure: Any, out: Path, **question: Any) -> None:
    """Draw the packages or specs of dated snapshots over time."""
    from cachestats.analysis.history import history as series
    from cachestats.plots.history import plot_history as draw

    asked = Question(dataset, everything=True, **question)
    rows = series(asked.subset, by=by, union=asked.union)
    _save(draw, rows, out, asked, "specs", measure=measure, subtitle=asked.filters)


@plot.command("churn", params=_options_of(history, "snapshot", "where", "expressions"))
@dataset_argument
@_out_option
def plot_churn(dataset: Any, out: Path, **question: Any) -> None:
    """Draw how many specs each snapshot kept, gained and lost."""
    from cachestats.analysis.history import history as series
    from cachestats.plots.churn import plot_churn as draw

    asked = Question(dataset, everything=True, **question)
    _save(draw, series(asked.subset), out, asked, "specs", subtitle=asked.filters)


@plot.command("changes", params=_options_of(compare_counts, "against", "by", "where", "expressions", "union"))
@dataset_argument
@click.argument("old", shell_complete=complete_snapshots)
@click.argument("new", shell_complete=complete_snapshots)
@_out_option
def plot_changes(dataset: Any, old: str, new: str, against: Any, by: Any, out: Path, **question: Any) -> None:
    """Draw what changed between two snapshots, OLD and NEW."""
    from cachestats.analysis.compare import compare_counts as count
    from cachestats.plots.changes import plot_changes as draw

    _draw_compared(count, draw, sides(dataset, old, against or dataset, new, **question), by, out)


@plot.command("losses", params=_options_of(compare_counts, "against", "by", "where", "expressions", "union"))
@dataset_argument
@click.argument("old", shell_complete=complete_snapshots)
@click.argument("new", shell_complete=complete_snapshots)
@_out_option
def plot_losses(dataset: Any, old: str, new: str, against: Any, by: Any, out: Path, **question: Any) -> None:
    """Draw the share of packages each stack lost from OLD to NEW."""
    from cachestats.analysis.losses import losses
    from cachestats.plots.losses import plot_losses as draw

    _draw_compared(losses, draw, sides(dataset, old, against or dataset, new, **question), by, out)


def _draw_compared(
    count: Callable[..., pl.DataFrame], draw: Callable[..., Axes], asked: tuple[Question, Question], by: Any, out: Path
) -> None:
    old, new = asked
    rows = count(old.subset, new.subset, by=by, union=old.union, among=(old.among, new.among))
    _save(draw, rows, out, old, "specs", subtitle=f"{old.names} to {new.words}")


@plot.command("overlap", params=_options_of(overlap, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_measure_option(OVERLAP_MEASURES)
@_out_option
def plot_overlap(dataset: Any, by: Any, measure: Any, out: Path, **question: Any) -> None:
    """Draw how much every two stacks have in common."""
    from cachestats.analysis.overlap import overlap as pairs
    from cachestats.plots.overlap import plot_overlap as draw

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = pairs(asked.subset, by=by, union=asked.union)
    _save(draw, rows, out, asked, f"two {by}s", measure=measure, subtitle=asked.words)


@plot.command("overlap-sets", params=_options_of(overlap_sets, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@_measure_option(SET_MEASURES)
@_out_option
def plot_overlap_sets(dataset: Any, by: Any, measure: Any, out: Path, **question: Any) -> None:
    """Draw how much stacks have in common, as an UpSet chart."""
    from cachestats.analysis.overlap import overlap_sets as find
    from cachestats.plots.overlap_sets import plot_overlap_sets as draw

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = find(asked.subset, by=by, union=asked.union)
    _save(draw, rows, out, asked, "specs", measure=measure, subtitle=asked.words)


@plot.command("gaps", params=_options_of(gaps, "by", "packages", "union", "snapshot", "where", "expressions"))
@dataset_argument
@host_options
@_out_option
def plot_gaps(dataset: Any, packages: list[str] | None, host: Any, spack: Any, out: Path, **question: Any) -> None:
    """Draw missing packages, ranked by how many others need them."""
    from cachestats.analysis.gaps import gaps as find
    from cachestats.plots.gaps import plot_gaps as draw

    asked, asking, named = packages_in_question(packages, dataset=dataset, **question)
    rows = find(asked.subset, **asking, dependencies=asked.dependencies, host=host, spack=spack)
    _save(draw, rows, out, asked, "gaps", subtitle=f"{words_of(asked, named)}{f' for {host}' if host else ''}")


@plot.command("versions", params=_options_of(versions, "by", "packages", "union", "snapshot", "where", "expressions"))
@dataset_argument
@_out_option
def plot_versions(dataset: Any, packages: tuple[str, ...], where: tuple[Any, ...], out: Path, **question: Any) -> None:
    """Draw how many packages lag behind in each stack."""
    from cachestats.analysis.versions import versions as newest
    from cachestats.plots.versions import plot_versions as draw

    where = (*where, *(("package", name) for name in packages))
    asked = Question(dataset, **question, where=where)
    rows = newest(asked.subset, by=asked.axes["by"], union=asked.axes["union"])
    _save(draw, rows, out, asked, "specs", subtitle=asked.words)


@plot.command("duplicates", params=_options_of(duplicates, "by", "snapshot", "where", "expressions"))
@dataset_argument
@_out_option
def plot_duplicates(dataset: Any, by: Any, out: Path, **question: Any) -> None:
    """Draw what is built more than once, or what causes it."""
    from cachestats.analysis.duplicates import duplicates as find
    from cachestats.plots.duplicates import plot_duplicates as draw

    asked = Question(dataset, **question)
    # Causes take long to find, and only the chart by cause shows them.
    dependencies = asked.dependencies if by == "cause" else None
    rows = find(asked.subset, dependencies=dependencies, among=asked.among, by=by)
    _save(draw, rows, out, asked, "duplicates", subtitle=asked.words)


@plot.command("holes", params=_options_of(holes, "snapshot"))
@dataset_argument
@_out_option
def plot_holes(dataset: Any, out: Path, snapshot: tuple[str, ...]) -> None:
    """Draw missing specs, ranked by how many specs they break."""
    from cachestats.analysis.holes import holes as find
    from cachestats.plots.holes import plot_holes as draw

    known = known_snapshots(chosen_snapshots(dataset, [*snapshot]))
    asked = Question(dataset, snapshot=tuple(known), where=())
    rows = find(asked.subset, by="missing")
    _save(draw, rows, out, asked, "holes", subtitle=asked.words)


@plot.command("hit-rates", params=_options_of(hit_rates, "by", "snapshot", "where", "expressions", "union"))
@dataset_argument
@environment_argument
@_out_option
def plot_hit_rates(dataset: Any, environments: tuple[Path, ...], by: Any, out: Path, **question: Any) -> None:
    """Draw how much of an environment each snapshot has.

    ENVIRONMENT is a spack.lock, or anything else that `match` takes. If there are several, their specs are put
    together.
    """
    from cachestats.analysis.match import hit_rates as rank
    from cachestats.plots.hit_rates import plot_hit_rates as draw

    environment = environment_in(environments)
    asked = Question(dataset, everything=True, **question)
    rows = rank(environment, asked.subset, by=by, union=asked.union)
    _save(draw, rows, out, asked, "hits", subtitle=asked.words)


@plot.command("retain")
@dataset_argument
@watch_option
@_measure_option(RETAIN_MEASURES)
@_out_option
def plot_retain(dataset: Any, watched: tuple[Path, ...], measure: Any, out: Path) -> None:
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
    _save(draw, curve, out, asked, "snapshots", measure=measure)
