"""Profiles of the appliance: py-spy's samples, summed by function and by part.

py-spy is an optional tool and no development dependency: it is searched for beside this Python and
on PATH.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLES_PER_S = 250
TOP_FUNCTIONS = 25
TOP_INCLUSIVE = 50
STOP_LIMIT_S = 30.0
MISSING = """\
py-spy is needed for a profile and was not found beside this Python or on PATH. It can be installed
in any environment:
    python3 -m venv /tmp/py-spy && /tmp/py-spy/bin/pip install py-spy
    PATH=/tmp/py-spy/bin:$PATH make bench ARGS="--profile join"
Users other than root must also be allowed to trace processes
(sysctl kernel.yama.ptrace_scope=0)."""

# A sample belongs to the first of these prefixes that matches a frame, from the innermost frame
# outwards. trio, h11 and the standard library are not listed: their time belongs to the caller.
PARTS = (
    ("hypercorn/", "listener (hypercorn and http.server)"),
    ("appliance/http/server", "listener (hypercorn and http.server)"),
    ("appliance/http/client", "HTTP client to the servers"),
    ("appliance/http/", "HTTP: requests, answers"),
    ("appliance/public/", "HTTP: requests, answers"),
    ("appliance/redis", "Redis client and store"),
    ("appliance/bbb/client", "BBB client (signing, URLs)"),
    ("appliance/bbb/xml", "XML (bbb.xml and the lxml it calls)"),
    ("appliance/bbb/meeting_info", "XML (bbb.xml and the lxml it calls)"),
    ("appliance/bbb/", "bbb: checksum, parameters"),
    ("appliance/meetings/", "meetings"),
    ("appliance/postgres/asyncio_bridge", "asyncio bridge"),
    ("trio_asyncio/", "asyncio bridge"),
    ("appliance/", "other features"),
)
SCHEDULER = "trio's event loop (scheduling, epoll)"
IDLE = "WorkerThread._work ("
"""An idle thread of trio's cache, which py-spy sometimes reports as busy."""


class ProfileError(Exception):
    """The profile could not be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Samples with the same frames."""

    frames: tuple[str, ...]
    """Outermost first, in the form `function (path:line)`."""
    count: int


def find_py_spy() -> str:
    """Return py-spy's path. Raises ProfileError: it is not installed."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise ProfileError(MISSING)
    return found


@contextlib.contextmanager
def recorded(pid: int, seconds: float, output: Path) -> Iterator[None]:
    """Sample a process for `seconds` from the start of the block and wait for the end of sampling.

    Raises ProfileError.
    """
    command = [
        *(find_py_spy(), "record", "--pid", str(pid), "--duration", str(max(round(seconds), 1))),
        *("--rate", str(SAMPLES_PER_S), "--format", "raw", "--output", str(output)),
        *("--full-filenames", "--function"),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield
        _, complaint = process.communicate(timeout=seconds + STOP_LIMIT_S)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        raise ProfileError(f"py-spy failed: {complaint.decode(errors='replace').strip()}")


def parse_stacks(text: str) -> list[Stack]:
    """Parse collapsed stacks, one `outer;inner count` per line."""
    stacks = []
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if frames:
            stacks.append(Stack(tuple(frames.split(";")), int(count)))
    return stacks


def part_of(stack: Stack) -> str:
    """Return the part to which a stack's time belongs."""
    for frame in reversed(stack.frames):
        for place, part in PARTS:
            if _place(frame).startswith(place):
                return part
    return SCHEDULER


def render_profile(stacks: Sequence[Stack]) -> str:
    """Return the shares of the parts and of the most expensive functions, in per cent."""
    stacks = [stack for stack in stacks if not stack.frames[-1].startswith(IDLE)]
    total = sum(stack.count for stack in stacks)
    parts: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for stack in stacks:
        parts[part_of(stack)] += stack.count
        alone[_short(stack.frames[-1])] += stack.count
        inclusive.update(dict.fromkeys(map(_short, stack.frames), stack.count))
    lines = [f"{total} samples. By part, including the trio, h11 and library code it calls:"]
    lines += _ranking(parts, total, len(parts))
    lines += ["", "By function, own time:", *_ranking(alone, total, TOP_FUNCTIONS)]
    lines += ["", "By function, including calls:"]
    lines += _ranking(inclusive, total, TOP_INCLUSIVE)
    return "\n".join(lines)


def _ranking(counts: Counter[str], total: int, limit: int) -> list[str]:
    return [f"  {count / total:6.1%}  {name}" for name, count in counts.most_common(limit)]


def _short(frame: str) -> str:
    """Return `function (package/module.py:line)` of a frame."""
    return f"{frame.partition(' (')[0]} ({_place(frame)})"


def _place(frame: str) -> str:
    """Return `package/module.py:line` of a frame, without the path of the package."""
    path = frame.partition(" (")[2].rstrip(")")
    for anchor in ("/site-packages/", "/lib/python"):
        if anchor in path:
            return path.rpartition(anchor)[2]
    return path[path.rfind("/appliance/") + 1 :] if "/appliance/" in path else path
