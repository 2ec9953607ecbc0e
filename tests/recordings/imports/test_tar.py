"""Archives from BBB servers are unpacked completely; hostile ones write nothing outside."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.recordings.imports.model import BrokenTar, DiskFull, HostileTar, Stopped
from appliance.recordings.imports.tar import TarLimits, extract_tar, link_target, safe_parts
from appliance.recordings.objects.keys import PART_BYTES
from tests.doubles.recording_tars import recording_tar

LIMITS = TarLimits(max_members=100, max_bytes=50 << 20)
DEFAULT_LIMITS = TarLimits(max_members=200_000, max_bytes=200 << 30)
FLAT_BYTES = 16 << 20
"""Python's memory while a small archive is unpacked, with buffers of a megabyte."""
FILES = {
    "metadata2.xml": b"<x/>",
    "svg/ünïcödé " + "long" * 40 + ".svg": b"<svg/>",
    "empty": b"",
    "big.webm": os.urandom(3_000_001),
}


def tar_bytes(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data) or info.size
            archive.addfile(info, io.BytesIO(data) if data else None)
    return output.getvalue()


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> Path:
    path.write_bytes(tar_bytes(*members))
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


def pax_header(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    info = member("././@PaxHeader", kind)
    info.size = len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)


def pax_record(key: str, value: bytes) -> bytes:
    rest = f" {key}=".encode() + value + b"\n"
    size = next(n for n in range(len(rest), len(rest) + 20) if len(str(n)) + len(rest) == n)
    return str(size).encode() + rest


def write_gzip(path: Path, *parts: bytes) -> Path:
    """Write a gzip file with one member for each part; equal parts are compressed once."""
    packed = {part: gzip.compress(part) for part in set(parts)}
    path.write_bytes(b"".join(packed[part] for part in parts))
    return path


