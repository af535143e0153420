"""Every table and column of a dataset, declared once.

Arrow and Polars schemas, the descriptions inside the Parquet files and the data dictionary are all derived from
`TABLES`; nothing else in cachestats spells out a schema.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    import pyarrow as pa

SCHEMA_VERSION = 3
"""Increased whenever a reader of the older version would misread a newer dataset."""

DType = Literal["string", "int64", "boolean", "date", "timestamp"]

DepType = Literal["build", "link", "run", "test"]
DEPTYPES: tuple[DepType, ...] = get_args(DepType)
"""The types of dependencies, in the order in which Spack writes them; `dependencies` has a column for each."""

Severity = Literal["error", "warning"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Column:
    """One column: its name, type, whether it may be null, its unit and a one-sentence description."""

    name: str
    dtype: DType
    description: str
    nullable: bool = False
    unit: str | None = None


@dataclass(frozen=True)
class Reference:
    """Columns whose values also occur in the columns of the same names in another table."""

    columns: tuple[str, ...]
    table: str


@dataclass(frozen=True)
class Table:
    """One table: the meaning of a row (`grain`), the unique key, the sort order of its files, and its columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[Column, ...]
    warning: str | None = None
    by_snapshot: bool = False
    """Whether the table is stored as one file per snapshot instead of one file for the whole dataset."""
    in_buckets: bool = False
    """Whether a large snapshot has several files, each with the specs of some packages."""
    row_group_by: str | None = None
    """A column by which the rows of a file are looked up: each of its values has a row group of its own."""
    references: tuple[Reference, ...] = ()
    """Columns whose values always occur in other tables, where several rows may have them."""

    def arrow(self) -> pa.Schema:
        """Return the Arrow schema, with a `description` (and `unit`) on every field."""
        import pyarrow as pa

        # Use only types that every consumer can read: plain strings (BI tools drop dictionaries), signed integers,
        # nothing nested.
        types: dict[DType, pa.DataType] = {
            "string": pa.string(),
            "int64": pa.int64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us", tz="UTC"),
        }
        return pa.schema(
            [
                pa.field(
                    column.name,
                    types[column.dtype],
                    nullable=column.nullable,
                    metadata={"description": column.description} | ({"unit": column.unit} if column.unit else {}),
                )
                for column in self.columns
            ],
            metadata={"description": f"{self.name}: {self.grain}"},
        )

    def polars(self) -> pl.Schema:
        """Return the Polars schema."""
        import polars as pl

        types: dict[DType, pl.DataType | type[pl.DataType]] = {
            "string": pl.String,
            "int64": pl.Int64,
            "boolean": pl.Boolean,
            "date": pl.Date,
            "timestamp": pl.Datetime("us", "UTC"),
        }
        return pl.Schema({column.name: types[column.dtype] for column in self.columns})


# Columns shared by several tables are declared once, so that their names and descriptions are the same everywhere.
_SNAPSHOT = Column(
    "snapshot",
    "string",
    "Name of the snapshot of the build cache: `develop` (rolling), `develop-YYYY-MM-DD` (dated) or a release.",
)
_REUSE_RULES = Column(
    "reuse_rules",
    "string",
    "Reuse rules for the specs, unless another Spack version is requested: `0.21` (the same OS), `0.23` (a compatible "
    "libc), `1.1` (a compatible libc, and specs first written by Spack 1.0 or later).",
)
_HASH = Column("hash", "string", "DAG hash of the spec: 32 characters that Spack computes from everything in it.")

_NOT_PAGES = "; null if the source does not provide it, as for pages."

_OF_SNAPSHOT = Reference(("snapshot",), "snapshots")
_OF_SPEC = Reference(("snapshot", "hash"), "specs")

