"""The admin calls about the analytics of meetings. Knows no rule and no store."""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest, Json
from appliance.callbacks import admin_analytics_schema as about
from appliance.callbacks import analytics
from appliance.callbacks.admin_analytics_schema import DEFAULT_LIMIT, MAX_LIMIT
from appliance.callbacks.analytics_files import StoredReport
from appliance.callbacks.deps import CallbackDeps


def stored_json(stored: StoredReport) -> Json:
    """Render what is known of a kept report."""
    return {
        "id": stored.id,
        "meeting_id": stored.meeting_id,
        "customer": stored.customer,
        "received_ms": stored.received_ms,
        "bytes": stored.bytes,
    }


async def _list(deps: CallbackDeps, call: Call) -> Answer:
    found = await analytics.list_reports(deps, form.limit(call.fields, DEFAULT_LIMIT, MAX_LIMIT))
    return {"analytics": [stored_json(one) for one in found]}, 200


async def _show(deps: CallbackDeps, call: Call) -> Answer:
    report_id = form.text(call.fields, "id")
    if not report_id:
        raise BadRequest("id is missing")
    return {"id": report_id, "report": await analytics.show_report(deps, report_id)}, 200


ANALYTICS_CALLS: tuple[AdminCall[CallbackDeps], ...] = (
    AdminCall("listAnalytics", "GET", _list, LONG_S, about=about.LIST_ANALYTICS),
    AdminCall("getAnalytics", "GET", _show, LONG_S, about=about.GET_ANALYTICS),
)
