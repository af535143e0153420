"""The rules of findings: one table has them all, and no others are used."""

from __future__ import annotations

import re

import pyarrow as pa

from cachestats.findings import RULES, Finding, findings_in, rejected_table
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


def test_no_two_rules_have_the_same_meaning() -> None:
    assert len({rule.meaning for rule in RULES.values()}) == len(RULES)
