"""The process that works on objects, which kills itself after the step that a file counts down to.

The argument is the file: empty for no kill. Started by ObjectWorker in place of the real one.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.worker import WorkerServer
from appliance.settings.model import S3Settings
from tests.doubles.object_driver import Deadly


class DeadlyServer(WorkerServer):
    """Works on a bucket whose steps are counted."""

    def __init__(self, connection: Connection, counter: Path) -> None:
        super().__init__(connection)
        self._counter = counter

    def open(self, settings: S3Settings, keys: ObjectKeys) -> Any:
        """Return the objects in a bucket, whose steps are counted."""
        objects = super().open(settings, keys)
        if not isinstance(objects.bucket, Deadly):
            objects.bucket = cast(Any, Deadly(objects.bucket, self._passed))
        return objects

    def _passed(self) -> None:
        left = int(self._counter.read_text() or "0") - 1
        self._counter.write_text(str(left) if left > 0 else "")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    DeadlyServer(Connection(os.dup(0)), Path(sys.argv[1])).serve()
    os._exit(0)