SPECS = Table(
    "specs",
    grain="one row per (snapshot, stack, hash)",
    key=("snapshot", "stack", "hash"),
    sort=("package", "hash", "stack"),
    by_snapshot=True,
    in_buckets=True,
    warning=(
        "A spec has a row for each stack that lists it, and `root` is the union of the stacks, not one of them: "
        "count distinct (snapshot, hash), and do not sum `size_bytes` across stacks."
    ),
    references=(
        _OF_SNAPSHOT,
        Reference(("target",), "targets"),
        Reference(("snapshot", "requirement"), "requirements"),
    ),
    columns=(
        Column("package", "string", "Name of the package, as in Spack's package repository."),
        Column("version", "string", "Version of the package; text, even if it looks like a number or a date."),
        Column(
            "version_key",
            "string",
            "`version` as text that sorts, byte by byte, as Spack orders versions: `v0001.0014.0003.` for 1.14.3. "
            "Numbers are padded to four digits, longer ones to eight after a colon; words begin with `+`, prereleases "
            "with `-`, `develop` and the like with `~`, commits with `#`. `version_key >= 'v0001.0014.'` selects 1.14 "
            "and newer, `develop` included.",
        ),
        _SNAPSHOT,
        Column("snapshot_date", "date", "Date of a dated snapshot; null for `develop` and for releases.", True),
        _HASH,
        Column("platform", "string", "Platform for which the binary was built: `linux`, `darwin`, `windows`."),
        Column("os", "string", "Operating system on which the binary was built, such as `ubuntu22.04`."),
        Column("target", "string", "Microarchitecture for which the binary was built, such as `x86_64_v3`."),
        Column(
            "compiler",
            "string",
            "Compiler and version in Spack's current spelling, such as `gcc@13.2.0`; null if the source names none.",
            True,
        ),
        Column("compiler_name", "string", "Name part of `compiler`.", True),
        Column("compiler_version", "string", "Version part of `compiler`.", True),
        Column("stack", "string", "CI stack that lists the spec; null if no stack does.", True),
        Column(
            "variants",
            "string",
            "All variants, sorted by name, in one string: `+shared build_system=cmake`. "
            "A value that contains white space or quotes is quoted as in a shell.",
        ),
        Column(
            "flags",
            "string",
            "Compiler flags as Spack prints them: `cflags=-O3 ldflags='-L/x -lm'`; empty if the spec has none, null "
            "if the source does not provide them, as for pages.",
            True,
        ),
        Column("namespace", "string", f"Package repository of the recipe, such as `builtin`{_NOT_PAGES}", True),
        Column("package_hash", "string", f"Checksum of the recipe from which the spec was built{_NOT_PAGES}", True),
        Column(
            "libc",
            "string",
            "C library against which the spec was built, `glibc` or `musl`; null if the source does not provide it, as "
            "for pages and for indices written by Spack before 0.22.",
            True,
        ),
        Column("libc_version", "string", "Version of `libc`.", True),
        Column(
            "spec_format",
            "int64",
            f"Version of the spec file format in which the spec was first written; 5 since Spack 1.0{_NOT_PAGES}",
            True,
        ),
        Column(
            "build_spec_hash",
            "string",
            "For a spliced spec, the hash of the spec that was built, whose binary is relocated; null for all others.",
            True,
        ),
        Column(
            "size_bytes",
            "int64",
            "Size of the binary; null if the source does not provide it, as for pages.",
            True,
            "bytes",
        ),
        Column(
            "requirement",
            "string",
            "Requirement that a host must fulfil to reuse the spec and all its link and run dependencies; the table "
            "`requirements` lists its parts in columns.",
        ),
    ),
)

VARIANTS = Table(
    "variants",
    grain="one row per (snapshot, hash, variant, value)",
    key=("snapshot", "hash", "variant", "value"),
    sort=("hash", "variant", "value"),
    by_snapshot=True,
    in_buckets=True,
    references=(_OF_SNAPSHOT, _OF_SPEC),
    columns=(
        _SNAPSHOT,
        _HASH,
        Column("variant", "string", "Name of the variant."),
        Column(
            "value", "string", "`true` or `false` for `+name` and `~name`, otherwise one of the comma-separated values."
        ),
        Column(
            "sign",
            "string",
            "Sign with which Spack writes the variant: `+` or `~` for a switch, `=` for a value, `:=` for a list of "
            "values (since Spack 1.0; previously `=`); empty if the source has no sign.",
        ),
    ),
)

DEPENDENCIES = Table(
    "dependencies",
    grain="one row per (snapshot, hash, dependency_hash)",
    key=("snapshot", "hash", "dependency_hash"),
    sort=("hash", "dependency_hash"),
    by_snapshot=True,
    in_buckets=True,
    references=(_OF_SNAPSHOT, _OF_SPEC),
    warning="Only indices record dependencies: snapshots read from pages have none in this table.",
    columns=(
        _SNAPSHOT,
        _HASH,
        Column("dependency_hash", "string", "DAG hash of a spec on which it depends directly."),
        Column("dependency_package", "string", "Package of that spec; null if the index does not name it.", True),
        Column("dependency_version", "string", "Version of that spec; null if the spec is not in the index.", True),
        Column("is_build", "boolean", "Whether it is needed to build the spec."),
        Column("is_link", "boolean", "Whether the spec is linked against it."),
        Column("is_run", "boolean", "Whether it is needed to run the spec."),
        Column("is_test", "boolean", "Whether it is needed to test the spec."),
        Column(
            "virtuals",
            "string",
            "Virtual packages that it provides to the spec, such as `c,cxx` or `mpi`, if any.",
            True,
        ),
        Column(
            "is_external",
            "boolean",
            "Whether it is part of the system rather than of the cache; null if it is not in the index.",
            True,
        ),
        Column(
            "external",
            "string",
            "For an external, its name, version, variants and location: `cuda@12.4.1 ~dev prefix=/usr/local/cuda`, or "
            "`module=cuda/12.4`; null for all others.",
            True,
        ),
    ),
)

