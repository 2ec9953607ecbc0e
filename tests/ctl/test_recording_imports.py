"""`ctl recordings import|imports|retry`."""

from __future__ import annotations

import os
import socket
from functools import partial

import trio

from tests.doubles.control import Done, run_ctl
from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recording_tars import recording_tar
from tests.doubles.redis_processes import short_directory

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]


async def test_files_are_imported_and_each_failure_is_a_line(opened: RecordingAdminBench) -> None:
    good = recording_tar(opened.bench.root, "r1")
    bad = opened.bench.root / "bad.tar"
    bad.write_bytes(b"x" * 2000)
    done = await opened.ctl("import", str(bad), str(good), "nowhere.tar")
    assert done.code == 1
    assert done.out.splitlines()[-1] == f"{good}: imported, r1"
    first, second = done.err.splitlines()
    assert first.startswith(f"{bad}: ")
    # A relative path is resolved in the directory of the caller, which is / here.
    assert second == "nowhere.tar: no file /nowhere.tar on the appliance's machine"
    again = await opened.ctl("import", "--json", str(good))
    assert [(one["state"], one["recordings"]) for one in again.json] == [("done", ["r1"])]
    journal = await opened.ctl("imports", "--failed")
    assert len(journal.out.splitlines()) == 2
    assert " failed " in journal.out


async def test_file_that_the_service_does_not_see_is_handed_over(
    opened: RecordingAdminBench,
) -> None:
    tar = recording_tar(opened.bench.root, "r1")
    descriptor = os.open(tar, os.O_RDONLY)
    hidden = opened.bench.root / "hidden" / tar.name
    try:
        answer = await trio.to_thread.run_sync(
            partial(
                opened.control.client.post,
                "importRecording",
                {"path": str(hidden)},
                file=descriptor,
            )
        )
    finally:
        os.close(descriptor)
    tar.unlink()  # only the descriptor that was handed over is left

    with trio.fail_after(20):
        while answer["state"] != "done":
            await trio.sleep(0.05)
            answer = await opened.control.get("getImport", id=str(answer["id"]))

    assert (answer["file"], answer["recordings"]) == (str(hidden), ["r1"])


async def test_ctl_hands_over_the_open_file() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as appliance:
        tar = directory / "r1.tar"
        tar.write_bytes(b"content of the tar")
        appliance.bind(str(directory / "ctl.sock"))
        appliance.listen()
        received: list[bytes] = []

        def answer() -> None:
            connection, _ = appliance.accept()
            with connection:
                _, (descriptor, *_), _, _ = socket.recv_fds(connection, 65_536, 4)
                with open(descriptor, "rb") as file:
                    received.append(file.read())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, answer)
            run = partial(run_ctl, directory / "ctl.sock", "recordings", "import", str(tar))
            await trio.to_thread.run_sync(run)

        assert received == [b"content of the tar"]


async def test_journal_shows_waiting_and_failed_tars(opened: RecordingAdminBench) -> None:
    spool = opened.bench.root / "spool"
    (spool / "failed").mkdir()
    (spool / "waits.tar").write_bytes(b"1")
    (spool / "failed/bad.tar").write_bytes(b"12")
    (spool / "failed/bad.tar.error").write_text("broken\n")
    tar = opened.bench.spool.look("waits.tar")
    assert tar is not None
    async with opened.bench.journal.claim(tar) as entry:
        assert entry is not None
        await opened.bench.journal.begin(entry.id)
    shown = (await opened.ctl("imports")).out.splitlines()
    assert shown[0].split() == ["FILE", "SIZE", "STATE", "ATTEMPTS", "TIME", "(UTC)", "NOTE"]
    assert shown[1].split()[:4] == ["waits.tar", "1", "B", "interrupted"]
    assert shown[2:] == [
        "", "in the spool: 1 file", "\twaits.tar, 1 B",
        "", "in failed/: 1 file", "\tbad.tar, 2 B: broken", "`recordings retry` imports them again",
    ]  # fmt: skip


async def test_reason_why_a_tar_waits_is_shown_with_the_next_attempt(
    opened: RecordingAdminBench,
) -> None:
    (opened.bench.root / "spool/waits.tar").write_bytes(b"1")
    async with opened.bench.journal.claim(opened.bench.tar("waits.tar")) as entry:
        assert entry is not None
        await opened.bench.journal.retry_later(entry.id, "no bucket", wait_s=60, counts=True)
    _, row, _, _, in_spool = (await opened.ctl("imports")).out.splitlines()
    reason = "no bucket; next attempt "
    time = row.rpartition(reason)[2]
    assert [part.isdigit() for part in time.split(":")] == [True, True]
    assert in_spool == f"\twaits.tar, 1 B: {reason}{time}"


async def test_failed_files_are_imported_again(opened: RecordingAdminBench) -> None:
    assert await opened.ctl("retry") == Done(0, "failed/ is empty\n", "")
    failed = opened.bench.root / "spool/failed"
    failed.mkdir()
    (failed / "bad.tar").write_bytes(b"12")
    done = await opened.ctl("retry", "gone.tar", "bad.tar")
    assert done == Done(
        1,
        "bad.tar: back in the spool, with new attempts\n",
        "gone.tar: no such file in failed/ any more: have its BBB server send it again\n",
    )
