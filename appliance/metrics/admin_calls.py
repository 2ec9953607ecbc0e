"""The admin call `getActivity`: the counters of this process, from which `ctl top` makes rates."""

from __future__ import annotations

import platform
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import NoFields
from appliance.instruments import SECONDS, Histogram
from appliance.metrics.deps import MetricsDeps

Number = Annotated[int, Meta(ge=0)]


class TimesJson(Answer, frozen=True):
    """How often something was done since the start, and how long it took."""

    name: Annotated[str, Meta(description="The call, or the id of the server.")]
    result: str
    count: Number
    seconds: Annotated[float, Meta(ge=0, description="All durations together.")]
    buckets: Annotated[
        list[Number], Meta(description="Numbers up to each of `bounds`, and of all longer ones.")
    ]


class ActivityJson(Answer, frozen=True):
    """getActivity."""

    appliance: Annotated[str, Meta(description="Host name of the appliance that answers.")]
    time_ms: Number
    bounds: Annotated[list[float], Meta(description="Durations in seconds.")]
    calls: list[TimesJson]
    polls: list[TimesJson]


def _times(histogram: Histogram) -> list[TimesJson]:
    found = []
    for (name, result), cumulative, seconds in histogram.read():
        own = [more - less for less, more in pairwise([0, *cumulative])]
        found.append(TimesJson(name, result, cumulative[-1], seconds, own))
    return found


async def _get_activity(deps: MetricsDeps, call: Call[NoFields]) -> ActivityJson:
    return ActivityJson(
        appliance=platform.node(),
        time_ms=deps.now_ms(),
        bounds=list(SECONDS),
        calls=_times(deps.metrics.requests),
        polls=_times(deps.metrics.polls),
    )


METRICS_CALLS: tuple[AdminCall[MetricsDeps], ...] = (
    AdminCall(
        name="getActivity",
        method="GET",
        handler=_get_activity,
        group="pool",
        summary=(
            "Returns how often this appliance has answered each call and polled each "
            "server since its start, and how long that took. Prometheus reads the same "
            "from /metrics."
        ),
        example=ActivityJson(
            appliance="lb1",
            time_ms=1_764_067_207_112,
            bounds=[0.01, 0.1],
            calls=[TimesJson("create", "ok", 120, 2.4, [20, 100, 0])],
            polls=[TimesJson("3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10", "ok", 60, 1.2, [10, 50, 0])],
        ),
        role=Role.VIEWER,
    ),
)
