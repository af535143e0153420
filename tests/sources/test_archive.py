"""Archives: they give what the folder gives, in any order, and a damaged or hostile one does no harm."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import cachestats as cs
from cachestats.errors import DatasetError, SourceError
from tests.support.datasets import bytes_of, site_archive
from tests.support.site import page, spec

GOOD = page(specs=[spec(), spec("b" * 32)])


@pytest.fixture(scope="module")
def expected(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return bytes_of(cs.build_dataset(site, out=tmp_path_factory.mktemp("expected") / "dataset"))


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.zst", "zip"])
def test_an_archive_gives_the_same_bytes_in_any_order(
    kind: str, site: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    dataset = cs.build_dataset(site_archive(site, tmp_path / f"site.{kind}", seed=len(kind)), out=tmp_path / "dataset")
    assert bytes_of(dataset) == expected
    (source,) = dataset.manifest.sources.values()
    assert (source.kind, source.files, source.passed_over) == (kind, 120, 2)


def test_an_archive_of_mirrors_says_so(tmp_path: Path) -> None:
    for number, found in ((1, "1 index of mirrors"), (2, "2 indices of mirrors")):
        members = [(f"{n}/build_cache/index.json", b"{}", tarfile.REGTYPE) for n in range(number)]
        (tmp_path / "mirrors.tar").write_bytes(tar_of(members))
        for stacks in ([], ["e4s"]):
            with pytest.raises(SourceError, match=rf"expected pages .*, found {found}"):
                cs.build_dataset(tmp_path / "mirrors.tar", out=tmp_path / "dataset", stacks=stacks)


def test_stacks_are_not_selected_from_pages(site: Path, tmp_path: Path) -> None:
    archive, out = site_archive(site, tmp_path / "site.tar", seed=1), tmp_path / "dataset"
    for source in (archive, site, next(site.rglob("specs.md"))):
        with pytest.raises(SourceError, match="expected indices to select the stacks e4s from"):
            cs.build_dataset(source, out=out, stacks=["e4s"])
    cs.build_dataset(archive, out=out)
    with pytest.raises(SourceError, match="expected indices to select the stacks e4s from"):
        cs.update_dataset(out, stacks=["e4s"])


Member = tuple[str, bytes, bytes]


def tar_of(members: list[Member]) -> bytes:
    """Return a .tar of members (name, content or link target, type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
            elif kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = content.decode()
            archive.addfile(member, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        (("/etc/_cache/develop/x/specs.md", GOOD.encode(), tarfile.REGTYPE), "unsafe-path"),
        (("../../_cache/develop/x/specs.md", GOOD.encode(), tarfile.REGTYPE), "unsafe-path"),
        (("_cache/develop/x/specs.md", b"/etc/passwd", tarfile.SYMTYPE), "unreadable"),
        (("_cache/develop/x/specs.md", b"../y/specs.md", tarfile.LNKTYPE), "unreadable"),
        (("_cache/develop/x/specs.md", b"", tarfile.CHRTYPE), "unreadable"),
        (("_cache/develop/x/specs.md", b"", tarfile.FIFOTYPE), "unreadable"),
    ],
)
def test_unsafe_members_of_an_archive_are_rejected(member: Member, rule: str, tmp_path: Path) -> None:
    archive = tmp_path / "site.tar"
    archive.write_bytes(tar_of([("_cache/develop/zlib/specs.md", GOOD.encode(), tarfile.REGTYPE), member]))
    dataset = cs.build_dataset(archive, out=tmp_path / "dataset", max_rejected=0.5)
    assert dataset.manifest.snapshots["develop"].num_specs == 2
    (row,) = dataset.rejected.collect().rows(named=True)
    assert (row["rule"], row["origin"]) == (rule, f"{archive}!{member[0]}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "site.tar"], "nothing was unpacked"


def test_a_cut_or_damaged_archive_is_an_error_and_publishes_nothing(tmp_path: Path) -> None:
    pages = [(f"_cache/develop/p{n}/specs.md", page(f"p{n}", specs=[spec(f"{n:032d}")])) for n in range(9)]
    tarred = tar_of([(name, text.encode(), tarfile.REGTYPE) for name, text in pages])
    end = len(tarred.rstrip(b"\0"))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, text in pages:
            archive.writestr(name, text)
    packed = gzip.compress(tarred)
    damaged = {f"cut-{at}.tar": tarred[:at] for at in (600, 1024, 1500, 1536, end - 700, end - 100, end + 100)}
    damaged |= {f"cut-{at}.tar.gz": packed[:at] for at in range(200, len(packed), 100)}
    damaged |= {f"flip-{at}.tar.gz": flipped(packed, at) for at in range(len(packed) - 8, len(packed))}
    damaged |= {f"flip-{at}.tar": flipped(tarred, at) for at in range(1536 + 100, 1536 + 130)}
    damaged |= {"two.tar": tarred + tarred, "two.tar.gz": packed + packed, "cut.zip": zipped.getvalue()[:-9]}
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match="cut off or damaged"):
            cs.build_dataset(tmp_path / name, out=tmp_path / "dataset", max_rejected=1)
        with pytest.raises(DatasetError):
            cs.open_dataset(tmp_path / "dataset")


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("size", [2**60, 99_999_999_999])
def test_a_member_that_claims_to_be_huge_is_not_waited_for(size: int, kind: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo("_cache/develop/a/specs.md")
    member.size = size
    data = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    (tmp_path / kind).write_bytes(gzip.compress(data) if kind == "tar.gz" else data)
    with pytest.raises(SourceError, match=f"would have {size:,} bytes|bytes when decompressed|cut off"):
        cs.build_dataset(tmp_path / kind, out=tmp_path / "dataset")


def test_a_damaged_member_of_a_zip_is_a_row(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in "ab":
            archive.writestr(f"_cache/develop/{name}/specs.md", page(name, specs=[spec(name * 32)]))
    (tmp_path / "site.zip").write_bytes(buffer.getvalue().replace(b'title: "a"', b'title: "x"'))
    dataset = cs.build_dataset(tmp_path / "site.zip", out=tmp_path / "dataset", max_rejected=0.5)
    assert dataset.specs.collect()["package"].unique().to_list() == ["b"]
    assert "Bad CRC-32" in dataset.rejected.collect()["message"][0]