REQUIREMENTS = Table(
    "requirements",
    grain="one row per (snapshot, requirement): the conditions for a host to reuse some of the snapshot's specs",
    key=("snapshot", "requirement"),
    sort=("requirement",),
    by_snapshot=True,
    references=(_OF_SNAPSHOT,),
    warning=(
        "A requirement covers a spec and all its link and run dependencies. Several values in a column are joined by "
        "commas: a host must satisfy them all."
    ),
    columns=(
        _SNAPSHOT,
        Column("requirement", "string", "Requirement, as in `specs`."),
        Column("platform", "string", "Platform of the host."),
        Column("os", "string", "Operating systems on which the specs were built; for macOS only the newest."),
        Column("target", "string", "Target that the host must be able to run; ancestors of others are left out."),
        Column(
            "libc",
            "string",
            "C library of the host, with its location if that is not `/usr`, such as `glibc at /opt/glibc`; null if no "
            "spec names one.",
            True,
        ),
        Column("libc_version", "string", "Lowest sufficient version of `libc`.", True),
        Column(
            "libc_version_key",
            "string",
            "`libc_version` as text that sorts, like `version_key` in `specs`: `v0002.0035.`.",
            True,
        ),
        Column("names_libc", "boolean", "Whether every spec names the libc that it needs."),
        Column("spec_format", "int64", "Lowest `spec_format`.", True),
        Column("missing", "string", "Required spec that is not in the cache, as `package/hash`.", True),
        Column(
            "excluded", "string", "Spec that Spack since 1.0 never reuses, `compiler-wrapper` or a `dev_path`.", True
        ),
        Column(
            "externals",
            "string",
            "Externals that the host must declare, joined by `; `. They include neither its libc nor apple-libuuid on "
            "macOS, which Spack itself declares.",
            True,
        ),
        _REUSE_RULES,
        Column(
            "is_assumed",
            "boolean",
            "Whether it comes from a page: libc and format are then the usual ones for OS and date, and the "
            "dependencies of the spec are unknown.",
        ),
        Column("num_specs", "int64", "Distinct specs that have this requirement.", unit="specs"),
    ),
)

SNAPSHOTS = Table(
    "snapshots",
    grain="one row per snapshot",
    key=("snapshot",),
    sort=("snapshot",),
    columns=(
        _SNAPSHOT,
        Column("kind", "string", "`rolling` (`develop`), `dated`, `release`, or `other`."),
        Column("snapshot_date", "date", "Date of a dated snapshot; null for the other kinds.", True),
        Column("source", "string", "Source from which the snapshot was read; several sources are separated by `; `."),
        Column(
            "generation",
            "string",
            "Generations of its pages: `g1` has unsorted keys in a spec, `g2` sorted keys, `g3` no `tarball`, `g4` the "
            "compiler names of Spack 1.0; several are joined by `+`. For indices, `db` and the database version.",
        ),
        _REUSE_RULES,
        Column("has_dependencies", "boolean", "Whether its sources record dependencies: indices do, pages do not."),
        Column("num_pages", "int64", "Pages, or indices of stacks, from which it was read.", unit="pages"),
        Column("num_packages", "int64", "Distinct packages.", unit="packages"),
        Column("num_specs", "int64", "Distinct specs.", unit="specs"),
        Column("num_stacks", "int64", "Distinct stacks, excluding `root`.", unit="stacks"),
        Column("num_rejected", "int64", "Spec entries that were rejected.", unit="specs"),
        Column("read_at", "timestamp", "Time at which the snapshot was read (UTC)."),
    ),
)

