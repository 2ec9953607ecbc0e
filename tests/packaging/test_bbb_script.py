"""The delivery script of BigBlueButton servers keeps a tar until it is accepted."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.doubles.appliance_process import wait_for

SCRIPT = Path(__file__).resolve().parents[2] / "config" / "bbb" / "scalelite_appliance.py"
LIMIT_S = 60


def start(root: Path, target: str, *arguments: str) -> subprocess.Popen[str]:
    config = root / "appliance.conf"
    config.write_text(
        f"[appliance]\n{target}\npublished = {root / 'published'}\nqueue = {root / 'queue'}\n"
        "tries = 1\nserver = bbb1\nsecret = s\nproperties =\n"
    )
    command = [sys.executable, str(SCRIPT), "--config", str(config), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def publish(root: Path, format: str, size: int = 1000) -> None:
    folder = root / "published" / format / "r1"
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"x" * size)


@contextmanager
def server(
    answer: bytes, before: Callable[[], object] = lambda: None, requests: int = 1
) -> Iterator[int]:
    """Answer requests after their heads, each by closing; calls `before` first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(requests):
                connection, _ = listener.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(1000)
                    before()
                    connection.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(LIMIT_S)


def waits_for(pid: int, lock: Path) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if descriptor.readlink() == lock:
                return True
    return False


def test_answer_is_read_when_it_comes_before_the_whole_request_was_sent(tmp_path: Path) -> None:
    publish(tmp_path, "video", 30_000_000)
    answer = b"HTTP/1.1 413 x\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"
    with server(answer) as port:
        _, errors = start(tmp_path, f"url = http://127.0.0.1:{port}", "-m", "r1").communicate(
            timeout=LIMIT_S
        )
    assert "r1.tar: HTTP 413: too large; kept in" in errors
    assert (tmp_path / "queue/r1.tar").exists()


def test_tar_is_kept_when_it_was_packed_again_during_its_delivery(tmp_path: Path) -> None:
    publish(tmp_path, "video")
    queue, later = tmp_path / "queue", []

    def pack_again() -> None:
        publish(tmp_path, "notes")
        before = (queue / "r1.tar").stat().st_ino
        later.append(start(tmp_path, "url = http://127.0.0.1:1", "-m", "r1"))
        wait_for(lambda: (queue / "r1.tar").stat().st_ino != before, LIMIT_S, "packed again")

    answer = b"HTTP/1.1 201 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with server(answer, pack_again) as port:
        first = start(tmp_path, f"url = http://127.0.0.1:{port}", "-m", "r1")
        assert first.communicate(timeout=LIMIT_S) == ("", "")
    assert first.returncode == 0
    later[0].communicate(timeout=LIMIT_S)
    assert later[0].returncode == 1
    listed = subprocess.run(
        ["tar", "-tf", queue / "r1.tar"], capture_output=True, text=True, check=True
    )
    assert {"video/r1/content", "notes/r1/content"} <= set(listed.stdout.split())


def test_tar_is_not_queued_while_another_process_empties_the_queue(tmp_path: Path) -> None:
    publish(tmp_path, "video")
    queue = tmp_path / "queue"
    queue.mkdir()
    with (queue / ".names").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = start(tmp_path, f"spool = {tmp_path}", "-m", "r1")
        wait_for(lambda: waits_for(run.pid, queue / ".names"), LIMIT_S, "packed")
        assert not (queue / "r1.tar").exists()
    assert run.communicate(timeout=LIMIT_S)[0] == "r1.tar: delivered\n"
    assert (tmp_path / "r1.tar").exists()


@pytest.mark.parametrize("target", ["url = http://127.0.0.1:1", "spool = /nonexistent"])
def test_one_tar_is_tried_while_the_appliance_is_away(tmp_path: Path, target: str) -> None:
    queue = tmp_path / "queue"
    queue.mkdir()
    for name in ("r1.tar", "r2.tar"):
        (queue / name).write_bytes(b"1")
    run = start(tmp_path, target, "--flush")
    _, errors = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 1
    assert errors.count("kept in") == 1
    assert sorted(path.name for path in queue.glob("*.tar")) == ["r1.tar", "r2.tar"]


def test_tar_that_was_refused_does_not_stop_the_others(tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    queue.mkdir()
    for name in ("r1.tar", "r2.tar"):
        (queue / name).mkdir()  # cannot be copied
    (queue / "r3.tar").write_bytes(b"1")
    run = start(tmp_path, f"spool = {tmp_path}", "--flush")
    _, errors = run.communicate(timeout=LIMIT_S)
    assert errors.count("kept in") == 2
    assert (tmp_path / "r3.tar").exists()


def test_url_without_a_scheme_is_refused(tmp_path: Path) -> None:
    for url in ("bbb.example.org", "ftp://bbb.example.org", "https://"):
        run = start(tmp_path, f"url = {url}", "--flush")
        _, errors = run.communicate(timeout=LIMIT_S)
        assert run.returncode == 1
        assert f"url must be http://HOST or https://HOST, not {url}" in errors


def test_two_tars_are_tried_while_a_proxy_answers_for_the_appliance(tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    queue.mkdir()
    for name in ("r1.tar", "r2.tar", "r3.tar"):
        (queue / name).write_bytes(b"1")
    answer = b"HTTP/1.1 502 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with server(answer, requests=2) as port:
        run = start(tmp_path, f"url = http://127.0.0.1:{port}", "--flush")
        _, errors = run.communicate(timeout=LIMIT_S)
    assert errors.count("kept in") == 2
