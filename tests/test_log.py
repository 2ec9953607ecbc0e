"""Format, level and destination of log lines."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import structlog
import trio

from appliance.log import (
    LEVELS,
    configure_logging,
    current_request_id,
    get_logger,
    reopen_logs,
    request_context,
    tap_log,
)
from appliance.settings.access_variables import LOG_FORMAT, LOG_LEVEL
from tests.doubles.logs import logged, logging_restored


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_restored():
        yield


@pytest.fixture
def written() -> io.StringIO:
    """Return the stream of the log."""
    return io.StringIO()


def test_json_is_one_object_per_event() -> None:
    log = get_logger("appliance.servers.poller")

    line = logged("json", lambda: log.info("server_online", server="bbb1", load=2.5, n=None))

    event = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event.pop("timestamp"))
    assert event == {
        "level": "info",
        "event": "server_online",
        "server": "bbb1",
        "load": 2.5,
        "n": None,
    }


@pytest.mark.parametrize(
    ("method", "priority"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("exception", 3)],
)
def test_journal_line_has_its_priority(method: str, priority: int, error_logs: list[str]) -> None:
    log = get_logger("x")

    line = logged("journal", lambda: getattr(log, method)("server_online", server="bbb1"))

    assert line.startswith(f"<{priority}>server_online server=bbb1")
    error_logs.clear()


def test_journal_priority_of_a_fatal_record_is_critical(error_logs: list[str]) -> None:
    line = logged("journal", lambda: logging.getLogger("x").critical("gone"))

    assert line == "<2>gone logger=x"
    error_logs.clear()


def test_console_line_has_time_level_event_and_fields() -> None:
    line = logged("console", lambda: get_logger("x").warning("slow", ms=12.3456789))

    assert re.fullmatch(r"\d\d:\d\d:\d\d warning  slow ms=12\.3457", line)


def test_bound_fields_are_in_every_event() -> None:
    log = get_logger("x").bind(request_id="r1").bind(call="join")

    assert logged("journal", lambda: log.info("e", n=1)) == "<6>e request_id=r1 call=join n=1"


def test_request_id_is_in_every_event_of_its_block() -> None:
    log = get_logger("x")

    def emit() -> None:
        with request_context("r2"):
            log.info("e")
        with request_context(None):
            log.info("e")

    assert logged("journal", emit).splitlines() == ["<6>e request_id=r2", "<6>e"]


async def test_request_id_is_inherited_by_background_tasks() -> None:
    seen = []

    async def work() -> None:
        seen.append(current_request_id())

    async with trio.open_nursery() as nursery:
        with request_context("r3"):
            nursery.start_soon(work)
        nursery.start_soon(work)

    assert sorted(seen, key=str) == [None, "r3"]


# --- levels ---------------------------------------------------------------------------------------

ORDER = ["debug", "info", "warning", "error"]


@pytest.mark.parametrize(
    ("level", "first"),
    [
        ("debug", 0),
        ("info", 1),
        ("warn", 2),
        ("warning", 2),
        ("error", 3),
        ("fatal", 4),
        ("critical", 4),
        ("unknown", 4),
    ],
)
def test_events_below_the_level_are_not_logged(
    written: io.StringIO, level: str, first: int, error_logs: list[str]
) -> None:
    configure_logging(level, "journal", stream=written)
    log = get_logger("x")

    for method in ORDER:
        getattr(log, method)(method)

    assert re.findall(r"<\d>(\w+)", written.getvalue()) == ORDER[first:]
    error_logs.clear()


def test_level_is_changed_for_existing_loggers(written: io.StringIO) -> None:
    log = get_logger("x")
    configure_logging("error", "journal", stream=written)
    log.info("not this")
    configure_logging("info", "journal", stream=written)
    log.info("this")

    assert written.getvalue() == "<6>this\n"


def test_event_below_the_level_runs_no_processor(written: io.StringIO) -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError("rendered")

    configure_logging("info", "journal", stream=written)
    log = get_logger("x")

    with structlog.testing.capture_logs() as captured:
        log.debug("e", field=Loud())

    assert captured == []


@pytest.mark.parametrize("name", ["hypercorn.error", "quart.app", "asyncio", "redis", "asyncpg"])
@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_libraries_log_from_warning_on(written: io.StringIO, name: str, level: str) -> None:
    configure_logging(level, "journal", stream=written)

    logging.getLogger(name).info("not this")
    logging.getLogger(name).warning("this %s", "one")

    assert written.getvalue() == f"<4>this one logger={name}\n"


def test_libraries_do_not_log_below_the_level(written: io.StringIO) -> None:
    configure_logging("error", "journal", stream=written)

    logging.getLogger("redis").warning("not this")

    assert written.getvalue() == ""


def test_short_secret_causes_no_warning_of_a_library(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", "journal", stream=written)
        token = jwt.encode({"sub": "x"}, "short", "HS256")
        jwt.decode(token, "short", ["HS256"])

    assert written.getvalue() == ""


def test_python_warnings_are_logged(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", "journal", stream=written)
        warnings.warn("old thing", stacklevel=1)

    assert "old thing" in written.getvalue()
    assert "logger=py.warnings" in written.getvalue()


def test_configuring_twice_writes_once(written: io.StringIO) -> None:
    for _ in range(3):
        configure_logging("info", "journal", stream=written)

    get_logger("x").info("e")

    assert written.getvalue() == "<6>e\n"


@pytest.mark.parametrize(
    ("level", "log_format"), [("loud", "json"), ("info", "xml"), ("INFO", "json")]
)
def test_unknown_level_or_format_is_refused(level: str, log_format: str) -> None:
    with pytest.raises(ValueError, match="unknown log"):
        configure_logging(level, log_format)


def test_settings_offer_exactly_these_levels_and_formats(written: io.StringIO) -> None:
    words = LOG_LEVEL.kind.expected.removeprefix("one of ").split(", ")
    formats = LOG_FORMAT.kind.expected.removeprefix("one of ").split(", ")

    assert {*words, "critical"} == set(LEVELS)
    for log_format in formats:
        configure_logging("info", log_format, stream=written)


# --- auto -----------------------------------------------------------------------------------------


def form_of(line: str) -> str:
    """Return the format of a line."""
    return "json" if line.startswith("{") else "journal" if line.startswith("<6>") else "console"


def test_auto_is_json_for_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as file:
        configure_logging("info", "auto", stream=file)
        get_logger("x").info("e")
        file.seek(0)
        assert form_of(file.read()) == "json"


def test_auto_is_journal_when_the_stream_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as file:
        status = os.fstat(file.fileno())
        configure_logging(
            "info", "auto", stream=file, journal_stream=f"{status.st_dev}:{status.st_ino}"
        )
        get_logger("x").info("e")
        file.seek(0)
        assert file.read() == "<6>e\n"


@pytest.mark.parametrize("journal_stream", ["1:2", "", "nonsense", None])
def test_auto_is_json_when_the_journal_is_another_stream(
    tmp_path: Path, journal_stream: str | None
) -> None:
    with (tmp_path / "log").open("w+") as file:
        configure_logging("info", "auto", stream=file, journal_stream=journal_stream)
        get_logger("x").info("e")
        file.seek(0)
        assert form_of(file.read()) == "json"


def test_auto_is_console_with_colour_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w") as terminal:
            status = os.fstat(follower)
            configure_logging(
                "info", "auto", stream=terminal, journal_stream=f"{status.st_dev}:{status.st_ino}"
            )
            get_logger("x").info("e")
            terminal.flush()
            line = os.read(leader, 4096).decode()
    finally:
        os.close(leader)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \x1b\[32minfo    \x1b\[0m e\r\n", line)


# --- robustness -----------------------------------------------------------------------------------


def test_closed_pipe_is_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    configure_logging("info", "json", stream=stream)

    get_logger("x").info("e")

    assert capsys.readouterr().err == ""
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_lines_of_threads_are_not_mixed(written: io.StringIO) -> None:
    configure_logging("info", "journal", stream=written)

    def write(name: str) -> None:
        for _ in range(50):
            get_logger("x").info("e", name=name * 50)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=40)

    lines = written.getvalue().splitlines()
    assert len(lines) == 200
    assert all(re.fullmatch(r"<6>e name=(.)\1{49}", line) for line in lines)


def test_log_is_written_to_standard_error_only() -> None:
    code = (
        "from appliance.log import *\n"
        "get_logger('x').warning('before')\n"
        "configure_logging('info', 'auto')\n"
        "get_logger('x').info('after')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=30
    )

    assert answer.stdout == ""
    assert "before" in answer.stderr
    assert json.loads(answer.stderr.splitlines()[-1])["event"] == "after"


def test_events_can_be_captured_by_tests() -> None:
    with structlog.testing.capture_logs() as captured:
        get_logger("x").info("server_online", server="bbb1")

    assert captured == [{"event": "server_online", "server": "bbb1", "log_level": "info"}]


def test_reopened_log_continues_in_a_new_file_after_rotation(tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    path.touch(mode=0o600)
    log = get_logger("x")
    with path.open("a") as stream:
        configure_logging("info", "journal", stream=stream)
        log.info("first")
        path.rename(old)
        log.info("second")
        reopen_logs()
        log.info("third")
        reopen_logs()  # without a rotation
        log.info("fourth")

    assert old.read_text() == "<6>first\n<6>second\n"
    assert path.read_text() == "<6>third\n<6>fourth\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_log_continues_in_the_old_file_when_it_cannot_be_reopened(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    with (directory / "log").open("a") as stream:
        configure_logging("info", "journal", stream=stream)
        directory.rename(tmp_path / "moved")
        with pytest.raises(FileNotFoundError):
            reopen_logs()
        get_logger("x").info("e")

    assert (tmp_path / "moved/log").read_text() == "<6>e\n"


def test_reopening_has_no_effect_when_the_log_is_not_a_file() -> None:
    def emit() -> None:
        reopen_logs()
        get_logger("x").info("e")

    assert logged("journal", emit) == "<6>e"


def test_tap_gets_events_that_the_level_leaves_out(written: io.StringIO) -> None:
    taken: list[tuple[str, object]] = []
    configure_logging("warning", "json", stream=written)
    log = get_logger("x")

    with tap_log(lambda event: taken.append((event["event"], event["level"]))):
        log.debug("detail")
        log.info("change", server="bbb1")
        log.warning("degraded")
        logging.getLogger("library").warning("no event")
    log.info("later")

    assert taken == [("change", "info"), ("degraded", "warning")]
    lines = [json.loads(line)["event"] for line in written.getvalue().splitlines()]
    assert lines == ["degraded", "no event"]
