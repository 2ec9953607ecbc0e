"""The admin calls about the size of the pool, and the ctl commands on them."""

from __future__ import annotations

from typing import Any

from appliance.fleet.autoscale import make_hooks, tell
from appliance.model import ServerState
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.callback_receiver import CallbackReceiver
from tests.doubles.control import open_control
from tests.doubles.live_pool import open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


async def test_capacity_and_plan_are_shown(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    receiver = CallbackReceiver(answer=lambda _: 503)
    async with receiver.serving():
        variables: dict[str, Any] = {
            "SEATS_PER_SERVER": "50",
            "AUTOSCALE_URL": receiver.url("/hook"),
        }
        async with open_live(redis_url, redis_namespace, bbbs, **variables) as pool:
            pool.bbb("bbb-1").create_meeting("room")
            pool.bbb("bbb-1").set_users("room", participants=30)
            await pool.poll("bbb-1")
            await pool.set_state("bbb-3", ServerState.DISABLED)
            fleet = pool.res.fleet
            assert await fleet.store.claim(fleet.instance, lease_ms=60_000)
            assert await tell(fleet, make_hooks(fleet)[0]) == 1
            async with open_control(pool.res) as control:
                assert await control.get("capacity") == {
                    "users": 30,
                    "meetings": 1,
                    "seats": 100,
                    "free_seats": 70,
                    "forecast": 30,
                    "desired_servers": 1,
                    "drainable": ["bbb-2"],
                    "safe_to_stop": ["bbb-3"],
                    "needed": {"none": 1},
                }
                shown = await control.ctl("capacity")
                assert "Seats:          70 of 100 free" in shown.out
                assert "Can be drained: 127.0.0.1:" in shown.out
                assert (await control.ctl("capacity", "--json")).json["seats"] == 100

                plan = (await control.ctl("autoscale", "plan", "--json")).json
                assert [(one["action"], one["server"]) for one in plan["actions"]] == [
                    ("drain", "bbb-2"),
                    ("stop", "bbb-3"),
                ]
                (hook,) = plan["hooks"]
                assert (hook["name"], hook["desired_servers"], hook["failures"]) == ("url", None, 1)
                assert [one["event"] for one in hook["waiting"]] == [
                    "desired_servers_changed",
                    "server_safe_to_stop",
                ]
                text = (await control.ctl("autoscale", "plan")).out
                assert "1 server is needed for 30 users" in text
                assert "the receiver answered 503" in text
