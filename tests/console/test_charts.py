"""The picture of the pool."""

from __future__ import annotations

import re
from dataclasses import replace

from appliance.console.charts import MANY, draw_skyline, tower_of
from appliance.console.snapshot import ServerRow
from appliance.model import Server, ServerId, ServerState


def row(number: int, users: int, state: ServerState = ServerState.ENABLED) -> ServerRow:
    server = Server(ServerId(f"bbb{number}"), f"https://bbb{number}.test/", "s", state=state)
    server = replace(server, online=True, load=float(users), users=users, max_users=100)
    return ServerRow(server, server.id, None, 0)


def towers(rows: list[ServerRow], kind: str) -> list[tuple[float, float]]:
    """Return place and height of what is drawn as a kind."""
    drawn = draw_skyline([tower_of(one, 1.0) for one in rows], "pool")
    path = re.search(f'class="{kind}" d="([^"]*)"', drawn)
    found = re.findall(r"M([\d.]+) [\d.]+h[\d.]+v([\d.]+)h", path[1] if path else "")
    return [(float(x), float(height)) for x, height in found]


def test_few_servers_stand_in_their_order() -> None:
    drawn = towers([row(1, 10), row(2, 80), row(3, 40)], "up")

    assert [height for _, height in drawn] == [9.4, 61.2, 31.6]


def test_many_servers_are_a_curve_from_the_fullest_to_the_emptiest() -> None:
    rows = [row(number, number * 7 % 100) for number in range(10 * MANY)]
    rows.append(row(0, 0, ServerState.DISABLED))

    drawn = towers(rows, "up")

    assert drawn == sorted(drawn)
    assert [height for _, height in drawn] == sorted((one for _, one in drawn), reverse=True)
    assert len(drawn) < 100
    assert towers(rows, "off")[0][0] > drawn[-1][0]