TARGETS = Table(
    "targets",
    grain="one row per (target, runs_on)",
    key=("target", "runs_on"),
    sort=("target", "runs_on"),
    columns=(
        Column("target", "string", "Microarchitecture for which a binary was built."),
        Column("runs_on", "string", "Microarchitecture of a machine that runs such a binary."),
        Column("is_native", "boolean", "Whether the two are the same."),
        Column("family", "string", "Family of `target`, such as `x86_64`; null if archspec does not know it.", True),
        Column("vendor", "string", "Vendor of `target`; null if archspec does not know it.", True),
    ),
    warning=(
        "A host needs more than a target: see `requirements`. A target that archspec does not know runs only on itself."
    ),
)

REJECTED = Table(
    "rejected",
    grain="one row per finding: a page or spec that could not be read, or is doubtful",
    key=("origin", "location", "rule"),
    sort=("origin", "location", "rule", "message"),
    columns=(
        Column("severity", "string", "`error`: something was left out; `warning`: everything was kept."),
        Column("rule", "string", "Short name of the violated rule."),
        Column(
            "scope",
            "string",
            "Subject of the finding: a `source`, a `file` (a page, an index), or one `spec` in a file.",
        ),
        Column("source", "string", "Source of the file, as in `manifest.json`.", True),
        Column("origin", "string", "File (or archive member) in which it was found."),
        Column("location", "string", "Location in the file: a line, or a path such as `spec_details[3].hash`."),
        Column("message", "string", "Description of what was expected and what was found."),
        Column("hint", "string", "Suggestion for a remedy."),
        Column(
            "num_specs",
            "int64",
            "Spec entries left out because of it; null if their number is unknown.",
            True,
            "specs",
        ),
        Column("snapshot", "string", "Snapshot to which it belongs; null if the page does not name it.", True),
        Column("package", "string", "Package to which it belongs; null if the page does not name it.", True),
    ),
)

INPUTS = Table(
    "inputs",
    grain="one row per page or index that was read",
    key=("origin",),
    sort=("source", "origin"),
    columns=(
        Column("source", "string", "Source to which it belongs, as in `manifest.json`."),
        Column("origin", "string", "File, archive member, URL, or entry of a catalogue."),
        Column("snapshot", "string", "Snapshot that it describes; null if nothing in it could be used.", True),
        Column("package", "string", "Package that a page describes; null for an index.", True),
        Column("stack", "string", "Stack that an index describes; null for a page.", True),
        Column("generation", "string", "Generation, as in `snapshots`; null if nothing in it could be used.", True),
        Column("num_specs", "int64", "Spec entries in it.", True, "specs"),
        Column("is_copy", "boolean", "Whether it is a page with the same content as another page."),
        Column("is_gone", "boolean", "Whether it is gone from its source; its specs are kept until they are pruned."),
        Column(
            "fingerprint",
            "string",
            "Size and date, tag or checksum, which shows without reading it whether it has changed. Null if there is "
            "none, or if the file had only just been written.",
            True,
        ),
        Column("digest", "string", "First 32 hexadecimal digits of the sha256 checksum of its content."),
    ),
    warning=(
        "`cachestats update` relies on this table. Because of file dates, it differs between builds of the same files."
    ),
)

TABLES: dict[str, Table] = {
    table.name: table for table in (SPECS, VARIANTS, DEPENDENCIES, REQUIREMENTS, SNAPSHOTS, TARGETS, REJECTED, INPUTS)
}


def _encoded(table: Table, *without: str) -> tuple[Column, ...]:
    """Return columns of a table with the codes of its names, whose text is in the table `names`."""
    return tuple(
        replace(column, dtype="int64", description=f"Code of `{column.name}`.") if column.dtype == "string" else column
        for column in table.columns
        if column.name not in without
    )


# The tables of the engine: what analyses of a dataset read. They hold nothing that the others lack.

ENCODED_SPECS = Table(
    "encoded_specs",
    grain="one row per (snapshot, hash), in the order of `specs`, with the codes of names in place of text",
    key=("snapshot", "spec"),
    sort=(),
    by_snapshot=True,
    in_buckets=True,
    columns=(
        Column("spec", "int64", "Code of `hash`: its first 64 bits."),
        Column("hash", "string", _HASH.description),
        *_encoded(SPECS, "hash", "snapshot_date", "stack", "version_key"),
        Column("stacks", "int64", "Code of the set of stacks that list the spec; its name is their list as JSON."),
    ),
)

ENCODED_DEPENDENCIES = Table(
    "encoded_dependencies",
    grain="the rows of `dependencies`, with the codes of names in place of text",
    key=("snapshot", "spec", "dependency"),
    sort=(),
    by_snapshot=True,
    in_buckets=True,
    columns=(
        Column("spec", "int64", "Code of `hash`."),
        Column("dependency", "int64", "Code of `dependency_hash`, named by the table `names` unless it is in `specs`."),
        *_encoded(DEPENDENCIES, "hash", "dependency_hash"),
    ),
)

