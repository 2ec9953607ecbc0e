"""A machine of the fake cloud: a simulated BBB server whose users come and go by themselves.

    python tests/doubles/cloud_machine.py CLOUD DISK

`DISK/attendance/` gets a JSON file for each meeting: its id, and when its users join and leave.
What a recorded meeting has left is in `DISK/recordings/`; it is uploaded some time after the
meeting, also if the machine crashed meanwhile, and is deleted once the appliance has taken it.
"""

from __future__ import annotations

import asyncio
import bisect
import http.client
import io
import json
import os
import sys
import tarfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import jwt

if __package__ in (None, ""):  # run as a script: make the sibling modules importable
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.doubles.bbb_server import BbbServer
from tests.doubles.bbb_state import Meeting
from tests.doubles.cloud import Cloud
from tests.doubles.recording_tars import metadata_xml

_STEP_S = 0.05
_UPLOAD_PAUSE_S = 0.5
Json = dict[str, Any]


class Machine:
    """The server of the machine, and what is on its disk."""

    def __init__(self, cloud: Cloud, disk: Path) -> None:
        self._cloud = cloud
        self._disk = disk
        self._settings = cloud.settings
        self.name = disk.name
        about = json.loads((disk / "machine").read_text())
        self._secret, self._port = about["secret"], about["port"]
        self._attendance: dict[str, Json] = {}
        self._most_users = 0
        self.server: BbbServer

    async def run(self) -> None:
        """Boot, then serve until the machine is killed."""
        self.server = BbbServer(  # takes its port, at which connections are refused until then
            Namespace(
                log_size=10,
                port=self._port,
                secret=self._secret,
                version=self._settings.version,
                id=self.name,
                public_url="",
                no_callbacks=False,
            )
        )
        booted_s = time.time() + self._settings.boot_s
        while time.time() < booted_s:
            await asyncio.sleep(_STEP_S)
        self._recover()
        self.server.listener.open()
        self._cloud.note("ready", self.name, version=self._settings.version)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._upload_forever())
            while True:
                self._step()
                await asyncio.sleep(_STEP_S)

    def _recover(self) -> None:
        """Process what meetings have left that a crash has ended."""
        for path in (self._disk / "recordings").iterdir():
            recording = json.loads(path.read_text())
            if recording["ready_s"] is None:
                recording["ready_s"] = time.time() + self._settings.recording_s
                _write(path, recording)
        for path in (self._disk / "attendance").iterdir():
            path.unlink()

    def _step(self) -> None:
        """Let users come and go, and end meetings that all have left."""
        for path in (self._disk / "attendance").glob("*.json"):
            about = json.loads(path.read_text())
            self._attendance[about["meeting_id"]] = about
            path.unlink()
        now_s, users = time.time(), 0
        for meeting in list(self.server.state.meetings.values()):
            if meeting.recording:
                self._record(meeting)
            about = self._attendance.get(meeting.id)
            if about is None:
                continue
            joined = bisect.bisect_right(about["joins"], now_s)
            left = bisect.bisect_right(about["leaves"], now_s)
            users += joined - left
            if left == len(about["leaves"]):
                self._end(meeting)
            elif joined - left != meeting.participants:
                counts = {"participants": joined - left, "moderators": min(1, joined - left)}
                self.server.state.set_users(meeting, counts, listed=False)
        if users > self._most_users:
            self._most_users = users
            self._cloud.note("most_users", self.name, users=users)

    def _record(self, meeting: Meeting) -> None:
        path = self._path(meeting)
        if not path.exists():
            _write(path, {"meeting": meeting.id, "name": meeting.name, "ready_s": None})

    def _end(self, meeting: Meeting) -> None:
        del self._attendance[meeting.id]
        if meeting.recording:
            meeting.recording_marks = True
            ready_s = time.time() + self._settings.recording_s
            about = {"meeting": meeting.id, "name": meeting.name, "ready_s": ready_s}
            _write(self._path(meeting), about)
        self.server.end_meeting(meeting)

    def _path(self, meeting: Meeting) -> Path:
        return self._disk / "recordings" / meeting.internal_id

    async def _upload_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for path in sorted((self._disk / "recordings").iterdir()):
                recording = json.loads(path.read_text())
                if recording["ready_s"] is not None and recording["ready_s"] <= time.time():
                    status = await loop.run_in_executor(None, self._upload, path.name, recording)
                    if status == 201:
                        path.unlink()
                        self._cloud.note("uploaded", self.name, record=path.name)
                    else:
                        self._cloud.note("refused", self.name, record=path.name, status=status)
            await asyncio.sleep(_UPLOAD_PAUSE_S)

    def _upload(self, record_id: str, recording: Json) -> int:
        """Send a recording as post_publish_scalelite_appliance.rb does; return the status."""
        claims = {"sub": self.name, "recordID": record_id, "exp": int(time.time()) + 500}
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._settings.appliance_port, timeout=20
        )
        try:
            connection.request(
                "PUT",
                f"/scalelite/api/recordings/{record_id}",
                make_tar(record_id, recording),
                {"Authorization": f"Bearer {jwt.encode(claims, self._secret)}"},
            )
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def make_tar(record_id: str, recording: Json) -> bytes:
    """Return a tar with a small recording."""
    xml = metadata_xml(record_id, meeting_id=recording["meeting"], name=recording["name"])
    files = {"metadata.xml": xml.encode(), "index.html": b"<html></html>"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"presentation/{record_id}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _write(path: Path, content: object) -> None:
    """Write a file in one step, so that a crash leaves the old one or the new one."""
    made = path.parent.parent / f".{path.name}"
    made.write_text(json.dumps(content))
    made.rename(path)


def main() -> None:
    """Run until killed."""
    cloud = Cloud(Path(sys.argv[1]))
    cloud.clock.install()
    asyncio.run(Machine(cloud, Path(sys.argv[2])).run())


if __name__ == "__main__":
    main()
