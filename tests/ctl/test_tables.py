"""Tables, sizes, times and progress bars."""

from __future__ import annotations

import re

import pytest

from appliance.ctl.tables import (
    Column,
    counted,
    format_size,
    format_time,
    join_first,
    paint,
    render_bar,
    render_table,
    shorten,
)

COLUMNS = (Column("HOSTNAME"), Column("STATUS"), Column("USERS", right=True), Column("TAG"))
ROWS = [
    ("bbb1.example.com", "online", 25, ""),
    ("b2", "offline", 7, "gpu"),
]


def test_columns_are_aligned_without_trailing_blanks() -> None:
    assert render_table(COLUMNS, ROWS) == (
        "HOSTNAME          STATUS   USERS  TAG\n"
        "bbb1.example.com  online      25\n"
        "b2                offline      7  gpu"
    )


def test_table_without_rows_is_its_heading() -> None:
    assert render_table(COLUMNS, []) == "HOSTNAME  STATUS  USERS  TAG"


def test_colours_do_not_change_the_widths() -> None:
    coloured = render_table(COLUMNS, ROWS, colours=True)

    assert "\x1b[32monline\x1b[0m" in coloured
    assert "\x1b[31moffline\x1b[0m" in coloured
    plain = re.sub(r"\x1b\[\d+m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == render_table(
        COLUMNS, ROWS
    ).splitlines()


def test_wide_characters_take_two_columns() -> None:
    table = render_table((Column("A"), Column("B")), [("日本", 1), ("abcd", 2)])

    assert table.splitlines()[1:] == ["日本  1", "abcd  2"]


def test_control_characters_of_a_cell_are_escaped() -> None:
    table = render_table((Column("ID"),), [("evil\x1b[2J\nfake  row",)])

    assert "\x1b" not in table
    assert len(table.splitlines()) == 2


def test_table_that_is_too_wide_loses_columns_and_ends_of_cells() -> None:
    columns = (
        Column("HOST"),
        Column("USERS", right=True),
        Column("A", drop=2),
        Column("B", drop=1),
    )
    rows = [("bbb1.example.com", 25, "x" * 5, "y" * 9)]

    assert render_table(columns, rows, width=80) == render_table(columns, rows)
    assert render_table(columns, rows, width=33).splitlines()[:2] == [
        "HOST              USERS  A",
        "bbb1.example.com     25  xxxxx",
    ]
    assert render_table(columns, rows, width=20).splitlines() == [
        "HOST           USERS",
        "bbb1.example…     25",
        "(not shown: A, B; --json has all)",
    ]


def test_ids_stay_whole_and_names_lose_their_middle() -> None:
    columns = (Column("ID", whole=True), Column("FILE", middle=True), Column("NOTE"))
    rows = [("i" * 30, f"{'f' * 20}-1531240585189.tar", "n" * 30)]

    assert render_table(columns, rows) == render_table(columns, rows, width=110)
    assert render_table(columns, rows, width=60).splitlines()[1] == (
        f"{'i' * 30}  ffff…5189.tar  {'n' * 12}…"
    )


def test_column_that_can_be_left_out_is_first_cut_to_a_usual_width() -> None:
    columns = (Column("ID"), Column("CHANGE", drop=1), Column("RESULT"))
    rows = [("one", "x" * 400, "done")]

    cut, left_out = (render_table(columns, rows, width=width) for width in (53, 52))

    assert cut.splitlines()[1] == f"one  {'x' * 39}…  done"
    assert left_out.splitlines() == [
        "ID   RESULT",
        "one  done",
        "(not shown: CHANGE; --json has all)",
    ]


def test_paint_without_style_is_the_text() -> None:
    assert paint("x", None) == "x"


def test_bar_shows_progress() -> None:
    assert render_bar(0, 4, 8) == "[--------]"
    assert render_bar(1, 4, 8) == "[##------]"
    assert render_bar(9, 4, 8) == "[########]"
    assert render_bar(0, 0, 8) == "[########]"


def test_long_text_is_cut_to_a_cell() -> None:
    assert (shorten("n" * 40), shorten("n" * 41)) == ("n" * 40, "n" * 39 + "…")


def test_number_one_has_no_plural() -> None:
    assert (counted(1, "file"), counted(0, "file")) == ("1 file", "0 files")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_size_has_a_suitable_unit(size: int, text: str) -> None:
    assert format_size(size) == text


def test_missing_time_is_a_dash() -> None:
    assert format_time(None) == "-"
    assert format_time("2026-11-25T10:40:07Z") == "2026-11-25 10:40"


def test_long_list_of_names_is_shortened() -> None:
    assert join_first(["a", "b"]) == "a, b"
    assert join_first(["a", "b", "c"], 2) == "a, b and 1 more"
