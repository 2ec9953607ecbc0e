"""Arrival traces: the times at which classes are created, joined and left.

Pure and seeded: the same seed gives the same trace. The traces are synthetic, modelled on a
university's timetable: hundreds of creates around the full hour, log-normal class sizes, joins over
ten minutes, two days with mostly the same classes (docs/performance.md). Times are milliseconds
since midnight of the first day.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.model import LoadWeights

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

SERVERS = 12
CLASSES_PER_HOUR = 240
HOURS = (8, 9)
MEDIAN_SIZE, SIZE_SPREAD = 16, 0.8
"""Class sizes: half have at most 16 users, the mean is 22, one in a hundred has over 100."""
SMALLEST, LARGEST = 2, 300
JOIN_WINDOW_MS = 10 * MINUTE_MS
LEAVE_WINDOW_MS = 2 * MINUTE_MS
RECURRING = 0.9
"""Share of the second day's classes that also took place on the first day."""
USERS_ALONE = LoadWeights()
CAMERA_WEIGHTS = LoadWeights(user=1.0, video=4.0, voice=0.5, meeting=2.0)
CAMERA_CAP = 40
ATTENDANCE_SPREAD = 0.15
"""Standard deviation of the logarithm of a class's size from day to day."""


@dataclass(frozen=True, slots=True)
class Session:
    """One class on one day."""

    id: str
    """The same on both days, like a front-end's room id."""
    created_ms: int
    joins_ms: tuple[int, ...]
    """One for each user, in order."""
    leaves_ms: tuple[int, ...]
    """One for each user, in order; the last one ends the meeting."""
    cameras: int = 0
    """Users with a camera, and so a microphone; the others listen."""

    @property
    def size(self) -> int:
        """Return the final number of users."""
        return len(self.joins_ms)

    def has_camera(self, number: int) -> bool:
        """Whether the user who joins, or leaves, in this place has a camera; spread evenly."""
        return (number + 1) * self.cameras // self.size > number * self.cameras // self.size


@dataclass(frozen=True, slots=True)
class Trace:
    """The events of a pool on two days, the second of which is measured."""

    name: str
    multipliers: tuple[float, ...]
    """One for each server; a server of 0.5 is twice as large as one of 1."""
    sessions: tuple[Session, ...]
    measured_from_ms: int
    measured_to_ms: int
    lost: tuple[tuple[int, int], ...] = ()
    """(time, number of the server) of servers that fail and do not return."""
    weights: LoadWeights = USERS_ALONE
    """The cost of users, cameras, microphones and meetings for a server."""


def timetable(seed: int, small: bool = False) -> Trace:
    """Return a trace with bursts: each hour most classes are created within a minute or two."""
    rng = random.Random(f"timetable {seed}")
    count = CLASSES_PER_HOUR // (4 if small else 1)
    first = [(hour, number, _class_size(rng)) for hour in HOURS for number in range(count)]
    sessions = []
    for hour, number, size in first:
        name = f"class-{hour}-{number:03}"
        sessions.append(_lecture(rng, name, hour * HOUR_MS, size))
        name, size = _next_day(rng, name, size, _class_size)
        sessions.append(_lecture(rng, name, DAY_MS + hour * HOUR_MS, size))
    return Trace(
        "timetable",
        (1.0,) * _servers(small),
        tuple(sessions),
        DAY_MS + HOURS[0] * HOUR_MS,
        DAY_MS + (HOURS[-1] + 1) * HOUR_MS + 15 * MINUTE_MS,
    )


