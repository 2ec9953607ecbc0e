"""Backups for tests: the lines of a pool, taken from and given to real stores through a pipe."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import trio

from appliance.backup.plan import Mode
from appliance.backup.transfer import BackupDeps, Part, Restored, restore_backup, write_backup
from appliance.ctl.backup_file import BackupReader, BackupWriter

PASSPHRASE = "correct horse battery staple"


async def take_lines(deps: BackupDeps, *, part: Part = Part.ALL) -> list[bytes]:
    """Return the lines of a backup, without the line breaks."""
    read_end, write_end = os.pipe()
    found: list[bytes] = []

    async def read() -> None:
        async with trio.lowlevel.FdStream(read_end) as stream:
            found.extend([bytes(data) async for data in stream])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        try:
            await write_backup(deps, write_end, part=part)
        finally:
            os.close(write_end)
    return b"".join(found).splitlines()


async def give_lines(
    deps: BackupDeps, lines: Sequence[bytes], mode: Mode = Mode.EMPTY, *, dry_run: bool = False
) -> Restored:
    """Restore lines whose secrets are texts."""
    read_end, write_end = os.pipe()

    async def write() -> None:
        try:
            async with trio.lowlevel.FdStream(write_end) as stream:
                await stream.send_all(b"".join(line + b"\n" for line in lines))
        except trio.BrokenResourceError:
            pass  # it was refused

    failure: Exception | None = None
    restored: Restored | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        try:
            restored = await restore_backup(deps, read_end, mode, dry_run=dry_run)
        except Exception as error:
            failure = error  # not in a group
        finally:
            os.close(read_end)
    if failure is not None:
        raise failure
    assert restored is not None
    return restored


def make_file(lines: Sequence[bytes], passphrase: str = PASSPHRASE) -> bytes:
    """Return the file that ctl makes of lines."""
    file = io.BytesIO()
    writer = BackupWriter(file, passphrase, "2026-11-25T10:40:07Z")
    for line in lines:
        if line == b"#end":
            writer.end()
        elif line.startswith(b"#"):
            writer.section(line[1:].decode())
        else:
            writer.line(line)
    return file.getvalue()


def read_file(content: bytes, passphrase: str = PASSPHRASE) -> list[bytes]:
    """Return the lines that ctl sends to an appliance. Raises BackupError."""
    reader = BackupReader(io.BytesIO(content), passphrase)
    return list(reader.lines())


async def move(source: BackupDeps, target: BackupDeps, **options: Any) -> Restored:
    """Restore a pool into other stores, by way of a file."""
    return await give_lines(target, read_file(make_file(await take_lines(source))), **options)
