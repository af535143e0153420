"""Spark's schemas of the tables and of the rows that workers return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cachestats.dataset.parquet import to_parquet
from cachestats.errors import ArgumentError
from cachestats.schema import TABLES, DType, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


STORED = tuple(table.name for table in TABLES.values() if table.by_snapshot)
_TYPES: dict[DType, str] = {
    "string": "string",
    "int64": "long",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
# The rows that workers return. A fragment is returned as the two files to which it is written, besides notes on inputs.
READ = pa.schema({"snapshot": pa.string(), "notes": pa.binary(), "records": pa.binary(), "edges": pa.binary()})
PARTS = pa.schema({"table": pa.string(), "file": pa.binary()})
FILES = pa.schema({"snapshot": pa.string(), "table": pa.string(), "facts": pa.binary(), "file": pa.binary()})


def parquet(table: str, data: pa.Table) -> bytes:
    """Return the Parquet file of a table."""
    content: bytes = to_parquet(table, data).to_pybytes()
    return content


def checked(frame: DataFrame, table: Table) -> DataFrame:
    """Return a frame with the columns of a table and no others, after checking that it has them."""
    if not hasattr(frame, "sparkSession"):
        raise ArgumentError(
            f"expected a DataFrame of Spark, found {type(frame).__module__}.{type(frame).__name__}",
            hint="write others with their own writers, or pass them to spark.createDataFrame",
        )
    expected = {field.name: field.dataType.simpleString() for field in schema(table)}
    found = dict(frame.dtypes)
    if missing := expected.keys() - found.keys():
        raise ArgumentError(
            f"expected the columns {', '.join(expected)}, found {', '.join(found) or 'none'}",
            hint=f"keep {', '.join(sorted(missing))} in the frame: it must have the columns of the table {table.name}",
        )
    if other := [name for name, dtype in expected.items() if found[name] != dtype]:
        raise ArgumentError(
            f"expected {', '.join(f'{name} {expected[name]}' for name in other)}, "
            f"found {', '.join(f'{name} {found[name]}' for name in other)}",
            hint="cast them to the types of cachestats.data_dictionary()",
        )
    return frame.select(*expected)


def schema(table: Table) -> StructType:
    """Return the schema of a table, with its descriptions as column comments."""
    from pyspark.sql.types import StructType

    schema = StructType()
    for column in table.columns:
        schema.add(column.name, _TYPES[column.dtype], column.nullable, {"comment": column.description})
    return schema


def columns(schema: pa.Schema) -> str:
    """Return a schema in the text form that Spark accepts."""
    return ", ".join(f"`{column.name}` {column.type}" for column in schema)
