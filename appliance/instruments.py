"""Everything that this process counts. Declarations only; docs/metrics.md tells what each means.

What the stores know (servers, their loads, what waits) is not counted but read when it is asked
for: metrics/routes.py.
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
    """What the store said to a create: placed, known, or why there is no server."""
    failovers: Counter = field(default_factory=Counter)
    moves: Counter = field(default_factory=Counter)
    """Creates of meetings whose server was away, placed on another one."""
    detached: Counter = field(default_factory=Counter)
    """Meetings whose server went offline."""
    polls: Histogram = field(default_factory=lambda: Histogram("server", "result"))
    imports: Counter = field(
        default_factory=lambda: Counter("result", known=("done", "retried", "failed"))
    )
    import_bytes: Counter = field(default_factory=Counter)
    stores: Histogram = field(default_factory=lambda: Histogram("store", bounds=SHORT_SECONDS))
    """Round trips, the wait for a connection included."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(bounds=SHORT_SECONDS))
