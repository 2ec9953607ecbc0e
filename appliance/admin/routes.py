"""All admin calls, and the Quart blueprint that serves them on both listeners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, TypeVar, cast

import msgspec
from quart import Blueprint, Response, request
from quart.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from appliance.admin.access import (
    Access,
    ControlAccess,
    Denied,
    PublicAccess,
    no_such_call,
    wrong_method,
)
from appliance.admin.dispatch import AdminCalls, check_role
from appliance.admin.errors import answer_error
from appliance.admin.openapi import make_document
from appliance.admin_calls.actors import FILE_KEY
from appliance.admin_calls.call import PREFIX, AdminCall, BoundAdminCall
from appliance.admin_calls.fields import merge_fields, parse_body
from appliance.admin_calls.rendering import records_of, render_json
from appliance.audit.admin_calls import AUDIT_CALLS
from appliance.backup.admin_calls import BACKUP_CALLS
from appliance.bbb import errors
from appliance.callbacks.admin_calls import CALLBACK_CALLS
from appliance.doctor.admin_calls import DOCTOR_CALLS
from appliance.events.admin_calls import EVENT_CALLS
from appliance.features import Features
from appliance.fleet.admin_calls import FLEET_CALLS
from appliance.http.messages import AsgiApp, ClientGone, read_body
from appliance.http.quart_app import make_quart_app
from appliance.http.quart_exchange import current_exchange, serve_quart
from appliance.meetings.admin_calls import MEETING_CALLS
from appliance.metrics.admin_calls import METRICS_CALLS
from appliance.privacy.admin_calls import PRIVACY_CALLS
from appliance.recordings.admin_calls import RECORDING_CALLS
from appliance.recordings.imports.admin_calls import IMPORT_CALLS
from appliance.recordings.objects.admin_calls import MOVE_CALLS
from appliance.recordings.player.admin_calls import PLAYER_CALLS
from appliance.recordings.retention_calls import RETENTION_CALLS
from appliance.servers.admin_calls import SERVER_CALLS
from appliance.servers.admin_pool_calls import POOL_CALLS
from appliance.servers.cluster_proxy_calls import CLUSTER_PROXY_CALLS
from appliance.servers.maintenance.calls import MAINTENANCE_CALLS
from appliance.servers.registration_calls import REGISTRATION_CALLS
from appliance.servers.versions.calls import VERSION_CALLS
from appliance.system.threads import run_counted, run_sized
from appliance.takeover.admin_calls import TAKEOVER_CALLS
from appliance.tenants.admin_calls import TENANT_CALLS
from appliance.tenants.admin_limit_calls import LIMIT_CALLS
from appliance.tenants.admin_setting_calls import SETTING_CALLS
from appliance.tokens.admin_calls import TOKEN_CALLS
from appliance.usage.admin_calls import USAGE_CALLS
from appliance.usage.debt_calls import DEBT_CALLS

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10.0
DOCUMENT_NAME = "openapi.json"

_JSON = "application/json; charset=utf-8"
_CSV = "text/csv; charset=utf-8"
_JSON_LINES = "application/x-ndjson"

Deps = TypeVar("Deps")


@dataclass(frozen=True, slots=True)
class _Table(Generic[Deps]):
    """The calls of a feature, and its dependencies."""

    calls: tuple[AdminCall[Deps], ...]
    deps: Callable[[Features], Deps]

    def bind(self, features: Features) -> list[BoundAdminCall]:
        deps = self.deps(features)
        return [call.bind(deps) for call in self.calls]


_TABLES: tuple[_Table[Any], ...] = (
    _Table(
        (
            *(*SERVER_CALLS, *POOL_CALLS, *REGISTRATION_CALLS, *MAINTENANCE_CALLS),
            *(*VERSION_CALLS, *CLUSTER_PROXY_CALLS),
        ),
        lambda features: features.servers,
    ),
    _Table(FLEET_CALLS, lambda features: features.fleet),
    _Table(MEETING_CALLS, lambda features: features.meetings),
    _Table(CALLBACK_CALLS, lambda features: features.callbacks),
    _Table(DOCTOR_CALLS, lambda features: features.doctor),
    _Table(EVENT_CALLS, lambda features: features.events),
    _Table(METRICS_CALLS, lambda features: features.exposition),
    _Table(
        (*RECORDING_CALLS, *RETENTION_CALLS, *IMPORT_CALLS, *MOVE_CALLS, *PLAYER_CALLS),
        lambda features: features.recordings,
    ),
    _Table(TAKEOVER_CALLS, lambda features: features.takeover),
    _Table((*TENANT_CALLS, *SETTING_CALLS, *LIMIT_CALLS), lambda features: features.tenants),
    _Table((*USAGE_CALLS, *DEBT_CALLS), lambda features: features.usage),
    _Table(PRIVACY_CALLS, lambda features: features.privacy),
    _Table(TOKEN_CALLS, lambda features: features.tokens),
    _Table(AUDIT_CALLS, lambda features: features.audit),
    _Table(BACKUP_CALLS, lambda features: features.backup),
)

CALLS: tuple[AdminCall[Any], ...] = tuple(call for table in _TABLES for call in table.calls)
"""Every call, in the order of the documents."""


def make_admin_calls(features: Features) -> AdminCalls:
    """Return all calls, bound to their features."""
    bound = (call for table in _TABLES for call in table.bind(features))
    return AdminCalls(bound, features.audit, features.log)


def make_control_app(features: Features) -> AsgiApp:
    """Return the application of the control socket."""
    access = ControlAccess()
    app = make_quart_app(__name__)
    app.register_blueprint(_make_blueprint(features, access))

    async def render(error: HTTPException) -> Response:
        return access.render(Denied(errors.UNSUPPORTED_REQUEST, error.code or 500))

    app.register_error_handler(HTTPException, render)
    return serve_quart(app)


def make_public_admin_blueprint(features: Features) -> Blueprint:
    """Return everything below `/scalelite/api/` of the public listener.

    Its application puts the address of the client, as trusted proxies report it, into the scope
    under CLIENT_KEY, and has checked the host.
    """
    access = PublicAccess(features.settings, features.faults, features.tokens)
    return _make_blueprint(features, access)


def _make_blueprint(features: Features, access: Access) -> Blueprint:
    views = _AdminViews(features, access)
    blueprint = Blueprint("admin", __name__, url_prefix=PREFIX)
    blueprint.register_error_handler(Denied, views.deny)
    blueprint.after_request(_keep_private)

    def route(state: BlueprintSetupState) -> None:
        # Not by `add_url_rule`, which allows known methods only: a wrong method is denied, too.
        for path, name, view in (
            (f"/{DOCUMENT_NAME}", "document", views.show_document),
            ("/<path:name>", "call", views.serve),
            ("/", "nothing", views.serve),
        ):
            endpoint = f"{state.blueprint.name}.{name}"
            state.app.url_map.add(
                state.app.url_rule_class(
                    f"{PREFIX}{path}", endpoint=endpoint, methods=None, strict_slashes=False
                )
            )
            state.app.view_functions[endpoint] = view

    blueprint.record(route)
    return blueprint


class _AdminViews:
    """The views of the blueprint."""

    def __init__(self, features: Features, access: Access) -> None:
        self._features = features
        self._access = access
        self._calls = make_admin_calls(features)

    async def serve(self, name: str = "") -> Response:
        """Make a call and answer it. Raises Denied."""
        declaration = self._find_call(name)
        try:
            actor, query = await self._access.identify(name, request)
            check_role(declaration, actor)
            body = b""
            if declaration.method != "GET":
                received = current_exchange().request
                body = await read_body(received, MAX_BODY_BYTES, limit_s=BODY_TIMEOUT_S)
            passed = cast(Callable[[], int | None], request.scope.get(FILE_KEY, _no_file))
            document = await run_sized(len(body), partial(parse_body, body))
            fields = merge_fields(document, query)
            answer = await self._calls.make(name, actor, fields, passed())
            if declaration.csv is not None and fields.get("format") == "csv":
                render = partial(declaration.csv, answer, fields)
                text = await run_counted(records_of(answer), render)
                return Response(text, content_type=_CSV)
            return await _respond(answer, declaration.status_of(answer))
        except (ClientGone, Denied):
            raise
        except Exception as error:
            features = self._features
            failed = answer_error(declaration, error, features.faults, features.log)
            return await _respond(failed.document, failed.status)

    def _find_call(self, name: str) -> AdminCall[Any]:
        call = self._calls.find(name)
        if call is None or (call.local and not self._access.is_local):
            raise no_such_call()
        _check_method(call.method)
        return call

    async def deny(self, denied: Denied) -> Response:
        """Answer a request whose call was not made."""
        response = self._access.render(denied)
        response.headers.update(denied.headers)
        return response

    async def show_document(self) -> Response:
        """Show the OpenAPI document: it holds no secret, so anyone may read it. Raises Denied."""
        _check_method("GET")
        body, tag = self._document
        response = Response(body, content_type=_JSON)
        response.set_etag(tag)
        response.headers["cache-control"] = "no-cache"
        if request.if_none_match.contains_weak(tag):
            response.status_code = 304
            response.set_data(b"")
        return response

    @cached_property
    def _document(self) -> tuple[bytes, str]:
        uploads = self._features.recordings.spool is not None
        body = json.dumps(make_document(CALLS, uploads=uploads), indent=1).encode()
        return body, hashlib.sha256(body).hexdigest()[:32]


def _no_file() -> None:
    return None


def _check_method(method: str) -> None:
    allowed = ("GET", "HEAD") if method == "GET" else (method,)
    if request.method not in allowed:
        raise wrong_method(", ".join(allowed))


async def _respond(document: Any, status: int) -> Response:
    """Return a response with a document, or with those of a stream as they come."""
    if isinstance(document, AsyncIterator):
        current_exchange().watch_client()
        return Response(_render_lines(document), status, content_type=_JSON_LINES)
    body = await run_counted(records_of(document), partial(render_json, document))
    return Response(body, status, content_type=_JSON)


async def _render_lines(batches: AsyncIterator[Iterable[Any]]) -> AsyncIterator[bytes]:
    """Yield a line for each document; an empty one for an empty batch."""
    async for batch in batches:
        yield b"".join(msgspec.json.encode(one) + b"\n" for one in batch) or b"\n"


async def _keep_private(response: Response) -> Response:
    """Keep answers out of caches: they hold the secrets of servers, and addresses are signed."""
    response.headers.setdefault("cache-control", "no-store")
    response.headers["x-content-type-options"] = "nosniff"
    return response
