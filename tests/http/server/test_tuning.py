"""The choice of the connections that serve."""

from __future__ import annotations

import pytest

from appliance.http.server.connection import TunedConnection
from appliance.http.server.hypercorn_connection import HypercornConnection
from appliance.http.server.tuning import choose_connection, hypercorn_version
from tests.doubles.features import EventBook


def test_tuned_connections_serve_with_the_installed_hypercorn() -> None:
    log = EventBook()

    assert choose_connection(True, hypercorn_version(), log) is TunedConnection
    assert not log.events


@pytest.mark.parametrize("hypercorn", ["0.17.2", "0.19.0", "1.0", ""])
def test_hypercorns_connections_serve_when_its_version_was_not_checked(hypercorn: str) -> None:
    log = EventBook()

    assert choose_connection(True, hypercorn, log) is HypercornConnection
    assert log.named("connections_not_tuned") == [{"hypercorn": hypercorn}]


def test_hypercorns_connections_serve_when_tuning_is_off() -> None:
    log = EventBook()

    assert choose_connection(False, hypercorn_version(), log) is HypercornConnection
    assert not log.events