def unequal(seed: int, small: bool = False) -> Trace:
    """Return the timetable on servers of three sizes."""
    count = _servers(small)
    multipliers = tuple((0.5, 1.0, 2.0)[number * 3 // count] for number in range(count))
    return replace(timetable(seed, small), name="unequal", multipliers=multipliers)


def server_lost(seed: int, small: bool = False) -> Trace:
    """Return the timetable, measured from the failure of a server at the fullest moment."""
    lost_ms = DAY_MS + HOURS[-1] * HOUR_MS + 12 * MINUTE_MS
    trace = timetable(seed, small)
    return replace(trace, name="server-lost", measured_from_ms=lost_ms, lost=((lost_ms, 1),))


def steady(seed: int, small: bool = False) -> Trace:
    """Return meetings at random times with random durations, half of them new each day."""
    rng = random.Random(f"steady {seed}")
    mean_gap_ms = MINUTE_MS / (1 if small else 4)
    sessions, now, number = [], 8.0 * HOUR_MS, 0
    while now < 11 * HOUR_MS:
        now += rng.expovariate(1 / mean_gap_ms)
        number += 1
        name, size = f"room-{number:04}", _room_size(rng)
        sessions.append(_meeting(rng, name, round(now), size))
        if rng.random() < 0.5:
            size = _bounded(next_attendance(rng, size))
        else:
            name, size = f"{name}-new", _room_size(rng)
        again = DAY_MS + round(now + rng.uniform(-10, 10) * MINUTE_MS)
        sessions.append(_meeting(rng, name, again, size))
    return Trace(
        "steady",
        (1.0,) * _servers(small),
        tuple(sessions),
        DAY_MS + 9 * HOUR_MS + 30 * MINUTE_MS,
        DAY_MS + 11 * HOUR_MS,
    )


def with_cameras(trace: Trace, seed: int) -> Trace:
    """Return the trace with cameras, and what they cost.

    In half of the classes only the teacher has one, in three of ten some users, in two of ten most;
    a class keeps its habit from day to day. At most CAMERA_CAP of a class.
    """
    sessions = []
    for session in trace.sessions:
        habit = random.Random(f"cameras {seed} {session.id}")
        kind, share = habit.random(), habit.random()
        share = 0.0 if kind < 0.5 else 0.1 + 0.4 * share if kind < 0.8 else 0.6 + 0.4 * share
        today = random.Random(f"cameras {seed} {session.id} {session.created_ms}")
        share *= today.lognormvariate(0, ATTENDANCE_SPREAD)
        cameras = min(max(1, round(share * session.size)), session.size, CAMERA_CAP)
        sessions.append(replace(session, cameras=cameras))
    return replace(trace, sessions=tuple(sessions), weights=CAMERA_WEIGHTS)


TRACES: dict[str, Callable[[int, bool], Trace]] = {
    "timetable": timetable,
    "steady": steady,
    "server-lost": server_lost,
    "unequal": unequal,
}


def _servers(small: bool) -> int:
    return SERVERS // (4 if small else 1)


def _class_size(rng: random.Random) -> int:
    return _bounded(MEDIAN_SIZE * rng.lognormvariate(0, SIZE_SPREAD))


def _room_size(rng: random.Random) -> int:
    return min(_bounded(8 * rng.lognormvariate(0, 0.9)), 100)


def next_attendance(rng: random.Random, size: int) -> int:
    """Return the attendance of one day for a class of usually `size` users."""
    return max(round(size * rng.lognormvariate(0, ATTENDANCE_SPREAD)), 1)


def _bounded(size: float) -> int:
    return min(max(round(size), SMALLEST), LARGEST)


def _next_day(
    rng: random.Random, name: str, size: int, new_size: Callable[[random.Random], int]
) -> tuple[str, int]:
    if rng.random() < RECURRING:
        return name, _bounded(next_attendance(rng, size))
    return f"{name}-new", new_size(rng)


def _lecture(rng: random.Random, name: str, hour_ms: int, size: int) -> Session:
    """Return a class that ends about five minutes before the next hour, or after it.

    Seven of ten are created in the minute after the full hour, the others up to 5 minutes before.
    """
    early = rng.random() < 0.3
    created_ms = hour_ms + round(rng.uniform(-5 if early else 0, 0 if early else 1) * MINUTE_MS)
    end_ms = hour_ms + round(min(max(rng.gauss(55, 4), 45), 64) * MINUTE_MS)
    return _session(rng, name, created_ms, end_ms, size)


def take_place(rng: random.Random, name: str, start_ms: int, length_ms: int, size: int) -> Session:
    """Return a class that begins and ends near the times of the timetable."""
    early = rng.random() < 0.3
    created_ms = start_ms + round(rng.uniform(-5 if early else 0, 0 if early else 1) * MINUTE_MS)
    # Not before all users have joined: _session spreads joins over ten minutes.
    least_ms = created_ms + JOIN_WINDOW_MS + LEAVE_WINDOW_MS + 3 * MINUTE_MS
    end_ms = start_ms + length_ms + round(rng.gauss(0, 3) * MINUTE_MS)
    return _session(rng, name, created_ms, max(end_ms, least_ms), size)


def _meeting(rng: random.Random, name: str, created_ms: int, size: int) -> Session:
    minutes = min(max(45 * rng.lognormvariate(0, 0.5), 15), 180)
    return _session(rng, name, created_ms, created_ms + round(minutes * MINUTE_MS), size)


def _session(rng: random.Random, name: str, created_ms: int, end_ms: int, size: int) -> Session:
    """Return a session whose first user joins at once, the others over ten minutes, most early."""
    later = (rng.triangular(0, JOIN_WINDOW_MS, JOIN_WINDOW_MS / 4) for _ in range(size - 1))
    joins = (created_ms + SECOND_MS, *sorted(created_ms + 2 * SECOND_MS + round(d) for d in later))
    leaves = sorted(end_ms - round(rng.uniform(0, LEAVE_WINDOW_MS)) for _ in range(size))
    return Session(name, created_ms, joins, tuple(leaves))
