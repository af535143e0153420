"""What was found wrong with the input, as data: one `Finding` is one row of the table `rejected`.

All rules stand in one table, `RULES`, from which the documentation lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from cachestats.schema import REJECTED, Severity

if TYPE_CHECKING:
    import pyarrow as pa

Scope = Literal["source", "file", "spec"]

MOST_LISTED = 10_000
"""The most findings of one rule in one file that are listed."""


class Rule(NamedTuple):
    """A rule that input can break.

    Attributes
    ----------
    scope : str
        What a finding is about: a source, a file (a page, an index, a member of an archive), or one spec in a file.
    severity : str
        `error`: something was left out. `warning`: everything was kept.
    meaning : str
        What is wrong.
    remedy : str
        What to do about it.
    is_failure : bool
        Whether nothing of the file could be read; the snapshot of an index then stays as it was.
    is_of_page_entry : bool
        Whether the specs that it leaves out are among those that their page counts.
    """

    name: str
    scope: Scope
    severity: Severity
    meaning: str
    remedy: str
    is_failure: bool = False
    is_of_page_entry: bool = False


_RULES = (
    Rule("missing", "file", "error", "A file is not there, though another names it.", "Check the path or URL.", True),
    Rule("unreadable", "file", "error", "The bytes of a file cannot be read.", "Check the file or the server.", True),
    Rule("index", "file", "error", "An index is not the JSON of a Spack database.", "Fetch it again.", True),
    Rule("too-large", "file", "error", "A page is larger than any page can be.", "Check the file."),
    Rule(
        "too-many",
        "file",
        "error",
        "A page or an index has more specs than are read from one.",
        "Check the file, or raise the limit with `--max-records` or `--max-specs`.",
        True,
    ),
    Rule(
        "unsafe-path",
        "file",
        "error",
        "A member of an archive has a path that leads out of it.",
        "Make the archive again.",
    ),
    Rule("empty", "file", "error", "A page has no content.", "Fetch or write the page again."),
    Rule("nul-byte", "file", "error", "A page has a NUL byte.", "Fetch the page again."),
    Rule("encoding", "file", "error", "A page is not UTF-8.", "Fetch the page again, or save it as UTF-8."),
    Rule("no-front-matter", "file", "error", "A page does not begin with `---`.", "Check that it is a page."),
    Rule("truncated", "file", "error", "The front matter of a page does not end.", "Fetch the page again."),
    Rule(
        "repeated-key",
        "file",
        "error",
        "A key occurs twice in the front matter.",
        "Write a page for each package and snapshot.",
    ),
    Rule("yaml", "file", "error", "Long front matter is YAML instead of JSON.", "Write the values as JSON."),
    Rule("yaml-alias", "file", "error", "The front matter has a YAML alias.", "Write the value out."),
    Rule("nested", "file", "error", "The front matter is nested too deeply.", "Fetch or write the page again."),
    Rule("syntax", "file", "error", "The front matter is neither JSON nor YAML.", "Fetch the page again."),
    Rule(
        "title",
        "file",
        "error",
        "The name of a page's package is missing, not text, empty or too long.",
        "Write the page again, or put the name in quotes.",
    ),
    Rule(
        "categories",
        "file",
        "error",
        "The name of a page's snapshot, the second of its `categories`, is not text, empty or too long.",
        "Write the page again, or put the name in quotes.",
    ),
    Rule("snapshot", "file", "error", "The `categories` of a page have no second entry.", "Write the page again."),
    Rule("spec-details", "file", "error", "The specs of a page are not a list.", "Write the page again."),
    Rule(
        "no-hashes",
        "file",
        "error",
        "A page of 2021-22 names specs without their hashes.",
        "Take a newer page, or the index of the snapshot.",
    ),
    Rule("no-specs", "file", "error", "A page has no key `spec_details`.", "Check that it is a page."),
    Rule("no-entries", "file", "warning", "A page has an empty list of specs.", "Leave out the page."),
    Rule("trailing", "file", "warning", "Text follows the front matter of a page; it was not read.", "Remove it."),
    Rule(
        "second-document",
        "file",
        "error",
        "A second page follows in the same file; it was not read.",
        "Write a page for each package and snapshot.",
    ),
    Rule(
        "folder",
        "file",
        "warning",
        "A page's folder and front matter disagree; the latter wins.",
        "Move the page, or correct its front matter.",
    ),
    Rule("meta", "file", "warning", "A page's summary and specs disagree; the specs win.", "Write the page again."),
    Rule(
        "second-page",
        "file",
        "warning",
        "Two pages of a package differ; the specs of both are kept.",
        "Give one source for each snapshot.",
    ),
    Rule("version", "file", "warning", "An index is of an unknown version of the database.", "Update cachestats."),
    Rule("no-size", "file", "warning", "The sizes of some specs are unknown.", "`cachestats update --sizes`."),
    Rule("spec", "spec", "error", "An entry of a page is not a spec.", "Write the page again.", is_of_page_entry=True),
    Rule(
        "field",
        "spec",
        "error",
        "A field of a spec is missing or wrong.",
        "Write the page again, or correct the spec.",
        is_of_page_entry=True,
    ),
    Rule(
        "duplicate-hash",
        "spec",
        "error",
        "A hash occurs twice in a snapshot with different fields; the first spec is kept.",
        "Give one source for each snapshot, or write the page again.",
        is_of_page_entry=True,
    ),
    Rule("versions", "spec", "warning", "A spec has several versions; the first is kept.", "Write the page again."),
    Rule("size", "spec", "warning", "The size of a spec is not a number.", "Write the page again."),
    Rule(
        "bad-index",
        "file",
        "warning",
        "An index cannot be compared with the spec files that were read instead of it.",
        "`spack buildcache update-index`.",
    ),
    Rule(
        "no-spec",
        "file",
        "warning",
        "An image, or a spec file, has no spec, though its name says so; it was passed over.",
        "None, or a tag that does not end in `.spack`.",
    ),
    Rule(
        "spec-file",
        "spec",
        "error",
        "A spec file is missing, or is not what its checksum says, or not a spec file.",
        "`spack buildcache push --force`.",
    ),
    Rule(
        "unindexed",
        "spec",
        "warning",
        "An index lacks a spec whose spec file is in the cache; it was read.",
        "`spack buildcache update-index`.",
    ),
    Rule(
        "only-indexed",
        "spec",
        "warning",
        "An index lists a spec whose spec file is not in the cache; it was left out.",
        "`spack buildcache update-index`.",
    ),
    Rule("record", "spec", "error", "A record of an index is not a spec.", "`spack buildcache update-index`."),
    Rule(
        "stacks-disagree",
        "spec",
        "warning",
        "Indices of two stacks disagree about a spec; one was used.",
        "`spack buildcache update-index`.",
    ),
    Rule(
        "empty-snapshot",
        "source",
        "warning",
        "A catalogue names a snapshot without indices.",
        "None while the build cache is being filled; otherwise tell its maintainers.",
    ),
    Rule(
        "same-stack",
        "source",
        "warning",
        "A catalogue names a stack twice; both are kept.",
        "Tell the maintainers of the catalogue.",
    ),
)
RULES = {rule.name: rule for rule in _RULES}
"""All rules by name."""

FAILURES = frozenset(rule.name for rule in _RULES if rule.is_failure)
"""The rules whose findings mean that nothing of a file could be read."""


class Finding(NamedTuple):
    """Something that is wrong with the input, and where."""

    origin: str
    """The file, the member of an archive, or the catalogue that it was found in."""
    location: str
    """Where in it: a line, or a path such as `spec_details[3].hash`."""
    rule: str
    message: str
    hint: str
    num_specs: int | None = 0
    """The number of specs that were left out; None if nobody can tell."""
    snapshot: str | None = None
    package: str | None = None
    source: str | None = None
    """The source of the file; None until it was read."""

    @property
    def severity(self) -> Severity:
        """Whether something was left out."""
        return RULES[self.rule].severity

    @property
    def scope(self) -> Scope:
        """What the finding is about."""
        return RULES[self.rule].scope


class Findings:
    """Collects findings: of each rule, only the first in a file are listed, and the others are counted.

    A small file may have millions of faults, and nobody reads so many rows.
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._listed: list[Finding] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unlisted: Counter[tuple[str, str, str | None]] = Counter()
        self._specs: Counter[tuple[str, str, str | None]] = Counter()
        for one in findings:
            self.add(one)

    def add(self, finding: Finding) -> None:
        """List a finding, or count it."""
        if self.is_full(finding.origin, finding.rule):
            self.count(finding.origin, finding.rule, finding.snapshot, num_specs=finding.num_specs or 0)
        else:
            self._counts[finding.origin, finding.rule] += 1
            self._listed.append(finding)

    def is_full(self, origin: str, rule: str) -> bool:
        """Whether further findings of a rule in a file are only counted."""
        return self._counts[origin, rule] >= MOST_LISTED

    def count(self, origin: str, rule: str, snapshot: str | None, *, num_specs: int) -> None:
        """Count a finding that is not listed, and the specs that it leaves out."""
        self._unlisted[origin, rule, snapshot] += 1
        self._specs[origin, rule, snapshot] += num_specs

    def all(self) -> list[Finding]:
        """Return the findings that are listed, and one for all others of a rule in a file."""
        return self._listed + [
            Finding(
                origin,
                "file",
                rule,
                f"expected at most {MOST_LISTED:,} findings of a rule in a file, found {number:,} more, "
                "which are not listed",
                "start with those that are listed",
                num_specs=self._specs[origin, rule, snapshot],
                snapshot=snapshot,
            )
            for (origin, rule, snapshot), number in self._unlisted.items()
        ]


