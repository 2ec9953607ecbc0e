"""Exit codes, errors and rake tasks of the whole program."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from appliance import ctl
from appliance.admin.routes import CALLS
from appliance.ctl import main
from appliance.ctl.client import SHORT_S
from appliance.ctl.standalone import Standalone
from tests.doubles.control import Done, ctl_environment, run_ctl
from tests.doubles.pool import Pool, open_pool
from tests.doubles.redis_processes import redis_process

STANDALONE = Standalone(list, lambda environ, show: None, lambda call, body, pipe: {})


@pytest.mark.parametrize("words", ["status", "servers", "meetings end --yes", "poll:all"])
def test_exit_code_is_3_when_the_appliance_is_not_running(words: str, tmp_path: Path) -> None:
    path = tmp_path / "ctl.sock"

    done = run_ctl(path, *words.split())

    assert done == Done(3, "", f"the appliance is not running (no socket {path})\n")


@pytest.mark.parametrize("words", [["nothing"], ["servers:nothing"], ["servers", "add"]])
def test_exit_code_is_2_for_wrong_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words, STANDALONE) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_word_too_many_is_named_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["servers", "list", "extra"], STANDALONE) == 2
    assert "unrecognized arguments: extra (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["help"], "COMMAND"), (["help", "servers", "add"], "--max-users"), (["help", "to"], None)],
)
def test_help_explains_a_command(
    words: list[str], expected: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words, STANDALONE) == (2 if expected is None else 0)

    shown = capsys.readouterr()
    assert (expected or "no such command: to; did you mean: ") in shown.out + shown.err


@pytest.mark.parametrize("words", ["servers:add[x]", "servers:enable", "tenants:add[x]"])
def test_exit_code_is_1_when_a_rake_task_has_no_argument(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words], STANDALONE) == 1  # like rake; scripts check it

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.lower().startswith("error: ")


def calls_in(source: str) -> list[tuple[str, bool]]:
    """Return the name of each call to the appliance, and whether it has the long timeout."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        how, first = node.func.attr, node.args[0] if node.args else None
        if how in ("get", "get_long", "post") and isinstance(first, ast.Constant):
            has_deadline = any(keyword.arg == "deadline_s" for keyword in node.keywords)
            found.append((str(first.value), how == "get_long" or has_deadline))
    return found


def test_timeout_of_a_call_is_longer_than_its_deadline_in_the_appliance() -> None:
    known = {call.name: call for call in CALLS}
    sources = Path(ctl.__file__).parent.glob("*.py")
    made = [one for source in sources for one in calls_in(source.read_text())]

    asked = [(name, long) for name, long in made if name in known]
    assert len(asked) > 30
    assert not [name for name, long in asked if known[name].deadline_s > SHORT_S and not long]


