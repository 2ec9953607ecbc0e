"""Formatting of fields; masked secrets; lines that cannot be forged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.log import get_logger
from tests.doubles.logs import logged, logging_restored


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_restored():
        yield


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb", r'"a\nb"'),
        ("-", '"-"'),
        (None, "-"),
        (True, "true"),
        (3, "3"),
        (0.1 + 0.2, "0.3"),
        (["a", 1], r'"[\"a\", 1]"'),
        ({"k": "v"}, r'"{\"k\": \"v\"}"'),
        (Path("/a/b"), "/a/b"),
        (b"bytes\xff", r'"bytes\\xff"'),
        (ValueError("bad thing"), '"ValueError: bad thing"'),
    ],
)
def test_field_is_formatted_unambiguously(value: object, text: str) -> None:
    line = logged("journal", lambda: get_logger("x").info("e", f=value))

    assert line == f"<6>e f={text}"


def test_value_that_cannot_be_converted_is_shown_by_its_type() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert logged("journal", lambda: get_logger("x").info("e", f=Broken())) == "<6>e f=<Broken>"


# --- redaction ------------------------------------------------------------------------------------

FORMS = ["console", "json", "journal"]


@pytest.mark.parametrize("log_format", FORMS)
@pytest.mark.parametrize(
    "key",
    [
        "secret",
        "password",
        "checksum",
        "token",
        "moderatorPW",
        "attendee_pw",
        "authorization",
        "secrets",
        "METRICS_TOKEN",
        "api_key",
        "cookie",
    ],
)
def test_secret_field_is_masked(log_format: str, key: str) -> None:
    line = logged(log_format, lambda: get_logger("x").info("e", **{key: "S3C"}))

    assert "S3C" not in line
    assert key in line
    assert "***" in line


@pytest.mark.parametrize("log_format", FORMS)
@pytest.mark.parametrize(
    "value",
    [
        "https://h/bigbluebutton/api/join?meetingID=1&password=S3C&checksum=S3C",
        "redis://user:S3C@host",
        {"deep": {"secret": "S3C", "list": [{"moderatorPW": "S3C"}]}},
        [("url", "x?token=S3C")],
        b"checksum=S3C",
        ValueError("password=S3C"),
        Path("/x?secret=S3C"),
        {"a": {"b": {"c": {"d": {"e": {"secret": "S3C"}}}}}},
    ],
)
def test_secret_inside_a_value_is_masked(log_format: str, value: object) -> None:
    line = logged(log_format, lambda: get_logger("x").info("e", field=value))

    assert "S3C" not in line
    assert "***" in line


@pytest.mark.parametrize("log_format", FORMS)
def test_secret_in_an_event_or_a_library_message_is_masked(log_format: str) -> None:
    def emit() -> None:
        get_logger("x").info("GET /?checksum=S3C")
        logging.getLogger("httpx").warning("request to %s", "http://h/?checksum=S3C&a=1")

    assert "S3C" not in logged(log_format, emit)


@pytest.mark.parametrize("log_format", FORMS)
def test_secret_in_a_traceback_is_masked(log_format: str, error_logs: list[str]) -> None:
    def emit() -> None:
        try:
            raise ExceptionGroup("two", [ValueError("checksum=" + "S3" + "C"), OSError(5, "io")])
        except* (ValueError, OSError):
            get_logger("x").exception("failed")

    text = logged(log_format, emit)

    assert "ExceptionGroup" in text
    assert "checksum=***" in text
    assert "S3C" not in text
    error_logs.clear()


def test_none_under_a_secret_name_stays_none() -> None:
    assert logged("journal", lambda: get_logger("x").info("e", token=None)) == "<6>e token=-"


def test_long_value_is_cut_without_revealing_a_password() -> None:
    value = "x" * 4080 + "://u:" + "S3C" * 50 + "@h" + "y" * 100_000

    line = logged("journal", lambda: get_logger("x").info("e", f=value))

    assert len(line) < 4300
    assert "S3C" not in line
    assert f"({len(value)} characters)" in line


def test_large_container_is_cut() -> None:
    line = logged("json", lambda: get_logger("x").info("e", f=list(range(100_000))))

    assert len(json.loads(line)["f"]) == 100


# --- forging --------------------------------------------------------------------------------------

HOSTILE = "x\n<2>forged\r\x1b[2J\x00\x7f\x85\u2028\u202e"


@pytest.mark.parametrize("log_format", FORMS)
def test_control_characters_cannot_start_a_new_line(log_format: str) -> None:
    def emit() -> None:
        get_logger("x").info(HOSTILE, field=HOSTILE, other=[HOSTILE], **{"key\n<2>x": 1})
        logging.getLogger("lib\nrary").warning("%s", HOSTILE)

    text = logged(log_format, emit)

    assert len(text.splitlines()) == 2
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("log_format", ["json", "journal"])
def test_traceback_stays_inside_its_line(log_format: str, error_logs: list[str]) -> None:
    def emit() -> None:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            get_logger("x").exception("failed")

    text = logged(log_format, emit)

    assert text.isprintable()
    assert "Traceback" in text
    error_logs.clear()


def test_traceback_on_a_console_is_marked_with_bars(error_logs: list[str]) -> None:
    def emit() -> None:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("library").exception("failed")

    first, *rest = logged("console", emit).split("\n")

    assert first.endswith("failed logger=library")
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)
    assert rest[0] == "    | Traceback (most recent call last):"
    error_logs.clear()


@given(st.sampled_from(FORMS), st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_one_event_is_one_printable_line_whatever_it_holds(
    log_format: str, event: str, data: dict[str, str]
) -> None:
    line = logged(log_format, lambda: get_logger("x").info(event, data=data, text=event))

    assert line.isprintable()
    if log_format == "json":
        json.loads(line)


@pytest.mark.parametrize("log_format", FORMS)
def test_recursive_value_is_cut(log_format: str) -> None:
    knot: dict[str, object] = {"name": "S3C"}
    knot["password"] = knot["self"] = knot

    line = logged(log_format, lambda: get_logger("x").info("e", f=knot))

    assert len(line) < 2000
