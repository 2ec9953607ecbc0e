"""What the viewers of a page are sent, and when."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.admin_calls.actors import Role
from appliance.console.core import View
from appliance.console.history import ServerHistory
from appliance.console.live import Channel, Follower, ListPart, Parts, encode_event, pause_of
from appliance.console.pages import LIVE_PAGES
from appliance.console.pages import servers as servers_page
from appliance.console.snapshot import PoolSnapshot, ServerRow
from appliance.model import Server, ServerId
from tests.doubles.console import open_console


async def _nothing(seen: PoolSnapshot) -> Parts:
    return Parts()


def _data(message: bytes) -> dict[str, str]:
    found = json.loads(message.partition(b"data: ")[2])
    assert isinstance(found, dict)
    return found


async def test_viewers_are_served_one_after_the_other_with_calls_in_between() -> None:
    channel, order, stopping = Channel(_nothing, 1.0), [""], trio.Event()

    async def follow() -> None:
        follower = Follower(channel, stopping)
        while await follower.next(60):
            order.append("viewer")

    async def call() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            order.append("call")

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        nursery.start_soon(call)
        await channel.publish(Parts({"a": "1"}))
        nursery.cancel_scope.cancel()

    assert order.count("viewer") == 20
    assert "viewer viewer" not in " ".join(order)


async def test_viewer_gets_everything_then_changes_and_everything_again_if_it_is_late() -> None:
    channel, stopping = Channel(_nothing, 1.0), trio.Event()
    follower = Follower(channel, stopping)
    first = Parts({"a": "1"}, {"list": ListPart("<tbody>", "</tbody>", {"x": "X", "y": "Y"})})
    second = replace(first, html={"a": "2"})
    await channel.publish(first)
    assert _data(await follower.next(0.01)) == {"a": "1", "list": "<tbody>XY</tbody>"}

    await channel.publish(second)
    assert _data(await follower.next(0.01)) == {"a": "2"}
    await channel.publish(second)
    assert await follower.next(0.01) == b""

    for number in (3, 4):
        await channel.publish(replace(first, html={"a": f"{number}"}))
    assert _data(await follower.next(0.01)) == {"a": "4", "list": "<tbody>XY</tbody>"}


def test_list_is_sent_with_its_order_and_without_the_rows_that_are_the_same() -> None:
    def parts(**entries: str) -> Parts:
        return Parts(lists={"list": ListPart("<tbody>", "</tbody>", entries)})

    def kept(key: str) -> str:
        return f'<tr data-part="{key}" data-kept></tr>'

    first = parts(x="X", y="Y")
    assert parts(x="X2", y="Y").changes_since(first) == {"x": "X2"}
    assert parts(y="Y", x="X2").changes_since(first) == {"list": f"<tbody>{kept('y')}X2</tbody>"}
    more = parts(z="Z", **{'a"': "A"}, x="X")
    assert parts(**{'a"': "A"}, x="X").changes_since(more) == {
        "list": f"<tbody>{kept('a&#34;')}{kept('x')}</tbody>"
    }


def test_pages_show_a_change_within_two_seconds_unless_that_would_cost_too_much() -> None:
    for page in LIVE_PAGES.values():
        assert pause_of(page.interval_s, 0.05) <= 1.5, page.name

    assert pause_of(1.5, 0.2) == 4
    assert pause_of(1.5, 60) == 10


def test_event_has_a_line_of_data_whatever_is_in_it() -> None:
    message = encode_event("parts", {"a": "two\nlines", "file": "caf\udce9.tar"})

    assert message.count(b"\n") == 3
    assert _data(message)["a"] == "two\nlines"


async def test_rows_take_the_sample_of_the_minute_one_after_the_other(
    redis_url: str, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [Server(ServerId(f"bbb{number}"), "https://bbb", "s") for number in range(40)]
    rows = tuple(ServerRow(one, one.id, None, 0) for one in servers)
    async with open_console(redis_url, redis_namespace) as opened:
        console, changes = opened.console, []
        # The pool has none of these servers: they would be forgotten if a minute begins now.
        monkeypatch.setattr(console.live.history, "add", lambda *_, **more: None)
        view = View("servers", console.languages.by_name["en"], Role.VIEWER)
        last = await servers_page.parts(console, view, PoolSnapshot(0, rows))
        for one in servers:
            console.live.history.servers[one.id] = ServerHistory(deque([1.0, 2.0]))
        for second in range(1, 61):
            now = await servers_page.parts(console, view, PoolSnapshot(second * 1000, rows))
            changes.append(len(now.changes_since(last)))
            last = now

    assert sum(changes) == len(servers)
    assert max(changes) <= 5
