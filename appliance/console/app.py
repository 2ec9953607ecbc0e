"""The listener of CONSOLE_BIND: the console alone."""

from __future__ import annotations

from quart import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from appliance.console.core import Console
from appliance.console.routes import make_console_blueprint
from appliance.console.templating import PREFIX
from appliance.http.messages import (
    AsgiApp,
    ClientGone,
    ClientTimeouts,
    Receive,
    Scope,
    Send,
    read_request,
)
from appliance.http.origin import CLIENT_KEY, OriginReader
from appliance.http.quart_app import make_quart_app, refuse_method, text_response
from appliance.http.quart_exchange import Exchange


def make_console_app(console: Console) -> AsgiApp:
    """Return the application. Its host is not checked: operators reach it by any name."""
    app = make_quart_app(__name__)
    app.register_blueprint(make_console_blueprint(console))
    origins = OriginReader(
        console.settings.web.trusted_proxies, url_host=None, base_url=None, multitenancy=False
    )

    @app.route("/")
    async def home() -> Response:
        return Response("", 303, {"location": f"{PREFIX}/"})

    @app.errorhandler(Exception)
    async def refuse(error: Exception) -> Response:
        if isinstance(error, ClientGone):
            raise error
        if isinstance(error, MethodNotAllowed):
            return refuse_method(error)
        if isinstance(error, HTTPException):
            return text_response(404, "There is nothing here.")
        console.features.log.error("request_failed", path="/scalelite/", exc_info=error)
        return text_response(500, "The request failed; the appliance's log says why.")

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = read_request(scope, receive, ClientTimeouts())
        client = origins.client_address(request)
        exchange = Exchange(request, origins.read(request), send)
        try:
            await exchange.run(app, {**scope, CLIENT_KEY: client})
        except ClientGone:
            return

    return serve
