"""Headers of tars are read strictly, and what is in them is not trusted."""

from __future__ import annotations

import tarfile
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings.tar_format import (
    FILE,
    HARD_LINK,
    SYMLINK,
    BrokenTar,
    HostileTar,
    TarMember,
    apply_extension,
    extend,
    link_target,
    parse_header,
    safe_parts,
)


def header(name: str, size: int = 0, format: Literal[0, 1, 2] = tarfile.USTAR_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(format)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("size", [0, 1, 512, 8**11 - 1])
def test_parse_header_reads_what_tarfile_writes(format: Literal[0, 1, 2], size: int) -> None:
    member = parse_header(header("video/r1/ü", size, format)[-512:])
    assert member is not None
    assert (member.kind, member.size, member.mode) == (FILE, size, 0o644)


def test_parse_header_reads_sizes_beyond_octal() -> None:
    member = parse_header(header("a", 8**12, tarfile.GNU_FORMAT))
    assert member is not None
    assert member.size == 8**12


def test_parse_header_joins_prefix_and_name() -> None:
    name = "d" * 90 + "/" + "f" * 90
    member = parse_header(header(name))
    assert member is not None
    assert member.name == name


def test_parse_header_knows_the_end() -> None:
    assert parse_header(bytes(512)) is None


@given(st.integers(0, 511), st.integers(1, 255))
def test_parse_header_notices_a_changed_byte(at: int, change: int) -> None:
    block = bytearray(header("video/r1/a", 1))
    block[at] ^= change
    try:
        member = parse_header(bytes(block))
    except (BrokenTar, HostileTar):
        return
    # Only in the checksum's own padding may a change mean nothing.
    assert 148 <= at < 156
    assert member is not None
    assert member.name == "video/r1/a"


@given(st.binary(min_size=512, max_size=512))
def test_parse_header_never_fails_otherwise(block: bytes) -> None:
    try:
        parse_header(block)
    except (BrokenTar, HostileTar):
        return


@given(st.binary(max_size=300))
def test_apply_extension_never_fails_otherwise(data: bytes) -> None:
    try:
        apply_extension({}, b"x", data)
    except (BrokenTar, HostileTar):
        return


def member(name: str, kind: bytes = FILE, link: str = "") -> TarMember:
    return TarMember(name, kind, 0o644, 1, link)


@pytest.mark.parametrize(
    ("pending", "error"),
    [
        ({"size": "-1"}, BrokenTar),
        ({"size": "1e3"}, BrokenTar),
        ({"size": "9" * 30}, BrokenTar),
        ({"GNU.sparse.map": "0,1"}, HostileTar),
    ],
)
def test_extend_refuses_odd_records(pending: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        extend(member("a"), pending)


@pytest.mark.parametrize(
    ("name", "parts"), [("a/b", ("a", "b")), ("./a//b/", ("a", "b")), ("..a/b..", ("..a", "b.."))]
)
def test_safe_parts_splits(name: str, parts: tuple[str, ...]) -> None:
    assert safe_parts(name) == parts


@given(st.text("a./\\\n", max_size=30))
def test_safe_parts_never_leads_out(name: str) -> None:
    try:
        parts = safe_parts(name)
    except HostileTar:
        return
    assert not any(part in ("", ".", "..") or "/" in part for part in parts)


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        (SYMLINK, "b", ("v", "r", "d", "b")),
        (SYMLINK, "../b", ("v", "r", "b")),
        (SYMLINK, "./../d/./b", ("v", "r", "d", "b")),
        (HARD_LINK, "v/r/b", ("v", "r", "b")),
        (SYMLINK, "../../x/b", None),
        (SYMLINK, "..", None),
        (SYMLINK, "../../../../../../etc/passwd", None),
        (SYMLINK, "/v/r/b", None),
        (HARD_LINK, "b", None),
        (HARD_LINK, "v/x/b", None),
        (HARD_LINK, "v/r/../../b", None),
    ],
)
def test_link_target_stays_in_its_format(
    kind: bytes, target: str, expected: tuple[str, ...] | None
) -> None:
    link = ("v", "r", "d", "a")
    if expected is None:
        with pytest.raises(HostileTar):
            link_target(link, member("v/r/d/a", kind, target))
    else:
        assert link_target(link, member("v/r/d/a", kind, target)) == expected
