"""benchmarks/profiling.py: samples are assigned to parts and summed."""

from __future__ import annotations

import pytest

from benchmarks.profiling import SCHEDULER, Stack, parse_stacks, part_of, render_profile

SITE = "/srv/appliance/.venv/lib/python3.13/site-packages"
LOOP = f"unrolled_run ({SITE}/trio/_core/_run.py:2712)"
MAIN = "main (/usr/lib/python3.13/runpy.py:27)"
LISTENER = f"handle ({SITE}/hypercorn/protocol/h11.py:113)"
REDIS = "execute (/srv/appliance/appliance/redis/client.py:80)"
SEND = f"send_all ({SITE}/trio/_highlevel_socket.py:109)"
WAITING = f"WorkerThread._work ({SITE}/trio/_core/_thread_cache.py:209)"


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ((MAIN, LOOP), SCHEDULER),
        ((MAIN, LOOP, LISTENER, SEND), "listener (hypercorn and http.server)"),
        ((MAIN, LOOP, LISTENER, REDIS, SEND), "Redis client and store"),
    ],
)
def test_sample_belongs_to_the_innermost_part(frames: tuple[str, ...], part: str) -> None:
    assert part_of(Stack(frames, 1)) == part


def test_stacks_are_parsed() -> None:
    text = f"{MAIN};{LOOP} 12\n\n{MAIN} 3\n"

    assert parse_stacks(text) == [Stack((MAIN, LOOP), 12), Stack((MAIN,), 3)]


def test_profile_gives_shares_without_idle_threads() -> None:
    stacks = [
        Stack((MAIN, LOOP, LISTENER), 30),
        Stack((MAIN, LOOP, LISTENER, SEND), 10),
        Stack((MAIN, LOOP), 10),
        Stack((WAITING,), 50),
    ]

    lines = render_profile(stacks).splitlines()

    assert lines[0].startswith("50 samples")
    assert lines[1] == "   80.0%  listener (hypercorn and http.server)"
    assert "   60.0%  handle (hypercorn/protocol/h11.py:113)" in lines
    assert "   20.0%  send_all (trio/_highlevel_socket.py:109)" in lines
