"""The autoscaler's command: input, output, exit codes, and the limit of time."""

from __future__ import annotations

import sys
import time

import pytest
import trio

from appliance.fleet.command import MAX_OUTPUT_BYTES, run_hook

BODY = b'{"event": "x"}'
PYTHON = (sys.executable, "-c")


async def test_command_gets_json_and_its_output_is_kept() -> None:
    script = "import sys; print(sys.stdin.read(), sys.argv[1:]); print('late', file=sys.stderr)"
    result = await run_hook((*PYTHON, script, "$HOME", "a b"), BODY, 20, {})

    assert result.error == ""
    assert "{\"event\": \"x\"} ['$HOME', 'a b']" in result.output
    assert "late" in result.output


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (("/bin/false",), "exit code 1"),
        ((*PYTHON, "import os; os.kill(os.getpid(), 9)"), "ended by signal 9"),
        (("/nowhere/at-all",), "cannot be run"),
        (("/etc/passwd",), "cannot be run"),
    ],
)
async def test_failure_of_a_command_is_told(argv: tuple[str, ...], error: str) -> None:
    assert error in (await run_hook(argv, BODY, 20, {})).error


async def test_command_that_reads_nothing_succeeds() -> None:
    assert (await run_hook(("/bin/true",), b"x" * 1_000_000, 20, {})).error == ""


async def test_only_the_end_of_a_long_output_is_kept() -> None:
    script = "print('x' * 100_000); print('end')"
    output = (await run_hook((*PYTHON, script), BODY, 20, {})).output

    assert output.endswith("end")
    assert len(output) <= MAX_OUTPUT_BYTES + 1


async def test_command_is_ended_at_the_limit_with_what_it_started() -> None:
    mark = f"sleep {time.time_ns() % 100_000}.25"
    before_s = time.monotonic()
    result = await run_hook(("/bin/sh", "-c", f"{mark} & {mark}"), BODY, 0.3, {})

    assert result.error == "did not end within 0.3 s"
    assert time.monotonic() - before_s < 10
    found = await trio.run_process(("pgrep", "-f", mark), check=False, capture_stdout=True)
    assert found.stdout == b""


async def test_what_a_command_leaves_running_does_not_delay_it() -> None:
    before_s = time.monotonic()
    result = await run_hook(("/bin/sh", "-c", "sleep 5 & echo done"), BODY, 20, {})

    assert (result.error, result.output) == ("", "done")
    assert time.monotonic() - before_s < 4


async def test_command_is_ended_when_the_appliance_stops() -> None:
    mark = f"sleep {time.time_ns() % 100_000}.75"
    with trio.move_on_after(0.3):
        await run_hook(("/bin/sh", "-c", mark), BODY, 20, {})

    found = await trio.run_process(("pgrep", "-f", mark), check=False, capture_stdout=True)
    assert found.stdout == b""
