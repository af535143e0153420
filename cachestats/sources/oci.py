"""OCI build caches: in a registry, or in a folder with the OCI image layout.

Spack pushes each spec as an image. Its tag names package, version and hash; the config of its manifest is the spec
file, and its last layer is the binary. The tag `index.spack` has the index as its first layer. What has a digest is
compared with it; tags without the ending `.spack` are of other images, and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Protocol

import msgspec

from cachestats.decode import Decoder, JsonError, Record, decode
from cachestats.errors import SourceError
from cachestats.sources.items import BinarySize, Content, Mirror, Previous, ReadTask, Source, SourceKind
from cachestats.sources.mirror import IndexLocation, ManifestError, index_tasks, no_index, read_verified
from cachestats.sources.request import Selection, SpecFileReading
from cachestats.sources.spec_files import MAX_SPEC_FILE_BYTES, NoSpecError, SpecFile, read_spec_file
from cachestats.sources.storage.base import Fingerprint, Storage
from cachestats.sources.storage.oci import RegistryStorage
from cachestats.sources.storage.transfer import DamagedError, MissingError
from cachestats.text import counted

INDEX_TAG = "index.spack"
LAYOUT = "oci-layout"
"""The file by which a folder says that it has the OCI image layout."""

_ENDING = ".spack"
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)  # of any other, a URL might lead elsewhere
_LONGEST_TAG = 128
_MAX_MANIFEST_BYTES = 4 << 20  # as much as registries must accept
_MAX_LIST_BYTES = 256 << 20
_NAME_OF_TAG = "org.opencontainers.image.ref.name"
_DIGEST = re.compile("sha256:([0-9a-f]{64})")


class Descriptor(Record):
    """The digest and the size of a blob."""

    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]

    @property
    def checksum(self) -> str:
        """The sha256 checksum in the digest.

        Raises
        ------
        ManifestError
            If it is another digest.
        """
        match = _DIGEST.fullmatch(self.digest)
        if match is None:
            raise ManifestError(
                f"expected a digest sha256:..., found {self.digest[:100]!r}", hint="push it again: Spack writes sha256"
            )
        return match[1]


class Manifest(msgspec.Struct):
    """The manifest of an image; that of images for several platforms has no config."""

    config: Descriptor | None = None
    layers: list[Descriptor] = []


class _Tagged(Descriptor):
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class _Layout(msgspec.Struct):
    manifests: list[_Tagged]


class Images(Protocol):
    """Images by their tags, and blobs by their checksums."""

    @property
    def storage(self) -> Storage:
        """Where they are."""
        ...

    @property
    def name(self) -> str:
        """The URL or path of the cache, for messages."""
        ...

    def tags(self) -> Mapping[str, Fingerprint]:
        """Return the tags with the digests of their manifests, as far as looking at the tags tells these."""
        ...

    def manifest(self, tag: str) -> bytearray:
        """Return the manifest of an image.

        Raises
        ------
        MissingError
            If there is no such tag.
        SourceError
            If it cannot be read.
        """
        ...

    def blob(self, checksum: str) -> str:
        """Return the path of a blob in the storage."""
        ...


@dataclass(frozen=True)
class Repository:
    """The images of a repository in a registry."""

    storage: RegistryStorage
    path: str
    """The URL of the repository in the registry's API."""
    name: str

    def tags(self) -> Mapping[str, Fingerprint]:
        """Return the tags; only asking for each of them would tell its digest, and those of specs have a hash."""
        return dict.fromkeys(self.storage.tags(self.path), "")

    def manifest(self, tag: str) -> bytearray:
        """Return the manifest of an image."""
        return self.storage.read(f"{self.path}/manifests/{tag}", limit=_MAX_MANIFEST_BYTES)

    def blob(self, checksum: str) -> str:
        """Return the URL of a blob."""
        return f"{self.path}/blobs/sha256:{checksum}"


@dataclass(frozen=True)
class Layout:
    """The images in a folder with the OCI image layout."""

    storage: Storage
    path: str
    name: str

    def tags(self) -> Mapping[str, Fingerprint]:
        """Return the tags with their digests."""
        return {tag: one.digest for tag, one in self._images.items()}

    def manifest(self, tag: str) -> bytearray:
        """Return the manifest of an image."""
        found = self._images.get(tag)
        if found is None:
            raise MissingError(f"expected the tag {tag}, found none in {self.name}", hint="check the path")
        path = self.blob(found.checksum)
        return bytearray(read_verified(self.storage, path, found.checksum, found.size, limit=_MAX_MANIFEST_BYTES).data)

    def blob(self, checksum: str) -> str:
        """Return the path of a blob."""
        return f"{self.path}/blobs/sha256/{checksum}"

    @cached_property
    def _images(self) -> dict[str, _Tagged]:
        path = f"{self.path}/index.json"
        try:
            data = self.storage.read(path, limit=_MAX_LIST_BYTES)
            found = Decoder(_Layout).decode(data, most_records=self.storage.limits.records).manifests
        except JsonError as error:
            raise SourceError(
                f"expected the list of the images in {self.name}, found in its index.json: {error}",
                hint="copy the cache again",
            ) from error
        # Some tools write `HOST/NAME:TAG`.
        named = [(one.annotations.get(_NAME_OF_TAG, "").rpartition(":")[2], one) for one in found]
        return {tag: one for tag, one in named if tag}


