"""Parsing of the arguments of a rake task."""

from __future__ import annotations

import pytest

from appliance.ctl.rake_task import (
    MissingArguments,
    MisusedTask,
    argument,
    required,
    split_arguments,
)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a , b c ,d", ["a", "b c", "d"]),
        ("a,,c,", ["a", "", "c", ""]),
        ("a\\,b,c", ["a,b", "c"]),
        ("a\\\\,b", ["a\\", "b"]),
        ("a\\", ["a\\"]),
    ],
)
def test_arguments_are_split_as_rake_does(text: str, arguments: list[str]) -> None:
    assert split_arguments(text) == arguments


def test_missing_argument_is_empty_unless_it_is_required() -> None:
    assert [argument(["a"], index) for index in (0, 1)] == ["a", ""]
    assert required(["a", "b"], 2, "x,y") == ["a", "b"]
    for given in (["a"], ["a", ""], []):
        with pytest.raises(MissingArguments, match="x,y"):
            required(given, 2, "x,y")
        with pytest.raises(MisusedTask, match="message of rake"):
            required(given, 2, "x,y", "message of rake")
