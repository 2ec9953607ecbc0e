"""A failed service is logged and restarted after increasing pauses."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.system.tasks import supervise
from tests.doubles.features import EventBook


class Failing:
    """A service that fails after given durations, and records when it was started."""

    def __init__(self, *runs_s: float, in_a_group: bool = False) -> None:
        self._runs_s = list(runs_s)
        self._in_a_group = in_a_group
        self.started_s: list[float] = []
        self.cancelled = False

    async def run(self) -> None:
        """Run once; return when no further failure is due."""
        self.started_s.append(trio.current_time())
        if not self._runs_s:
            return
        await trio.sleep(self._runs_s.pop(0))
        error = ValueError("defect")
        raise ExceptionGroup("nursery", [error]) if self._in_a_group else error

    @property
    def pauses_s(self) -> list[float]:
        """Return the times between two starts."""
        return [b - a for a, b in zip(self.started_s, self.started_s[1:], strict=False)]


async def test_service_that_returns_is_not_restarted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service, log = Failing(), EventBook()

    await supervise("poller", service.run, log)

    assert (len(service.started_s), log.events) == (1, [])


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_failed_service_is_logged_and_restarted_after_increasing_pauses(
    autojump_clock: trio.testing.MockClock, in_a_group: bool
) -> None:
    service, log = Failing(*[0.0] * 9, in_a_group=in_a_group), EventBook()

    await supervise("poller", service.run, log)

    assert service.pauses_s == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert [fields["pause_s"] for fields in log.named("service_failed")][:3] == [1, 2, 4]
    assert {fields["service"] for fields in log.named("service_failed")} == {"poller"}
    assert all(isinstance(fields["exc_info"], Exception) for _, fields in log.errors)


async def test_pause_is_short_again_after_a_steady_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Failing(0, 0, 0, 61, 0)

    await supervise("poller", service.run, EventBook())

    assert service.pauses_s == pytest.approx([1, 2, 4, 62, 2])


async def test_cancelled_service_is_not_restarted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service, log = Failing(100), EventBook()

    with trio.move_on_after(10) as scope:
        await supervise("poller", service.run, log)

    assert scope.cancelled_caught
    assert (len(service.started_s), log.events) == (1, [])


async def test_failure_affects_no_other_service(autojump_clock: trio.testing.MockClock) -> None:
    bad, good, log = Failing(*[0.0] * 3), Failing(), EventBook()
    steady = trio.Event()

    async def run_steadily() -> None:
        await trio.sleep(20)
        steady.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, "bad", bad.run, log)
        nursery.start_soon(supervise, "good", good.run, log)
        nursery.start_soon(supervise, "steady", run_steadily, log)

    assert steady.is_set()
    assert (len(bad.started_s), len(good.started_s)) == (4, 1)