def read_image(images: Images, tag: str) -> Manifest:
    """Return the manifest of an image.

    Raises
    ------
    ManifestError
        If it is no manifest.
    MissingError
        If there is no such tag.
    SourceError
        If it cannot be read.
    """
    try:
        return decode(images.manifest(tag), Manifest)
    except JsonError as error:
        raise ManifestError(
            f"expected the manifest of an image at {images.name}:{tag}, found: {error}", hint="push it again"
        ) from error


def tag_of(package: str, version: str, hash_: str) -> str:
    """Return the tag of a spec, as Spack makes it.

    Examples
    --------
    >>> from cachestats.sources.oci import tag_of
    >>> tag_of("zlib", "git.1.3=1.3", "hlcpgi6pqe5zzc7l4oyiewk73mmxoqmt")
    'zlib-git.1.3_1.3-hlcpgi6pqe5zzc7l4oyiewk73mmxoqmt.spack'
    """
    tag = re.sub(r"[^\w.-]", "_", f"{package}-{version}-{hash_}{_ENDING}", flags=re.ASCII)
    half = _LONGEST_TAG // 2
    return tag if len(tag) <= _LONGEST_TAG else tag[:half] + tag[-half:]


@dataclass(frozen=True)
class ImageSizes:
    """The sizes of the binaries in images: a binary is the last layer, after those of a base image."""

    images: Images

    def size(self, package: str, version: str, hash_: str) -> BinarySize | None:
        """Return the size of the binary of a spec, or None if it has no image."""
        try:
            return _size(read_image(self.images, tag_of(package, version, hash_)))
        except (ManifestError, MissingError):
            return None


def _size(manifest: Manifest) -> BinarySize:
    return BinarySize(manifest.layers[-1].size if manifest.layers else None)


@dataclass(frozen=True)
class ImageOfIndex(IndexLocation):
    """The index of an OCI cache, which has its own image."""

    images: Images

    @property
    def mirror(self) -> Mirror | None:
        """The images of the specs, which tell sizes."""
        return ImageSizes(self.images)

    def look(self, previous: Previous) -> tuple[Fingerprint, Callable[[], Content]]:
        """Return the digest of the index, and how to read it."""
        try:
            manifest = read_image(self.images, INDEX_TAG)
        except MissingError as error:
            specs = sum(map(_is_of_spec, self.images.tags()))
            raise no_index(self.images.name, counted(specs, "spec")) from error
        if not manifest.layers:
            raise ManifestError(
                f"expected an index in {self.images.name}:{INDEX_TAG}, found no layers",
                hint=f"let Spack write it again: spack buildcache update-index {self.images.name}",
            )
        layer = manifest.layers[0]
        path = self.images.blob(layer.checksum)
        return layer.checksum, partial(read_verified, self.images.storage, path, layer.checksum, layer.size)


class SpecFilesOfImages:
    """The spec files of an OCI cache: the configs of its images."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self.mirror: Mirror | None = ImageSizes(images)

    def names(self) -> Mapping[str, Fingerprint]:
        """Return the tags of specs."""
        return {tag: digest for tag, digest in self._images.tags().items() if _is_of_spec(tag)}

    def read(self, name: str) -> SpecFile:
        """Return the spec file in the image at a tag."""
        manifest = read_image(self._images, name)
        config = manifest.config
        if config is None:
            raise NoSpecError
        if config.size > MAX_SPEC_FILE_BYTES:
            raise DamagedError(
                f"expected a spec file of at most {MAX_SPEC_FILE_BYTES:,} bytes at {name}, found {config.size:,}",
                hint="check the image",
            )
        path = self._images.blob(config.checksum)
        data = read_verified(self._images.storage, path, config.checksum, config.size, limit=MAX_SPEC_FILE_BYTES).data
        found = read_spec_file(data)
        return msgspec.structs.replace(found, digest=config.checksum, size=_size(manifest).num_bytes)


def _is_of_spec(tag: str) -> bool:
    return _TAG.fullmatch(tag) is not None and tag.endswith(_ENDING) and tag != INDEX_TAG


class OciSource(Source):
    """An OCI build cache, which is one stack of one snapshot."""

    kind: SourceKind = "oci"
    may_have_pages = False
    is_named_by_selection = True

    def __init__(
        self,
        name: str,
        images: Images,
        selection: Selection,
        names: tuple[str, str],
        spec_files: SpecFileReading | None,
    ) -> None:
        self.name, self.selection = name, selection
        self.passed_over = 0
        self._images, self._names, self._spec_files = images, names, spec_files

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the one index: Spack's, or the one made of the spec files."""
        images = self._images
        found: IndexLocation = ImageOfIndex(images.storage, INDEX_TAG, f"{self.name}:{INDEX_TAG}", *self._names, images)
        if self._spec_files is not None:
            from cachestats.sources.without_index import SpecFilesLocation  # on first use: few sources need it

            store = SpecFilesOfImages(images)
            found = SpecFilesLocation(
                images.storage, images.name, self.name, *self._names, store, self._spec_files, found
            )
        yield from index_tasks(self.name, [found], previous, self.selection)
