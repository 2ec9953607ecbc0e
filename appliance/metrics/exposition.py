"""Renders the metrics in the Prometheus exposition formats, with the client library.

Pure: counters and a snapshot of the stores in, text out. May run in a thread.
Source: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.callbacks.rules import CallbackState
from appliance.fleet.capacity import Capacity
from appliance.instruments import Labels, Metrics
from appliance.metrics.host import HostStatus
from appliance.metrics.server_lines import render_servers
from appliance.model import Server
from appliance.tenants.limits import TenantLimits


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """The tars that wait in the spool of recordings."""

    files: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class TenantNow:
    """The present meetings, users and recordings of a tenant."""

    meetings: int = 0
    users: int = 0
    voice: int = 0
    videos: int = 0
    recording_bytes: int = 0


_END = b"# EOF\n"
"""Of OpenMetrics."""

MAX_TENANTS = 200
OTHER_TENANTS = "other"


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """A snapshot of the stores; None: a store did not answer, or is not configured."""

    servers: Sequence[Server] | None
    spool: SpoolStatus | None = None
    callbacks: Mapping[CallbackState, int] | None = None
    database: bool | None = None
    """Whether PostgreSQL answered."""
    host: HostStatus = field(default_factory=HostStatus)
    limits: Mapping[str, TenantLimits] = field(default_factory=dict)
    """By the name of the tenant."""
    tenants: Mapping[str, TenantNow] | None = None
    """By name, empty without tenants; None: TENANT_METRICS is off."""
    imports_waiting: Mapping[str, int] | None = None
    """Imports that wait for a storage, by reason."""
    capacity: Capacity | None = None
    maintained: frozenset[str] = frozenset()
    """Servers whose maintenance window is under way."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Version of BBB → its share of new meetings, from 0 to 1."""


