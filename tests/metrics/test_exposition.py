"""The text of the metrics, read back by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open

from appliance.callbacks.rules import CallbackState
from appliance.fleet.capacity import FleetNote, plan_capacity
from appliance.instruments import Metrics
from appliance.metrics.exposition import SpoolStatus, StoreSnapshot, TenantNow, render_metrics
from appliance.model import Server, ServerId, ServerState
from appliance.tenants.limits import TenantLimits
from tests.doubles.prometheus_text import samples
from tests.doubles.settings import settings_of

BUSY = Server(
    id=ServerId('b"1'),
    url="https://bbb1.example.com/bigbluebutton/api",
    secret="S3C",
    state=ServerState.ENABLED,
    online=True,
    load=12.5,
    meetings=3,
    users=41,
    videos=9,
)
IDLE = Server(id=ServerId("b2"), url="https://bbb2.example.com/bigbluebutton/api", secret="S3C")


def test_instruments_and_servers_are_told() -> None:
    metrics = Metrics()
    metrics.requests.observe(0.003, "create", "ok")
    metrics.requests.observe(60.0, "create", "ok")
    metrics.placements.add("placed")
    metrics.detached.add(amount=3)

    kind, text = render_metrics(
        metrics, StoreSnapshot([BUSY, IDLE], SpoolStatus(2, 90.5), {CallbackState.FAILED: 3}), ""
    )
    read = samples(text)

    assert kind.startswith("text/plain")
    assert read["scalelite_request_seconds_count", ("create", "ok")] == 2
    assert read["scalelite_request_seconds_sum", ("create", "ok")] == 60.003
    assert read["scalelite_request_seconds_bucket", ("create", "0.0025", "ok")] == 0
    assert read["scalelite_request_seconds_bucket", ("create", "0.005", "ok")] == 1
    assert read["scalelite_request_seconds_bucket", ("create", "+Inf", "ok")] == 2
    assert read["scalelite_placements_total", ("placed",)] == 1
    assert read["scalelite_failovers_total", ()] == 0
    assert read["scalelite_meetings_detached_total", ()] == 3
    busy, idle = ("bbb1.example.com", 'b"1'), ("bbb2.example.com", "b2")
    assert read["scalelite_server_online", busy] == 1
    assert read["scalelite_server_load", busy] == 12.5
    assert read["scalelite_server_users", busy] == 41
    assert ("scalelite_server_load", idle) not in read
    assert read["scalelite_server_state", (*idle, "disabled")] == 1
    assert read["scalelite_server_state", (*busy, "disabled")] == 0
    assert read["scalelite_spool_files", ()] == 2
    assert read["scalelite_spool_oldest_seconds", ()] == 90.5
    assert read["scalelite_callbacks", ("failed",)] == 3
    assert read["scalelite_redis_up", ()] == 1
    assert read["process_open_fds", ()] > 0
    assert b"S3C" not in text


def test_what_alerts_count_is_there_before_it_happens() -> None:
    read = samples(render_metrics(Metrics(), StoreSnapshot(None), "")[1])

    for outcome in ("no_server", "no_tagged_server", "no_voice_bridge"):
        assert read["scalelite_placements_total", (outcome,)] == 0
    for result in ("done", "retried", "failed"):
        assert read["scalelite_imports_total", (result,)] == 0
    assert read["scalelite_meetings_detached_total", ()] == 0


def test_windows_and_shares_are_told() -> None:
    metrics = Metrics()
    metrics.server_creates.add(BUSY.id, "failed")
    seen = StoreSnapshot([BUSY], maintained=frozenset({BUSY.id}), shares={"4.0.1": 0.1})

    read = samples(render_metrics(metrics, seen, "")[1])

    assert read["scalelite_version_share_ratio", ("4.0.1",)] == 0.1
    for name in ("scalelite_server_creates_total", "scalelite_server_maintenance"):
        assert [value for (found, _), value in read.items() if found == name] == [1]
    metrics.server_creates.forget("server", frozenset())
    assert not metrics.server_creates.values


def test_without_redis_the_rest_is_told() -> None:
    read = samples(render_metrics(Metrics(), StoreSnapshot(None), "")[1])

    assert read["scalelite_redis_up", ()] == 0
    assert ("scalelite_postgres_up", ()) not in read
    assert ("scalelite_spool_files", ()) not in read
    assert not [name for name, _ in read if name.startswith("scalelite_server_")]


def test_openmetrics_are_valid_too() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    metrics = Metrics()
    metrics.stores.observe(0.0002, "redis")

    kind, text = render_metrics(metrics, StoreSnapshot([BUSY]), accept)

    assert kind.startswith("application/openmetrics-text")
    families = parse_open(text.decode())  # type: ignore[no-untyped-call]
    assert len(list(families)) > 15


def test_tenants_beyond_the_first_are_added_up() -> None:
    metrics = Metrics()
    tenants = {f"t{number:03}": TenantNow(1, number, 2, 3, 1000) for number in range(203)}
    for name in ("t000", "t001", "t202"):
        metrics.tenant_creates.add(name)

    read = samples(render_metrics(metrics, StoreSnapshot(None, tenants=tenants), "")[1])

    assert read["scalelite_tenant_users", ("t150",)] == 150
    assert read["scalelite_tenant_users", ("other",)] == 200 + 201 + 202
    assert read["scalelite_tenant_recordings_bytes", ("other",)] == 3000
    assert read["scalelite_tenant_creates_total", ("t001",)] == 1
    assert read["scalelite_tenant_creates_total", ("other",)] == 1


def test_counters_of_tenants_begin_with_0() -> None:
    limits = {"t1": TenantLimits({"max_users": 3.0}, {})}
    metrics = Metrics()
    metrics.tenant_refused.add("t2", "max_meetings")
    seen = StoreSnapshot(None, tenants={"t1": TenantNow()}, limits=limits)

    read = samples(render_metrics(metrics, seen, "")[1])

    assert read["scalelite_tenant_creates_total", ("t1",)] == 0
    assert read["scalelite_tenant_refused_total", ("max_users", "t1")] == 0
    assert read["scalelite_tenant_refused_total", ("max_meetings", "t2")] == 1
    without = render_metrics(metrics, StoreSnapshot(None), "")[1]
    assert b"scalelite_tenant_" not in without


def test_capacity_is_told() -> None:
    settings = settings_of(SEATS_PER_SERVER="20").fleet
    notes = {IDLE.id: FleetNote(polled=True)}
    capacity = plan_capacity([BUSY, IDLE], notes, 50, settings)

    read = samples(render_metrics(Metrics(), StoreSnapshot([BUSY, IDLE], capacity=capacity), "")[1])

    assert read["scalelite_pool_desired_servers", ()] == 3
    assert read["scalelite_pool_users", ()] == 41
    assert read["scalelite_pool_meetings", ()] == 3
    assert read["scalelite_pool_seats", ()] == 20
    assert read["scalelite_pool_free_seats", ()] == 0
    assert read["scalelite_pool_forecast_users", ()] == 50
    assert read["scalelite_pool_available_servers", ()] == 1
    assert read["scalelite_pool_drainable_servers", ()] == 0
    assert read["scalelite_pool_safe_to_stop_servers", ()] == 1
    assert read["scalelite_pool_needed_servers", ("none",)] == 3


def test_limit_of_zero_is_used_up_by_anything() -> None:
    limits = {
        "school": TenantLimits({"max_users": 0.0, "max_meetings": 0.0}, {"max_users": 3.0}),
        "other": TenantLimits({"max_users": 0.0}, {"max_users": 0.0}),
    }

    _, text = render_metrics(Metrics(), StoreSnapshot(None, None, None, limits=limits), "")

    read = samples(text)
    assert read["scalelite_tenant_limit_used_ratio", ("max_users", "school")] == 1.0
    assert read["scalelite_tenant_limit_used_ratio", ("max_users", "other")] == 0.0
