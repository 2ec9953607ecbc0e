"""The player of recordings: missing, older than the servers', as new as theirs."""

from __future__ import annotations

import pytest

from appliance.doctor.findings import Level
from appliance.doctor.player_findings import judge_player
from appliance.recordings.player.files import PlayerBuild
from appliance.recordings.player.installation import InstalledPlayer

DAY_MS = 86_400_000


def test_missing_player_is_to_be_taken_from_the_server_with_the_newest() -> None:
    builds = {
        "bbb1": PlayerBuild("5.0.2"),
        "bbb2": PlayerBuild("5.1.3"),
        "bbb3": PlayerBuild("5.1"),
    }

    missing, alone = judge_player(None, builds), judge_player(None, {})

    assert (missing.level, alone.level) == (Level.WARN, Level.WARN)
    assert missing.advice == "`ctl recordings player install bbb2`"
    assert alone.advice == "`ctl recordings player install SERVER`"


@pytest.mark.parametrize(
    ("installed", "server", "older"),
    [
        (PlayerBuild("5.1.3"), PlayerBuild("5.1.10"), True),
        (PlayerBuild("5.1.3"), PlayerBuild("5.1.3"), False),
        (PlayerBuild("5.2"), PlayerBuild("5.1.3"), False),
        (PlayerBuild("5.0.0-rc.3"), PlayerBuild("5.0.0"), True),
        (PlayerBuild("", "main.a.js", 1), PlayerBuild("", "main.b.js", DAY_MS), True),
        (PlayerBuild("", "main.a.js", 1), PlayerBuild("5.1.3", "main.b.js", DAY_MS), True),
        (PlayerBuild("", "main.a.js", DAY_MS), PlayerBuild("", "main.b.js", 1), False),
        (PlayerBuild("", "main.a.js", 1), PlayerBuild("", "main.a.js", DAY_MS), False),
        (PlayerBuild("", "main.a.js"), PlayerBuild("", "main.b.js", DAY_MS), False),
    ],
)
def test_older_player_is_told(installed: PlayerBuild, server: PlayerBuild, older: bool) -> None:
    found = judge_player(InstalledPlayer(installed), {"bbb1": server})

    assert found.level is (Level.WARN if older else Level.OK)
    assert ("is older than" in found.text) is older
    assert ("bbb1" in found.text + found.advice) is older
