"""The lines of servers: what a small pool shows, and what a large one leaves out."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open

from appliance.instruments import LastPoll, Metrics
from appliance.metrics.exposition import StoreSnapshot, render_metrics
from appliance.metrics.server_lines import LARGE_POOL, render_servers
from appliance.model import Server, ServerId, ServerState
from tests.doubles.prometheus_text import samples

HOST = "bbb-1.example.org"


def make_server(number: int) -> Server:
    """Return a server that answers, with an id as long as those that are given."""
    return Server(
        id=ServerId(f"3b6c1f5e-54c9-4a44-9d0c-{number:012}"),
        url=f"https://{HOST}/bigbluebutton/api",
        secret="S3C",
        state=ServerState.ENABLED,
        online=True,
        load=12.5,
    )


def test_small_pool_shows_also_what_is_zero() -> None:
    metrics, server = Metrics(), make_server(1)
    metrics.polls.observe(0.25, server.id, "ok")
    metrics.last_polls[server.id] = LastPoll(1, 0.25, "")

    read = samples(render_servers([server], (), metrics, open_metrics=False))

    labels = (HOST, server.id)
    assert read["scalelite_server_state", (*labels, "enabled")] == 1
    assert read["scalelite_server_state", (*labels, "cordoned")] == 0
    assert read["scalelite_server_maintenance", labels] == 0
    assert read["scalelite_server_recordings_owed", labels] == 0
    assert read["scalelite_server_poll_seconds", labels] == 0.25
    assert read["scalelite_server_polls_failed_total", (server.id,)] == 0


def test_failed_poll_is_counted_and_has_no_duration() -> None:
    metrics, server = Metrics(), make_server(1)
    metrics.polls.observe(0.25, server.id, "ok")
    metrics.polls.observe(10.0, server.id, "failed")
    metrics.last_polls[server.id] = LastPoll(1, 10.0, "no answer")

    read = samples(render_servers([server], (), metrics, open_metrics=False))

    assert ("scalelite_server_poll_seconds", (HOST, server.id)) not in read
    assert read["scalelite_server_polls_failed_total", (server.id,)] == 1


def test_large_pool_leaves_out_what_is_zero_for_nearly_all() -> None:
    metrics = Metrics()
    servers = [make_server(number) for number in range(LARGE_POOL + 1)]
    for server in servers:
        metrics.polls.observe(0.25, server.id, "ok")
        metrics.last_polls[server.id] = LastPoll(1, 0.25, "")
    metrics.polls.observe(0.25, servers[1].id, "failed")

    text = render_servers(servers, {servers[0].id}, metrics, open_metrics=False)
    read = samples(text)

    assert len(text) < 850 * len(servers)
    states = [labels for name, labels in read if name == "scalelite_server_state"]
    assert {state for *_, state in states} == {"enabled"}
    assert len(states) == len(servers)
    for name, server in (("maintenance", servers[0]), ("polls_failed_total", servers[1])):
        found = [labels[-1] for found, labels in read if found == f"scalelite_server_{name}"]
        assert found == [server.id]


def test_labels_are_escaped_in_both_formats() -> None:
    odd = Server(id=ServerId('a"b\\c\nd'), url="not a url", secret="s")
    metrics = Metrics()
    metrics.server_creates.add(odd.id, "ok")
    metrics.polls.observe(0.1, odd.id, "ok")

    read = samples(render_servers([odd], (), metrics, open_metrics=False))
    accept = "application/openmetrics-text; version=1.0.0"
    open_text = render_metrics(metrics, StoreSnapshot([odd]), accept)[1].decode()
    families = list(parse_open(open_text))  # type: ignore[no-untyped-call]

    assert read["scalelite_server_online", ("not a url", odd.id)] == 0
    assert read["scalelite_server_creates_total", ("ok", odd.id)] == 1
    found = {one.name: one for one in families}
    assert found["scalelite_server_creates"].samples[0].labels["server"] == odd.id
    assert found["scalelite_server_online"].type == "gauge"
