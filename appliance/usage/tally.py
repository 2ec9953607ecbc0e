"""Adds polls up: user-minutes, peaks and the runs of meetings. Pure.

Between two polls the number of users is taken to change evenly, from 0 at the create of a run and
to 0 at its end. So a user's arrival and departure are each known to half a poll interval. Where no
poll succeeded for longer than `gap_limit_ms`, nothing is added: that is a gap, which is recorded.
Breakout rooms have runs of their own, but do not count: their users are still in the parent.
A run with record=true that has ended owes its recording, unless its server has reported that
the recording button was never pressed (docs/fleet.md).
Source: docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import ListedRecord
from appliance.tenants.scoped_id import front_end_id
from appliance.usage.model import (
    MINUTE_MS,
    EndedRun,
    EndNote,
    Finished,
    Gap,
    Minutes,
    ServerMinute,
    ServerUsage,
    Sums,
    UsageRun,
    late_key,
)

SHORTEST_GAP_MS = 5 * MINUTE_MS
"""A restart, or a few failed polls, make no gap."""
GAP_INTERVALS = 3
MAX_TEXT = 256
"""Characters of a text that front-ends choose and nothing limits: an index takes no long ones."""
LATE_REPORT_MS = 30 * MINUTE_MS
"""How long after a poll has noticed an end it may still be reported."""

REPORTED, POLL, GAP, LOST = "reported", "poll", "gap", "lost"
"""How an end was noticed: the server reported it, a poll did not list the run any more, so did the
first one after a gap, or the server has not answered since."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The findings of one poll of a server."""

    server: str
    tag: str
    at_ms: int
    listed: Sequence[ListedMeeting]
    records: Mapping[str, ListedRecord]
    """The pool's records of the meetings, by stored id."""
    gap_limit_ms: int
    keep_names: bool = False


def gap_limit_ms(poll_interval_s: float) -> int:
    """Return how long a server may go unpolled without that being a gap."""
    return max(SHORTEST_GAP_MS, round(GAP_INTERVALS * poll_interval_s * 1000))