@pytest.mark.parametrize(
    "words", ["meetings info \udcff", "recordings import \udce9.tar", "servers:tag[x,\udcff]"]
)
def test_word_that_is_not_utf8_is_wrong_usage(words: str, tmp_path: Path) -> None:
    done = run_ctl(tmp_path / "ctl.sock", *words.split())

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("is not UTF-8 text\n")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("status", 0),
        ("meetings end", 1),
        ("meetings:end", 1),
        ("servers sync -", 1),
        ("servers add https://a.example/bigbluebutton/api -", 1),
    ],
)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
async def test_closed_standard_stream_causes_no_traceback(
    redis_url: str, redis_namespace: str, command: str, code: int, closed: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        done = await trio.run_process(
            ["sh", "-c", f"{shlex.quote(sys.executable)} -m appliance ctl {command} {closed}"],
            env=ctl_environment(pool.control.path),
            cwd="/",
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )

        assert done.returncode == code
        assert b"Traceback" not in done.stderr


async def test_unreachable_store_is_one_line_and_exit_code_1(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_pool(redis.unix_url, redis_namespace, 0) as pool:
            redis.kill()

            done = await pool.control.ctl("status")

            assert done == Done(1, "", "The meeting store is not reachable.\n")


def first_line(pool: Pool) -> tuple[str, int, str]:
    """Read one line of a long output and close the pipe, as `head` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "ctl", "servers"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ctl_environment(pool.control.path),
        cwd="/",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    return line, process.wait(40), errors


async def test_reader_that_closes_the_pipe_causes_no_traceback(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        for number in range(400):
            fields = {"url": f"http://h{number}/{'x' * 900}", "secret": "s" * 200}
            await pool.control.post("addServer", fields)

        line, code, errors = await trio.to_thread.run_sync(first_line, pool)

        assert line.startswith("id: ")
        assert (code, errors) == (1, "")


def write_to_a_full_disk(pool: Pool) -> tuple[int, str]:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "ctl", "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ctl_environment(pool.control.path),
            cwd="/",
            timeout=40,
            check=False,
        )
    return done.returncode, done.stderr


async def test_output_to_a_full_disk_is_one_line(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        code, errors = await trio.to_thread.run_sync(write_to_a_full_disk, pool)

        assert (code, errors) == (1, "the output cannot be written: No space left on device\n")


async def test_rake_task_prints_the_lines_of_rake(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, SERVER_ID_IS_HOSTNAME="true") as pool:
        (bbb,) = pool.servers
        ctl = pool.control.ctl

        assert await ctl(f"servers:add[{bbb.url},{bbb.secret},x]") == Done(
            0,
            "WARNING! Load-multiplier was not readable or 0, so it is now 1\nOK\nid: 127.0.0.1\n",
            "",
        )
        for task, doing in (
            (f"servers:update[127.0.0.1,{bbb.secret},2.0,gpu]", "Updating"),
            ("servers:enable[127.0.0.1]", "Enabling"),
            ("servers:cordon[127.0.0.1]", "Cordoning"),
            ("servers:panic[127.0.0.1,true]", "Panicking"),
            ("servers:disable[127.0.0.1]", "Disabling"),
        ):
            assert await ctl(task) == Done(0, f"{doing} server 127.0.0.1...\nOK\n", "")
        assert await ctl("servers:loadMultiplier[127.0.0.1,1.5]") == Done(0, "OK\n", "")
        assert await ctl("servers:tag[127.0.0.1,]") == Done(0, "OK\n", "")
        assert await ctl("poll:all") == Done(0, "", "")
        assert (await ctl("servers")).out.startswith("id: 127.0.0.1\n\turl: ")
        assert await ctl("servers:enable[x]") == Done(
            1, "Enabling server x...\n", "ERROR: No server found with id: x\n"
        )
        assert await ctl("servers:remove[127.0.0.1]") == Done(
            0, "Removing server 127.0.0.1...\nOK\n", ""
        )


async def test_rake_task_reads_yes_from_standard_input(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("alpha", "beta")

        refused = await pool.control.ctl("servers:disable[bbb-1]", stdin="no\n")
        assert refused.code == 1
        assert refused.out.splitlines() == [
            "Disabling server bbb-1...",
            "WARNING: You are trying to disable a server with active load. "
            "You should use the cordon option if",
            "          you do not want to clear all the meetings",
            "If you still wish to continue please enter `yes`",
        ]
        assert len(bbb.meetings()) == 2

        listed = await pool.control.ctl("meetings:list[beta]")
        assert listed.out.startswith("\nMeetingID: beta\n\tServer ID: bbb-1\n")
        info = await pool.control.ctl("meetings:info[beta]")
        assert info.out.startswith("\nMeeting ID: beta\n")
        assert f"\tSerevr url: {bbb.url}\n" in info.out

        ended = await pool.control.ctl("meetings:end[beta]", stdin="yes\n")
        assert ended.code == 0
        assert ended.out.endswith("Clearing Meeting id=beta\nOK\n")
        done = await pool.control.ctl("servers:disable[bbb-1]", stdin="YES\n")
        assert done.out.endswith("Clearing Meeting id=alpha\nOK\n")
        assert not bbb.meetings()


async def test_change_is_logged_with_its_user(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()

        await pool.control.ctl("servers", "cordon", "bbb-1")

        event = pool.log.named("server_state_set")[-1]
        assert event["by"].startswith(f"uid={os.getuid()}")
        assert event["state"] == "cordoned"
