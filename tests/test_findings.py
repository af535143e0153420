"""The rules of findings: one table has them all, and no others are used."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from cachestats.findings import RULES, Finding, Findings, findings_in, rejected_table
from conftest import ROOT

# Where a page does not name its package or its snapshot, the rule is the key that should.
OF_KEYS = {"title", "categories"}


def test_every_rule_is_used() -> None:
    code = "".join(path.read_text() for path in (ROOT / "cachestats").rglob("*.py") if path.name != "findings.py")
    used = {name for name in RULES if re.search(rf'"{re.escape(name)}"', code)}
    assert RULES.keys() == used | OF_KEYS


def test_findings_are_stored_once_with_what_their_rules_say() -> None:
    one = Finding("a", "line 1", "encoding", "expected UTF-8", "write it again", None, source="site")
    other = Finding("a", "spec_details[0]", "size", "expected a number", "nothing", snapshot="develop")
    table = rejected_table([other, one, other])
    assert findings_in(table) == [one, other]
    assert table.select(["severity", "scope"]).to_pylist() == [
        {"severity": "error", "scope": "file"},
        {"severity": "warning", "scope": "spec"},
    ]
    assert rejected_table([]).num_rows == 0
    assert isinstance(table, pa.Table)


def test_findings_that_are_not_listed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachestats.findings.MOST_LISTED", 2)
    every = [
        Finding(origin, f"spec_details[{number}]", rule, "expected a spec", "", num_specs=number)
        for origin, rule in (("a", "spec"), ("a", "size"), ("b", "spec"))
        for number in range(2 if origin == "b" else 5)
    ]
    found = Findings(every).all()
    assert [one for one in found if one in every] == [one for one in every if one.location[-2] in "01"]
    rest = [one for one in found if one not in every]
    assert [(one.origin, one.rule, one.num_specs) for one in rest] == [("a", "spec", 9), ("a", "size", 9)]
    assert all("found 3 more" in one.message for one in rest)


def test_no_two_rules_have_the_same_meaning() -> None:
    assert len({rule.meaning for rule in RULES.values()}) == len(RULES)