def rejected_table(findings: Iterable[Finding]) -> pa.Table:
    """Return findings as the table `rejected`, without repeats, sorted as it is stored."""
    import pyarrow as pa

    distinct = sorted(set(findings), key=lambda row: [(value is not None, value) for value in row])
    rows = [one._asdict() | {"severity": one.severity, "scope": one.scope} for one in distinct]
    return pa.Table.from_pylist(rows, schema=REJECTED.arrow())


def findings_in(rejected: pa.Table) -> list[Finding]:
    """Return the rows of the table `rejected` as findings."""
    names = Finding._fields
    return [Finding(*(row[name] for name in names)) for row in rejected.to_pylist()]


def rules_markdown() -> str:
    """Return all rules as a page in Markdown."""
    lines = [
        "# Rules of rejection",
        "",
        "Made by `make pages` from `cachestats.findings`; do not edit by hand.",
        "",
        "Each finding in the table `rejected` names the rule that the input broke. An error means that something was",
        "left out; a warning means that everything was kept.",
        "",
        "| Rule | Scope | Severity | Meaning | Remedy |",
        "|---|---|---|---|---|",
    ]
    rows = sorted(RULES.values(), key=lambda rule: (["source", "file", "spec"].index(rule.scope), rule.name))
    lines += [f"| `{one.name}` | {one.scope} | {one.severity} | {one.meaning} | {one.remedy} |" for one in rows]
    return "\n".join(lines) + "\n"
