"""Every route of the public listener but the frequent calls: the features' Quart blueprints.

A feature leaves its errors to the application; which protocol they are rendered in stands here.
"""

from __future__ import annotations

from collections.abc import Iterator

from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from appliance.admin.routes import make_public_admin_blueprint
from appliance.bbb.signed_request import NO_CACHE
from appliance.callbacks.hook_routes import make_hook_blueprint
from appliance.callbacks.server_routes import make_server_blueprint
from appliance.console.core import Console
from appliance.console.routes import make_console_blueprint
from appliance.features import Features
from appliance.http.quart_app import make_quart_app
from appliance.meetings.routes import make_meeting_blueprint
from appliance.metrics.routes import make_metrics_blueprint
from appliance.public.errors import (
    API_PREFIX,
    ErrorHandler,
    ErrorReader,
    in_text,
    in_xml,
    refuse_route,
)
from appliance.recordings.playback.error_pages import ErrorPages
from appliance.recordings.playback.routes import make_playback_blueprint
from appliance.recordings.routes import (
    in_json,
    make_recording_blueprint,
    make_text_track_blueprint,
)
from appliance.recordings.uploads.routes import make_upload_blueprint
from appliance.tenants.signed_calls import SignedCalls


def make_routes(
    features: Features, calls: SignedCalls, errors: ErrorReader, console: Console | None = None
) -> QuartTrio:
    """Return the application; a request that no route takes is answered in XML."""
    app = make_quart_app(__name__)
    app.register_error_handler(HTTPException, refuse_route)
    app.register_error_handler(Exception, errors.handler(in_xml))
    app.after_request(_forbid_caching)
    for blueprint, prefix, handle in _make_blueprints(app, features, calls, errors):
        blueprint.register_error_handler(Exception, handle)
        app.register_blueprint(blueprint, url_prefix=prefix)
    if console is not None:
        blueprint = make_console_blueprint(console)
        blueprint.register_error_handler(Exception, errors.handler(in_text))
        app.register_blueprint(blueprint)
    return app


def _forbid_caching(response: Response) -> Response:
    if request.path.startswith(API_PREFIX):
        response.headers.setdefault(*NO_CACHE)
    return response


def names_of_calls(app: QuartTrio) -> frozenset[str]:
    """Return the names of the application's calls of the BBB API."""
    prefix = API_PREFIX + "/"
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    return frozenset(rule.removeprefix(prefix) for rule in rules if rule.startswith(prefix))


def _make_blueprints(
    app: QuartTrio,
    features: Features,
    calls: SignedCalls,
    errors: ErrorReader,
) -> Iterator[tuple[Blueprint, str | None, ErrorHandler]]:
    """Yield each blueprint with its prefix and the renderer of its errors."""
    xml, text = errors.handler(in_xml), errors.handler(in_text)
    recordings, callbacks = features.recordings, features.callbacks
    yield make_recording_blueprint(recordings, calls), API_PREFIX, xml
    yield make_text_track_blueprint(recordings, calls), API_PREFIX, errors.handler(in_json)
    yield make_hook_blueprint(callbacks, calls), API_PREFIX, xml
    yield make_server_blueprint(callbacks), API_PREFIX, text
    # What PASSTHROUGH_CALLS names never replaces a call of the appliance's own.
    passed_through = features.settings.api.passthrough_calls - names_of_calls(app)
    yield make_meeting_blueprint(features.meetings, calls, passed_through), API_PREFIX, xml
    yield make_public_admin_blueprint(features), None, xml
    token = features.settings.metrics.token
    if token is not None:
        yield make_metrics_blueprint(features.exposition, token), None, text
    if recordings.spool is not None:
        yield make_upload_blueprint(recordings, recordings.spool), None, text
    if recordings.served is not None:
        pages = ErrorPages(features.settings.locale, recordings.error_texts)
        playback = make_playback_blueprint(recordings, recordings.served, pages)
        yield playback, None, errors.handler(lambda _failure: pages.unavailable())
