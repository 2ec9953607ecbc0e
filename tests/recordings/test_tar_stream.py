"""The bytes of an archive are the same however it is packed; damage is noticed."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.recordings.tar_format import BrokenTar
from appliance.recordings.tar_stream import open_tar_stream

DATA = bytes(range(256)) * 5000


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
        assert stream.read(len(DATA) - 512) == DATA[512:]
        with pytest.raises(BrokenTar):
            stream.read(1)


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_open_tar_stream_notices_damage(tmp_path: Path, packer: str) -> None:
    packed = bytearray(PACKERS[packer](DATA))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "a"
    path.write_bytes(packed)
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        stream.finish()


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_finish_notices_a_checksum_that_does_not_fit(tmp_path: Path, packer: str) -> None:
    options = {"zstd": -1, "gzip": -6, "xz": -30}
    packed = bytearray(PACKERS[packer](DATA))
    packed[options[packer]] ^= 0xFF
    path = tmp_path / "a"
    path.write_bytes(packed)
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        stream.finish()


def test_finish_refuses_an_archive_that_much_follows(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(bytes(65 << 20), 1))
    with open_tar_stream(path) as stream, pytest.raises(BrokenTar):
        stream.finish()


def test_open_tar_stream_leaves_no_process_behind_when_it_is_left_early(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(zstd(DATA * 20))
    with open_tar_stream(path) as stream:
        assert stream.read(10) == DATA[:10]


def test_open_tar_stream_says_that_zstd_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(zstd(DATA))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokenTar, match="zstd is not installed"), open_tar_stream(path):
        pass
