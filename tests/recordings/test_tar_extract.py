"""Tars as BBB servers make them come out whole; hostile ones are refused, nothing is outside."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.recordings.tar_extract import TarLimits, extract_tar
from appliance.recordings.tar_format import BrokenTar, DiskFull, HostileTar, Stopped
from tests.doubles.recording_tars import recording_tar

LIMITS = TarLimits(max_members=100, max_bytes=50 << 20)
FILES = {
    "metadata2.xml": b"<x/>",
    "svg/ünïcödé " + "long" * 40 + ".svg": b"<svg/>",
    "empty": b"",
    "big.webm": os.urandom(3_000_001),
}


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data) or info.size
            archive.addfile(info, io.BytesIO(data) if data else None)
    return path


def member(name: str, type: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = type
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def file(name: str, data: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return member(name), data


def link(name: str, target: str, type: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    return member(name, type, linkname=target)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_extract_tar_gives_every_file_however_it_is_packed(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    tar = recording_tar(
        tmp_path, "r1", {"video": FILES, "notes": {"notes.pdf": b"%PDF"}},
        target=tmp_path / f"r1.tar{suffix}",
    )  # fmt: skip
    extract_tar(tar, target, LIMITS)
    found = {
        str(path.relative_to(target / "video/r1")): path.read_bytes()
        for path in (target / "video/r1").rglob("*")
        if path.is_file() and path.name != "metadata.xml"
    }
    assert found == FILES
    assert (target / "notes/r1/notes.pdf").read_bytes() == b"%PDF"


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_extract_tar_refuses_what_is_cut_off(tmp_path: Path, suffix: str, share: float) -> None:
    tar = recording_tar(tmp_path, "r1", {"video": FILES}, target=tmp_path / f"r1.tar{suffix}")
    data = tar.read_bytes()
    tar.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BrokenTar):
        extract_tar(tar, tmp_path, LIMITS)


def test_extract_tar_refuses_an_archive_cut_off_between_two_members(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", file("video/r1/a"), file("video/r1/b"))
    tar.write_bytes(tar.read_bytes()[:1024])
    with pytest.raises(BrokenTar):
        extract_tar(tar, tmp_path, LIMITS)


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "absolute": lambda p: tar_of(p, file("/tmp/evil")),
    "dot dot": lambda p: tar_of(p, file("video/../../evil")),
    "dot dot directory": lambda p: tar_of(p, member("../evil", tarfile.DIRTYPE)),
    "symlink out": lambda p: tar_of(p, link("video/r1/a", "../../../evil")),
    "symlink to another format": lambda p: tar_of(p, link("video/r1/a", "../../notes/r1/b")),
    "symlink absolute": lambda p: tar_of(p, link("video/r1/a", "/etc/passwd")),
    "symlink outside of a format": lambda p: tar_of(p, link("a", "b")),
    "hard link out": lambda p: tar_of(p, link("video/r1/a", "../evil", tarfile.LNKTYPE)),
    "hard link absolute": lambda p: tar_of(p, link("video/r1/a", "/etc/passwd", tarfile.LNKTYPE)),
    "links that go round": lambda p: tar_of(
        p, link("video/r1/a", "b"), link("video/r1/b", "a")
    ),
    "write through a link": lambda p: tar_of(
        p, link("video/r1/d", "../../.."), file("video/r1/d/evil")
    ),
    "device": lambda p: tar_of(p, member("video/r1/a", tarfile.CHRTYPE)),
    "pipe": lambda p: tar_of(p, member("video/r1/a", tarfile.FIFOTYPE)),
    "set-uid": lambda p: tar_of(p, member("video/r1/a", mode=0o4755)),
    "set-gid": lambda p: tar_of(p, member("video/r1/a", mode=0o2755)),
    "file over directory": lambda p: tar_of(p, file("video/r1/a/b"), file("video/r1/a")),
    "directory over file": lambda p: tar_of(p, file("video/r1/a"), file("video/r1/a/b")),
    "too many": lambda p: tar_of(p, *[file(f"video/r1/{n}") for n in range(101)]),
    "too deep": lambda p: tar_of(p, file("a/" * 80 + "b")),
    "part too long": lambda p: tar_of(p, file("a" * 300)),
    "no name": lambda p: tar_of(p, file(".")),
    "large header": lambda p: tar_of(p, member("x" * (2 << 20))),
    "sparse": lambda p: tar_of(
        p, member("video/r1/a", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "b"})
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_extract_tar_refuses_what_no_bbb_server_makes(tmp_path: Path, name: str) -> None:
    target = tmp_path / "a/b/c/target"
    target.mkdir(parents=True)
    with pytest.raises(HostileTar):
        extract_tar(HOSTILE[name](tmp_path / "a.tar"), target, LIMITS)
    outside = [p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "a")]
    assert outside == [tmp_path / "a.tar"]
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert [path.name for path in (tmp_path / "a/b/c").iterdir()] == ["target"]


def test_extract_tar_makes_files_of_links_that_stay_inside(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    tar = tar_of(
        tmp_path / "a.tar", link("video/r1/s/b", "../a"), file("video/r1/a", b"text"),
        link("video/r1/c", "s/b"), link("video/r1/d", "video/r1/a", tarfile.LNKTYPE),
    )  # fmt: skip
    extract_tar(tar, target, LIMITS)
    for name in ("a", "s/b", "c", "d"):
        path = target / "video/r1" / name
        assert not path.is_symlink()
        assert path.read_bytes() == b"text"


def test_extract_tar_counts_bytes_over_all_files(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", file("a", b"x" * 600), file("b", b"x" * 600))
    with pytest.raises(HostileTar):
        extract_tar(tar, tmp_path, TarLimits(10, 1000))


def test_extract_tar_counts_a_link_as_a_copy(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", file("v/r/a", b"x" * 600), link("v/r/b", "a"))
    with pytest.raises(HostileTar):
        extract_tar(tar, tmp_path, TarLimits(10, 1000))


def test_extract_tar_refuses_when_the_disk_would_be_filled(tmp_path: Path) -> None:
    # Said before a byte of it is read: the header's size is enough.
    tar = tmp_path / "a.tar"
    member = tarfile.TarInfo("a/b/c")
    member.size = shutil.disk_usage(tmp_path).total + 1
    tar.write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(DiskFull):
        extract_tar(tar, tmp_path, TarLimits(10, 1 << 60))
    assert not (tmp_path / "a").exists()


def test_extract_tar_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", file("a", b"x" * 5_000_000))
    with pytest.raises(Stopped):
        extract_tar(tar, tmp_path, LIMITS, stop=lambda: True)


@pytest.mark.parametrize("data", [b"", b"\0" * 512, b"not a tar" * 100, b"\x1f\x8bgarbage", b"PK"])
def test_extract_tar_takes_garbage_for_broken_or_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    if data == b"\0" * 512:
        assert extract_tar(tmp_path / "a.tar", tmp_path, LIMITS) == 0
    else:
        with pytest.raises(BrokenTar):
            extract_tar(tmp_path / "a.tar", tmp_path, LIMITS)


@given(
    name=st.text("ab./\\ü\n", min_size=1, max_size=40),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
    target=st.text("ab./", min_size=1, max_size=40),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_extract_tar_writes_nothing_outside_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, name: str, kind: bytes, target: str
) -> None:
    top = tmp_path_factory.mktemp("tar")
    inside = top / "1/2/3/4"
    inside.mkdir(parents=True)
    tar = tar_of(top / "a.tar", file("a/b/x"), member(name, kind, linkname=target))
    with suppress(HostileTar, BrokenTar):
        extract_tar(tar, inside, LIMITS)
    assert [path for path in top.rglob("*") if path.is_symlink()] == []
    assert {path.relative_to(top).parts[:5] for path in top.rglob("*")} - {
        ("a.tar",), ("1",), ("1", "2"), ("1", "2", "3"), ("1", "2", "3", "4"),
    } == {path.relative_to(top).parts[:5] for path in inside.rglob("*")}  # fmt: skip
