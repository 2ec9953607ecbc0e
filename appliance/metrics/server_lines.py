"""Renders the metrics of servers, of which a pool has thousands: text out, line by line.

The client library makes an object of each sample, which takes ten times as long. Pure.
Source: docs/metrics.md; Prometheus' text format, OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.bbb.endpoint import host_of
from appliance.instruments import Metrics
from appliance.model import Server, ServerState

LARGE_POOL = 500
"""Servers; of larger pools series are left out that say 0 of nearly every server."""

_Line = tuple[str, float | None]
"""Labels and value; None: no line."""


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric, and its value of a server."""

    name: str
    text: str
    read: Callable[[Server], float | None]
    often_zero: bool = False
    """Left out for most servers of a large pool."""


_FAMILIES = (
    _Family("online", "Whether it answers its polls.", lambda server: server.online),
    _Family("load", "Load; missing if it takes no meetings.", lambda server: server.load),
    _Family("meetings", "Meetings at its last poll.", lambda server: server.meetings),
    _Family("users", "Users at its last poll.", lambda server: server.users),
    _Family("videos", "Videos at its last poll.", lambda server: server.videos),
    _Family(
        "recordings_owed",
        "Recordings of ended meetings that have not arrived.",
        lambda server: server.recordings_owed,
        often_zero=True,
    ),
)


def render_servers(
    servers: Sequence[Server], maintained: Collection[str], metrics: Metrics, *, open_metrics: bool
) -> bytes:
    """Return the metrics of servers. `maintained`: ids of those with a maintenance window now."""
    lines = _Lines(servers, open_metrics)
    for family in _FAMILIES:
        lines.add_gauge(family.name, family.text, family.read, often_zero=family.often_zero)
    lines.add_states()
    lines.add_gauge(
        "maintenance",
        "Whether its maintenance window is under way.",
        lambda server: server.id in maintained,
        often_zero=True,
    )
    _add_polls(lines, metrics)
    creates = metrics.server_creates
    text, created = "Creates on servers, by result.", list(creates.values.items())
    lines.add_counter("creates", text, creates.labels, created)
    return "".join(lines.parts).encode()


def _add_polls(lines: _Lines, metrics: Metrics) -> None:
    last = metrics.last_polls

    def seconds(server: Server) -> float | None:
        poll = last.get(server.id)
        return None if poll is None or poll.failure else round(poll.seconds, 4)

    lines.add_gauge("poll_seconds", "Duration of its last poll by this process.", seconds)
    counts = dict.fromkeys((labels[0] for labels, _ in metrics.polls.totals()), 0)
    counts |= {labels[0]: n for labels, n in metrics.polls.totals() if labels[1] == "failed"}
    # Prometheus counts from the first value that it sees, but of a large pool few servers fail.
    failed = (((server,), n) for server, n in counts.items() if n or not lines.is_large)
    lines.add_counter("polls_failed", "Failed polls by this process.", ("server",), failed)


class _Lines:
    """The text, and the labels of each server in it."""

    def __init__(self, servers: Sequence[Server], open_metrics: bool) -> None:
        self.parts: list[str] = []
        self.is_large = len(servers) > LARGE_POOL
        self._open_metrics = open_metrics
        self._servers = [(server, _labels(server)) for server in servers]

    def add_gauge(
        self,
        name: str,
        text: str,
        read: Callable[[Server], float | None],
        *,
        often_zero: bool = False,
    ) -> None:
        """Add a metric with a value for each server, or for some."""
        drops = often_zero and self.is_large
        found: Iterator[_Line] = ((labels, read(server)) for server, labels in self._servers)
        if drops:
            found = (line for line in found if line[1])
        self._add(f"scalelite_server_{name}", text, "gauge", found)

    def add_states(self) -> None:
        """Add a line for each state of each server, of a large pool only for the one it is in."""
        found = (
            (f'{labels},state="{state.value}"', server.state is state)
            for server, labels in self._servers
            for state in ((server.state,) if self.is_large else ServerState)
        )
        self._add("scalelite_server_state", "1 for the state it is in.", "gauge", found)

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
        self, family: str, text: str, kind: str, lines: Iterable[_Line], *, sample: str = ""
    ) -> None:
        name = sample or family
        self.parts.append(f"# HELP {family} {text}\n# TYPE {family} {kind}\n")
        # Of thousands of servers even this is 2 % of the text.
        zero = ".0" if self.is_large else ""
        self.parts += [
            f"{name}{{{labels}}} {repr(float(value)).removesuffix(zero)}\n"
            for labels, value in lines
            if value is not None
        ]


def _labels(server: Server) -> str:
    return f'host="{_escape(host_of(server.url))}",server="{_escape(server.id)}"'


_ESCAPES: Mapping[int, str] = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
