"""Where specs come from.

A source yields its pages in batches that one worker reads and parses at a time, and its indices one by one.
"""

from __future__ import annotations

from cachestats.sources.addresses import is_address, plain_address
from cachestats.sources.base import Batch, Choice, Failed, Index, Item, Known, Page, Seen, Source, source_name
from cachestats.sources.mirror import Mirror
from cachestats.sources.opening import Given, open_sources
from cachestats.sources.storage import Network

__all__ = [
    "Batch",
    "Choice",
    "Failed",
    "Given",
    "Index",
    "Item",
    "Known",
    "Mirror",
    "Network",
    "Page",
    "Seen",
    "Source",
    "is_address",
    "open_sources",
    "plain_address",
    "source_name",
]