NAMES = Table(
    "names",
    grain="one row per (column, code): the names of the codes in one file of `encoded_specs` or `encoded_dependencies`",
    key=("column", "code"),
    sort=(),
    by_snapshot=True,
    in_buckets=True,
    row_group_by="column",
    columns=(
        Column("column", "string", "Column that holds the code."),
        Column("code", "int64", "First 64 bits of the BLAKE2b checksum of the name; of a hash its own first 64 bits."),
        Column("name", "string", "Name."),
    ),
)

COMMON_NAMES = Table(
    "common_names",
    grain="one row per (column, code): the names in `names` of the columns that most questions ask about",
    key=("column", "code"),
    sort=("column", "name"),
    row_group_by="column",
    columns=(
        *NAMES.columns,
        Column("num_files", "int64", "Files of `encoded_specs` in which the code occurs.", unit="files"),
    ),
)
COMMONLY_NAMED = (
    "compiler", "compiler_name", "os", "package", "platform", "requirement", "snapshot", "stacks", "target", "version"
)  # fmt: skip
"""The columns in `common_names`: those with few distinct names."""

ENGINE_TABLES: dict[str, Table] = {
    table.name: table for table in (ENCODED_SPECS, ENCODED_DEPENDENCIES, NAMES, COMMON_NAMES)
}
"""Tables that a dataset stores besides `TABLES`, from which analyses are answered."""

STORED_TABLES = TABLES | ENGINE_TABLES


def data_dictionary() -> pl.DataFrame:
    """Return the data dictionary: one row per table and column.

    Returns
    -------
    polars.DataFrame
        In the order of declaration:

        - `table`, `column` (String): the names of the table and of its column.
        - `dtype` (String): the type of the column.
        - `nullable` (Boolean): whether it may be null.
        - `unit` (String): its unit; null if it has none.
        - `description` (String): what it means.

    Examples
    --------
    >>> import cachestats as cs
    >>> dictionary = cs.data_dictionary()
    >>> dictionary.filter(table="targets")["column"].to_list()
    ['target', 'runs_on', 'is_native', 'family', 'vendor']
    >>> dictionary.filter(table="specs", column="size_bytes")["unit"].item()
    'bytes'
    """
    import polars as pl

    return pl.DataFrame(
        [
            (table.name, column.name, column.dtype, column.nullable, column.unit, column.description)
            for table in TABLES.values()
            for column in table.columns
        ],
        schema={
            "table": pl.String,
            "column": pl.String,
            "dtype": pl.String,
            "nullable": pl.Boolean,
            "unit": pl.String,
            "description": pl.String,
        },
        orient="row",
    )


def dictionary_markdown(tables: Iterable[str] = STORED_TABLES) -> str:
    """Return the data dictionary of some tables as a Markdown document, one section per table.

    By default it has all tables, at the end those of the engine.

    Examples
    --------
    >>> from cachestats.schema import dictionary_markdown
    >>> dictionary_markdown().splitlines()[0]
    '# Data dictionary'
    """
    lines = [
        "# Data dictionary",
        "",
        f"Schema version {SCHEMA_VERSION}. Made by `cachestats dictionary --format markdown`; do not edit by hand.",
        "",
        "These are the columns of the tables. The columns of an answer are described in the docstring of the function,",
        "such as `help(cachestats.gaps)`, and the answer itself by `cachestats VERB --help`.",
    ]
    for table in map(STORED_TABLES.__getitem__, tables):
        if table is ENCODED_SPECS:
            lines += [
                "",
                "# The tables of the engine",
                "",
                "Analyses of a dataset read these in place of the flat tables, because numbers are grouped and joined",
                "in a fraction of the time that text takes. They hold nothing that the others lack, exports leave them",
                "out, and they may change between versions: other tools should read the tables above.",
            ]
        lines += [
            "",
            f"## {table.name}",
            "",
            f"{table.grain[0].upper()}{table.grain[1:]}. Key: {_code(table.key)}."
            f"{f' Sorted by {_code(table.sort)}.' if table.sort else ''}",
            *(["", f"**Note:** {table.warning}"] if table.warning else []),
            "",
            "| column | type | null | unit | meaning |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| `{column.name}` | {column.dtype} | {'yes' if column.nullable else 'no'} | {column.unit or ''} "
            f"| {column.description} |"
            for column in table.columns
        ]
    return "\n".join(lines) + "\n"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
