"""The Lua scripts carry what they use of lib.lua, and no more."""

from __future__ import annotations

import re

import pytest

from appliance.redis.scripts import load_scripts

SCRIPTS = load_scripts()
LUA = {"if", "while", "and", "or", "not", "return", "function", "in", "elseif", "until"}
BUILT_IN = {"ipairs", "pairs", "tonumber", "tostring", "next", "unpack", "type", "error", "pcall"}
CALLED = re.compile(r"(?<![.:\w])(?<!function )([a-z_]\w*) ?\(")
DEFINED = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)


def without_text(source: str) -> str:
    return re.sub(r"--.*|'[^'\n]*'", "", source)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_called_function_is_defined_above(name: str) -> None:
    source = without_text(SCRIPTS[name].source)
    known = BUILT_IN | LUA
    for call in CALLED.finditer(source):
        above = source[: call.start()]
        assert call[1] in known or re.search(rf"\b(?:local|function)\b.*\b{call[1]}\b", above), (
            call[1]
        )


@pytest.mark.parametrize("name", ["join_meeting", "find_meeting", "list_servers"])
def test_a_script_of_a_frequent_call_makes_nothing_that_it_does_not_use(name: str) -> None:
    source = without_text(SCRIPTS[name].source)
    unused = [
        word for word in DEFINED.findall(source) if len(re.findall(rf"\b{word}\b", source)) == 1
    ]
    assert unused == []


def test_the_library_is_not_in_front_of_a_script_that_does_without() -> None:
    assert "function" not in SCRIPTS["list_tokens"].source
    assert "limits_of" not in SCRIPTS["find_meeting"].source
