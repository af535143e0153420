"""A short summary of the changes in Markdown, for the log of a scheduled job, a mail or a chat."""

from __future__ import annotations

import polars as pl

from cachestats.analysis.compare import count_changes
from cachestats.report.facts import Facts
from cachestats.text import counted, visible

_MOST_NAMES = 20


def summary_markdown(facts: Facts) -> str:
    """Return a summary of the current snapshot and of the changes since the previous one."""
    about = facts.snapshots.row(by_predicate=pl.col("snapshot") == facts.current, named=True)
    has = f"{counted(about['num_packages'], 'package')} and {counted(about['num_specs'], 'spec')}"
    lines = [f"## {_escaped(facts.current)}", "", f"{has} in {counted(about['num_stacks'], 'stack')}."]
    before = facts.before.get(facts.current)
    if before is None:
        return "\n".join([*lines, "", "There is no earlier snapshot to compare it with.", ""])
    changes = facts.changes.get(facts.current)
    if changes is None:  # neither of the two snapshots has any of the specs
        return "\n".join([*lines, "", f"There were none in {_escaped(before)} either.", ""])
    numbers = dict(changes.group_by("change").len().rows())
    words = ", ".join(f"{numbers.get(what, 0):,} {what}" for what in ("removed", "added", "updated", "rebuilt"))
    if represented := numbers.get("representation"):
        words += f"; {represented:,} represented differently by Spack"
    lines += ["", f"Since {_escaped(before)}: {words}.", ""]
    lines += ["| stack | packages | before | removed | added | updated |", "|---|--:|--:|--:|--:|--:|"]
    for row in stack_counts(facts).iter_rows(named=True):
        figures = (row[name] for name in ("packages", "before", "removed", "added", "updated"))
        lines.append(f"| {_escaped(row['stack'] or 'none')} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    for change in ("removed", "added"):
        names = changes.filter(change=change)["package"].to_list()
        if names:
            more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
            lines += ["", f"{change.capitalize()}: {', '.join(map(_escaped, names[:_MOST_NAMES]))}{more}."]
    return "\n".join([*lines, ""])


def stack_counts(facts: Facts) -> pl.DataFrame:
    """Return the packages of each stack, now and before, and their changes, the stack with the most losses first."""
    counts = count_changes(facts.stack_changes, by="stack").select(
        "stack", "removed", "added", "updated", "rebuilt", packages="new_packages", before="old_packages"
    )
    return counts.sort("removed", "packages", "stack", descending=[True, True, False], nulls_last=True)


def _escaped(text: str) -> str:
    """Return a name escaped for Markdown, so that every character is shown as it is."""
    text = visible(text)
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>()#+!|~&" else character for character in text)
