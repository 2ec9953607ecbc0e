"""BBB's cluster proxy: all servers behind one host name, so that browsers ask for the camera once.

Pure. The proxy's nginx gets `location` blocks whose first path segment is a server's id; each BBB
server gets settings that name the proxy. Nothing that could end a directive gets into them: ids and
hosts that hold more than letters, digits and `._-` are refused.
Source: https://docs.bigbluebutton.org/administration/cluster-proxy of BBB 2.7 and 3.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import Server

DEFAULT_PROXY = "PROXY.EXAMPLE.COM"
"""Stands for the proxy's host name where it is not known."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*").fullmatch
_HOST = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_RESOLVER = re.compile(
    r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
).fullmatch
_RESOLVED_FOR = "30s"
"""Names are looked up again after this time, whatever the name server says."""
_FIRST_WITHOUT_METEOR = 3


def check_proxy(host: str) -> str:
    """Check the host name of the proxy, with its port if it has one. Raises UnacceptableValue."""
    if not _HOST(host):
        raise UnacceptableValue("the proxy must be a host name, perhaps with a port")
    return host


def check_resolvers(text: str) -> str:
    """Check addresses of name servers, separated by blanks. Raises UnacceptableValue."""
    addresses = text.split()
    if not addresses or not all(map(_RESOLVER, addresses)):
        raise UnacceptableValue("a resolver is an address, perhaps with a port: 10.0.0.2, [::1]:53")
    return " ".join(addresses)


def origin_of(server: Server) -> str:
    """Return the `scheme://host[:port]` of a server. Raises UnacceptableValue."""
    if not _SEGMENT(server.id):
        raise UnacceptableValue("the id of the server cannot be part of a path")
    try:
        parts = urlsplit(server.url)
    except ValueError:
        raise UnacceptableValue("the url of the server has no valid host") from None
    # urlsplit drops line breaks silently, so the text is compared as a whole.
    origin = f"{parts.scheme}://{parts.netloc}"
    known = parts.scheme in ("http", "https") and server.url.lower().startswith(origin.lower())
    if not known or not _HOST(parts.netloc):
        raise UnacceptableValue("the url of the server has no host that a proxy could use")
    return origin


def render_locations(
    servers: Sequence[Server], resolvers: str | None = None
) -> tuple[str, list[str]]:
    """Return what goes into the `server {}` of the proxy, and the ids of servers left out.

    `resolvers`: nginx looks the names of the servers up when they are needed. Without them it does
    so when it reads the file, and refuses all of it for one name that it does not find.
    """
    blocks: list[str] = []
    refused: list[str] = []
    for server in servers:
        try:
            origin = origin_of(server)
        except UnacceptableValue:
            refused.append(server.id)
            continue
        # The client of BBB 3 reads its settings relative to its own path.
        for path, target in (
            (f"/{server.id}/html5client/", f"/{server.id}/html5client/"),
            (f"/{server.id}/bigbluebutton/api/", "/bigbluebutton/api/"),
        ):
            passes = (
                [f"proxy_pass {origin}{target};"]
                if resolvers is None
                else _pass_when_resolved(origin, path, target)
            )
            blocks.append(_render_location(path, passes))
    head = "# Made by `scalelite-appliance ctl cluster-proxy nginx`: for inside server {}.\n"
    if resolvers is not None:
        head += f"resolver {resolvers} valid={_RESOLVED_FOR};\n"
    return head + "".join(blocks), refused


def _pass_when_resolved(origin: str, path: str, target: str) -> list[str]:
    """Return the directives that pass a request on to a server whose name is looked up then.

    nginx does that where the address has a variable; the path is then not replaced by proxy_pass.
    """
    # `break` also ends what `set` belongs to, so it is last.
    rewrites = [] if path == target else [f"rewrite ^{re.escape(path)}(.*)$ {target}$1 break;"]
    return [f"set $cluster_server {origin};", *rewrites, "proxy_pass $cluster_server;"]