def observe(state: ServerUsage, poll: Poll) -> Finished:
    """Add a poll to the state of its server."""
    if state.polled_ms - poll.at_ms > poll.gap_limit_ms:  # the clock was set back
        state.polled_ms = poll.at_ms
    before_ms, now_ms = state.polled_ms, max(poll.at_ms, state.polled_ms)
    is_gap = bool(before_ms) and now_ms - before_ms > poll.gap_limit_ms
    finished = Finished([], [])
    if before_ms and not is_gap:
        _fill_between(state, before_ms, now_ms)
    known = {run.key: run for run in state.runs}
    ended, still_listed = set(state.ended), []
    listed: set[str] = set()
    lived_through = is_gap and any(not run.lost for run in state.runs)
    for meeting in poll.listed:
        key = f"{meeting.id} {meeting.create_time_ms}"
        listed.add(key)
        if key in ended:
            still_listed.append(key)
            continue
        run = known.get(key) or _resume(state, key, before_ms)
        if run is None:
            run = known[key] = _begin(meeting, poll, before_ms, now_ms, is_gap)
            lived_through = lived_through or (is_gap and run.gap_ms > 0)
            since_ms = now_ms if run.gap_ms else run.began_ms
        else:
            known[key] = run
            _find_again(run, finished)
            run.gap_ms += now_ms - before_ms if is_gap else 0
            since_ms = now_ms if is_gap else before_ms
        _advance(state.minutes, run, meeting, since_ms, now_ms)
        record = poll.records.get(meeting.id)
        if record is not None and record.created == meeting.create_time_ms:
            run.run_ms = record.run_ms
    for key in [key for key in known if key not in listed]:
        run = known.pop(key)
        if not run.lost:
            _close(state, finished, _end_unlisted(state, poll, run, now_ms, is_gap))
            run.lost, state.stopped[key] = True, run
        state.closed[key] = now_ms
    _forget_reported(state, now_ms - LATE_REPORT_MS)
    if lived_through:
        finished.entries.append(Gap(poll.server, before_ms, now_ms))
    state.runs, state.ended, state.polled_ms = list(known.values()), still_listed, now_ms
    _raise_peaks(state.minutes, now_ms // MINUTE_MS, tenant_totals(state.runs))
    _take_minutes(state, poll.server, now_ms // MINUTE_MS, finished)
    return finished


def _resume(state: ServerUsage, key: str, before_ms: int) -> UsageRun | None:
    """Return a run that a poll has closed, as its server has not listed it for a moment."""
    closed_ms = state.closed.pop(key, before_ms)
    run = state.stopped.pop(key, None)
    if run is not None:
        run.gap_ms += before_ms - closed_ms
    return run


def _find_again(run: UsageRun, finished: Finished) -> None:
    if run.lost and run.recorded:
        finished.debts[run.internal_id] = 0
    run.lost = False


def _forget_reported(state: ServerUsage, before_ms: int) -> None:
    """Forget the runs whose end will not be reported any more."""
    state.closed = {key: ms for key, ms in state.closed.items() if ms >= before_ms}
    state.stopped = {key: run for key, run in state.stopped.items() if key in state.closed}
    unmarked = state.unmarked.items()
    state.unmarked = {key: run for key, run in unmarked if run[1] >= before_ms}


def end_run(state: ServerUsage, note: EndNote, at_ms: int) -> Finished:
    """Close a run that has ended since the last poll, also one that no poll has seen.

    If it is closed already, the note may say whether it has recording marks. A lost one ended at
    the last poll, unless its server has reported the end, and so with marks.
    """
    finished = Finished([], [])
    at_ms = max(at_ms, state.polled_ms)
    run = next((one for one in state.runs if (one.id, one.run_ms) == (note.id, note.run_ms)), None)
    if run is not None:
        if not run.lost and at_ms - state.polled_ms <= SHORTEST_GAP_MS:
            _spread(state.minutes, run, state.polled_ms, at_ms, 0, 0)
        state.runs.remove(run)
    else:
        key = f"{note.id} {note.created}"
        known = (*state.ended, *state.closed, *(one.key for one in state.runs))
        if not note.created or key in known:
            _settle_late(state, finished, note)
            return finished
        run = UsageRun(
            id=note.id,
            created=note.created,
            # By the clock of the appliance.
            began_ms=min(max(note.run_ms, state.polled_ms), at_ms),
            meeting_id=front_end_id(note.id, note.tenant or None),
            tenant=note.tenant,
            run_ms=note.run_ms,
            recorded=note.recorded,
        )
    state.ended.append(run.key)
    if run.lost and not note.marks:
        ended = EndedRun(note.server_id, run, state.polled_ms, LOST)
    else:
        ended = EndedRun(note.server_id, run, at_ms, REPORTED, note.marks)
    _close(state, finished, ended)
    if note.recorded and not run.recorded:  # what note_end in lib.lua has assumed
        finished.debts[run.internal_id] = 0
    return finished


def _close(state: ServerUsage, finished: Finished, ended: EndedRun) -> None:
    """Add a run that has ended, and note what its server owes."""
    finished.entries.append(ended)
    run = ended.run
    if run.recorded:
        finished.debts[run.internal_id] = ended.ended_ms if ended.owes else 0
        if not ended.marks and run.run_ms:
            state.unmarked[late_key(run.id, run.run_ms)] = run.created, ended.ended_ms


def _settle_late(state: ServerUsage, finished: Finished, note: EndNote) -> None:
    """Take a report of recording marks that came after the end was known."""
    found = state.unmarked.pop(late_key(note.id, note.run_ms), None) if note.marks else None
    if found is not None and note.marks == "false":
        finished.debts[UsageRun(note.id, found[0], 0, "").internal_id] = 0


def close_lost(state: ServerUsage, server: str) -> Finished:
    """Write what is known of a server that is not polled any more.

    Its runs count as ended at the last poll. If it answers again with one of them, the run goes on,
    and is written again at its end.
    """
    finished = Finished([], [])
    for run in state.runs:
        if not run.lost:
            run.lost = True
            _close(state, finished, EndedRun(server, run, state.polled_ms, LOST))
    _take_minutes(state, server, None, finished)
    return finished


def _begin(
    meeting: ListedMeeting, poll: Poll, before_ms: int, now_ms: int, is_gap: bool
) -> UsageRun:
    """Return a run that was not listed before, without users.

    If the poll before should have listed it, the clocks of server and appliance differ.
    """
    created_ms = min(meeting.create_time_ms or now_ms, now_ms)
    began_ms = created_ms if is_gap or not before_ms else max(created_ms, before_ms)
    unseen_ms = now_ms - began_ms
    tenant = meeting.tenant_id or ""
    record = poll.records.get(meeting.id)
    return UsageRun(
        id=meeting.id,
        created=meeting.create_time_ms,
        began_ms=began_ms,
        meeting_id=front_end_id(meeting.id, tenant or None, meeting.original_id),
        tenant=tenant,
        name=meeting.name[:MAX_TEXT] if poll.keep_names else "",
        tag=poll.tag,
        origin=(meeting.origin or meeting.origin_server)[:MAX_TEXT],
        origin_server=meeting.origin_server[:MAX_TEXT],
        breakout_of=meeting.parent_id[:MAX_TEXT] or ("?" if meeting.is_breakout else ""),
        moved_from=record.moved_from if record is not None else "",
        recorded=meeting.recorded,
        gap_ms=unseen_ms if unseen_ms > poll.gap_limit_ms else 0,
    )


def _advance(
    minutes: Minutes, run: UsageRun, meeting: ListedMeeting, since_ms: int, now_ms: int
) -> None:
    """Bring a run to what a poll has found."""
    users, dial_in = meeting.participants, meeting.dial_in
    _spread(minutes, run, since_ms, now_ms, users, dial_in)
    run.users, run.dial_in = users, dial_in
    run.voice, run.videos, run.listeners = meeting.voice, meeting.videos, meeting.listeners
    run.recorded = run.recorded or meeting.recorded
    if users and not run.first_join_ms:
        run.first_join_ms = now_ms
    run.peak_users = max(run.peak_users, users)
    run.peak_voice = max(run.peak_voice, run.voice)
    run.peak_videos = max(run.peak_videos, run.videos)
    run.peak_listeners = max(run.peak_listeners, run.listeners)
    run.peak_dial_in = max(run.peak_dial_in, dial_in)


def _end_unlisted(
    state: ServerUsage, poll: Poll, run: UsageRun, now_ms: int, is_gap: bool
) -> EndedRun:
    """Close a run that ended at an unknown time since the last poll: in the middle of it."""
    if is_gap:
        return EndedRun(poll.server, run, state.polled_ms, GAP)
    middle_ms = (state.polled_ms + now_ms) // 2
    _spread(state.minutes, run, state.polled_ms, middle_ms, run.users, run.dial_in)
    return EndedRun(poll.server, run, middle_ms, POLL)


def _spread(
    minutes: Minutes, run: UsageRun, since_ms: int, until_ms: int, users: int, dial_in: int
) -> None:
    """Add the time of a run's users, whose number changes evenly to `users`, to the minutes."""
    length = until_ms - since_ms
    if length <= 0:
        return
    run.user_ms += (run.users + users) / 2 * length
    run.dial_in_ms += (run.dial_in + dial_in) / 2 * length
    if run.breakout_of:
        return
    more, more_dial_in = (users - run.users) / length, (dial_in - run.dial_in) / length
    at = since_ms
    while at < until_ms:
        minute = at // MINUTE_MS
        edge = min((minute + 1) * MINUTE_MS, until_ms)
        middle = (at + edge) / 2 - since_ms
        sums = minutes.setdefault(minute, {}).setdefault(run.tenant, Sums())
        sums.user_ms += (run.users + more * middle) * (edge - at)
        sums.dial_in_ms += (run.dial_in + more_dial_in * middle) * (edge - at)
        if run.recorded:
            sums.recorded_ms += edge - at
        at = edge


def tenant_totals(runs: Sequence[UsageRun]) -> dict[str, Sums]:
    """Return the numbers of each tenant at the last poll."""
    totals: dict[str, Sums] = {}
    for run in runs:
        if run.breakout_of or run.lost:
            continue
        total = totals.get(run.tenant)
        if total is None:
            total = totals[run.tenant] = Sums()
        total.meetings += 1
        total.users += run.users
        total.voice += run.voice
        total.videos += run.videos
    return totals


def _fill_between(state: ServerUsage, before_ms: int, now_ms: int) -> None:
    """Give minutes without a poll the numbers of the poll before them."""
    first, last = before_ms // MINUTE_MS + 1, now_ms // MINUTE_MS
    if first < last:
        totals = tenant_totals(state.runs)
        for minute in range(first, last):
            _raise_peaks(state.minutes, minute, totals)


def _raise_peaks(minutes: Minutes, minute: int, totals: Mapping[str, Sums]) -> None:
    for tenant, total in totals.items():
        minutes.setdefault(minute, {}).setdefault(tenant, Sums()).raise_to(total)


def _take_minutes(state: ServerUsage, server: str, current: int | None, finished: Finished) -> None:
    """Move the minutes before the current one, or all, to `finished`."""
    for minute in sorted(state.minutes):
        if current is None or minute < current:
            finished.minutes.append(ServerMinute(server, minute, state.minutes.pop(minute)))
