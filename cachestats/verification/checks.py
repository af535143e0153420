"""What is checked of caches and datasets, as data: one `Check` for each kind of finding.

All checks stand in one table, `CHECKS`, from which the documentation lists them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cachestats.schema import Severity

When = Literal["source", "dataset", "both", "deep", "blobs", "keyring"]

_WHEN: dict[When, str] = {
    "source": "of sources",
    "dataset": "of datasets",
    "both": "always",
    "deep": "with `--deep`",
    "blobs": "with `--blobs`",
    "keyring": "with `--keyring`",
}


class Check(NamedTuple):
    """A kind of finding.

    Attributes
    ----------
    severity : str
        `error`: users of the cache get something wrong, or cannot get it. `warning`: something is odd or useless.
    when : str
        What it is checked of, or the option that asks for it.
    meaning : str
        What is wrong.
    remedy : str
        What to do about it.
    """

    name: str
    severity: Severity
    when: When
    meaning: str
    remedy: str


_CHECKS = (
    Check(
        "unreadable",
        "error",
        "source",
        "An index, a manifest or a spec file is missing or damaged.",
        "Fetch it again, or `spack buildcache update-index`.",
    ),
    Check("record", "error", "source", "A record of an index is not a spec.", "`spack buildcache update-index`."),
    Check("odd", "warning", "source", "An index or a catalogue is odd, and was read all the same.", "See the message."),
    Check(
        "hash",
        "error",
        "source",
        "The DAG hash of a spec is not that of its content.",
        "Push the spec again from an installation, and all that depends on it.",
    ),
    Check(
        "contradiction",
        "error",
        "both",
        "A hash has different content in two indices, snapshots or mirrors.",
        "`spack buildcache update-index`; if it stays, push the spec again.",
    ),
    Check(
        "union",
        "warning",
        "source",
        "The index of a stack has a spec that the index of the whole snapshot lacks.",
        "`spack buildcache update-index` for the whole snapshot.",
    ),
    Check(
        "hole",
        "error",
        "both",
        "Cached specs need a spec, to link or run, that is not in the cache.",
        "Push the missing spec, or remove those that need it.",
    ),
    Check(
        "unusable",
        "warning",
        "both",
        "No host can use a spec, by the rules of the Spack that wrote the snapshot.",
        "Build it again with that Spack, or remove it.",
    ),
    Check("no-manifest", "error", "deep", "A spec of an index has no spec file or manifest.", "Push the spec again."),
    Check("no-binary", "error", "deep", "A spec has no binary, or its manifest names a file that is not there.",
          "Push the spec again."),
    Check("unindexed", "warning", "deep", "A spec is there, but in no index.", "`spack buildcache update-index`."),
    Check(
        "age",
        "warning",
        "deep",
        "The index of a mirror is more than an hour older than its newest spec.",
        "`spack buildcache update-index`.",
    ),
    Check("blob", "error", "blobs", "A file has another checksum or length than it should.", "Push the spec again."),
    Check("signature", "error", "keyring", "A signature is not by a key of the keyring.", "Do not install the spec."),
    Check("unsigned", "warning", "keyring", "A spec is not signed.", "`spack buildcache push --key`."),
    Check(
        "file",
        "error",
        "dataset",
        "A file of a dataset is missing, or has another size or checksum than the manifest says.",
        "`cachestats build SOURCE --out DATASET --repair`.",
    ),
    Check(
        "extra-file",
        "warning",
        "dataset",
        "There is a file among the tables that the manifest does not list; other programs may read it.",
        "Move it elsewhere.",
    ),
)  # fmt: skip
CHECKS = {check.name: check for check in _CHECKS}
"""All checks by name."""
LISTED = ("no-manifest", "no-binary", "unindexed", "age")
"""The checks for which a mirror must be listed."""
OF_MIRROR = (*LISTED, "blob", "signature", "unsigned")
"""The checks of the storage of a mirror."""
OF_INDEX = ("record", "hash", "contradiction", "union", "hole", "unusable", *OF_MIRROR)
"""The checks that need what an index lists."""


def checks_markdown() -> str:
    """Return all checks as a page in Markdown."""
    lines = [
        "# Checks",
        "",
        "Made by `make pages` from `cachestats.verification.checks`; do not edit by hand.",
        "",
        "Each finding of `cachestats verify` names the check that failed. An error means that users of the cache get",
        "something wrong, or cannot get it; a warning means that something is odd or useless.",
        "",
        "| Check | Severity | Checked | Meaning | Remedy |",
        "|---|---|---|---|---|",
    ]
    rows = ((f"`{one.name}`", one.severity, _WHEN[one.when], one.meaning, one.remedy) for one in _CHECKS)
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
