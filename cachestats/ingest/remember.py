"""The sources that a dataset remembers: their names, their locations and what was selected from them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from cachestats.dataset.manifest import Manifest, SourceRecord
from cachestats.errors import DatasetError, SourceError
from cachestats.ingest.existing import Existing
from cachestats.naming import source_address
from cachestats.sources.items import Source, source_name
from cachestats.sources.request import Selection, SourceRequest
from cachestats.sources.storage.urls import is_url, redact_url
from cachestats.targets import archspec_version
from cachestats.text import storable
from cachestats.version import __version__


def made_by() -> dict[str, str]:
    """Return the versions of the packages that determine what is read from a source."""
    return {"cachestats": __version__, "archspec": archspec_version()}


def named_requests(requests: Iterable[SourceRequest], existing: Existing) -> list[SourceRequest]:
    """Give each source that is a path the name that the dataset has for it, or a new, unused one."""
    known = {source_address(name, source.name): source.location for name, source in existing.manifest.sources.items()}
    by_location = {location: name for name, location in known.items()}
    result = []
    for one in requests:
        name = by_location.get(location_of(one.address, existing.path))
        if not is_url(one.address) and one.address and name is None:
            name = source_name(Path(one.address))
            name = str(Path(one.address).resolve()) if name in known else name
        result.append(replace(one, name=name))
    return result


def remembered_requests(
    request: SourceRequest, addresses: Collection[str | os.PathLike[str]], existing: Existing
) -> list[SourceRequest]:
    """Return a request for each address, or else for all remembered sources, each with its earlier options.

    Raises
    ------
    DatasetError
        If there is no address and the dataset remembers no source.
    SourceError
        If there is no address and a remembered path does not exist.
    """
    remembered = existing.manifest.sources.values()
    requests = request.at(addresses)
    if not addresses:
        if not remembered:
            raise DatasetError(
                f"expected {existing.path} to name the sources that it was read from, found none",
                hint="name the source: cachestats update DATASET SOURCE",
            )
        # An = in them splits off no name.
        requests = [
            replace(request, address=_address_of(name, source.location, existing.path))
            for name, source in existing.manifest.sources.items()
        ]
    by_location = {source.location: source for source in remembered}
    return [
        _with_options(one, by_location.get(location_of(one.address, existing.path)))
        for one in named_requests(requests, existing)
    ]


def _address_of(name: str, location: str, dataset: Path) -> str:
    """Return the address of a remembered source."""
    if is_url(location):
        return location
    path = os.path.normpath(dataset / location)
    if not os.path.lexists(path):
        raise SourceError(
            f"expected the source {name} of {dataset} at {path}, found nothing there",
            hint="its path is known from the dataset: if one of them was moved, name the source again with "
            f"`cachestats build SOURCE --out {dataset}`",
        )
    return path


def source_records(
    sources: Mapping[Source, SourceRequest],
    existing: Existing,
    files: Mapping[str, int],
    *,
    keeps_selections: bool = False,
) -> dict[str, SourceRecord]:
    """Return the records of the sources that were read, enough to open them again, for the manifest.

    Parameters
    ----------
    sources
        The sources and their requests.
    existing
        The dataset. It keeps what was selected from a source before, so earlier selections are remembered with the
        present ones.
    files
        The number of pages and indices found in each source.
    keeps_selections
        Whether the present selections apply to this run only.
    """
    return {
        source.name: _record(
            source, request, existing, existing.manifest.sources.get(source.name), files[source.name], keeps_selections
        )
        for source, request in sources.items()
    }


def location_of(address: str, dataset: Path) -> str:
    """Return the location of a source: a URL without secrets, or a path from the dataset, so that both can be moved."""
    if is_url(address):
        return redact_url(address).rstrip("/")
    if "\0" in address:
        raise SourceError("expected a path, found one with a null character", hint="check the path")
    return storable(os.path.relpath(Path(address).resolve(), dataset.resolve()))


def are_changed(records: Mapping[str, SourceRecord], manifest: Manifest) -> bool:
    """Whether the records of sources differ from those in the manifest.

    The numbers of files do not count: which folders are searched depends on the inputs already known. The checksums of
    folders follow from the inputs.
    """
    return any(
        name not in manifest.sources or _as_asked(record) != _as_asked(manifest.sources[name])
        for name, record in records.items()
    )


def _as_asked(record: SourceRecord) -> SourceRecord:
    """Return the record of a source without what was found in it."""
    return msgspec.structs.replace(record, files=0, passed_over=0, folders={}, is_whole=False, by_git={}, commit=None)


def _with_options(request: SourceRequest, source: SourceRecord | None) -> SourceRequest:
    if source is None:
        return request
    asked = request.selection
    name, snapshots = asked.name, asked.snapshots
    if name is None:
        name = source.name
        snapshots = tuple(one for one in snapshots if one != name)  # the source itself calls it something else
    named_before = source.kind in {"index", "oci"} and name != source.name  # its selection was its earlier name
    selection = Selection(
        snapshots or (() if named_before else tuple(source.snapshots)), asked.stacks or tuple(source.stacks), name
    )
    hosts = tuple(sorted({*request.network.allow_hosts, *source.allow_hosts}))
    network = replace(request.network, allow_hosts=hosts, signed=request.network.signed or source.signed)
    return replace(
        request,
        selection=selection,
        network=network,
        sizes=request.sizes or source.sizes,
        without_index=request.without_index or source.without_index,
    )


def _record(
    source: Source,
    request: SourceRequest,
    existing: Existing,
    before: SourceRecord | None,
    files: int,
    keeps_selections: bool,
) -> SourceRecord:
    if before is not None and keeps_selections:
        snapshots, stacks = before.snapshots, before.stacks
    else:
        known = None if source.is_named_by_selection else before
        snapshots = _all_selected(known.snapshots if known else None, request.selection.snapshots)
        stacks = _all_selected(known.stacks if known else None, request.selection.stacks)
    return SourceRecord(
        kind=source.kind,
        location=location_of(request.address, existing.path),
        snapshots=snapshots,
        stacks=stacks,
        allow_hosts=sorted(set(request.network.allow_hosts)),
        signed=request.network.signed,
        sizes=request.sizes,
        without_index=request.without_index,
        name=request.selection.name,
        files=files,
        passed_over=source.passed_over,
    )


def _all_selected(before: list[str] | None, now: Collection[str]) -> list[str]:
    """Return the union of the selections before and now; an empty list means everything."""
    if before is None:
        return list(now)
    return sorted({*before, *now}) if before and now else []
