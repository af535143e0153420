"""SQL over the tables: check that a statement selects, and reads only the tables.

Only Polars parses statements: another parser would refuse some that Polars understands, and could take for text what
Polars takes for a call. But to plan a statement, Polars opens the files that it reads. So calls of functions known to
read files are found beforehand; any others appear in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachestats.errors import ArgumentError
from cachestats.schema import TABLES

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.dataset import Dataset

_SELECTING = frozenset({"SELECT", "WITH", "FROM", "VALUES"})
_READERS = frozenset({"read_csv", "read_ipc", "read_json", "read_ndjson", "read_parquet"})

_COMMENT = r"/\*(?:(?!/\*|\*/).)*\*/"
_NESTED_COMMENT = rf"/\*(?:(?!/\*|\*/).|{_COMMENT})*\*/"
_TOKEN = re.compile(
    rf"""(?P<blank> \s+ | --[^\n]* | {_NESTED_COMMENT} )
    | (?P<text> '(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \w+ )
    | (?P<mark> . )""",
    re.DOTALL | re.VERBOSE,
)
_UNSURE = frozenset("'\"`$#{}\\")
"""Other characters that begin text or a comment in some dialect of SQL."""
_SCANS = re.compile(r"^ *(\w+ SCAN) \[", re.MULTILINE)


def answer_query(dataset: Dataset, query: str) -> pl.DataFrame:
    """Return the answer to a query, which `Dataset.sql` leaves to be collected.

    Raises
    ------
    ArgumentError
        As `Dataset.sql`, or if the query fails on the values in the tables.
    DatasetError, RebuiltError
        As `Dataset.files`.
    """
    from polars.exceptions import PolarsError

    try:
        return dataset.sql(query).collect()
    except PolarsError as error:
        dataset.check_unchanged()
        raise query_error(error) from None


def check_query(query: str) -> None:
    """Check that a statement selects, and reads only the tables of a dataset.

    Raises
    ------
    ArgumentError
        If it does not.
    polars.exceptions.PolarsError
        If Polars does not understand it.
    """
    first = next((text for _, text in _tokens(query) if text not in {"(", ";"}), "nothing")
    if first.upper() not in _SELECTING:
        raise ArgumentError(
            f"expected a statement that begins with SELECT or WITH, found {first}",
            hint="the tables are read only: SELECT ... FROM specs",
        )
    if reader := _called_reader(query) or _planned_reader(query):
        raise ArgumentError(
            f"expected the tables of the dataset alone, found {reader}, which reads a file",
            hint=f"the tables are {', '.join(TABLES)}",
        )


def query_error(error: Exception) -> ArgumentError:
    """Return an error of Polars about a query as an ArgumentError."""
    return ArgumentError(
        f"expected a statement that Polars understands, found: {str(error).splitlines()[0]}",
        hint=f"the tables are {', '.join(TABLES)}; `cachestats dictionary` lists their columns",
    )


def _tokens(query: str) -> Iterator[tuple[int, str]]:
    """Yield the offset and text of each token; white space and comments are left out."""
    for match in _TOKEN.finditer(query):
        if match.lastgroup != "blank":
            yield match.start(), match[0]


def _called_reader(query: str) -> str | None:
    """Return the file-reading function that a query calls (or names, if text cannot be distinguished from code)."""
    named = re.search("|".join(_READERS), query, re.IGNORECASE) if _READERS else None
    if not named:
        return None
    before = ""
    for start, word in _tokens(query):
        # A letter before a quote begins another kind of text: E'\'' or q'[']'.
        is_prefixed = word[0] in "'\"`" and start and re.match(r"\w", query[start - 1])
        if is_prefixed or word in _UNSURE or (word == "*" and before == "/"):
            return named[0]
        if word == "(" and before.strip('"`').lower() in _READERS:
            return before
        before = word
    return None


def _planned_reader(query: str) -> str | None:
    """Return the scan of a file in the plan of a query, if any."""
    import polars as pl

    # The plan is made over empty tables, so it scans no files of the dataset. It shows text and names verbatim, and
    # these must not look like the scan of a file.
    empty = {name: pl.LazyFrame(schema=table.polars()) for name, table in TABLES.items()}
    plan = pl.SQLContext(empty, eager=False).execute(query.replace(" SCAN [", "_SCAN_[")).explain(optimized=False)
    found = _SCANS.search(plan)
    return found[1] if found else None
