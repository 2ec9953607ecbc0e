"""The admin call about BBB's cluster proxy: the settings of its nginx and of the BBB servers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import Fields, OptionalText
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.endpoint import UnacceptableValue
from appliance.servers import administration
from appliance.servers.admin_calls import NO_SERVER
from appliance.servers.admin_types import SERVER_ID
from appliance.servers.cluster_proxy import (
    DEFAULT_PROXY,
    check_resolvers,
    make_settings,
    render_locations,
    render_settings,
)
from appliance.servers.deps import ServerDeps


class ClusterProxyRequest(Fields, frozen=True):
    """clusterProxy."""

    id: Annotated[
        OptionalText, Meta(description="A server, for its settings; else those of nginx.")
    ] = None
    proxy: Annotated[
        OptionalText, Meta(description="Host of the proxy, for the settings; default: URL_HOST.")
    ] = None
    resolver: Annotated[
        OptionalText,
        Meta(description="Name servers with which nginx looks servers up; separated by blanks."),
    ] = None


class ClusterProxyJson(Answer, frozen=True):
    """clusterProxy."""

    text: Annotated[str, Meta(description="The configuration, to be written as it is.")]
    files: Annotated[
        dict[str, str], Meta(description="The settings of the server by their file; else empty.")
    ]
    refused: Annotated[
        list[str], Meta(description="Servers left out: their id or URL could end a directive.")
    ]


async def _cluster_proxy(deps: ServerDeps, call: Call[ClusterProxyRequest]) -> ClusterProxyJson:
    request = call.read()
    try:
        if not request.id:
            resolvers = check_resolvers(request.resolver) if request.resolver else None
            return await _locations(deps, resolvers)
        return await _settings(deps, request.id, request.proxy)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from None


async def _settings(deps: ServerDeps, server_id: str, proxy: str | None) -> ClusterProxyJson:
    """Return the settings of a server. Raises Refused, UnacceptableValue."""
    server = await administration.find_server(deps, server_id)
    files = make_settings(server, proxy or deps.settings.api.url_host or DEFAULT_PROXY)
    return ClusterProxyJson(text=render_settings(files), files=files, refused=[])


async def _locations(deps: ServerDeps, resolvers: str | None) -> ClusterProxyJson:
    servers = await deps.pool.records.list_servers()
    if not servers and await deps.store.have_vanished():
        # The proxy must not forget the servers because Redis has.
        raise Refused(
            RefusalKind.INVALID,
            "the pool has no servers; `ctl servers accept-empty` if it is meant to be empty",
        )
    ordered = sorted(servers, key=lambda server: server.id)
    text, refused = render_locations(ordered, resolvers)
    return ClusterProxyJson(text=text, files={}, refused=refused)


CLUSTER_PROXY_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        name="clusterProxy",
        method="GET",
        handler=_cluster_proxy,
        group="servers",
        summary="The settings for the nginx of BBB's cluster proxy, or for a BBB server behind it"
        " (docs/cluster-proxy.md).",
        example=ClusterProxyJson(
            text="# ---- /etc/default/bbb-graphql-server\nHASURA_GRAPHQL_CORS_DOMAIN=…\n",
            files={"/etc/default/bbb-graphql-server": "HASURA_GRAPHQL_CORS_DOMAIN=…\n"},
            refused=[],
        ),
        request={"id": SERVER_ID, "proxy": "proxy.example.com", "resolver": "127.0.0.53"},
        refusals=NO_SERVER,
        role=Role.VIEWER,
    ),
)
