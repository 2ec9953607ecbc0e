"""The admin calls about usage: what was used, and what the pool was like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call, Time, time_json
from appliance.admin_calls.fields import BadRequest, Fields, OptionalText, one_of, reads, text
from appliance.admin_calls.refusal import RefusalKind, Refused, no_tenant
from appliance.model import TenantId
from appliance.system.threads import map_in_slices, run_counted
from appliance.tenants.administration import match_tenant
from appliance.tenants.limits import DEFAULT_TENANT
from appliance.usage.csv_text import DIMENSIONS, PERIODS, parse_by, render_csv
from appliance.usage.deps import UsageDeps
from appliance.usage.history import find_busiest_day, list_classes
from appliance.usage.model import MINUTE_MS, Gap, Question
from appliance.usage.report import QuestionTooLarge, Used, answer
from appliance.usage.writer import name_tenants

_DATE = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::00(?::00)?)?Z?)?)?", re.ASCII
).fullmatch
_NO_DATABASE = "usage is kept in the database, and DB_DISABLED or RECORDING_DISABLED is set"


def _read_time(fields: Mapping[str, Any], name: str) -> datetime | None:
    given = text(fields, name)
    if not given:
        return None
    match = _DATE(given.strip())
    try:
        if match is None:
            raise ValueError
        year, month, day, hour = (int(part) if part else None for part in match.groups())
        found = datetime(year or 0, month or 0, day or 1, hour or 0, tzinfo=UTC)
        if not 1 < found.year < 9999:  # a day before or after must be a date as well
            raise ValueError
        return found
    except ValueError:
        raise BadRequest(
            f"{name} must be a date such as 2026-11-01, or a full hour such as 2026-11-01T13:00"
        ) from None


def _read_by(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = text(fields, name) or "tenant"
    try:
        return parse_by(given)
    except ValueError as error:
        raise BadRequest(f"{name} {error}") from None


_TIME_VALUES = {"type": ["string", "null"]}
_DateField = Annotated[datetime | None, reads(_read_time, _TIME_VALUES)]


class UsageRequest(Fields, frozen=True, rename={"since": "from", "until": "to"}):
    """usage."""

    tenant: Annotated[
        OptionalText,
        Meta(description="Id or name; without tenants also `default`. Without it: all."),
    ] = None
    since: Annotated[
        _DateField, Meta(description="A date, or a full hour, UTC; default: this month.")
    ] = None
    until: Annotated[_DateField, Meta(description="Exclusive.")] = None
    by: Annotated[
        tuple[str, ...],
        reads(_read_by, {"type": ["string", "null"], "default": "tenant"}),
        Meta(description=f"{', '.join(DIMENSIONS)}; several are separated by commas."),
    ] = ("tenant",)
    format: Annotated[
        OptionalText, one_of("json", "csv", refusal="format must be json or csv, not {!r}")
    ] = None


class UsageLineJson(Answer, frozen=True, kw_only=True):
    """A line of usage; the columns that were asked for come first."""

    tenant: Annotated[str | UnsetType, Meta(description="Its name; empty without tenants.")] = UNSET
    server: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    meeting: str | UnsetType = UNSET
    period: Annotated[
        str | UnsetType, Meta(description="2026-11-25T13:00, 2026-11-25 or 2026-11, UTC.")
    ] = UNSET
    meetings: Annotated[int, Meta(description="Runs that began in the period.")]
    distinct_meetings: int
    user_minutes: float
    peak_users: Annotated[int, Meta(description="At once.")]
    peak_meetings: int
    recorded_minutes: Annotated[float, Meta(description="Of runs created with record=true.")]
    recording_bytes: Annotated[int, Meta(description="Recordings that are stored now.")]
    dial_in_minutes: float


class UsageGapJson(Answer, frozen=True):
    """A time in which a server was not polled although it may have had meetings."""

    server: str
    began: Time
    ended: Time


class UsageJson(Answer, frozen=True):
    """usage."""

    usage: list[UsageLineJson]
    gaps: list[UsageGapJson]


class UsageTimetableRequest(Fields, frozen=True):
    """usageTimetable."""

    day: Annotated[
        _DateField, Meta(description="Default: the fullest day of the last four weeks.")
    ] = None


class PastClassJson(Answer, frozen=True):
    """Meetings that were alike."""

    start: Annotated[str, Meta(description="HH:MM, UTC.")]
    minutes: int
    users: Annotated[int, Meta(description="At most at once.")]
    count: int


class UsageTimetableJson(Answer, frozen=True):
    """The meetings of a day."""

    day: str
    classes: list[PastClassJson]


async def _usage(deps: UsageDeps | None, call: Call[UsageRequest]) -> UsageJson:
    if deps is None:
        raise Refused(RefusalKind.INVALID, _NO_DATABASE)
    request = call.read()
    from_at, to_at = _period(deps, request)
    names = await name_tenants(deps)
    tenant: str | None = ""  # what has no tenant
    if deps.settings.api.multitenancy or request.tenant != DEFAULT_TENANT:
        tenant = _find_tenant(names, call.actor.tenant_id, request.tenant)
    by = request.by
    if call.actor.tenant_id is not None and "server" in by:
        raise Refused(RefusalKind.INVALID, "the servers are not shown to tenants")
    if tenant is None and "meeting" in by and "tenant" not in by and deps.settings.api.multitenancy:
        by = ("tenant", *by)  # two tenants may have meetings of the same id
    question = Question(_ms(from_at), _ms(to_at), by, tenant)
    known = await deps.store.read_all(await deps.store.known_servers())
    live = {str(server_id): state for server_id, (_, state) in known.items()}
    try:
        found = await answer(deps.table.database, question, live)
    except QuestionTooLarge as error:
        raise Refused(RefusalKind.INVALID, str(error)) from None
    lines = found.lines
    if "tenant" in by:
        place = by.index("tenant")
        lines = await run_counted(len(lines), lambda: _name_tenants(lines, place, names))
    shown = await map_in_slices(lambda line: _line_json(line, by), lines)
    return UsageJson(shown, [] if call.actor.tenant_id else list(map(_gap_json, found.gaps)))


def _period(deps: UsageDeps, request: UsageRequest) -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(deps.now_ms() / 1000, UTC)
    begin, end = request.since, request.until
    if begin is None:
        last = now if end is None else end - timedelta(milliseconds=1)
        begin = last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if end is None:
        end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if begin >= end and request.until is None:
        raise BadRequest("from is in the future")
    if begin >= end:
        raise BadRequest("from must be before to, which is exclusive")
    return begin, end


def _ms(at: datetime) -> int:
    return round(at.timestamp()) * 1000


def _find_tenant(names: Mapping[str, str], own: TenantId | None, given: str | None) -> str | None:
    """Return the id of the tenant that is asked for; None: of all.

    Raises Refused: it is unknown, or not the caller's own.
    """
    if not given:
        return own
    found = match_tenant(names, given)
    if own not in (None, found):
        raise no_tenant(given)
    return found


def _name_tenants(lines: Sequence[Used], place: int, names: Mapping[str, str]) -> list[Used]:
    """Put the names of tenants in the place of their ids; return the lines in their order."""
    for line in lines:
        key = list(line.key)
        key[place] = names.get(key[place], key[place])
        line.key = tuple(key)
    return sorted(lines, key=lambda line: line.key)


def _line_json(line: Used, by: tuple[str, ...]) -> UsageLineJson:
    keys = {
        "period" if name in PERIODS else name: part for name, part in zip(by, line.key, strict=True)
    }
    return UsageLineJson(
        **keys,
        meetings=line.meetings,
        distinct_meetings=line.distinct_meetings,
        user_minutes=_minutes(line.user_ms),
        peak_users=line.peak_users,
        peak_meetings=line.peak_meetings,
        recorded_minutes=_minutes(line.recorded_ms),
        recording_bytes=line.recording_bytes,
        dial_in_minutes=_minutes(line.dial_in_ms),
    )


def _minutes(ms: float) -> float:
    return round(ms / MINUTE_MS, 2)


def _gap_json(gap: Gap) -> UsageGapJson:
    return UsageGapJson(gap.server, time_json(gap.began_ms), time_json(gap.ended_ms))


def _render_csv(found: UsageJson, fields: Mapping[str, Any]) -> str:
    keys = ["period" if name in PERIODS else name for name in _read_by(fields, "by")]
    return render_csv([msgspec.to_builtins(line) for line in found.usage], keys)


async def _timetable(
    deps: UsageDeps | None, call: Call[UsageTimetableRequest]
) -> UsageTimetableJson:
    if deps is None:
        raise Refused(RefusalKind.INVALID, _NO_DATABASE)
    database = deps.table.database
    day = call.read().day or await find_busiest_day(database, deps.now_ms())
    found = [] if day is None else await list_classes(database, day)
    if day is None or not found:
        raise Refused(RefusalKind.NOT_FOUND, "no meetings are recorded of that time")
    classes = [
        PastClassJson(
            f"{one.start_min // 60:02}:{one.start_min % 60:02}", one.minutes, one.users, one.count
        )
        for one in found
    ]
    return UsageTimetableJson(f"{day:%Y-%m-%d}", classes)


USAGE_CALLS: tuple[AdminCall[UsageDeps | None], ...] = (
    AdminCall(
        name="usage",
        method="GET",
        handler=_usage,
        group="usage",
        summary="What was used: meetings, user-minutes, peaks, recordings, dial-in.",
        example=UsageJson(
            [
                UsageLineJson(
                    tenant="school",
                    meetings=412,
                    distinct_meetings=57,
                    user_minutes=351204.5,
                    peak_users=388,
                    peak_meetings=31,
                    recorded_minutes=1840.0,
                    recording_bytes=48318382080,
                    dial_in_minutes=212.5,
                )
            ],
            [UsageGapJson("bbb1.example.com", "2026-11-25T10:40:07Z", "2026-11-25T11:02:41Z")],
        ),
        role=Role.VIEWER,
        of_tenants=True,
        request={
            "tenant": "school",
            "from": "2026-11-01",
            "to": "2026-12-01",
            "by": "tenant",
            "format": "json",
        },
        refusals={404: "There is no such tenant."},
        csv=_render_csv,
    ),
    AdminCall(
        name="usageTimetable",
        method="GET",
        handler=_timetable,
        group="usage",
        summary="The meetings of a day of the past, as `simulate` takes them.",
        example=UsageTimetableJson("2025-11-25", [PastClassJson("08:00", 50, 24, 1)]),
        role=Role.VIEWER,
        request={"day": "2025-11-25"},
        refusals={404: "No meetings are recorded of that time."},
    ),
)
