"""Unpacks tars and works on objects in a process of its own, so that they delay no call.

boto3 computes some milliseconds for each object; in threads of the process that serves calls these
kept the interpreter's lock from them (docs/performance.md). The process, which has a low priority,
is started by the first job and ends when it has had none for IDLE_S.

A job is a method of RecordingObjects, or a function. Jobs and answers go through a pair of sockets
as the standard library's `multiprocessing.connection` sends them: both ends are the same program of
the same user, and nothing secret is in a command line. A process that dies loses nothing, because
every job can be repeated: the next process begins its jobs again. When the appliance dies, the
kernel closes its socket, and the process ends at once.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from appliance.recordings.imports.model import BrokenTar, DiskFull, HostileTar, Stopped
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.storage import Transfer
from appliance.settings.model import S3Settings

if TYPE_CHECKING:  # not needed without S3, and the process itself has no log
    from multiprocessing.connection import Connection

    from appliance.log import Log

IDLE_S = 60.0
"""Longer than the time between two attempts at an import that waits for the bucket."""
_TRIES = 3
_POLL_S = 0.1
_REPORT_S = 0.2
_OOM_SCORE = 500
"""When memory runs out, the kernel kills this process before the appliance and its stores."""
_COMMAND = (sys.executable, "-sP", "-m", "appliance.recordings.objects.worker")
_OWN_ERRORS = (OSError, BrokenTar, HostileTar, DiskFull, Stopped, ValueError)

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    request: tuple[Any, ...]
    transfer: Transfer | None
    stop: Callable[[], bool] | None
    replies: queue.SimpleQueue[tuple[str, Any]] = field(default_factory=queue.SimpleQueue)
    counted: tuple[int, int] = 0, 0
    """Bytes done and to be done that `transfer` knows of this job."""

    def note(self, done: int, total: int) -> None:
        """Bring the progress to what the process reports."""
        if self.transfer is not None:
            self.transfer.add(done - self.counted[0])
            self.transfer.expect(total - self.counted[1])
            self.counted = done, total


@dataclass(slots=True)
class _Process:
    """A running process. `jobs` is changed under the lock of ObjectWorker."""

    popen: subprocess.Popen[bytes]
    connection: Connection
    jobs: dict[int, _Job] = field(default_factory=dict)
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def send(self, *message: object) -> None:
        """Send; a process that has ended is noticed by the thread that receives."""
        with self._sending, suppress(OSError):
            self.connection.send(message)


class ObjectWorker:
    """The process as the appliance sees it. Every method may be called in any thread."""

    def __init__(
        self,
        log: Log,
        count: Callable[[str], None] = lambda code: None,
        *,
        idle_s: float = IDLE_S,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """`count` is called with the code of every fault of a bucket."""
        self._log = log
        self._count = count
        self._idle_s = idle_s
        self._command = command
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._process: _Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the number of the process; None: there is none."""
        process = self._process
        return None if process is None else process.popen.pid

    def run(
        self,
        settings: S3Settings,
        keys: ObjectKeys,
        name: str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Any:
        """Call a method of RecordingObjects in the process; return its result or raise its error.

        A `transfer` among the arguments shows the progress and can stop the job.
        """
        given = {key: value for key, value in kwargs.items() if key != "transfer"}
        transfer = kwargs.get("transfer")
        assert transfer is None or isinstance(transfer, Transfer)
        request = settings, keys, name, args, given, transfer is not None
        stop = None if transfer is None else transfer.stop.is_set
        return self._do(_Job(request, transfer, stop))

    def call(self, function: Callable[..., T], *args: object, stop: Callable[[], bool]) -> T:
        """Call a function of a module in the process; its argument `transfer` tells it to stop."""
        return cast("T", self._do(_Job((None, None, function, args, {}, True), None, stop)))

    def _do(self, job: _Job) -> Any:
        for _ in range(_TRIES):
            kind, value = self._try(job)
            if kind == "failed":
                raise value
            if kind == "done":
                return value
            if job.stop is not None and job.stop():
                raise BucketFault("Stopped", "")
        raise BucketFault("WorkerKilled", "the process that works on the bucket was killed")

    def close(self) -> None:
        """End the process; a later job starts another."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.popen.kill()

    def _try(self, job: _Job) -> tuple[str, Any]:
        """Give a job to the process, and return how it ended; `lost`: the process has ended."""
        with self._lock:
            process = self._process = self._process or self._start()
            number = next(self._numbers)
            process.jobs[number] = job
        process.send("do", number, *job.request)
        stop = job.stop
        while True:
            try:
                kind, value = job.replies.get(timeout=None if stop is None else _POLL_S)
            except queue.Empty:
                if stop is not None and stop():
                    process.send("stop", number)
                    stop = None
                continue
            if kind != "progress":
                return kind, value
            job.note(*value)

    def _start(self) -> _Process:
        """Start the process and a thread that receives its answers. Raises OSError."""
        from multiprocessing.connection import Connection

        here, there = socket.socketpair()
        with here, there:
            popen = subprocess.Popen(
                self._command,
                stdin=there.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,  # out of the reach of Ctrl-C; see _give_way for the session
            )
            process = _Process(popen, Connection(here.detach()))
        threading.Thread(
            target=self._receive, args=[process], name="object-worker", daemon=True
        ).start()
        return process

    def _receive(self, process: _Process) -> None:
        """Pass answers on until the process ends, or is not needed any more."""
        idle = False
        try:
            while not (idle := self._is_idle(process)):
                self._pass_on(process, *process.connection.recv())
        except (OSError, EOFError):
            pass
        except Exception as error:  # the callers must not wait forever
            self._log.error("object_worker_broke", exc_info=error)
        with self._lock:
            closed = self._process is not process
            if not closed:
                self._process = None
            lost, process.jobs = process.jobs, {}
        process.connection.close()
        if not idle:
            process.popen.kill()
        status = process.popen.wait()
        if not (idle or closed):
            self._log.warning("object_worker_ended", status=status, jobs=len(lost))
        for job in lost.values():
            job.replies.put(("lost", None))

    def _pass_on(self, process: _Process, kind: str, number: int, value: Any) -> None:
        """Give an answer to its caller."""
        if kind == "count":
            self._count(value)
            return
        with self._lock:
            job = process.jobs[number] if kind == "progress" else process.jobs.pop(number)
        job.replies.put((kind, value))

    def _is_idle(self, process: _Process) -> bool:
        """Wait for an answer; True: there was no job for a while, and from now on there is none."""
        while not process.connection.poll(self._idle_s):
            with self._lock:
                if not process.jobs and self._process is process:
                    self._process = None
                    return True
        return False


# --- the process ---------------------------------------------------------------------------------


class _Reported(Transfer):
    """A transfer whose progress is sent to the appliance."""

    def __init__(self, send: Callable[[tuple[int, int]], None]) -> None:
        super().__init__()
        self._send = send
        self._due_s = 0.0

    def add(self, count: int) -> None:
        """Count bytes, and report now and then."""
        super().add(count)
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + _REPORT_S
            self.report()

    def report(self) -> None:
        """Report the progress."""
        self._send((self.done_bytes, self.total_bytes))


class WorkerServer:
    """The other end of the connection: each job runs in a thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._transfers: dict[int, _Reported] = {}
        self._opened: dict[tuple[S3Settings, ObjectKeys], Any] = {}

    def serve(self) -> None:
        """Run jobs until the appliance closes the connection."""
        with suppress(EOFError, OSError):
            while True:
                match self._connection.recv():
                    case ("do", number, *request):
                        threading.Thread(
                            target=self._run, args=[number, *request], daemon=True
                        ).start()
                    case ("stop", number) if transfer := self._transfers.get(number):
                        transfer.stop.set()

    def _run(
        self, number: int, settings: S3Settings | None, keys: ObjectKeys, work: Any,
        args: tuple[Any, ...], kwargs: dict[str, Any], counted: bool,
    ) -> None:  # fmt: skip
        """Do a job; `work` is a function, or with settings the name of a method."""
        if counted:
            transfer = _Reported(lambda progress: self._send("progress", number, progress))
            kwargs["transfer"] = self._transfers[number] = transfer
        answer: tuple[str, object]
        try:
            if settings is not None:
                work = getattr(self.open(settings, keys), work)
            answer = "done", work(*args, **kwargs)
        except _OWN_ERRORS as error:
            answer = "failed", error
        except Exception:  # its class may be one that the appliance has not loaded
            answer = "failed", RuntimeError(traceback.format_exc())
        if counted:
            self._transfers.pop(number).report()
        try:
            self._send(answer[0], number, answer[1])
        except Exception:  # the result cannot be pickled, and nothing of it was sent
            self._send("failed", number, RuntimeError(traceback.format_exc()))

    def open(self, settings: S3Settings, keys: ObjectKeys) -> Any:
        """Return the objects of recordings in a bucket, the same for the same settings."""
        from appliance.recordings.objects.bucket import Bucket
        from appliance.recordings.objects.objects import RecordingObjects

        wanted = settings, keys
        if wanted not in self._opened:
            bucket = Bucket(settings, lambda code: self._send("count", -1, code))
            self._opened[wanted] = RecordingObjects(bucket, keys)
        return self._opened[wanted]

    def _send(self, kind: str, number: int, value: object) -> None:
        with self._sending, suppress(OSError):
            self._connection.send((kind, number, value))


def _give_way() -> None:
    """Take what nothing else wants of the processors; any thread that wakes up comes first.

    A nice value counts for each thread by itself, so that eight that upload in turn take as much as
    one that serves calls. Both count inside a session only: this is that of the appliance. Source:
    sched(7), "SCHED_IDLE" and "The autogroup feature".
    """
    with suppress(OSError):  # a filter of system calls forbids it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    """Work for the appliance that has started this process, as long as it lives."""
    from multiprocessing.connection import Connection

    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a service
        signal.signal(number, signal.SIG_IGN)
    _give_way()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}")
    logging.getLogger().addHandler(logging.NullHandler())
    WorkerServer(Connection(os.dup(0))).serve()
    os._exit(0)  # without waiting for its threads


if __name__ == "__main__":
    main()
