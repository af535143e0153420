"""SQL over the tables: which statements may be asked, and that they read nothing but the tables.

Polars alone parses a statement: another parser would refuse what only Polars understands, and could take for text what
Polars takes for a call. But Polars opens the files that a statement reads to plan it. So a call of a function that is
known to read files is found beforehand; any other shows in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cachestats.errors import ArgumentError
from cachestats.schema import TABLES

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
"""What else may begin text or a comment in one dialect of SQL or another."""
_SCANS = re.compile(r"^ *(\w+ SCAN) \[", re.MULTILINE)


def check_query(query: str) -> None:
    """Refuse a statement that does not select, or reads more than the tables of a dataset.

    Raises
    ------
    ArgumentError
        If it is such a statement.
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
    """Return what Polars says against a query as an error of whoever asks it."""
    return ArgumentError(
        f"expected a statement that Polars understands, found: {str(error).splitlines()[0]}",
        hint=f"the tables are {', '.join(TABLES)}; `cachestats dictionary` lists their columns",
    )


def _tokens(query: str) -> Iterator[tuple[int, str]]:
    """Yield where each token begins, and the token; white space and comments are left out."""
    for match in _TOKEN.finditer(query):
        if match.lastgroup != "blank":
            yield match.start(), match[0]


def _called_reader(query: str) -> str | None:
    """Return the function known to read files that a query calls or, where text cannot be told from code, names."""
    named = re.search("|".join(_READERS), query, re.IGNORECASE) if _READERS else None
    if not named:
        return None
    before = ""
    for start, word in _tokens(query):
        # A letter before a quote makes another kind of text: E'\'' or q'[']'.
        is_prefixed = word[0] in "'\"`" and start and re.match(r"\w", query[start - 1])
        if is_prefixed or word in _UNSURE or (word == "*" and before == "/"):
            return named[0]
        if word == "(" and before.strip('"`').lower() in _READERS:
            return before
        before = word
    return None


def _planned_reader(query: str) -> str | None:
    """Return what reads a file in the plan of a query."""
    import polars as pl

    # The plan is made over empty tables, so it scans no file of the dataset. It shows text and names as they are, which
    # must not look like the scan of a file.
    empty = {name: pl.LazyFrame(schema=table.polars()) for name, table in TABLES.items()}
    plan = pl.SQLContext(empty, eager=False).execute(query.replace(" SCAN [", "_SCAN_[")).explain(optimized=False)
    found = _SCANS.search(plan)
    return found[1] if found else None
