"""Learning analytics: accepted from servers at the end of meetings, forwarded and stored.

Source: docs/callbacks.md.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import NoReturn

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.params import Params, replace_param
from appliance.bbb.server_token import server_of_token
from appliance.bbb.signed_request import Caller
from appliance.callbacks.analytics_files import AnalyticsFiles, StoredReport
from appliance.callbacks.analytics_rules import (
    ANALYTICS_PARAM,
    DEFAULT_CUSTOMER,
    Report,
    file_name_of,
    front_end_id_of,
    is_file_name,
    read_report,
    render_report,
    render_stored,
    report_url,
)
from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.rules import analytics
from appliance.faults import DatabaseDown
from appliance.model import ServerId, Tenant, TenantId

_BIG_BODY_BYTES = 128 * 1024
"""Larger reports are parsed in a thread: 10 ms a megabyte would delay every request."""


class ReportOutcome(Enum):
    """Result of accepting a report."""

    QUEUED = "queued"
    NOT_REQUESTED = "not requested by a front-end"


def set_report_url(deps: CallbackDeps, caller: Caller, params: Params, *, asked: bool) -> Params:
    """Have the server post its report to the appliance.

    That is done if the front-end `asked` for a report, or if reports are stored.
    """
    if not asked and not deps.settings.analytics_store:
        return params
    base_url = _base_url(deps, caller)
    return replace_param(params, ANALYTICS_PARAM, report_url(base_url)) if base_url else params


def _base_url(deps: CallbackDeps, caller: Caller) -> str:
    """Return scheme and host for calls of servers: the tenant's, by which it is recognised."""
    api = deps.settings.api
    if caller.tenant is not None and api.base_url:
        return f"https://{caller.tenant.name}.{api.base_url}"
    return f"https://{api.url_host}" if api.url_host else caller.base_url


async def find_reporter(deps: CallbackDeps, authorization: str | None) -> ServerId | None:
    """Return the server, also a retired one, that signed the token; None: the token is not valid.

    Raises StoreDown.
    """
    if not authorization:
        return None
    now_ms = deps.now_ms()
    servers = await deps.pool.records.list_servers()
    found = server_of_token(servers, authorization, now_s=now_ms / 1000)
    if found is None:
        retired = [one.server for one in await deps.pool.retired.read_all(now_ms=now_ms)]
        found = server_of_token(retired, authorization, now_s=now_ms / 1000)
    return found


async def accept_report(deps: CallbackDeps, tenant: Tenant | None, body: bytes) -> ReportOutcome:
    """Store a report if ANALYTICS_STORE is set, and queue it for the front-end of its meeting.

    Raises BadReport, StoreDown.
    """
    tenant_id = tenant.id if tenant else None
    if len(body) < _BIG_BODY_BYTES:
        report, meeting_id, sent = _prepare(tenant, body)
    else:
        report, meeting_id, sent = await trio.to_thread.run_sync(_prepare, tenant, body)
    if deps.analytics_files is not None:
        stored = render_stored(sent, tenant_id)
        await _keep(deps, deps.analytics_files, report, stored)
    # With multitenancy, a report to a host of no tenant belongs to no tenant's meeting.
    unassigned = deps.settings.api.multitenancy and tenant is None
    kept = None if unassigned else await _find_urls(deps, meeting_id, tenant_id)
    url = kept.urls.get(ANALYTICS) if kept else None
    if kept is None or url is None:
        deps.log.debug("analytics_without_receiver", meeting=meeting_id)
        return ReportOutcome.NOT_REQUESTED
    callback = analytics(
        url, sent, meeting_id=meeting_id, tenant_id=tenant_id, secret_id=kept.secret_id
    )
    digest = hashlib.sha256(body).hexdigest()
    await deps.queue.enqueue(callback, dedup_key=f"analytics:{tenant_id or ''}:{digest}")
    return ReportOutcome.QUEUED


async def _find_urls(
    deps: CallbackDeps, meeting_id: str, tenant_id: TenantId | None
) -> KeptUrls | None:
    """Return the URLs of a meeting; while the database is down, a placeholder.

    The sender then looks the URLs up later, since a server posts each report only once.
    """
    try:
        return await deps.urls.find(meeting_id, tenant_id)
    except DatabaseDown as error:
        deps.faults.note("analytics_wait_for_database", "postgres", reason=str(error))
        return KeptUrls({ANALYTICS: ""})


def _prepare(tenant: Tenant | None, body: bytes) -> tuple[Report, str, bytes]:
    """Return the report, the front-end's id of its meeting, and the body for the front-end."""
    report = read_report(body)
    meeting_id = front_end_id_of(report, tenant.id if tenant else None)
    customer = tenant.name if tenant else DEFAULT_CUSTOMER
    sent = render_report(
        report, meeting_id=meeting_id, customer=customer, is_tenants=tenant is not None
    )
    return report, meeting_id, sent


async def _keep(deps: CallbackDeps, files: AnalyticsFiles, report: Report, stored: bytes) -> None:
    try:
        await trio.to_thread.run_sync(files.save, file_name_of(report), stored)
    except OSError as error:
        deps.log.error("analytics_not_stored", meeting=report.meeting_id, reason=error.strerror)


PRUNE_EVERY_S = 3600.0
_DAY_MS = 86_400_000


async def prune_reports_forever(
    deps: CallbackDeps, files: AnalyticsFiles, *, every_s: float = PRUNE_EVERY_S
) -> NoReturn:
    """Delete reports that are older than ANALYTICS_RETENTION_DAYS: now, and then every hour."""
    keep_ms = round(deps.settings.usage.analytics_retention_days * _DAY_MS)
    while True:
        try:
            deleted = await trio.to_thread.run_sync(files.prune_old, deps.now_ms() - keep_ms)
            if deleted:
                deps.log.info("analytics_pruned", reports=deleted)
        except OSError as error:
            deps.log.error("analytics_not_pruned", reason=error.strerror)
        await trio.sleep(every_s)


async def list_reports(deps: CallbackDeps, limit: int) -> list[StoredReport]:
    """Return the newest stored reports, newest first. Raises Refused: none are stored."""
    files = _files(deps)
    return await trio.to_thread.run_sync(_list, files, limit)


async def show_report(deps: CallbackDeps, report_id: str) -> object:
    """Return a stored report. Raises Refused: it does not exist, or none are stored."""
    files = _files(deps)
    body = await trio.to_thread.run_sync(files.read, report_id) if is_file_name(report_id) else None
    if body is None:
        raise Refused(RefusalKind.NOT_FOUND, f"no analytics are kept for {report_id}")
    document: object = await trio.to_thread.run_sync(json.loads, body)
    return document


def _files(deps: CallbackDeps) -> AnalyticsFiles:
    if deps.analytics_files is None:
        raise Refused(
            RefusalKind.INVALID, "no analytics are kept: set ANALYTICS_STORE=true and restart"
        )
    return deps.analytics_files


def _list(files: AnalyticsFiles, limit: int) -> list[StoredReport]:
    found = []
    for name, received_ms, size in files.names(limit):
        body = files.read(name)
        if body is None:
            continue
        try:
            document = json.loads(body)
        except ValueError:
            document = {}
        meeting_id, customer = (str(document.get(key, "")) for key in ("meeting_id", "customer"))
        found.append(StoredReport(name, meeting_id, customer, received_ms, size))
    return found
