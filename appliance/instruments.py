"""The counters and histograms of this process. Declarations only; docs/metrics.md explains each.

Values that the stores hold (servers, loads, queue lengths) are not counted here: metrics/routes.py
reads them on each scrape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.model import PlacementOutcome
from appliance.system.instruments import SHORT_SECONDS, Counter, Histogram


@dataclass(frozen=True, slots=True)
class Metrics:
    """The instruments of one process."""

    requests: Histogram = field(default_factory=lambda: Histogram("call", "result"))
    placements: Counter = field(
        default_factory=lambda: Counter("outcome", known=(one.value for one in PlacementOutcome))
    )
    """Results of placements: placed, known, or the reason why there is no server."""
    failovers: Counter = field(default_factory=Counter)
    moves: Counter = field(default_factory=Counter)
    """Meetings created on another server because theirs was offline, disabled or removed."""
    detached: Counter = field(default_factory=Counter)
    """Meetings whose server went offline."""
    polls: Histogram = field(default_factory=lambda: Histogram("server", "result"))
    imports: Counter = field(
        default_factory=lambda: Counter("result", known=("done", "retried", "failed"))
    )
    import_bytes: Counter = field(default_factory=Counter)
    stores: Histogram = field(default_factory=lambda: Histogram("store", bounds=SHORT_SECONDS))
    """Round trips, including the wait for a connection."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(bounds=SHORT_SECONDS))