def _render_location(path: str, passes: Sequence[str]) -> str:
    lines = [
        *passes,
        "proxy_ssl_server_name on;",
        "proxy_http_version 1.1;",
        "proxy_set_header Host $proxy_host;",
        "proxy_set_header Upgrade $http_upgrade;",
        'proxy_set_header Connection "upgrade";',
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
    ]
    return f"location {path} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def make_settings(server: Server, proxy: str) -> dict[str, str]:
    """Return what each file on a BBB server needs, by its path; those of BBB 3 unless it is older.

    Raises UnacceptableValue.
    """
    origin, path = origin_of(server), f"/{server.id}/html5client"
    public = f"https://{check_proxy(proxy)}"
    major = re.match(r"\d+", server.bbb_version or "")
    old = major is not None and int(major[0]) < _FIRST_WITHOUT_METEOR
    files = {
        "/etc/bigbluebutton/bbb-web.properties": _web_properties(origin, public, path, old=old),
        "/etc/bigbluebutton/bbb-html5.yml": _client_settings(origin, path),
        "/etc/bigbluebutton/etherpad.json": json.dumps({"cluster_proxies": [public]}) + "\n",
        "/etc/default/bbb-web": (
            'JDK_JAVA_OPTIONS="-Dgrails.cors.enabled=true -Dgrails.cors.allowCredentials=true'
            f' -Dgrails.cors.allowedOrigins={public},{origin}"\n'
        ),
        "/usr/share/bigbluebutton/nginx/loadbalancer.nginx": (
            f"set $bbb_loadbalancer_node {public};\n"
        ),
    }
    return files | (_of_meteor(origin, path) if old else _of_graphql(public, path))


def _web_properties(origin: str, public: str, path: str, *, old: bool) -> str:
    lines = [
        f"defaultHTML5ClientUrl={public}{path}/{'join' if old else ''}",
        f"presentationBaseURL={origin}/bigbluebutton/presentation",
        f"accessControlAllowOrigin={public}",
    ]
    if old:
        lines.append(f"defaultGuestWaitURL={origin}{path}/guestWait")
    else:
        lines += [
            f"graphqlWebsocketUrl={_socket_of(origin)}/graphql",
            f"graphqlApiUrl={origin}/api/rest",
        ]
    return "".join(f"{line}\n" for line in lines)


def _client_settings(origin: str, path: str) -> str:
    host = urlsplit(origin).netloc
    return f"""\
public:
  app:
    basename: '{path}'
    bbbWebBase: '{origin}/bigbluebutton'
    learningDashboardBase: '{origin}/learning-dashboard'
  media:
    stunTurnServersFetchAddress: '{origin}/bigbluebutton/api/stuns'
    sip_ws_host: '{host}'
  kurento:
    wsUrl: '{_socket_of(origin)}/bbb-webrtc-sfu'
  presentation:
    uploadEndpoint: '{origin}/bigbluebutton/presentation/upload'
  pads:
    url: '{origin}/pad'
"""


def _of_meteor(origin: str, path: str) -> dict[str, str]:
    unit = (
        "[Service]\n"
        f"Environment=ROOT_URL=https://127.0.0.1{path}\n"
        f"Environment=DDP_DEFAULT_CONNECTION_URL={origin}{path}\n"
    )
    nginx = (
        f"# Write {path} in place of /html5client in every location but @html5client, and add:\n"
        f"location =/html5client/locale {{\n  return 301 {path}/locale$is_args$args;\n}}\n"
    )
    return {
        "/etc/systemd/system/bbb-html5-frontend@.service.d/cluster.conf": unit,
        "/etc/systemd/system/bbb-html5-backend@.service.d/cluster.conf": unit,
        "/usr/share/bigbluebutton/nginx/bbb-html5.nginx": nginx,
    }


def _of_graphql(public: str, path: str) -> dict[str, str]:
    client = "/usr/share/bigbluebutton/html5-client"
    return {
        "/etc/bigbluebutton/nginx/bbb-cluster.nginx": (
            f"set $bbb_cors_origin {public};\n"
            f"location {path} {{\n  gzip_static on;\n  alias {client}/;\n  index index.html;\n"
            "  try_files $uri $uri/ =404;\n}\n"
            f"location {path}/locales {{\n  alias {client}/locales;\n  autoindex on;\n"
            "  autoindex_format json;\n}\n"
        ),
        "/etc/default/bbb-graphql-middleware": (
            f"BBB_GRAPHQL_MIDDLEWARE_ORIGIN={public.removeprefix('https://')}\n"
        ),
        "/etc/default/bbb-graphql-server": f'HASURA_GRAPHQL_CORS_DOMAIN="{public}"\n',
    }


def _socket_of(origin: str) -> str:
    return f"ws{origin.removeprefix('http')}"


def render_settings(files: Mapping[str, str]) -> str:
    """Return the settings of a BBB server as one text, each file under its path."""
    return "\n".join(f"# ---- {path}\n{text}" for path, text in files.items())
