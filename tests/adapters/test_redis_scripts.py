"""The scripts as a set: all are loaded, each compiles, and none does what it must not."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import pytest

from appliance.adapters.redis_client import Script
from appliance.adapters.redis_scripts import load_scripts

SCRIPTS = load_scripts()
FOLDER = files("appliance.adapters") / "scripts"
ALL = pytest.mark.parametrize("script", SCRIPTS.all, ids=lambda script: script.name)


def code(script: Script) -> str:
    """Return a script without its comments."""
    return re.sub(r"--.*", "", script.source)


def test_every_file_is_a_script() -> None:
    names = {entry.name for entry in FOLDER.iterdir() if entry.name.endswith(".lua")}
    assert names == {f"{script.name}.lua" for script in SCRIPTS.all} | {"lib.lua"}


def test_scripts_differ() -> None:
    assert Counter(script.sha1 for script in SCRIPTS.all).most_common(1)[0][1] == 1


@ALL
def test_script_begins_with_the_library(script: Script) -> None:
    assert script.source.startswith((FOLDER / "lib.lua").read_text("utf-8"))


@ALL
def test_script_says_what_it_replies(script: Script) -> None:
    head = (FOLDER / f"{script.name}.lua").read_text("utf-8").split("\n\n")[0]
    assert head.startswith("-- ")
    assert "Reply" in head or "Give back" in head


@ALL
def test_script_takes_time_and_chance_from_its_caller(script: Script) -> None:
    found = re.findall(r"math\.random|'TIME'|os\.(?:clock|time)|RANDMEMBER|RANDOMKEY", code(script))
    assert found == []


@ALL
def test_script_uses_no_key_outside_the_namespace(script: Script) -> None:
    # The key of each command is built from P or A, or is a name that was.
    commands = re.findall(r"call\('([A-Z]+)', *([^,)]+)", code(script))
    assert commands
    for command, key in commands:
        known = r"[PA] \.\.|(?:(?:server_)?key|notes|due)\b|was_online and P \.\."
        assert re.match(known, key), command


@ALL
def test_script_blocks_nobody_by_walking_all_keys(script: Script) -> None:
    assert not re.findall(r"'(?:KEYS|SCAN|FLUSHDB|FLUSHALL)'", code(script))


@ALL
def test_script_is_within_a_hundred_columns_or_so(script: Script) -> None:
    assert [line for line in script.source.splitlines() if len(line) > 120] == []
