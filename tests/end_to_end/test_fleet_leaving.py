"""A server that comes and goes by itself, and whose recording arrives after it is gone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.end_to_end.test_recording_import import deliver, url_of

WITHIN_S = 60.0


def soon(condition: Any, what: str) -> None:
    wait_for(condition, WITHIN_S, what)


def shown(appliance: ApplianceProcess, *words: str) -> Any:
    return json.loads(appliance.ctl(*words, "--json").stdout)


def register(appliance: ApplianceProcess, token: str, bbb: BbbProcess) -> tuple[int, Any]:
    """Register a server, as the program that started it does."""
    body = json.dumps({"server": {"url": bbb.url, "secret": bbb.secret}}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{appliance.front.port}/scalelite/api/servers/self"
    request = urllib.request.Request(url, body, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_autoscaler_may_remove_a_drained_server_whose_recording_still_arrives(
    both_stores: dict[str, str], tmp_path: Path
) -> None:
    environ = {**both_stores, "POLL_INTERVAL": "0.5", "POLL_RETRY_INTERVAL": "0.2"}
    with ApplianceProcess(tmp_path, **environ) as appliance, BbbProcess() as bbb:
        appliance.wait_event("database_ready")
        appliance.sensitive.add(bbb.secret)
        tokens = {
            role: shown(appliance, "tokens", "add", role, "--role", role)["token"]
            for role in ("viewer", "operator")
        }
        assert register(appliance, tokens["viewer"], bbb)[0] == 403
        status, added = register(appliance, tokens["operator"], bbb)
        assert (status, added["state"]) == (201, "disabled")
        soon(lambda: appliance.status(added["id"]) == "online", "the server enables itself")
        assert register(appliance, tokens["operator"], bbb)[0] == 200

        # It has a meeting with a recording, and is drained.
        created = appliance.front.create("lecture", record="true")
        record_id = created.text("internalMeetingID")
        bbb.set_users("lecture", participants=3)
        assert appliance.ctl("servers", "cordon", added["id"]).returncode == 0
        bbb.end_meeting("lecture", marks=True)
        soon(lambda: appliance.server(added["id"])["state"] == "disabled", "it is drained")
        assert appliance.server(added["id"])["recordings_owed"] == 1
        assert shown(appliance, "capacity")["safe_to_stop"] == []
        refused = appliance.ctl("servers", "remove", added["id"])
        assert (refused.returncode, "1 recording to deliver" in refused.stderr) == (1, True)
        appliance.kill()  # what it owes is in the stores
        appliance.start()
        assert appliance.server(added["id"])["recordings_owed"] == 1

        assert appliance.ctl("recordings", "owed", "bbb-unknown").returncode == 1

        # The autoscaler does not wait.
        assert appliance.ctl("servers", "remove", added["id"], "--force").returncode == 0
        (retired,) = shown(appliance, "servers", "list", "--retired")
        assert (retired["id"], retired["recordings_owed"]) == (added["id"], 1)

        # The machine still delivers; another one, which nobody knows, does not.
        stranger, disk = tmp_path / "stranger", tmp_path / "bbb"
        for root in (stranger, disk):
            root.mkdir()
        wrong = deliver(appliance, stranger, record_id, url_of(appliance), "x" * 40)
        assert wrong.returncode != 0 or "401" in wrong.stderr + wrong.stdout
        (one,) = shown(appliance, "recordings", "imports", "--refused")
        assert (one["record_id"], one["reason"]) == (record_id, "wrong secret")
        done = deliver(appliance, disk, record_id, url_of(appliance), bbb.secret)
        assert (done.returncode, done.stderr) == (0, "")
        appliance.wait_event("recording_imported", WITHIN_S, recordings=[record_id])
        soon(
            lambda: shown(appliance, "servers", "list", "--retired")[0]["recordings_owed"] == 0,
            "nothing is owed any more",
        )
        assert shown(appliance, "recordings", "owed", added["id"]) == []  # retired, but known
        assert shown(appliance, "recordings", "imports", "--refused") == []

        # In the morning it is back, as what it was.
        status, again = register(appliance, tokens["operator"], bbb)
        assert (status, again["id"]) == (201, added["id"])
        assert shown(appliance, "servers", "list", "--retired") == []
