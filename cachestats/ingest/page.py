"""Parse a single page, to inspect its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachestats.findings import Finding, rejected_table
from cachestats.ingest.assemble import assemble
from cachestats.ingest.closures import add_requirements
from cachestats.parse.pages import read_pages
from cachestats.schema import REJECTED, SPECS, VARIANTS
from cachestats.sources.items import Page
from cachestats.spack_releases import rules_of_snapshot
from cachestats.text import storable

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class ParsedPage:
    """The contents of one page, as `parse_page` returns them.

    Parameters
    ----------
    snapshot, package, specs, variants, rejected
        The attributes.

    Attributes
    ----------
    snapshot, package : str or None
        The snapshot and the package of the page; None if it cannot be read.
    specs, variants, rejected : polars.DataFrame
        The rows of the page in these tables.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> page = cs.parse_page(Path("site/_cache/develop-2025-03-09/hdf5/specs.md").read_bytes())
    >>> page.specs["target"].unique().sort().to_list()
    ['aarch64', 'x86_64_v3']
    """

    snapshot: str | None
    package: str | None
    specs: pl.DataFrame
    variants: pl.DataFrame
    rejected: pl.DataFrame

    def _repr_html_(self) -> str:
        import html

        names = html.escape(f"{self.package} in {self.snapshot}") if self.package else "a page that cannot be read"
        tables = [("specs", self.specs), ("rejected", self.rejected)]
        parts = [f"<p>{name}</p>{frame._repr_html_()}" for name, frame in tables if frame.height]
        return f"<b>{names}</b>{''.join(parts)}"


def parse_page(data: bytes | str, *, origin: str = "page") -> ParsedPage:
    """Read one page of the cache site.

    Parameters
    ----------
    data
        The page, as bytes or text.
    origin
        Name of the page in `rejected`.

    Returns
    -------
    ParsedPage
        The rows of the page in the tables `specs`, `variants` and `rejected`. Every fault of the page is a row in
        `rejected`; nothing is raised.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> page = cs.parse_page(Path("site/_cache/develop-2025-03-09/hdf5/specs.md").read_bytes())
    >>> page.package, page.snapshot, page.specs["hash"].n_unique(), page.rejected.height
    ('hdf5', 'develop-2025-03-09', 7, 0)
    >>> cs.parse_page("---").rejected["rule"].to_list()
    ['no-front-matter']
    """
    import polars as pl

    # Lone surrogates cannot be encoded in UTF-8; "surrogatepass" keeps them as bytes that are then found and reported.
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    found = next(read_pages([Page(storable(origin), raw)]))
    if isinstance(found, Finding):
        specs, variants = SPECS.arrow().empty_table(), VARIANTS.arrow().empty_table()
        snapshot = package = None
        findings = [found]
    else:
        tables = assemble([found])
        finished = add_requirements(tables.specs, tables.dependencies, rules_of_snapshot(found.snapshot))
        specs, variants = finished.cast(SPECS.arrow()), tables.variants.cast(VARIANTS.arrow())
        snapshot, package = found.snapshot, found.pages[0].package
        findings = [*found.findings, *tables.findings]
    frames = (
        pl.DataFrame(table, schema=declared.polars())
        for table, declared in ((specs, SPECS), (variants, VARIANTS), (rejected_table(findings), REJECTED))
    )
    return ParsedPage(snapshot, package, *frames)
