"""Judge the directories: present, writable, enough room, on one file system. Pure."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.system.disk_facts import MISSING, NOT_A_DIRECTORY, DirectoryFacts

FAIL_FREE_BYTES = 1 << 30
WARN_FREE_BYTES = 10 << 30
WARN_FREE_SHARE = 0.05
WARN_FREE_INODES = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """A directory and its purpose."""

    name: str
    """Of the check, such as `spool`."""
    facts: DirectoryFacts
    variable: str
    """The setting that names the directory."""


READ_ONLY = os.strerror(errno.EROFS)


def judge_places(places: Sequence[Place], user: str) -> list[Finding]:
    """Judge each directory; `user` is the one that writes there."""
    return [_judge_place(place, user) for place in places]


def _judge_place(place: Place, user: str) -> Finding:
    check, path = f"directory {place.name}", place.facts.path
    problem = place.facts.problem
    if problem == MISSING:
        # Modes of the Debian package: the group writes into the spool and reads the others.
        mode, owner = ("2770" if place.name == "spool" else "2750"), shlex.quote(user)
        made = f"install -d -o {owner} -g {owner} -m {mode} {shlex.quote(path)}"
        if place.facts.creatable:
            return warn(
                check,
                f"{path} is missing; it will be made when it is needed",
                f"if it should be on a separate disk, mount that; else `{made}`",
            )
        return fail(check, f"{path} is missing", f"`{made}`, or change {place.variable}")
    if problem == NOT_A_DIRECTORY:
        advice = f"move it away, or change {place.variable}"
        return fail(check, f"{path} is not a directory", advice)
    if problem == READ_ONLY:
        # The unit protects the system (ProtectSystem=strict); findmnt shows whether it is the disk.
        drop_in = f"`ReadWritePaths={path}` in a drop-in (`systemctl edit scalelite-appliance`)"
        advice = f"{drop_in}, unless the disk itself is read-only (`findmnt -T {path}`)"
        return fail(check, f"{path} cannot be written: {problem}", advice)
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
    advice = f"free space, or move it to a larger disk (`df -h {facts.path}`)"
    if free < FAIL_FREE_BYTES:
        return fail(check, f"{text}: imports stop", advice)
    if free < WARN_FREE_BYTES or free < WARN_FREE_SHARE * facts.size_bytes:
        return warn(check, text, advice)
    if facts.free_inodes < WARN_FREE_INODES:
        text = f"the file system of {facts.path} has few free inodes"
        return warn(check, text, f"delete small files (`df -i {facts.path}`)")
    return ok(check, text)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


def judge_file_systems(places: Sequence[Place]) -> list[Finding]:
    """Judge whether directories that files are moved between are on one file system."""
    found = [place for place in places if not place.facts.problem]
    if len(found) < 2:
        return []
    check = "file system"
    if len({place.facts.device for place in found}) == 1:
        return [ok(check, f"{_names(found)} are on the same file system")]
    return [
        warn(
            check,
            f"{_names(found)} are on different file systems: recordings are copied, not renamed",
            f"put them on one file system (`findmnt -T {found[0].facts.path}`)",
        )
    ]


def _names(places: Sequence[Place]) -> str:
    *others, last = [place.name for place in places]
    return f"{', '.join(others)} and {last}" if others else last
