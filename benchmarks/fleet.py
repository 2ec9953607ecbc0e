"""A day in a cloud: two school days on a pool that only the autoscaler's hook grows and shrinks.

    python -m benchmarks.fleet [--short] [--picture FILE.svg]

The appliance is real, with Redis and PostgreSQL; its clock, and that of the cloud, runs some
hundred times as fast as the machine's. The cloud starts and stops simulated BBB servers as
processes (tests/doubles/cloud.py), and config/autoscale/scale_pool.py is the hook. At the fullest
moment a server dies. No create may be refused, no recording lost, no server over its limit
(docs/fleet.md).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from appliance.simulation.line_plot import Panel, render_lines
from appliance.simulation.timetable import Row, parse_timetable
from appliance.simulation.traces import DAY_MS, MINUTE_MS, Session, next_attendance, take_place
from appliance.usage.model import ServerMinute, Sums
from appliance.usage.table import UsageTable
from tests.doubles.appliance_client import ATTENDEE_PW
from tests.doubles.appliance_process import ROOT, ApplianceProcess, wait_for
from tests.doubles.cloud import Cloud, CloudSettings
from tests.doubles.ports import free_port
from tests.doubles.store_servers import private_postgres, private_redis
from tests.doubles.usage import open_database

TIMETABLE = """\
start,users,minutes,count,name
08:00,20,45,32,lesson
08:15,40,90,4,lecture
09:00,20,45,34,lesson
10:00,20,45,34,lesson
10:15,40,90,4,lecture
11:00,20,45,30,lesson
12:00,15,45,12,lesson
13:00,10,40,8,club
14:00,20,45,20,lesson
15:00,20,45,16,lesson
16:00,12,60,8,club
"""
_TODAY = int(time.time() // 86_400)
MONDAY_MS = ((_TODAY - 4 + 3) // 7 * 7 - 3) * DAY_MS
"""A Monday of at least four days ago, 0:00 UTC: no file seems to be older than it is, and the
database, which has the clock of the machine, keeps the hours of four weeks before."""
WEEK_MS = 7 * DAY_MS
SEATS, LIMIT = 150, 200
"""Of a server: what it is planned for (SEATS_PER_SERVER), and its max_users."""
OLD, NEW = "3.0.10", "3.0.12"
"""Versions of BBB: machines that boot on the second day have the new one."""
KNOWN, RECORDED = 0.9, 0.25
"""Shares of the classes whose size the front-end knows, and that are recorded."""
MIN_MS = 60_000
SCRIPT = (sys.executable, str(ROOT / "config" / "autoscale" / "scale_pool.py"))
_STEP_S = 0.03
_NO_SOCKETS = shutil.ignore_patterns("*.sock", "state")
_START_RATE = 30.0
_SAMPLE_MS = 3 * MIN_MS


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played."""

    days: int = 2
    from_min: int = 6 * 60
    """Minute of each day at which it begins."""
    to_min: int = 19 * 60
    """Minute at which the night begins; no time is spent on it but for a few seconds."""
    crash_min: int = 10 * 60 + 25
    """Minute of the first day at which the fullest server dies."""
    rate: float = 360.0
    night_rate: float = 4_000.0
    boot_s: float = 180.0
    recording_s: float = 3600.0
    seed: int = 1
    headroom_percent: int = 20
    window_min: int = 11 * 60 + 30
    """Minute of the second day at which a maintenance window is asked for."""
    share: float = 1.0
    """Of the classes of each row."""
    last_hour: int = 24
    """Classes that begin later are left out."""
    grown: bool = False
    """The pool has grown before the day begins: a short day leaves no time for that."""


SHORT = Plan(
    days=1,
    from_min=7 * 60 + 50,
    to_min=10 * 60,
    crash_min=8 * 60 + 25,
    rate=1500.0,
    boot_s=60.0,
    recording_s=600.0,
    headroom_percent=60,
    share=0.3,
    last_hour=9,
    grown=True,
)


@dataclass(slots=True)
class Class:
    """A class that takes place on one day."""

    session: Session
    id: str
    hint: int | None
    recorded: bool
    machine: str = ""
    """Where it runs; empty: nowhere yet."""
    lost: bool = False
    """Its server died, so it is being created again."""

    @property
    def ends_ms(self) -> int:
        """Return when its last user leaves."""
        return self.session.leaves_ms[-1]