class _MetricCollector(Collector):
    """Collects the families of one scrape for the client library."""

    def __init__(self, metrics: Metrics, seen: StoreSnapshot) -> None:
        self._metrics = metrics
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """Yield every family, with labels that can be encoded: in Redis there may be any bytes."""
        for family in self._families():
            family.samples = [
                sample
                if all(map(str.isascii, sample.labels.values()))
                else sample._replace(labels={k: _clean(v) for k, v in sample.labels.items()})
                for sample in family.samples
            ]
            yield family

    def _families(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("scalelite_info", "Version of the appliance.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from _counted(self._metrics)
        up = GaugeMetricFamily("scalelite_redis_up", "Whether Redis answered just now.")
        up.add_metric([], float(self._seen.servers is not None))
        yield up
        if self._seen.database is not None:
            up = GaugeMetricFamily("scalelite_postgres_up", "Whether PostgreSQL answered just now.")
            up.add_metric([], float(self._seen.database))
            yield up
        if self._seen.servers is not None:
            text, shares = "Share of new meetings that a version gets.", self._seen.shares
            yield _gauges("scalelite_version_share_ratio", text, "version", shares)
        if self._seen.capacity is not None:
            yield from _capacity(self._seen.capacity)
        if self._seen.spool is not None:
            yield from _spool(self._seen.spool)
        if self._seen.callbacks is not None:
            counts = {state.value: number for state, number in self._seen.callbacks.items()}
            yield _gauges("scalelite_callbacks", "Calls to front-ends.", "state", counts)
        if self._seen.imports_waiting is not None:
            text, waiting = "Imports that wait, by reason.", self._seen.imports_waiting
            yield _gauges("scalelite_imports_waiting", text, "reason", waiting)
        yield from _host(self._seen.host)
        if self._seen.limits:
            yield _limits(self._seen.limits)
        if self._seen.tenants is not None:
            yield from _tenants(self._seen.tenants, self._seen.limits or {}, self._metrics)


def _clean(label: str) -> str:
    return label.encode("utf-8", "replace").decode()


def render_metrics(metrics: Metrics, seen: StoreSnapshot, accept: str) -> tuple[str, bytes]:
    """Return content type and text, in the format preferred by an Accept header."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_MetricCollector(metrics, seen))
    encode, content_type = choose_encoder(accept)
    text = encode(registry)
    if seen.servers is not None:
        open_metrics = text.endswith(_END)
        own = render_servers(seen.servers, seen.maintained, metrics, open_metrics=open_metrics)
        text = text.removesuffix(_END) + own + (_END if open_metrics else b"")
    return content_type, text


def _counted(metrics: Metrics) -> Iterator[Metric]:
    for name, text, histogram in (
        ("request_seconds", "Requests, by call and result.", metrics.requests),
        ("store_seconds", "Round trips to the stores.", metrics.stores),
        ("loop_lag_seconds", "How late the event loop was.", metrics.loop_lag),
    ):
        yield _histogram(
            f"scalelite_{name}", text, histogram.labels, histogram.bounds, histogram.read()
        )
    text, polls = "Polls by this process, by result.", metrics.polls
    found = polls.read_by("result")
    yield _histogram("scalelite_poll_seconds", text, ["result"], polls.bounds, found)
    for name, text, counter in (
        ("placements", "Creates, by what the store decided.", metrics.placements),
        ("failovers", "Creates that went on to another server.", metrics.failovers),
        ("meetings_moved", "Meetings created again on another server.", metrics.moves),
        ("meetings_detached", "Meetings whose server went offline.", metrics.detached),
        ("imports", "Imports of recordings, by result.", metrics.imports),
        ("checksum_errors", "Calls with a wrong checksum, by reason.", metrics.checksum_errors),
        ("list_rounds", "Rounds of getMeetings, which calls share.", metrics.list_rounds),
        ("slow_redis_round_trips", "Round trips to Redis over 0.2 s.", metrics.slow_redis),
        ("import_bytes", "Size of the tars imported.", metrics.import_bytes),
        ("s3_errors", "Errors of the object store, by its code.", metrics.s3_errors),
    ):
        values = list(counter.values.items())
        yield _counter(f"scalelite_{name}", text, counter.labels, values)
    text = "Longest pause of the event loop in the last minute."
    pause = GaugeMetricFamily("scalelite_loop_pause_max_seconds", text)
    pause.add_metric([], metrics.loop_pause.read())
    yield pause


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    found: Iterable[tuple[Labels, list[int], float]],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=list(labels))
    ends = [*(repr(bound) for bound in bounds), "+Inf"]
    for values, counts, total in found:
        buckets = [(end, float(count)) for end, count in zip(ends, counts, strict=True)]
        family.add_metric(list(values), buckets, sum_value=total)
    return family


def _counter(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Labels, float]]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=list(labels))
    for found, value in values:
        family.add_metric(list(found), value)
    return family


_OF_POOL: tuple[tuple[str, str, Callable[[Capacity], int]], ...] = (
    ("users", "Users at the last polls.", lambda one: one.demand.users),
    ("meetings", "Meetings at the last polls.", lambda one: one.meetings),
    ("seats", "Seats of the servers that take meetings.", lambda one: one.seats),
    ("free_seats", "Seats that are free.", lambda one: one.free_seats),
    ("forecast_users", "Users in the next hour.", lambda one: one.demand.forecast),
    ("desired_servers", "Servers that are needed.", lambda one: one.desired_servers),
    ("available_servers", "Servers that take meetings.", lambda one: one.available),
    ("drainable_servers", "Servers that are not needed.", lambda one: len(one.drainable)),
    ("safe_to_stop_servers", "Servers that can be stopped.", lambda one: len(one.safe_to_stop)),
)


def _capacity(capacity: Capacity) -> Iterator[Metric]:
    for name, text, read in _OF_POOL:
        family = GaugeMetricFamily(f"scalelite_pool_{name}", text)
        family.add_metric([], read(capacity))
        yield family
    text = "Servers that are needed, by tag."
    family = GaugeMetricFamily("scalelite_pool_needed_servers", text, labels=["tag"])
    for tag, number in capacity.needed.items():
        family.add_metric([tag], number)
    yield family


def _spool(spool: SpoolStatus) -> Iterator[Metric]:
    files = GaugeMetricFamily("scalelite_spool_files", "Tars that wait to be imported.")
    files.add_metric([], spool.files)
    yield files
    age = GaugeMetricFamily("scalelite_spool_oldest_seconds", "Age of the oldest of them.")
    age.add_metric([], spool.oldest_age_s)
    yield age


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge for each value of a label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _host(host: HostStatus) -> Iterator[Metric]:
    for name, text, sizes in (
        ("free", "Room for the appliance.", [disk.free_bytes for disk in host.disks]),
        ("size", "Size of the file system.", [disk.size_bytes for disk in host.disks]),
    ):
        family = GaugeMetricFamily(f"scalelite_disk_{name}_bytes", text, labels=["directory"])
        for disk, size in zip(host.disks, sizes, strict=True):
            family.add_metric([disk.directory], float(size))
        yield family
    if host.certificate_ends_s is not None:
        text = "End of the TLS certificate, in seconds since the epoch."
        ends = GaugeMetricFamily("scalelite_tls_certificate_end_timestamp_seconds", text)
        ends.add_metric([], host.certificate_ends_s)
        yield ends


def _limits(limits: Mapping[str, TenantLimits]) -> Metric:
    text = "Share of a limit of a tenant that is in use."
    family = GaugeMetricFamily(
        "scalelite_tenant_limit_used_ratio", text, labels=["tenant", "limit"]
    )
    for tenant, found in limits.items():
        for name, used in found.used.items():
            limit = found.limits[name]
            # With a limit of 0 nothing is allowed; what is there already counts as all of it.
            family.add_metric([tenant, name], used / limit if limit else float(used > 0))
    return family


_PER_TENANT: tuple[tuple[str, str, Callable[[TenantNow], int]], ...] = (
    ("meetings", "Meetings at the last polls.", lambda now: now.meetings),
    ("users", "Users at the last polls.", lambda now: now.users),
    ("voice", "Users with audio at the last polls.", lambda now: now.voice),
    ("video", "Webcams at the last polls.", lambda now: now.videos),
    ("recordings_bytes", "Size of the recordings.", lambda now: now.recording_bytes),
)


def _tenants(
    tenants: Mapping[str, TenantNow], limits: Mapping[str, TenantLimits], metrics: Metrics
) -> Iterator[Metric]:
    # With 0 before the first event: a rate would not see the first otherwise.
    created: dict[Labels, float] = {(name,): 0.0 for name in tenants}
    created |= metrics.tenant_creates.values
    refused: dict[Labels, float] = {
        (name, limit): 0.0 for name, found in limits.items() for limit in found.limits
    }
    refused |= metrics.tenant_refused.values
    names = sorted({*tenants, *(labels[0] for labels in (*created, *refused))})
    shown = set(names[:MAX_TENANTS])

    def add_up(values: Iterable[tuple[Labels, float]]) -> Iterator[tuple[Labels, float]]:
        sums: dict[Labels, float] = {}
        for (name, *more), value in values:
            labels = (name if name in shown else OTHER_TENANTS, *more)
            sums[labels] = sums.get(labels, 0.0) + value
        yield from sums.items()

    for name, text, read in _PER_TENANT:
        sums = add_up(((one,), read(now)) for one, now in tenants.items())
        yield _gauges(f"scalelite_tenant_{name}", text, "tenant", {one: n for (one,), n in sums})
    for name, text, counter, counts in (
        ("creates", "Creates that succeeded.", metrics.tenant_creates, created),
        ("refused", "Creates and joins beyond a limit.", metrics.tenant_refused, refused),
    ):
        yield _counter(f"scalelite_tenant_{name}", text, counter.labels, add_up(counts.items()))
