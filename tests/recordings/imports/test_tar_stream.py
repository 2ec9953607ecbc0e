"""The bytes of an archive are the same whatever the compression; damage is detected."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.recordings.imports.model import BrokenTar, HostileTar
from appliance.recordings.imports.tar_stream import MAX_HEADER_BYTES, TarStream, open_tar_stream

DATA = bytes(range(256)) * 5000


def finish(stream: TarStream) -> None:
    stream.finish(lambda: None)


def read_data(stream: TarStream, size: int) -> bytes:
    parts = []
    while size > 0:
        parts.append(stream.read_data(min(size, 100_000)))
        size -= len(parts[-1])
    return b"".join(parts)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def two_streams(data: bytes) -> bytes:
    return lzma.compress(data[:1000]) + lzma.compress(data[1000:])


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "two xz": two_streams,
    "zstd": zstd,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_open_tar_stream_gives_the_bytes(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(PACKERS[packer](DATA))
    with open_tar_stream(path) as stream:
        assert stream.read(512) == DATA[:512]
        stream.seek(700)
        assert stream.tell() == 700
        assert read_data(stream, len(DATA) - 700) == DATA[700:]
        assert stream.tell() == len(DATA)
        with pytest.raises(BrokenTar):
            stream.read(1)


def test_tar_stream_refuses_headers_that_are_too_large(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with open_tar_stream(tmp_path / "a") as stream:
        stream.read(MAX_HEADER_BYTES)
        for read in (stream.read, stream.seek):
            with pytest.raises(HostileTar):
                read(MAX_HEADER_BYTES + 1)
        stream.read_data(100_000)
        stream.start_member()
        stream.read(MAX_HEADER_BYTES)
        assert stream.header_bytes > 2 * MAX_HEADER_BYTES


def test_tar_stream_refuses_to_go_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with open_tar_stream(tmp_path / "a") as stream:
        stream.read(512)
        with pytest.raises(BrokenTar):
            stream.seek(511)


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_open_tar_stream_detects_damage(tmp_path: Path, packer: str) -> None:
    packed = bytearray(PACKERS[packer](DATA))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "a"
    path.write_bytes(packed)
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        finish(stream)


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_finish_detects_a_wrong_checksum(tmp_path: Path, packer: str) -> None:
    options = {"zstd": -1, "gzip": -6, "xz": -30}
    packed = bytearray(PACKERS[packer](DATA))
    packed[options[packer]] ^= 0xFF
    path = tmp_path / "a"
    path.write_bytes(packed)
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        finish(stream)


def test_finish_refuses_too_much_trailing_data(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(bytes(65 << 20), 1))
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        finish(stream)


def test_open_tar_stream_leaves_no_process_behind_when_closed_early(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(zstd(DATA * 20))
    with open_tar_stream(path) as stream:
        assert stream.read(10) == DATA[:10]


def test_open_tar_stream_says_so_when_zstd_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(zstd(DATA))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokenTar, match="zstd is not installed"), open_tar_stream(path):
        pass