@contextmanager
def flat_memory() -> Iterator[None]:
    """Check that the block needs little memory."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < FLAT_BYTES


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_extract_tar_writes_every_file_whatever_the_compression(
    tmp_path: Path, suffix: str
) -> None:
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


def test_files_that_are_read_soon_stay_in_memory(tmp_path: Path) -> None:
    size = 24 << 20  # written out, and with that dropped, every 8 MiB otherwise
    tar = write_gzip(tmp_path / "a.tar", tar_bytes(file("v.webm", bytes(size))))
    (tmp_path / "out").mkdir()
    inside = dict[str, int]()

    extract_tar(tar, tmp_path / "out", LIMITS, inside=inside)

    assert inside == {}  # it is compressed
    with (tmp_path / "out/v.webm").open("rb") as unpacked:
        for offset in range(0, size, 1 << 20):
            block = bytearray(1 << 20)  # RWF_NOWAIT: what is not in memory is not read
            assert os.preadv(unpacked.fileno(), [block], offset, os.RWF_NOWAIT) == len(block)


def test_members_are_left_inside_an_archive_that_is_not_compressed(tmp_path: Path) -> None:
    size, top = 20_000, "presentation/r1"
    data = {name: name.encode() * size for name in ("a", "b", "c", "small")}
    tar = tar_of(
        tmp_path / "a.tar",
        *(file(f"{top}/{name}", content) for name, content in data.items()),
        file(f"{top}/metadata.xml", bytes(size)),
        file(f"{top}/empty", b""),
        link(f"{top}/other", f"{top}/c", tarfile.LNKTYPE),
        file(f"{top}/a", b"replaced by a smaller one"),
        link(f"{top}/b", f"{top}/small", tarfile.LNKTYPE),
    )
    out, inside = tmp_path / "out", dict[str, int]()
    out.mkdir()

    extract_tar(tar, out, TarLimits(100, 200 << 20), inside=inside)

    content = tar.read_bytes()
    small, replaced = data["small"], b"replaced by a smaller one"
    expected = {"a": replaced, "b": small, "c": data["c"], "other": data["c"], "small": small}
    assert sorted(inside) == [f"{top}/{name}" for name in expected]
    for name, wanted in expected.items():
        offset, left = inside[f"{top}/{name}"], out / top / name
        assert content[offset : offset + len(wanted)] == wanted
        assert (left.stat().st_size, left.stat().st_blocks) == (len(wanted), 0)
    assert (out / top / "metadata.xml").read_bytes() == bytes(size)
    assert (out / top / "empty").read_bytes() == b""


@pytest.mark.parametrize("kept", [1000, PART_BYTES + 1000])
def test_member_that_is_cut_off_is_not_left_inside(tmp_path: Path, kept: int) -> None:
    whole = tar_bytes(file("small"), file("v.webm", bytes(PART_BYTES * 2)))
    (tmp_path / "a.tar").write_bytes(whole[: 1536 + kept])
    (tmp_path / "out").mkdir()

    with pytest.raises(BrokenTar, match="truncated"):
        extract_tar(tmp_path / "a.tar", tmp_path / "out", LIMITS, inside={})

    assert not (tmp_path / "out/v.webm").exists()


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_extract_tar_refuses_a_truncated_archive(tmp_path: Path, suffix: str) -> None:
    tar = recording_tar(tmp_path, "r1", {"video": FILES}, target=tmp_path / f"r1.tar{suffix}")
    data = tar.read_bytes()
    for share in (0.02, 0.5, 0.99):
        tar.write_bytes(data[: int(len(data) * share)])
        target = tmp_path / f"out-{share}"
        target.mkdir()
        with pytest.raises(BrokenTar):
            extract_tar(tar, target, LIMITS)


def test_extract_tar_refuses_an_archive_truncated_between_two_members(tmp_path: Path) -> None:
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
    "symlink above a format": lambda p: tar_of(p, link("a", "b")),
    "hard link out": lambda p: tar_of(p, link("video/r1/a", "../evil", tarfile.LNKTYPE)),
    "hard link absolute": lambda p: tar_of(p, link("video/r1/a", "/etc/passwd", tarfile.LNKTYPE)),
    "loop of links": lambda p: tar_of(
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
    "sparse, old GNU format": lambda p: tar_of(p, member("video/r1/a", tarfile.GNUTYPE_SPARSE)),
    "zero byte in a name": lambda p: tar_of(p, member("x", pax_headers={"path": "a\0b"})),
    "zero byte in a link": lambda p: tar_of(
        p, member("video/r1/a", tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_extract_tar_refuses_a_hostile_archive(tmp_path: Path, name: str) -> None:
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


def test_extract_tar_replaces_an_earlier_member_of_the_same_name(tmp_path: Path) -> None:
    tar = tar_of(
        tmp_path / "a.tar", file("v/r/a", b"old"), link("v/r/b", "a"), file("v/r/c", b"old"),
        file("v/r/a", b"new"), file("v/r/b", b"new"), link("v/r/c", "a"),
    )  # fmt: skip
    extract_tar(tar, tmp_path, LIMITS)
    assert [(tmp_path / "v/r" / name).read_bytes() for name in "abc"] == [b"new"] * 3


def test_extract_tar_takes_no_owner_mode_or_time_from_the_archive(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", member("a", mode=0o777, mtime=1, uid=1, gid=1))
    extract_tar(tar, tmp_path, LIMITS)
    status = (tmp_path / "a").stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (
        0o644, os.geteuid(), tmp_path.stat().st_gid,
    )  # fmt: skip
    assert status.st_mtime > 1


@pytest.mark.parametrize("second", [file("v/r/b", b"x" * 3000), link("v/r/b", "a")])
def test_extract_tar_counts_bytes_over_all_files_and_links(tmp_path: Path, second: Any) -> None:
    tar = tar_of(tmp_path / "a.tar", file("v/r/a", b"x" * 3000), second)
    with pytest.raises(HostileTar, match="bytes"):
        extract_tar(tar, tmp_path, TarLimits(10, 5500))
    assert extract_tar(tar, tmp_path, TarLimits(10, 8000)) == 6000


def test_extract_tar_counts_the_bytes_of_extension_headers(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", member("a", pax_headers={"comment": "x" * 9000}))
    with pytest.raises(HostileTar, match="bytes"):
        extract_tar(tar, tmp_path, TarLimits(10, 9000))


def test_extract_tar_counts_the_directories_that_names_imply(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", *[file(f"v/r/{n}/a/b/c/d") for n in range(3)])
    with pytest.raises(HostileTar, match="directories"):
        extract_tar(tar, tmp_path, TarLimits(16, 1 << 20))
    shutil.rmtree(tmp_path / "v")
    extract_tar(tar, tmp_path, TarLimits(17, 1 << 20))


def test_extract_tar_refuses_links_that_would_fill_memory(tmp_path: Path) -> None:
    name = "v/r" + "/" + "/".join(["x" * 200] * 18)
    links = [link(f"{name}/{n}", "y" * 200) for n in range(5000)]
    with pytest.raises(HostileTar, match="links"):
        extract_tar(tar_of(tmp_path / "a.tar", *links), tmp_path, DEFAULT_LIMITS)


# --- headers that would fill memory ---------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_extract_tar_refuses_gigabytes_of_pax_headers_with_memory_flat(
    tmp_path: Path, kind: bytes
) -> None:
    value = b"x" * 1_000_000 + b"\n" + bytes(434)
    parts: list[bytes] = []
    for number in range(1500):
        record = f"1000014 k{number:03x}=".encode()
        info = member("././@PaxHeader", kind)
        info.size = 1_000_014
        parts += [info.tobuf(tarfile.USTAR_FORMAT) + record, value]
    tar = write_gzip(tmp_path / "a.tar", *parts, member("a").tobuf() + bytes(1024))
    assert tar.stat().st_size < 2_000_000
    with flat_memory(), pytest.raises(HostileTar, match="headers"):
        extract_tar(tar, tmp_path, DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "header",
    [
        *(
            member("x", kind, size=1500 << 20).tobuf(tarfile.GNU_FORMAT)
            for kind in (b"L", b"K", b"x", b"g", b"X")
        ),
        pax_header(b"") * 5000,
        pax_header(pax_record("comment", b"x" * 1000)) * 1000,
        pax_header(pax_record("comment", b"x" * 1000), tarfile.XGLTYPE) * 1000,
    ],
)
def test_extract_tar_refuses_headers_of_one_member_that_are_too_large(
    tmp_path: Path, header: bytes
) -> None:
    tar = write_gzip(tmp_path / "a.tar", header, *[bytes(1 << 20)] * 100)
    with flat_memory(), pytest.raises(HostileTar, match="headers of a member"):
        extract_tar(tar, tmp_path, DEFAULT_LIMITS)


def test_extract_tar_refuses_large_headers_of_many_members(tmp_path: Path) -> None:
    one = pax_header(pax_record("comment", b"x" * 60_000)) + member("a").tobuf()
    tar = write_gzip(tmp_path / "a.tar", *[one] * 1000)
    with flat_memory(), pytest.raises(HostileTar, match="headers"):
        extract_tar(tar, tmp_path, TarLimits(2000, 1 << 40))


def test_extract_tar_forgets_what_it_does_not_need_of_global_headers(tmp_path: Path) -> None:
    parts = [
        pax_header(pax_record(f"k{n}", b"x" * 60_000), tarfile.XGLTYPE) + member("a").tobuf()
        for n in range(500)
    ]
    tar = write_gzip(tmp_path / "a.tar", *parts, bytes(1024))
    with flat_memory():
        assert extract_tar(tar, tmp_path, DEFAULT_LIMITS) == 0


def test_extract_tar_follows_pax_headers(tmp_path: Path) -> None:
    name, path = "ü" * 100, tmp_path / "a.tar"
    path.write_bytes(
        pax_header(pax_record("comment", b"x"), tarfile.XGLTYPE)
        + pax_header(pax_record("path", f"v/r/{name}".encode()) + pax_record("size", b"3"))
        + member("x").tobuf()
        + b"abc".ljust(512, b"\0")
        + pax_header(pax_record("linkpath", name.encode()))
        + link("v/r/b", "x").tobuf()
        + bytes(1024)
    )
    assert extract_tar(path, tmp_path, LIMITS) == 6
    assert (tmp_path / "v/r" / name).read_bytes() == (tmp_path / "v/r/b").read_bytes() == b"abc"


@pytest.mark.parametrize("size", ["-1", "1e3", "", "+1", "1_0", "9" * 30, "9" * 5000])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_extract_tar_refuses_a_size_that_cannot_be(tmp_path: Path, size: str, kind: bytes) -> None:
    header = pax_header(pax_record("size", size.encode()), kind)
    path = write_gzip(tmp_path / "a.tar", header + member("a").tobuf(), *[bytes(1 << 20)] * 50)
    with flat_memory(), pytest.raises((BrokenTar, HostileTar)):
        extract_tar(path, tmp_path, LIMITS)


def test_extract_tar_refuses_when_the_disk_would_be_filled(tmp_path: Path) -> None:
    # The size in the header is enough: no data is read.
    tar = tmp_path / "a.tar"
    member = tarfile.TarInfo("a/b/c")
    member.size = shutil.disk_usage(tmp_path).total + 1
    tar.write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(DiskFull):
        extract_tar(tar, tmp_path, TarLimits(10, 1 << 60))
    assert not (tmp_path / "a").exists()


STOPPABLE = {
    "data": tar_bytes(file("a", b"x" * 5_000_000)),
    "members": tar_bytes(*[member(f"{n}", tarfile.DIRTYPE) for n in range(10)]),
    "links": tar_bytes(file("v/r/a"), *[link(f"v/r/{n}", "a") for n in range(10)]),
    "trailing data": tar_bytes(file("a")) + bytes(10 << 20),
}


@pytest.mark.parametrize("name", STOPPABLE)
@pytest.mark.parametrize("calls", [0, 4])
def test_extract_tar_stops_when_asked_to(tmp_path: Path, name: str, calls: int) -> None:
    (tmp_path / "a.tar").write_bytes(STOPPABLE[name])
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(len(asked) >= calls)
        return asked[-1]

    with pytest.raises(Stopped):
        extract_tar(tmp_path / "a.tar", tmp_path, LIMITS, stop=stop)
    assert len(asked) == calls + 1


def test_extract_tar_reports_its_progress(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", file("a", b"x" * 3_000_000), file("b"))
    sizes: list[int] = []
    assert extract_tar(tar, tmp_path, LIMITS, progress=sizes.append) == sum(sizes) == 3_000_001
    assert len(sizes) >= 3


@pytest.mark.parametrize("data", [b"", b"\0" * 512, b"not a tar" * 100, b"\x1f\x8bgarbage", b"PK"])
def test_extract_tar_refuses_garbage(tmp_path: Path, data: bytes) -> None:
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


# --- any bytes ------------------------------------------------------------------------------------


@given(st.integers(0, 511), st.integers(1, 255))
def test_extract_tar_notices_a_changed_byte_of_a_header(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int
) -> None:
    top = tmp_path_factory.mktemp("tar")
    data = bytearray(tar_bytes(file("video/r1/a")))
    data[at] ^= change
    (top / "a.tar").write_bytes(data)
    try:
        extract_tar(top / "a.tar", top, LIMITS)
    except BrokenTar:
        return
    # Only a change of the checksum field's padding has no effect.
    assert 148 <= at < 156
    assert (top / "video/r1/a").read_bytes() == b"x"


KINDS = st.sampled_from([bytes([kind]) for kind in b"\x00012345670xgLKXSDMV"])


@given(kind=KINDS, data=st.binary(max_size=600), numbers=st.binary(min_size=12, max_size=12))
@example(kind=b"x", data=b"25 GNU.sparse.map=0,x,y,\n", numbers=b"0000000031\0\0")
@example(kind=b"x", data=b"20 GNU.sparse.size=x\n", numbers=b"0000000024\0\0")
@example(
    kind=b"x", data=b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", numbers=b"00000000054\0"
)
def test_extract_tar_of_any_header_fails_only_as_documented(
    tmp_path_factory: pytest.TempPathFactory, kind: bytes, data: bytes, numbers: bytes
) -> None:
    top = tmp_path_factory.mktemp("tar")
    head = bytearray(member("video/r1/a", kind).tobuf(tarfile.GNU_FORMAT))
    head[124:136] = numbers
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * ord(" "))
    body = data + bytes(-len(data) % 512)
    (top / "a.tar").write_bytes(bytes(head) + body + member("video/r1/b").tobuf() + bytes(1024))
    with suppress(BrokenTar, HostileTar):
        extract_tar(top / "a.tar", top, LIMITS)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"), [("a/b", ("a", "b")), ("./a//b/", ("a", "b")), ("..a/b..", ("..a", "b.."))]
)
def test_safe_parts_splits_a_name(name: str, parts: tuple[str, ...]) -> None:
    assert safe_parts(name) == parts


@given(st.text("a./\\\n\0", max_size=30))
def test_safe_parts_never_leads_outside(name: str) -> None:
    with suppress(HostileTar):
        parts = safe_parts(name)
        assert not any(part in ("", ".", "..") or "/" in part for part in parts)


@pytest.mark.parametrize(
    ("hard", "target", "expected"),
    [
        (False, "b", ("v", "r", "d", "b")),
        (False, "../b", ("v", "r", "b")),
        (False, "./../d/./b", ("v", "r", "d", "b")),
        (True, "v/r/b", ("v", "r", "b")),
        (False, "../../x/b", None),
        (False, "..", None),
        (False, "../../../../../../etc/passwd", None),
        (False, "/v/r/b", None),
        (True, "b", None),
        (True, "v/x/b", None),
        (True, "v/r/../../b", None),
        (True, "v/r/../r/b", None),
    ],
)
def test_link_target_stays_in_its_format(
    hard: bool, target: str, expected: tuple[str, ...] | None
) -> None:
    link = ("v", "r", "d", "a")
    if expected is None:
        with pytest.raises(HostileTar):
            link_target(link, target, hard=hard)
    else:
        assert link_target(link, target, hard=hard) == expected
