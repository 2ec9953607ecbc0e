"""One experiment: traffic without and with a fault, recovery, comparison with the ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPException
from xml.etree import ElementTree

import trio

from appliance.ctl.client import ControlError
from tests.doubles.appliance_client import MODERATOR_PW, FrontEnd
from tools.chaos.client import Client
from tools.chaos.faults import Fault
from tools.chaos.laboratory import SECRET, Laboratory, Usage
from tools.chaos.ledger import Findings, Ledger, Sample, State

RECOVERY_LIMIT_S = 90.0
SETTLE_LIMIT_S = 45.0
_PROBE_S = 0.1
_UNAFFECTED = frozenset({"join", "getMeetingInfo", "isMeetingRunning", "end"})


@dataclass(frozen=True, slots=True)
class Times:
    """How long traffic runs without and with a fault, in seconds."""

    quiet_s: float
    struck_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """The row of one experiment."""

    name: str
    requests: int
    acknowledged: int
    findings: Findings
    p99_quiet_ms: float
    p99_struck_ms: float
    recovery_s: float
    before: Usage
    after: Usage
    log_lines: int


@dataclass(slots=True)
class Experiment:
    """Runs faults, one or several at a time."""

    lab: Laboratory
    client: Client
    ledger: Ledger
    times: Times

    async def run(self, faults: Sequence[Fault]) -> Result:
        """Strike, and return what came of it."""
        name = "+".join(fault.name for fault in faults)
        client, ledger = self.client, self.ledger
        client.prefix = name
        lines, before = self.lab.log_lines(), self.lab.usage()
        begun = len(ledger.samples)
        client.paused = False
        await trio.sleep(self.times.quiet_s)
        struck = len(ledger.samples)
        affected = ledger.struck = set(range(sum(fault.of_server for fault in faults)))
        async with AsyncExitStack() as stack:
            for number, fault in enumerate(sorted(faults, key=lambda one: not one.of_server)):
                await stack.enter_async_context(fault.strike(self.lab, ledger, number))
            await trio.sleep(self.times.struck_s)
            calls = ledger.samples[struck:]
        ended_s = trio.current_time()
        await self._recover()
        recovery_s = trio.current_time() - ended_s
        await client.quiesce()
        findings = await self._settle()
        requests = ledger.samples[begun:]
        result = Result(
            name,
            len(requests),
            sum(one.acknowledged for one in requests),
            findings,
            _p99_ms(ledger.samples[begun:struck], affected),
            _p99_ms(calls, affected),
            recovery_s,
            before,
            self.lab.usage(),
            sum(self.lab.log_lines()) - sum(lines),
        )
        self._forget_found(findings)
        return result

    # -- recovery --------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Wait until each appliance serves everything again."""
        with trio.move_on_after(RECOVERY_LIMIT_S):
            while not await trio.to_thread.run_sync(self._is_well):  # noqa: ASYNC110
                await trio.sleep(_PROBE_S)

    def _is_well(self) -> bool:
        try:
            return all(self._serves(appliance.front.port) for appliance in self.lab.appliances)
        except (OSError, ControlError, HTTPException, ElementTree.ParseError):
            return False

    def _serves(self, port: int) -> bool:
        online = ["online"] * len(self.lab.servers)
        if any(self.lab.status(one) != online for one in self.lab.appliances):
            return False
        front, probe = FrontEnd(port, SECRET), f"probe-{time.monotonic_ns()}"
        created = front.create(probe).returncode == "SUCCESS"
        return (
            created
            and front.get("end", meetingID=probe, password=MODERATOR_PW).returncode == "SUCCESS"
            and front.get("getRecordings", recordID=probe).returncode == "SUCCESS"
        )

    # -- the comparison --------------------------------------------------------------------------

    async def _settle(self) -> Findings:
        """Poll, until nothing is wrong or the limit is reached."""
        findings = Findings()
        deadline_s = trio.current_time() + SETTLE_LIMIT_S
        for polls in range(1_000):
            with suppress(OSError, ControlError):
                await trio.to_thread.run_sync(self.lab.poll)
            findings = await self._check()
            if polls >= 1 and (not findings or trio.current_time() > deadline_s):
                break
            await trio.sleep(0.5)
        return findings

    async def _check(self) -> Findings:
        holders = await trio.to_thread.run_sync(self.lab.holders)
        for meeting_id in [one for one in holders if one.startswith("probe-")]:
            del holders[meeting_id]
        rooms = [
            room
            for room in self.ledger.rooms.values()
            if room.state is State.LIVE or room.id in holders
        ]
        known = {room.id: await self.client.known_as(room) for room in rooms}
        findings = self.ledger.check_meetings(holders, known)
        await self._check_callbacks(findings)
        await self._check_recordings(findings)
        return findings

    async def _check_callbacks(self, findings: Findings) -> None:
        told = Counter(one.target.partition("?")[0] for one in self.lab.receiver.received)
        for room in self.ledger.of_state(State.ENDED):
            if not told[f"/ended/{room.id}"]:
                findings.lost.append(f"{room.id} ended and its front-end was not told")
        for record_id, room in self.ledger.recordings.items():
            if not told[f"/ready/{room.id}"]:
                findings.lost.append(
                    f"{record_id} of {room.id} came, its front-end was not notified"
                )

    async def _check_recordings(self, findings: Findings) -> None:
        for record_id in self.ledger.recordings:
            answer = await self.client.fetch("getRecordings", {"recordID": record_id})
            listed = 0 if answer.xml is None else len(answer.xml.findall("recordings/recording"))
            if listed == 0:
                findings.lost.append(f"recording {record_id} is not listed")
            elif listed > 1:
                findings.doubled.append(f"recording {record_id} is listed {listed} times")

    def _forget_found(self, findings: Findings) -> None:
        """Drop what was checked: right now, or reported."""
        self.ledger.crossed.clear()
        self.ledger.recordings.clear()
        bad = "\n".join((*findings.lost, *findings.doubled, *findings.orphans))
        for room in list(self.ledger.rooms.values()):
            if room.id in bad.split():
                findings.stories.append([room.id, *room.calls, *self.lab.log_about(room.id)])
            if room.state is State.ENDED or room.id in bad:
                del self.ledger.rooms[room.id]
            if room.id in bad:
                self.ledger.reported.add(room.id)


def _p99_ms(samples: Sequence[Sample], affected: set[int]) -> float:
    """Return the p99 of calls about meetings on servers that no fault strikes, in milliseconds."""
    times = sorted(
        one.took_s
        for one in samples
        if one.call in _UNAFFECTED and one.server is not None and one.server not in affected
    )
    return times[min(len(times) - 1, int(len(times) * 0.99))] * 1000 if times else 0.0
