"""The result of a verification, and the ledger in which its checks write."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cachestats.schema import Severity
from cachestats.text import counted
from cachestats.verification.checks import CHECKS

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Verification:
    """What `verify` found, and what it checked.

    Parameters
    ----------
    findings, checks
        The attributes.

    Attributes
    ----------
    findings : polars.DataFrame
        One row for each finding, errors first, then sorted by check, source, snapshot, package and hash:

        - `severity` (String): `error` or `warning`.
        - `check` (String): the check that failed.
        - `source` (String): the index, mirror or dataset in which it was found.
        - `snapshot`, `package`, `hash` (String): what it is about; null if it is about more.
        - `message`, `hint` (String): what was expected and found, and what to do.
    checks : polars.DataFrame
        One row for each check that was made or left out, in the order of the documentation:

        - `check` (String).
        - `checked` (Int64): the number of specs, files or indices that were checked.
        - `found` (Int64): the number of findings.
        - `not_checked` (Int64): the number of those that could not be checked; null if it is not known.
        - `why` (String): why not; null if all were checked.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.verify(cs.example_dataset().path)
    <Verification: 0 errors, 0 warnings>
    """

    findings: pl.DataFrame
    checks: pl.DataFrame

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity.

        Parameters
        ----------
        severity
            `error` or `warning`.

        Returns
        -------
        int
            The number.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.verify(cs.example_dataset().path).count("error")
        0
        """
        return self.findings.filter(severity=severity).height

    def __repr__(self) -> str:
        return f"<Verification: {self._words()}>"

    def _repr_html_(self) -> str:
        """Return the representation for Jupyter."""
        return f"<b>Verification</b>: {html.escape(self._words())}"

    def _words(self) -> str:
        return ", ".join(counted(self.count(severity), severity) for severity in ("error", "warning"))


class Place(NamedTuple):
    """Where something was found: an index, a mirror or a dataset, and the snapshot if it is of one."""

    source: str
    snapshot: str | None = None


class _Row(NamedTuple):
    severity: str
    check: str
    source: str
    snapshot: str | None
    package: str | None
    hash: str | None
    message: str
    hint: str


class Ledger:
    """Findings, and the numbers of what was checked and what was not."""

    def __init__(self) -> None:
        self._rows: dict[_Row, None] = {}
        self._checked: Counter[str] = Counter()
        self._skipped: dict[tuple[str, str], int | None] = {}
        self._left_out: dict[str, str] = {}

    def find(
        self,
        check: str,
        place: Place,
        message: str,
        *,
        package: str | None = None,
        digest: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Write down a finding; by default its hint is the remedy of the check."""
        found = CHECKS[check]
        hint = hint or found.remedy[:1].lower() + found.remedy[1:].rstrip(".")
        self._rows[_Row(found.severity, check, *place, package, digest, message, hint)] = None

    def count(self, check: str, number: int = 1) -> None:
        """Count what was checked."""
        self._checked[check] += number

    def skip(self, check: str, why: str, number: int | None = None) -> None:
        """Count what was not checked; None if nobody can tell how much it is."""
        known = self._skipped.get((check, why), 0)
        self._skipped[check, why] = None if number is None or known is None else known + number

    def leave_out(self, check: str, why: str) -> None:
        """Write down that a check is not made at all, which is all that is said of what it skips."""
        self._left_out[check] = why

    def verification(self) -> Verification:
        """Return what was written down."""
        import polars as pl

        texts = dict.fromkeys(_Row._fields, pl.String)
        order = ["severity", "check", "source", "snapshot", "package", "hash", "message"]
        findings = pl.DataFrame([*self._rows], schema=texts, orient="row").sort(order, nulls_last=False)
        found = Counter(row.check for row in self._rows)
        rows = []
        for name in CHECKS:
            skipped = {why: number for (check, why), number in self._skipped.items() if check == name}
            if name in self._left_out:
                skipped = {self._left_out[name]: None}
            if name not in self._checked and not skipped and not found[name]:
                continue
            unknown = None in skipped.values()
            number = None if unknown else sum(number or 0 for number in skipped.values())
            rows.append((name, self._checked[name], found[name], number, _words(skipped)))
        schema = {"check": pl.String, **dict.fromkeys(("checked", "found", "not_checked"), pl.Int64), "why": pl.String}
        return Verification(findings, pl.DataFrame(rows, schema=schema, orient="row"))


def _words(skipped: dict[str, int | None]) -> str | None:
    if len(skipped) < 2:
        return next(iter(skipped), None)
    return "; ".join(why if number is None else f"{number:,} {why}" for why, number in sorted(skipped.items()))
