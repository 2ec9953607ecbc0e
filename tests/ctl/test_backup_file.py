"""The file of a backup: what it shows, what it hides, and what it refuses."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from appliance.ctl import backup_file
from appliance.ctl.backup_file import BackupError
from appliance.system.new_file import new_file
from tests.doubles.backups import make_file, read_file

LINES = [
    b"#servers",
    '{"key": "server:bbb1", "hash": {"url": "http://ü.example", "secret": '
    '{"$secret": "s3cret-word"}}}'.encode(),
    b'{"key": "servers", "set": ["bbb1"]}',
    b"#tenants",
    b"#queued_callbacks",
    b'{"dedup_key":"a","url":{"$secret" : "http://x/?token=t0ken-word"},"body":null}',
    b"#end",
]
PLAIN = [
    *("#servers", {"key": "server:bbb1", "hash": {"url": "http://ü.example", "secret": 1}}),
    *({"key": "servers", "set": ["bbb1"]}, "#tenants", "#queued_callbacks"),
    *({"dedup_key": "a", "url": "http://x/?token=t0ken-word", "body": None}, "#end"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key cost little time: it is made hundreds of times here."""
    monkeypatch.setattr(backup_file, "SCRYPT_COST", 16)


@pytest.fixture
def content() -> bytes:
    """Give a file."""
    return make_file(LINES)


def test_file_is_json_with_a_version_and_no_secret(content: bytes) -> None:
    document = json.loads(content)

    assert document["version"] == 1
    assert [*document][4:-1] == ["servers", "tenants", "queued_callbacks"]
    assert document["servers"][0]["hash"]["url"] == "http://ü.example"
    assert document["tenants"] == []
    assert b"s3cret-word" not in content
    assert b"t0ken-word" not in content
    assert make_file(LINES) != content, "equal secrets look different in each file"


def test_lines_come_back_with_their_secrets(content: bytes) -> None:
    found = [
        line.decode() if line.startswith(b"#") else json.loads(line) for line in read_file(content)
    ]

    PLAIN[1]["hash"]["secret"] = "s3cret-word"  # type: ignore[index]
    assert found == PLAIN


def test_another_passphrase_is_refused(content: bytes) -> None:
    with pytest.raises(BackupError, match="the passphrase is not that of this backup"):
        read_file(content, "another")


def test_file_of_a_later_format_is_refused_by_its_version(content: bytes) -> None:
    later = content.replace(b'"version": 1', b'"version": 2', 1)
    rewritten = json.dumps(json.loads(later)).encode()

    for one in (later, rewritten):
        with pytest.raises(BackupError, match="format version 2, which a later appliance wrote"):
            read_file(one)


def test_file_that_another_program_has_rewritten_is_refused(content: bytes) -> None:
    rewritten = json.dumps(json.loads(content), indent=2).encode()

    with pytest.raises(BackupError, match="was changed after"):
        read_file(rewritten)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"hello", b"{\n", b"\x00" * 100, b'{"a": 1}'])
def test_what_is_no_backup_is_refused(text: bytes) -> None:
    with pytest.raises(BackupError, match="not a backup"):
        read_file(text)


def test_damage_anywhere_is_noticed(content: bytes) -> None:
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(BackupError):
            read_file(bytes(damaged))


def test_file_that_is_cut_off_is_refused(content: bytes) -> None:
    for length in range(0, len(content), 11):
        with pytest.raises(BackupError):
            read_file(content[:length])
    with pytest.raises(BackupError):
        read_file(content + b"more")


def test_change_with_a_new_checksum_is_noticed_without_the_passphrase(content: bytes) -> None:
    """Whoever may write to the file must not be able to send meetings to another server."""
    forged = make_file([line.replace("ü.example".encode(), b"evil.example") for line in LINES], "x")
    ours, theirs = content.split(b'"servers"')[0], forged.split(b'"servers"')[1]

    with pytest.raises(BackupError):
        read_file(ours + b'"servers"' + theirs)


def test_new_file_takes_the_place_of_the_old_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text("old")
    os.chmod(path, 0o644)

    def fail() -> None:
        with new_file(str(path)) as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)
    with new_file(str(path)) as file:
        file.write(b"new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 1
