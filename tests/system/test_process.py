"""Limits of the process; allocator and collector are tested in processes of their own."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from appliance.system.process import ConnectionLimits, raise_file_limit, share_connections


def test_file_limit_is_raised_to_the_hard_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert soft == hard == before[1]


def run_python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("off", "expected"),
    [("()", ["True", "10000"]), ("{'garbage-collector'}", ["False", "True"])],
    ids=["tuned", "off"],
)
def test_objects_of_the_start_are_excluded_from_collection_unless_off(
    off: str, expected: list[str]
) -> None:
    last = "gc.get_threshold() == before" if "garbage" in off else "gc.get_threshold()[0]"
    code = (
        "import gc; from appliance.system.process import tune_garbage_collector as tune;"
        f"before = gc.get_threshold(); tune({off}); print(gc.get_freeze_count() > 0, {last})"
    )

    assert run_python(code) == expected


FILL = """
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
from appliance.system.process import tune_allocator
print(tune_allocator({off}))
for _ in range(3):  # glibc raises its threshold when such a block is freed
    block = bytes(20_000_000); del block
before = resident_mb()
blocks, held = [], []
for _ in range(200):
    blocks.append(b"x" * 400_000)
    held.append(bytearray(2_000))  # lies behind the block
del blocks
print(resident_mb() - before > 40)
"""


@pytest.mark.parametrize(
    ("off", "expected"),
    [("()", ["True", "False"]), ("{'allocator'}", ["False", "True"])],
    ids=["tuned", "off"],
)
def test_large_freed_blocks_are_returned_to_the_system_unless_off(
    off: str, expected: list[str]
) -> None:
    assert run_python(FILL.format(off=off)) == expected


LEAVE_HOLES = """
import trio
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
from appliance.system.process import trim_memory_forever, tune_allocator
tune_allocator()
async def main():
    async with trio.open_nursery() as nursery:
        before = resident_mb()
        nursery.start_soon(lambda: trim_memory_forever(interval_s={interval_s}))
        await trio.sleep(0.05)
        held = [bytearray(4_000) for _ in range(40_000)]
        if {in_use_s}:
            await trio.sleep({in_use_s})
        held = held[::40]
        print(resident_mb() - before > 100)
        with trio.move_on_after(20):
            while resident_mb() - before > 50:
                await trio.sleep(0.05)
        print(resident_mb() - before > 50)
        nursery.cancel_scope.cancel()
trio.run(main)
"""


@pytest.mark.parametrize(
    ("interval_s", "in_use_s"),
    [(0.2, 0), (0.3, 0.5)],
    ids=["before the first look", "all in use at the first look"],
)
def test_memory_between_blocks_in_use_is_returned_to_the_system(
    interval_s: float, in_use_s: float
) -> None:
    code = LEAVE_HOLES.format(interval_s=interval_s, in_use_s=in_use_s)
    assert run_python(code) == ["True", "False"]


LEAVE_A_CYCLE = """
import gc
import weakref
import trio
from appliance.system.process import trim_memory_forever, tune_allocator
tune_allocator()
class Holder: pass
async def main():
    async with trio.open_nursery() as nursery:
        gc.disable()
        nursery.start_soon(lambda: trim_memory_forever(interval_s=0.1))
        await trio.sleep(0.05)
        holder = Holder()
        holder.itself, holder.held = holder, b"x" * 200_000_000
        if {is_old}:
            gc.collect()
        generations = []
        def note(phase, info):
            if phase == "start":
                generations.append(info["generation"])
        gc.callbacks.append(note)
        weakref.finalize(holder, nursery.cancel_scope.cancel)
        del holder
        await trio.sleep(20)
    print(generations[-1], len(generations))
trio.run(main)
"""


@pytest.mark.parametrize(("is_old", "found"), [(False, "1 1"), (True, "2 3")])
def test_all_objects_are_looked_at_only_when_looking_at_new_ones_did_not_help(
    is_old: bool, found: str
) -> None:
    assert run_python(LEAVE_A_CYCLE.format(is_old=is_old)) == found.split()


@pytest.mark.parametrize(
    ("file_limit", "wanted", "clients", "outgoing"),
    [
        (524_288, None, 262_016, 262_016),
        (1024, None, 384, 384),
        (1024, 100, 100, 668),
        (1024, 5000, 704, 64),
        (256, None, 64, 64),
    ],
)
def test_descriptors_are_shared_between_clients_and_servers(
    file_limit: int, wanted: int | None, clients: int, outgoing: int
) -> None:
    assert share_connections(file_limit, wanted) == ConnectionLimits(clients, outgoing)