@dataclass(slots=True)
class Findings:
    """What happened to the front-ends."""

    refused: list[str] = field(default_factory=list)
    created: int = 0
    repeated: int = 0
    """Creates that were tried again, until the loss of their server was noticed."""
    recordings: set[str] = field(default_factory=set)
    """Internal ids of meetings that are recorded."""
    samples: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """Time, users, machines that run, servers that take meetings, desired servers."""


def make_classes(rows: list[Row], day: int, plan: Plan) -> list[Class]:
    """Return the classes of a day; times are milliseconds since the epoch."""
    rng, found = random.Random(f"{plan.seed} {day}"), []
    for number, row in enumerate(rows):
        if row.start_min // 60 >= plan.last_hour:
            continue
        for copy in range(math.ceil(row.count * plan.share)):
            start_ms = MONDAY_MS + day * DAY_MS + row.start_min * MINUTE_MS
            size, name = next_attendance(rng, row.users), f"{row.name}-{number}-{copy}"
            session = take_place(rng, name, start_ms, row.minutes * MINUTE_MS, size)
            hint = row.users if rng.random() < KNOWN else None
            found.append(Class(session, f"{name}-{day}", hint, rng.random() < RECORDED))
    return found


def count_users(classes: list[Class], at_ms: int) -> int:
    """Return how many users there are at a time."""
    return sum(
        sum(join <= at_ms for join in one.session.joins_ms)
        - sum(leave <= at_ms for leave in one.session.leaves_ms)
        for one in classes
        if one.session.created_ms <= at_ms <= one.ends_ms
    )


