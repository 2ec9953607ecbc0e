"""The fault laboratory: a short selection of its faults, and its own judgement."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ROOT
from tools.chaos.__main__ import parse_options, plan
from tools.chaos.experiment import Result
from tools.chaos.faults import FAULTS, can_be_paired
from tools.chaos.laboratory import Usage
from tools.chaos.ledger import Findings, Ledger, Room, State
from tools.chaos.report import head, row

RUN_LIMIT_S = 240.0


def test_short_selection_loses_and_doubles_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "tools.chaos", "--quick", "--json", str(results)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": "/tmp"},  # socket paths end at 107 bytes
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    experiments = json.loads(results.read_text())["experiments"]
    assert [one["fault"] for one in experiments] == ["answers-lost", "redis-failover", "app-killed"]
    assert all(one["acknowledged"] > 5 for one in experiments), experiments


def test_seed_repeats_the_plan() -> None:
    plans = [
        ["+".join(fault.name for fault in faults) for faults in plan(options, random.Random(seed))]
        for options in [parse_options(["--pairs", "50"])]
        for seed in (1, 1, 2)
    ]

    assert plans[0] == plans[1] != plans[2]
    assert plans[0][: len(FAULTS)] == [fault.name for fault in FAULTS]
    assert len(plans[0]) == len(FAULTS) + 50


def test_pairs_are_of_different_things_or_different_servers() -> None:
    by_name = {fault.name: fault for fault in FAULTS}

    assert can_be_paired(by_name["hang"], by_name["server-gone"])
    assert can_be_paired(by_name["hang"], by_name["redis-killed"])
    assert not can_be_paired(by_name["redis-slow"], by_name["redis-killed"])
    assert not can_be_paired(by_name["hang"], by_name["hang"])


def test_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--faults", "refuse,refused"])
    assert "invalid find_faults value" in capsys.readouterr().err


def ledger_with(state: State, *, server: int | None = 1) -> Ledger:
    ledger = Ledger()
    ledger.rooms["room"] = Room("room", state, "aa-1000", server)
    return ledger


@pytest.mark.parametrize(
    ("state", "holders", "known", "expected"),
    [
        (State.LIVE, {1: "aa-1000"}, "aa-1000", (0, 0, 0)),
        (State.LIVE, {}, None, (1, 0, 0)),
        (State.LIVE, {1: "aa-2000"}, "aa-2000", (1, 0, 0)),
        (State.LIVE, {1: "aa-1000"}, None, (1, 0, 0)),
        (State.LIVE, {2: "aa-1000"}, "aa-1000", (0, 1, 0)),
        (State.LIVE, {1: "aa-1000", 2: "aa-1500"}, "aa-1000", (0, 1, 0)),
        (State.ENDED, {1: "aa-1000"}, "aa-1000", (1, 0, 0)),
        (State.ENDED, {}, None, (0, 0, 0)),
        (State.ASKED, {1: "aa-1000"}, None, (0, 0, 1)),
        (State.ASKED, {1: "aa-1000"}, "aa-1000", (0, 0, 0)),
        (State.ENDING, {1: "aa-1000"}, None, (0, 0, 1)),
    ],
)
def test_ledger_finds_what_is_not_as_it_was_acknowledged(
    state: State, holders: dict[int, str], known: str | None, expected: tuple[int, int, int]
) -> None:
    found = ledger_with(state).check_meetings({"room": holders}, {"room": known})

    assert (len(found.lost), len(found.doubled), len(found.orphans)) == expected


@pytest.mark.parametrize(
    ("lost_server", "at_ms", "lost"), [(1, 1500, 0), (1, 500, 1), (2, 1500, 1)]
)
def test_meeting_that_was_lost_with_its_server_is_excused(
    lost_server: int, at_ms: int, lost: int
) -> None:
    ledger = ledger_with(State.LIVE)
    ledger.losses.append((lost_server, at_ms))

    assert len(ledger.check_meetings({}, {"room": None}).lost) == lost


def test_meeting_that_nobody_asked_for_is_an_orphan() -> None:
    found = Ledger().check_meetings({"other": {0: "bb-1"}}, {"other": None})

    assert found.orphans == ["other was never asked for"]


def test_rows_fit_a_terminal() -> None:
    usage = Usage(123.4, 123)
    result = Result(
        name="server-silent+redis-read-only",
        requests=9999,
        acknowledged=9999,
        findings=Findings(),
        p99_quiet_ms=999.0,
        p99_struck_ms=9999.0,
        recovery_s=90.0,
        before=usage,
        after=usage,
        log_lines=9999,
    )

    lines = [head(), *row(result).splitlines()]
    assert all(len(line) <= 80 for line in lines), lines
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("server", "repeated_ms", "known", "lost"),
    [
        (1, 1500, "aa-2000", 0),
        (None, 1500, "aa-2000", 0),
        (2, 1500, "aa-2000", 1),  # that server was never away
        (1, 0, "aa-2000", 1),  # nobody asked for another run
        (1, 2500, "aa-2000", 1),  # it was asked for later
        (1, 1500, None, 1),
    ],
)
def test_run_that_an_unanswered_create_replaced_on_a_lost_server_is_excused(
    server: int | None, repeated_ms: int, known: str | None, lost: int
) -> None:
    ledger = ledger_with(State.LIVE, server=server)
    room = ledger.rooms["room"]
    room.repeated_ms, room.home, ledger.struck = repeated_ms, server, {0, 1}

    assert len(ledger.check_meetings({"room": {3: "aa-2000"}}, {"room": known}).lost) == lost


@pytest.mark.parametrize(("run", "expected"), [("aa-2000", (0, 1)), ("aa-1000", (1, 0))])
def test_run_of_an_unanswered_create_that_outlives_its_meeting_is_an_orphan(
    run: str, expected: tuple[int, int]
) -> None:
    ledger = ledger_with(State.ENDED, server=1)
    ledger.rooms["room"].unanswered = True

    found = ledger.check_meetings({"room": {3: run}}, {"room": None})

    assert (len(found.lost), len(found.orphans)) == expected
