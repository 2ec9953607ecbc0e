"""Output of commands: JSON, escaped lines; colours and questions only on a terminal."""

from __future__ import annotations

import io

import pytest

from appliance.ctl.console import Console
from appliance.ctl.tables import Column
from tests.doubles.pool import open_pool


class Terminal(io.StringIO):
    """A text stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def console(answer: str = "", *, terminal: bool = True, no_color: bool = False) -> Console:
    stream = Terminal if terminal else io.StringIO
    return Console(stream(), stream(), stream(answer), no_color=no_color)


def written(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("terminal", "no_color", "colours"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_colours_are_used_on_terminals_without_no_color(
    terminal: bool, no_color: bool, colours: bool
) -> None:
    one = console(terminal=terminal, no_color=no_color)
    one.table([Column("STATUS")], [("online",)])

    assert one.colours is colours
    assert ("\x1b[" in written(one.out)) is colours


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("yes\n", True), ("YES\n", True), ("y\n", False), ("no\n", False), ("", False)],
)
def test_only_yes_confirms(answer: str, agreed: bool) -> None:
    one = console(answer)

    assert one.can_ask()
    assert one.ask("Really?") is agreed
    assert written(one.err).startswith("Really?")
    assert written(one.out) == ""


@pytest.mark.parametrize(
    ("answer", "end"), [("yes\n", "continue: "), ("", "continue: \n"), ("no", "continue: \n")]
)
def test_line_of_a_question_is_ended_when_the_answer_does_not_end_it(answer: str, end: str) -> None:
    one = console(answer)

    one.ask("Really?")

    assert written(one.err).endswith(end)


def test_question_is_not_possible_without_a_terminal() -> None:
    assert not console(terminal=False).can_ask()


def test_lines_keep_tabs_and_escape_control_characters() -> None:
    one = console(terminal=False)
    one.show("\n\tid: a\x1b[2J\nb")
    one.error("bad\x1b")

    assert written(one.out) == "\n\tid: a\\x1b[2J\\nb\n"
    assert written(one.err) == "bad\\x1b\n"


def test_document_is_json() -> None:
    one = console(terminal=False)
    one.document({"é": [1]})

    assert written(one.out) == '{\n  "\\u00e9": [\n    1\n  ]\n}\n'


async def test_name_that_the_locale_cannot_show_is_escaped(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("Räume-日本語")

        shown = await pool.control.start_ctl("meetings", PYTHONIOENCODING="ascii")

        assert (shown.code, shown.err) == (0, "")
        assert "MeetingID: R" in shown.out
        assert "ume-\\u65e5\\u672c\\u8a9e" in shown.out


def test_long_lines_fit_a_terminal_and_files_get_them_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = f"12:00:00  {'word ' * 10}{'x' * 60}\t"

    lines = console().wrapped(text, " " * 10).split("\n")

    assert len(lines) > 3
    assert all(len(line) <= 40 for line in lines)
    assert all(line.startswith(" " * 10) for line in lines[1:])
    assert "".join("".join(lines).split()) == "".join(text.rstrip().split()) + "\\t"
    assert console(terminal=False).wrapped(text) == f"{text[:-1]}\\t"
    assert console().wrapped("short") == "short"
