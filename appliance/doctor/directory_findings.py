"""What doctor says of directories: there, writable, one file system, room left.

Pure. The facts come from system/disk_facts.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.doctor.findings import Finding, fail, ok, warn

FAIL_FREE_BYTES = 1 << 30
WARN_FREE_BYTES = 10 << 30
WARN_FREE_SHARE = 0.05
WARN_FREE_INODES = 0.02


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """What is found where a directory should be."""

    path: str
    problem: str = ""
    """`missing`, `no directory`, or why nothing can be written; empty: it is writable."""
    creatable: bool = False
    """Missing, but we may make it."""
    device: int = 0
    free_bytes: int = 0
    size_bytes: int = 0
    free_inodes: float = 1.0
    """Share."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory and what it is for."""

    name: str
    """As the check is called: `spool`."""
    facts: DirectoryFacts
    variable: str
    """Names it in the configuration."""
    read_only: bool = False
    """Nothing is written there, and nothing stops without it."""


def judge_places(places: Sequence[Place], user: str) -> list[Finding]:
    """Return what is to be said of each directory. user: who writes."""
    return [_judge_place(place, user) for place in places]


def _judge_place(place: Place, user: str) -> Finding:
    check, path = f"directory {place.name}", place.facts.path
    problem = place.facts.problem
    if place.read_only:
        if problem == "missing":
            return warn(
                check,
                f"{path} is missing: recordings of the format presentation cannot be played",
                f"install bbb-playback, or let {place.variable} name it",
            )
        return ok(check, path)
    if problem == "missing":
        # As the package makes them: the group delivers into the spool, and reads the others.
        mode, owner = ("2770" if place.name == "spool" else "2750"), shlex.quote(user)
        made = f"install -d -o {owner} -g {owner} -m {mode} {shlex.quote(path)}"
        if place.facts.creatable:
            return warn(
                check,
                f"{path} is missing; it is made when it is needed",
                f"if it should be on a disk of its own, mount that; else `{made}`",
            )
        return fail(check, f"{path} is missing", f"`{made}`, or let {place.variable} name it")
    if problem == "no directory":
        return fail(check, f"{path} is no directory", f"move it away, or change {place.variable}")
    if problem:
        owned = f"chown {shlex.quote(user)} {shlex.quote(path)}"
        return fail(
            check,
            f"{path} cannot be written: {problem}",
            f"`{owned}`, unless the disk is full or mounted read-only (`findmnt -T {path}`)",
        )
    return _judge_room(check, place.facts)


def _judge_room(check: str, facts: DirectoryFacts) -> Finding:
    free = facts.free_bytes
    text = f"{facts.path}, {_size(free)} free"
    advice = f"make room or move it to a larger disk (`df -h {facts.path}`)"
    if free < FAIL_FREE_BYTES:
        return fail(check, f"{text}: imports stop", advice)
    if free < WARN_FREE_BYTES or free < WARN_FREE_SHARE * facts.size_bytes:
        return warn(check, text, advice)
    if facts.free_inodes < WARN_FREE_INODES:
        return warn(check, f"{facts.path} has hardly any inodes left", f"`df -i {facts.path}`")
    return ok(check, text)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


def judge_file_systems(places: Sequence[Place]) -> list[Finding]:
    """Return whether directories that files are moved between are on one file system."""
    found = [place for place in places if not place.facts.problem]
    if len(found) < 2:
        return []
    check = "file system"
    if len({place.facts.device for place in found}) == 1:
        return [ok(check, f"{_names(found)} are on the same")]
    return [
        warn(
            check,
            f"{_names(found)} are on different ones, so every recording is copied, not renamed",
            f"put them on one file system (`findmnt -T {found[0].facts.path}`)",
        )
    ]


def _names(places: Sequence[Place]) -> str:
    *others, last = [place.name for place in places]
    return f"{', '.join(others)} and {last}" if others else last