async def remember_weeks(database_url: str, rows: list[Row], plan: Plan) -> None:
    """Write what the same days of four weeks were like, as usage has recorded it."""
    async with open_database(database_url) as database:
        table = UsageTable(database)
        for week in range(1, 5):
            for day in range(plan.days):
                past = make_classes(rows, day - 7 * week, plan)
                begin_ms = MONDAY_MS + (day - 7 * week) * DAY_MS
                times = range(begin_ms + 6 * 60 * MIN_MS, begin_ms + 19 * 60 * MIN_MS, 5 * MIN_MS)
                users = ((at_ms, count_users(past, at_ms)) for at_ms in times)
                await table.add_minutes(
                    [
                        ServerMinute("past", at_ms // MIN_MS, {"": Sums(1, count, 0, 0)})
                        for at_ms, count in users
                        if count
                    ]
                )
        await table.roll_up()


class School:
    """The front-ends: they create the classes, and again those whose server died."""

    def __init__(self, appliance: ApplianceProcess, cloud: Cloud, classes: list[Class]) -> None:
        self._front = appliance.front
        self._control = appliance.control
        self._cloud = cloud
        self._waiting = sorted(classes, key=lambda one: one.session.created_ms)
        self.classes = classes
        self.findings = Findings()
        self._lock = threading.Lock()
        self._holds: list[Future[None]] = []

    def now_ms(self) -> int:
        """Return the time of the cloud."""
        return int(self._cloud.clock.now_s() * 1000)

    def play(self, until_ms: int, at: dict[int, Callable[[], bool]]) -> None:
        """Let time pass; `at`: what happens besides, each from its time on until it is True."""
        next_sample_ms = 0
        with ThreadPoolExecutor(6) as threads:
            while (now_ms := self.now_ms()) < until_ms:
                while self._waiting and self._waiting[0].session.created_ms <= now_ms:
                    self._holds.append(threads.submit(self._hold, self._waiting.pop(0)))
                for due_ms in [one for one in at if one <= now_ms and at[one]()]:
                    del at[due_ms]
                if now_ms >= next_sample_ms:
                    next_sample_ms = now_ms + _SAMPLE_MS
                    self._sample(now_ms)
                time.sleep(_STEP_S)
        for hold in self._holds:
            hold.result()

    def _sample(self, now_ms: int) -> None:
        machines = self._cloud.machines().values()
        running = sum(one["state"] == "running" for one in machines)
        capacity = self._control.get("autoscalePlan")
        users = count_users(self.classes, now_ms)
        desired = capacity["capacity"]["desired_servers"]
        self.findings.samples.append((now_ms, users, running, capacity["available"], desired))

    def _hold(self, one: Class) -> None:
        """Create a class and have its users come, until that has succeeded."""
        while self.now_ms() < one.ends_ms:
            if self._try(one):
                return
            time.sleep(0.1)

    def _try(self, one: Class) -> bool:
        fields = {"record": "true"} if one.recorded else {}
        if one.hint is not None:
            fields["meta_bbb-meeting-size-hint"] = str(one.hint)
        answer = self._front.create(one.id, **fields)
        if answer.returncode != "SUCCESS":
            with self._lock:
                if one.lost:
                    self.findings.repeated += 1
                else:
                    self.findings.refused.append(f"{one.id}: {answer.message}")
            return False
        joined = self._front.get("join", meetingID=one.id, fullName="A", password=ATTENDEE_PW)
        machine = self._find_machine(urlsplit(joined.location).port)
        if machine is None:  # its server died just now
            with self._lock:
                self.findings.repeated += 1
            return False
        with self._lock:
            self.findings.created += 1
            if one.recorded:
                self.findings.recordings.add(answer.text("internalMeetingID"))
        one.machine, one.lost = machine, False
        session, path = one.session, self._cloud.disk(machine) / "attendance" / one.id
        about = {
            "meeting_id": one.id,
            "joins": [ms / 1000 for ms in session.joins_ms],
            "leaves": [ms / 1000 for ms in session.leaves_ms],
        }
        path.write_text(json.dumps(about))
        path.rename(path.with_suffix(".json"))
        return True

    def _find_machine(self, port: int | None) -> str | None:
        for name, about in self._cloud.machines().items():
            if about["port"] == port and about["state"] == "running":
                return name
        return None

    def crash_fullest(self) -> bool:
        """Have the machine with the most users die, if there is one.

        Its classes are created again.
        """
        now_ms = self.now_ms()
        running = [one for one in self.classes if one.machine and one.ends_ms > now_ms]
        counts: dict[str, int] = {}
        for one in running:
            counts[one.machine] = counts.get(one.machine, 0) + count_users([one], now_ms)
        if not any(counts.values()):
            return False
        name = max(counts, key=lambda name: counts[name])
        self._cloud.crash(name)
        for one in running:
            if one.machine == name:
                one.machine, one.lost = "", True
                threading.Thread(target=self._hold, args=(one,), daemon=True).start()
        return True


class Upgrade:
    """The upgrade of the server that has the old version longest, in a maintenance window."""

    def __init__(self, appliance: ApplianceProcess, cloud: Cloud) -> None:
        self._appliance = appliance
        self._cloud = cloud

    def begin(self) -> bool:
        """Ask for a window in an hour, and boot the machine again when it is open."""
        status = self._appliance.control.get("getStatus")["servers"]
        old = {
            one["id"] for one in status if one["state"] == "enabled" and one["bbb_version"] == OLD
        }
        name = next(one["name"] for one in self._cloud.events() if one["name"] in old)
        from_s = self._cloud.clock.now_s() + 3600
        times = [
            datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
            for at_s in (from_s, from_s + 2400)
        ]
        words = ("--from", times[0], "--until", times[1], "--lead", "50m")
        done = self._appliance.ctl("servers", "maintenance", name, *words)
        assert done.returncode == 0, done.stderr
        threading.Thread(target=self._reboot, args=(name,), daemon=True).start()
        return True

    def _reboot(self, name: str) -> None:
        wait_for(lambda: self._phase(name) == "open", 60, "the window")
        self._cloud.crash(name)
        self._cloud.start(name)

    def _phase(self, name: str) -> str:
        window = self._appliance.server(name)["maintenance"]
        return str(window and window["phase"])


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    findings: Findings
    lost_recordings: list[str]
    most_users: dict[str, int]
    """The greatest number of users that each machine had at once."""
    server_hours: float
    fixed_hours: float
    oracle_hours: float
    machines: int
    hook_calls: int
    upgraded: int
    """Servers that were upgraded in a maintenance window."""

    def problems(self) -> list[str]:
        """Return what must not be."""
        over = [
            f"{name}: {users} users" for name, users in self.most_users.items() if users > LIMIT
        ]
        return [
            *(f"refused: {one}" for one in self.findings.refused),
            *(f"lost: {one}" for one in self.lost_recordings),
            *(f"over its limit: {one}" for one in over),
        ]


@contextmanager
def _open_pool(
    directory: Path, plan: Plan, redis_url: str, database_url: str
) -> Iterator[tuple[ApplianceProcess, Cloud]]:
    cloud, port = Cloud(directory / "cloud"), free_port()
    cloud.configure(CloudSettings(port, plan.boot_s, plan.recording_s, OLD))
    cloud.clock.set((MONDAY_MS + plan.from_min * MIN_MS) / 1000, _START_RATE)
    doubles = ROOT / "tests" / "doubles"
    clock = (sys.executable, str(doubles / "fast_clock.py"), str(cloud.directory / "clock"))
    tool = [sys.executable, str(doubles / "cloud.py"), str(cloud.directory)]
    appliance = ApplianceProcess(
        directory,
        BIND=f"tcp://127.0.0.1:{port}",
        REDIS_URL=redis_url,
        REDIS_NAMESPACE=directory.name,
        DATABASE_URL=database_url,
        SECRET_KEY_BASE="k" * 64,
        POOL_TIME_ZONE="UTC",
        SEATS_PER_SERVER=str(SEATS),
        POOL_HEADROOM=str(plan.headroom_percent),
        # Seconds of the machine, not of the clock; but by that, creates count as failed.
        CONNECT_TIMEOUT="2",
        RESPONSE_TIMEOUT="3000",
        POLL_INTERVAL="0.2",
        POLL_RETRY_INTERVAL="0.1",
        POLLER_WAIT_TIMEOUT="5",
        # Its programs take seconds to start, which must not be minutes of the clock.
        AUTOSCALE_COMMAND=shlex.join([*clock, "slow", str(plan.rate), *SCRIPT]),
        SCALE_POOL_CLOUD=shlex.join(tool),
        SCALE_POOL_CTL=shlex.join([sys.executable, "-m", "appliance", "ctl"]),
        SCALE_POOL_OPTIONS=f"--max-users {LIMIT}",
        PYTHONPATH=str(ROOT),
        LOG_LEVEL="info",
    )
    appliance.command = (*clock, "run", "appliance")
    try:
        with appliance:
            yield appliance, cloud
    finally:
        cloud.stop_all()


def run(plan: Plan, directory: Path, redis_url: str, database_url: str) -> Result:
    """Play the days and judge them."""
    rows = parse_timetable(TIMETABLE)
    trio.run(remember_weeks, database_url, rows, plan)
    with _open_pool(directory, plan, redis_url, database_url) as (appliance, cloud):
        classes = [one for day in range(plan.days) for one in make_classes(rows, day, plan)]
        school = School(appliance, cloud, classes)
        # The pool begins with nothing: the first call of the hook makes its first server.
        wait_for(partial(_has_grown, appliance, plan), 120, "the first servers")
        cloud.clock.set((MONDAY_MS + plan.from_min * MIN_MS) / 1000, plan.rate)
        for day in range(plan.days):
            begin_ms = MONDAY_MS + day * DAY_MS
            cloud.clock.change_rate(plan.rate)
            if day == 0:
                events = {begin_ms + plan.crash_min * MIN_MS: school.crash_fullest}
            else:
                upgrade = Upgrade(appliance, cloud)
                events = {begin_ms + plan.window_min * MIN_MS: upgrade.begin}
            school.play(begin_ms + plan.to_min * MIN_MS, events)
            if day + 1 < plan.days:
                cloud.configure(replace(cloud.settings, version=NEW))
                cloud.clock.change_rate(plan.night_rate)
                school.play(begin_ms + DAY_MS + plan.from_min * MIN_MS, {})
        cloud.clock.change_rate(plan.rate)
        known = _wait_for_recordings(appliance, school)
        until_ms = school.now_ms()
        calls = len(appliance.events("autoscaler_told"))
        appliance.sensitive.clear()  # simulated servers' secrets are in no log; ids are not secret
    happened = cloud.events()
    begin_ms = MONDAY_MS + plan.from_min * MIN_MS
    most: dict[str, int] = {}
    for event in happened:
        if event["event"] == "most_users":
            most[event["name"]] = max(most.get(event["name"], 0), event["users"])
    needed = _needed(school.classes, begin_ms, until_ms, plan)
    return Result(
        findings=school.findings,
        lost_recordings=sorted(school.findings.recordings - known),
        most_users=most,
        server_hours=_server_hours(happened, until_ms),
        fixed_hours=max(needed) * (until_ms - begin_ms) / 3_600_000,
        oracle_hours=sum(needed) * MIN_MS / 3_600_000,
        machines=sum(event["event"] == "created" for event in happened),
        hook_calls=calls,
        upgraded=_count_upgraded(happened),
    )


def _has_grown(appliance: ApplianceProcess, plan: Plan) -> bool:
    found = appliance.control.get("autoscalePlan")
    wanted = found["capacity"]["desired_servers"] if plan.grown else 1
    return bool(found["available"] >= wanted)


def _wait_for_recordings(appliance: ApplianceProcess, school: School) -> set[str]:
    """Wait until all recordings have arrived, or for a minute; return those that have."""
    deadline_s = time.monotonic() + 60
    while True:
        answer = appliance.front.get("getRecordings", state="any")
        known = {one.text or "" for one in answer.xml.iter("recordID")}
        if school.findings.recordings <= known or time.monotonic() > deadline_s:
            return known
        time.sleep(0.2)


def _count_upgraded(events: list[dict[str, Any]]) -> int:
    versions: dict[str, set[str]] = {}
    for event in events:
        if event["event"] == "ready":
            versions.setdefault(event["name"], set()).add(event["version"])
    return sum(found == {OLD, NEW} for found in versions.values())


def _server_hours(events: list[dict[str, Any]], until_ms: int) -> float:
    since: dict[str, float] = {}
    total_s = 0.0
    for event in events:
        if event["event"] in ("created", "started"):
            since[event["name"]] = event["at_s"]
        elif event["event"] in ("deleted", "crashed") and event["name"] in since:
            total_s += event["at_s"] - since.pop(event["name"])
    return (total_s + sum(until_ms / 1000 - at_s for at_s in since.values())) / 3600


def _needed(classes: list[Class], begin_ms: int, until_ms: int, plan: Plan) -> list[int]:
    """Return, for each minute, the servers of one who knows the day, with the same headroom."""
    users = [count_users(classes, at_ms) for at_ms in range(begin_ms, until_ms, MIN_MS)]
    ahead, room = math.ceil(plan.boot_s / 60) + 1, 1 + plan.headroom_percent / 100
    return [
        max(1, math.ceil(max(users[number : number + ahead]) * room / SEATS))
        for number in range(len(users))
    ]


def render_picture(result: Result) -> str:
    """Return the users and the servers over the days, as SVG."""
    samples = result.findings.samples
    hours = [(at_ms - MONDAY_MS) / 3_600_000 for at_ms, *_ in samples]

    def line(index: int, factor: float = 1.0) -> list[tuple[float, float]]:
        return [(hour, one[index] * factor) for hour, one in zip(hours, samples, strict=True)]

    servers = {"running machines": line(2), "take meetings": line(3), "desired": line(4)}
    panels = [Panel("Users", {"users": line(1)}), Panel("Servers", servers)]
    return render_lines(panels, "Two school days, grown and shrunk by the hook")


def describe(result: Result) -> str:
    """Return the figures as a table."""
    found = result.findings
    rows = (
        ("classes created", found.created),
        ("creates refused", len(found.refused)),
        ("creates repeated after the loss of a server", found.repeated),
        ("recordings", len(found.recordings)),
        ("recordings lost", len(result.lost_recordings)),
        ("most users on a server", f"{max(result.most_users.values(), default=0)} of {LIMIT}"),
        ("machines made", result.machines),
        ("servers upgraded in a maintenance window", result.upgraded),
        ("calls of the hook", result.hook_calls),
        ("server-hours", f"{result.server_hours:.1f}"),
        ("server-hours of the best fixed pool", f"{result.fixed_hours:.1f}"),
        ("server-hours of one who knows the day", f"{result.oracle_hours:.1f}"),
    )
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def main() -> None:
    """Play two days, or a short one; exit code 1 if something is as it must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="half a morning, as in the tests")
    parser.add_argument("--picture", type=Path, help="write an SVG")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep log and events in this directory")
    options = parser.parse_args()
    plan = SHORT if options.short else Plan(seed=options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="fleet-") as directory,
        private_redis() as redis,
        private_postgres() as postgres,
        postgres.new_database() as name,
    ):
        try:
            result = run(plan, Path(directory), redis.url, postgres.url(name))
        finally:
            if options.keep:
                shutil.copytree(directory, options.keep, ignore=_NO_SOCKETS)
    print(describe(result))
    if options.picture:
        options.picture.write_text(render_picture(result))
    if problems := result.problems():
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
