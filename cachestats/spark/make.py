"""The work of one task: assemble a snapshot and make its files."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pyarrow as pa

from cachestats.dataset.parquet import check_columns
from cachestats.dataset.rows import sort_rows, with_dictionaries
from cachestats.decode import decode
from cachestats.findings import FAILURES, Finding, rejected_table
from cachestats.ingest.assemble import assemble
from cachestats.ingest.closures import add_requirements, requirements_table
from cachestats.ingest.inputs import Input, inputs_table, with_sources
from cachestats.ingest.part import SpecsSummary, count_requirements, names_in, summarize_specs
from cachestats.ingest.read import read_fragment
from cachestats.schema import TABLES
from cachestats.spack_releases import rules_of_sources
from cachestats.spark.frames import FILES, PARTS, parquet


class Notes(msgspec.Struct):
    """The result of reading a part of a snapshot, besides its specs."""

    inputs: list[Input]
    findings: list[Finding]
    is_incomplete: bool


class Facts(msgspec.Struct):
    """Facts about a file that the driver needs."""

    rows: int
    specs: SpecsSummary | None
    targets: list[str]
    problem: str | None
    """The reason why these rows cannot be stored, if any."""


def assemble_snapshot(group: pa.Table) -> pa.Table:
    """Assemble a snapshot, or the inputs without one; runs on a worker."""
    snapshot = group.column("snapshot")[0].as_py()
    notes = [decode(text.as_py(), Notes) for text in group.column("notes").drop_null()]
    inputs = [input_ for note in notes for input_ in note.inputs]
    findings = [finding for note in notes for finding in note.findings]
    fragments = [
        read_fragment(pa.BufferReader(records.as_buffer()), pa.BufferReader(edges.as_buffer()), snapshot)
        for records, edges in zip(*(group.column(name).drop_null() for name in ("records", "edges")), strict=True)
    ]
    tables: dict[str, pa.Table] = {}
    if any(note.is_incomplete for note in notes):
        findings = [row for row in findings if row.rule in FAILURES]
    elif fragments:
        made = assemble(fragments)
        inputs = [input_._replace(is_copy=input_.origin in made.copies) for input_ in inputs]
        generations = {input_.generation for input_ in inputs if input_.generation and not input_.is_copy}
        rules = rules_of_sources(snapshot, generations, names_libc=summarize_specs(made.specs).name_libc)
        specs = add_requirements(made.specs, made.dependencies, rules)
        tables |= made.tables | {
            "specs": specs,
            "requirements": requirements_table(snapshot, count_requirements(specs)),
        }
        findings = [row for row in findings if row.origin not in made.copies]
        findings += with_sources(made.findings, inputs)
    tables |= {"inputs": inputs_table(inputs), "rejected": rejected_table(findings)}
    return pa.table({"table": list(tables), "file": [*map(parquet, tables, tables.values())]}, schema=PARTS)


def to_file(table: str) -> Callable[[pa.Table], pa.Table]:
    """Return a function that makes the file of one snapshot of a table; it runs on a worker."""

    def to_file(group: pa.Table) -> pa.Table:  # not a `partial`: Spark looks at the types
        facts, content = make_file(table, group)
        row = {"snapshot": group.column("snapshot")[0].as_py(), "table": table, "file": content}
        return pa.Table.from_pylist([row | {"facts": msgspec.json.encode(facts)}], schema=FILES)

    return to_file


def make_file(table: str, rows: pa.Table) -> tuple[Facts, bytes]:
    """Return the file of one snapshot of a table, given its rows in any order."""
    declared = TABLES[table]
    try:
        check_columns(declared, rows)
    except ValueError as error:
        return Facts(0, None, [], str(error)), b""
    data = sort_rows(with_dictionaries(rows.cast(declared.arrow())), declared)
    if data.num_rows < rows.num_rows:
        key = ", ".join(declared.key)
        return Facts(0, None, [], f"{rows.num_rows - data.num_rows:,} with a repeated key ({key})"), b""
    is_specs = table == "specs"
    facts = Facts(
        data.num_rows,
        summarize_specs(data) if is_specs else None,
        sorted(names_in(data, "target")) if is_specs else [],
        None,
    )
    return facts, parquet(table, data)
