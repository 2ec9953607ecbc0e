"""Renders the metrics of servers, of which a pool has thousands: text out, line by line.

The client library makes an object of each sample, which takes ten times as long. Pure.
Source: docs/metrics.md; Prometheus' text format, OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from appliance.bbb.endpoint import host_of
from appliance.instruments import Metrics
from appliance.model import Server, ServerState

LARGE_POOL = 500
"""Servers; of larger pools series are left out that say 0 of nearly every server."""

_GAUGES = (
    ("load", "Load; missing if it takes no meetings."),
    ("meetings", "Meetings at its last poll."),
    ("users", "Users at its last poll."),
    ("videos", "Videos at its last poll."),
)
"""Names of the metrics, which are those of the attributes of a server, and their texts."""


def render_servers(
    servers: Sequence[Server], maintained: Collection[str], metrics: Metrics, *, open_metrics: bool
) -> bytes:
    """Return the metrics of servers. `maintained`: ids of those with a maintenance window now."""
    lines = _Lines(servers, open_metrics)
    lines.add_gauge("online", "Whether it answers its polls.", [int(one.online) for one in servers])
    for name, text in _GAUGES:
        lines.add_gauge(name, text, map(attrgetter(name), servers))
    text = "Recordings of ended meetings that have not arrived."
    lines.add_rare("recordings_owed", text, [one.recordings_owed for one in servers])
    lines.add_states()
    text = "Whether its maintenance window is under way."
    lines.add_rare("maintenance", text, [int(one.id in maintained) for one in servers])
    last = map(metrics.last_polls.get, [one.id for one in servers])
    seconds = [round(one.seconds, 4) if one and not one.failure else None for one in last]
    lines.add_gauge("poll_seconds", "Duration of its last poll by this process.", seconds)
    lines.add_failed_polls(metrics)
    creates = metrics.server_creates
    text, created = "Creates on servers, by result.", list(creates.values.items())
    lines.add_counter("creates", text, creates.labels, created)
    return "".join(lines.parts).encode("utf-8", "replace")  # in Redis there may be any bytes


class _Lines:
    """The text, and the labels of each server in it."""

    def __init__(self, servers: Sequence[Server], open_metrics: bool) -> None:
        self.parts: list[str] = []
        self._is_large = len(servers) > LARGE_POOL
        # Of thousands of servers even this is 2 % of the text.
        self._zero = "" if self._is_large else ".0"
        self._open_metrics = open_metrics
        self._servers = servers
        self._labels = [
            f'host="{_escape(host_of(server.url))}",server="{_escape(server.id)}"'
            for server in servers
        ]

    def add_gauge(self, name: str, text: str, values: Iterable[float | None]) -> None:
        """Add a metric with a value for each server; None: it has none."""
        found = zip(self._labels, values, strict=True)
        self._add(f"scalelite_server_{name}", text, "gauge", found)

    def add_rare(self, name: str, text: str, values: Iterable[float]) -> None:
        """Add a metric that is 0 for most servers, which are left out of a large pool."""
        self.add_gauge(
            name, text, [value or None for value in values] if self._is_large else values
        )

    def add_states(self) -> None:
        """Add a line for each state of each server, of a large pool only for the one it is in."""
        found = (
            (f'{labels},state="{state.value}"', int(server.state is state))
            for server, labels in zip(self._servers, self._labels, strict=True)
            for state in ((server.state,) if self._is_large else ServerState)
        )
        self._add("scalelite_server_state", "1 for the state it is in.", "gauge", found)

    def add_failed_polls(self, metrics: Metrics) -> None:
        """Add how often polls of each server have failed, of a large pool where they have."""
        counts: dict[str, int] = {}
        for (server, result), count in metrics.polls.totals():
            counts[server] = count if result == "failed" else counts.get(server, 0)
        # Prometheus counts from the first value that it sees, but of a large pool few servers fail.
        failed = (((server,), n) for server, n in counts.items() if n or not self._is_large)
        self.add_counter("polls_failed", "Failed polls by this process.", ("server",), failed)

    def add_counter(
        self,
        name: str,
        text: str,
        label_names: Sequence[str],
        values: Iterable[tuple[Sequence[str], float]],
    ) -> None:
        """Add a counter with labels of its own."""
        order = sorted(range(len(label_names)), key=lambda index: label_names[index])
        found = (
            (",".join(f'{label_names[at]}="{_escape(labels[at])}"' for at in order), value)
            for labels, value in values
        )
        name = f"scalelite_server_{name}"
        # OpenMetrics names the family without what all of its samples end in.
        family = name if self._open_metrics else f"{name}_total"
        self._add(family, text, "counter", found, sample=f"{name}_total")

    def _add(
        self,
        family: str,
        text: str,
        kind: str,
        lines: Iterable[tuple[str, float | None]],
        *,
        sample: str = "",
    ) -> None:
        name, zero = sample or family, self._zero
        cut = "" if zero else ".0"
        self.parts.append(f"# HELP {family} {text}\n# TYPE {family} {kind}\n")
        self.parts += [
            f"{name}{{{labels}}} {value}{zero}\n"
            if type(value) is int
            else f"{name}{{{labels}}} {repr(value).removesuffix(cut)}\n"
            for labels, value in lines
            if value is not None
        ]


_ESCAPES: Mapping[int, str] = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _escape(text: str) -> str:
    # Nothing of it occurs in an id or a host; a translation takes several times as long.
    if '"' in text or "\\" in text or "\n" in text:
        return text.translate(_ESCAPES)
    return text
