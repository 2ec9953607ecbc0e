"""Usage of a running appliance: killed, started again, another one in its place, no database."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.servers.poller import LEASE_MS
from tests.doubles.appliance_client import MODERATOR_PW
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.postgres_process import postgres_process

WITHIN_S = 60.0
"""How soon a run that has ended must show."""


def usage(appliance: ApplianceProcess, *words: str) -> list[dict[str, Any]]:
    """Return the lines of `ctl usage`."""
    done = appliance.ctl("usage", *words, "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["usage"] if done.stdout else []
    return found


def soon(condition: Callable[[], bool], what: str) -> None:
    wait_for(condition, WITHIN_S, what)


def test_usage_is_exact_across_a_kill_a_takeover_and_a_database_that_was_away(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    stores = {"REDIS_URL": redis_url, "REDIS_NAMESPACE": redis_namespace}
    with postgres_process("pw") as postgres, BbbProcess() as bbb:
        postgres.start()
        environ = {
            **stores,
            "SECRET_KEY_BASE": "k" * 64,
            "DATABASE_URL": postgres.url,
            "POLL_INTERVAL": "0.5",
        }
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        with ApplianceProcess(tmp_path / "one", **environ) as one:
            one.wait_event("database_ready")
            one.add_server(bbb)
            began_s = time.monotonic()
            one.front.create("physics", record="true", **{"meta_bbb-origin": "Moodle"})
            bbb.set_users("physics", participants=100, voice=7)
            soon(lambda: usage(one) != [] and usage(one)[0]["peak_users"] == 100, "live usage")
            one.kill()
            killed_s = time.monotonic()
            one.start()
            postgres.stop()
            soon(lambda: one.ctl("usage").returncode == 1, "no database")
            with ApplianceProcess(tmp_path / "two", **environ) as two:
                one.terminate()
                # Its lease to poll the server has expired, and another has polled since.
                time.sleep(max(2, killed_s + LEASE_MS / 1000 + 1.5 - time.monotonic()))
                lasted_s = time.monotonic() - began_s
                two.front.get("end", meetingID="physics", password=MODERATOR_PW)
                bbb.forget_meetings()
                postgres.start()
                two.wait_event("database_ready")
                soon(
                    lambda: postgres.sql("SELECT count(*) FROM appliance.meeting_runs") == "1",
                    "the run in the database",
                )
                (line,) = usage(two, "--by", "meeting")
                text = two.ctl("usage", "--by", "tenant,origin", "--csv").stdout
                (gaps,) = [json.loads(two.ctl("usage", "--json").stdout)["gaps"]]
                row = postgres.sql("SELECT noticed, peak_voice FROM appliance.meeting_runs")

    assert (line["meeting"], line["meetings"], line["peak_users"]) == ("physics", 1, 100)
    # Within a poll interval of each user, and what the commands before and after took.
    assert line["user_minutes"] == pytest.approx(100 * lasted_s / 60, abs=100 * 2 / 60)
    assert line["recorded_minutes"] == pytest.approx(lasted_s / 60, abs=2 / 60)
    assert row in ("reported|7", "poll|7")
    assert gaps == []
    (found,) = csv.DictReader(io.StringIO(text))
    assert (found["origin"], found["meetings"]) == ("Moodle", "1")
