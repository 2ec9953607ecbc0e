"""Kinds of values that are addresses: listeners, hosts, networks, URLs of the stores. Pure.

As in kinds.py, a parser raises ValueError for every text that it does not accept.
Sources: Puma's `bind` option for listeners; asyncpg's connect_utils.py for the options of a
PostgreSQL URL (the driver sends unknown options to the server, which then refuses the connection).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from appliance.redaction import MASK, mask_url
from appliance.settings.dial_string import check_dial_string
from appliance.settings.kinds import MAX_SOCKET_PATH_BYTES, Kind
from appliance.settings.model import Bind

Network = IPv4Network | IPv6Network

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?").fullmatch
_HOST_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]/?#\s]+)):([0-9]{1,5})").fullmatch
_STORE_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]\s]*)(?::([0-9]{1,5}))?").fullmatch
_MAX_PORT = 65535
_SENTINEL_PORT = 26379

# fmt: off
_DRIVER_OPTIONS = frozenset({
    "host", "port", "dbname", "database", "user", "password", "passfile",
    "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname",
})
_SERVER_OPTIONS = frozenset({
    "application_name", "search_path",
    "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
})
# fmt: on
_SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"  # compared, not bound
_TLS_VERSIONS = frozenset(
    {"", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "TLSv1_1", "TLSv1_2", "TLSv1_3"}
)
_DATABASE_CHOICES = {
    "sslmode": _SSL_MODES,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": frozenset(
        {"any", "primary", "standby", "prefer-standby", "read-write", "read-only"}
    ),
}
# fmt: off
_REDIS_OPTIONS = frozenset({
    "db", "username", "password",
    "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile",
})
# fmt: on

PRIVATE_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
    )
)  # fmt: skip
"""Loopback and private ranges, which Rails, and so Scalelite, trusts by default."""


def _parse_host(raw: str) -> str:
    host = raw.strip().lower()
    if _HOST(host) is None:
        raise ValueError(raw)
    return host


HOST: Kind[str] = Kind(
    "a host name such as bbb.example.org, without scheme, port and path", _parse_host, str
)


def _parse_http_url(raw: str) -> str:
    url = raw.strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(raw)
    if parts.port == 0 or not url.isprintable() or "@" in parts.netloc:
        raise ValueError(raw)
    return url.rstrip("/")


HTTP_URL: Kind[str] = Kind("an http:// or https:// URL", _parse_http_url, str)


def _parse_hook_url(raw: str) -> str:
    address, mark, query = raw.strip().partition("?")
    if "#" in query or not query.isprintable() or " " in query:
        raise ValueError(raw)
    return f"{_parse_http_url(address)}{mark}{query}"


HOOK_URL: Kind[str] = Kind(
    "an http:// or https:// URL, with or without a query",
    _parse_hook_url,
    lambda url: f"{url.partition('?')[0]}?{MASK}" if "?" in url else url,
)


def _split_host_port(raw: str) -> tuple[str, int]:
    match = _HOST_PORT(raw)
    if match is None or int(match[3]) > _MAX_PORT:
        raise ValueError(raw)
    if match[1] is not None:
        return str(IPv6Address(match[1])), int(match[3])
    if _HOST(match[2]) is None:
        raise ValueError(raw)
    return match[2], int(match[3])


def _parse_bind(raw: str) -> Bind:
    if raw.startswith("unix:"):
        path = raw.removeprefix("unix:").removeprefix("//").partition("?")[0]
        if not path.startswith("/") or not 1 < len(path.encode()) <= MAX_SOCKET_PATH_BYTES:
            raise ValueError(raw)
        return Bind("unix", path=path)
    scheme: Literal["tcp", "ssl"] = "ssl" if raw.startswith("ssl://") else "tcp"
    address = raw.removeprefix(f"{scheme}://").partition("?")[0].removesuffix("/")
    host, port = _split_host_port(address)
    return Bind(scheme, host, port)


def _parse_binds(raw: str) -> tuple[Bind, ...]:
    return tuple(_parse_bind(item) for item in raw.split())


def leaves_ipv4(bind: Bind, binds: Iterable[Bind]) -> bool:
    """Return whether [::] is for IPv6 alone, as 0.0.0.0 is listed with the same port."""
    return any(other.host == ANY_IPV4 and other.port == bind.port for other in binds)


def show_binds(binds: tuple[Bind, ...]) -> str:
    """Format listeners in the syntax of BIND."""
    return " ".join(str(bind) for bind in binds)


def _warn_bind_options(raw: str) -> str | None:
    options = {name for item in raw.split() for name, _ in parse_qsl(item.partition("?")[2], True)}
    if not options:
        return None
    return f"address options are ignored: {', '.join(sorted(options))}"


BINDS: Kind[tuple[Bind, ...]] = Kind(
    "tcp://HOST:PORT, ssl://HOST:PORT or unix:///PATH, several separated by a blank",
    _parse_binds,
    show_binds,
    warn=_warn_bind_options,
)


def _parse_networks(raw: str) -> tuple[Network, ...]:
    items = [item for item in re.split(r"[,\s]+", raw) if item]
    if items == ["none"]:
        return ()
    found = tuple(ip_network(item, strict=False) for item in items)
    # A prefix of length 0 would let any client forge its address.
    if not found or any(network.prefixlen == 0 for network in found):
        raise ValueError(raw)
    return found


NETWORKS: Kind[tuple[Network, ...]] = Kind(
    "addresses or networks such as 10.0.0.0/8, separated by ',' (not 0.0.0.0/0 or ::/0), or none",
    _parse_networks,
    lambda value: ",".join(str(network) for network in value) or "none",
)


def _parse_sentinels(raw: str) -> tuple[tuple[str, int], ...]:
    items = [item.strip() for item in raw.split(",") if item.strip()]
    found = []
    for item in items:
        host, port = _split_host_port(item if _HOST_PORT(item) else f"{item}:{_SENTINEL_PORT}")
        if port == 0:
            raise ValueError(raw)
        found.append((host, port))
    if not found:
        raise ValueError(raw)
    return tuple(found)


SENTINELS: Kind[tuple[tuple[str, int], ...]] = Kind(
    "HOST:PORT, several separated by ','",
    _parse_sentinels,
    lambda value: ",".join(str(Bind("tcp", *item)).removeprefix("tcp://") for item in value),
)


def _check_store_hosts(hosts: str) -> None:
    for host in hosts.split(","):
        match = _STORE_HOST(host)
        if match is None or (match[1] and not 1 <= int(match[1]) <= _MAX_PORT):
            raise ValueError(hosts)


def _quoted_userinfo(userinfo: str) -> str:
    user, colon, password = userinfo.partition(":")
    return quote(unquote(user), safe="") + colon + quote(unquote(password), safe="")


def _options(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _kept(name: str) -> bool:
    return name in _DRIVER_OPTIONS or name in _SERVER_OPTIONS


def parse_database_url(raw: str) -> str:
    """Return a PostgreSQL URL for the driver: `postgresql://`, with a name, without Rails options.

    Raises ValueError: another scheme, a bad port, host or option, characters that need a `%`.
    """
    parts = urlsplit(raw.strip())
    name = parts.path.removeprefix("/")
    if parts.scheme not in ("postgres", "postgresql") or not raw.strip().isprintable():
        raise ValueError
    if "://" not in raw or parts.fragment or "/" in name or " " in raw.strip():
        raise ValueError
    userinfo, at, hosts = parts.netloc.rpartition("@")
    _check_store_hosts(hosts)
    options = [(key, value) for key, value in _options(parts.query) if _kept(key)]
    given = dict(options)
    if any(value not in _DATABASE_CHOICES.get(key, (value,)) for key, value in options):
        raise ValueError
    _check_store_hosts(f"x:{given['port']}" if given.get("port") else "")
    if not name and not (given.get("dbname") or given.get("database")):
        name = "scalelite"
    query = urlencode(options, quote_via=quote, safe="/")
    return f"postgresql://{_quoted_userinfo(userinfo)}{at}{hosts}/{name}" + (query and f"?{query}")


def _warn_database_options(raw: str) -> str | None:
    names = sorted({name for name, _ in _options(urlsplit(raw.strip()).query) if not _kept(name)})
    if not names:
        return None
    hint = " (use PREPARED_STATEMENT)" if "prepared_statements" in names else ""
    return f"options of Rails are ignored: {', '.join(names)}{hint}"


def _parse_redis_url(raw: str) -> str:
    url = raw.strip()
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    if "://" not in url or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError
    if parts.scheme == "unix":
        if not 1 < len(unquote(parts.path).encode()) <= MAX_SOCKET_PATH_BYTES:
            raise ValueError
    elif parts.scheme in ("redis", "rediss") and re.fullmatch(r"/?|/[0-9]{1,5}", parts.path):
        _check_store_hosts(hosts.replace(",", ":"))
    else:
        raise ValueError
    options = [(name, value) for name, value in _options(parts.query) if name in _REDIS_OPTIONS]
    if not re.fullmatch(r"[0-9]{0,5}", dict(options).get("db", "")):
        raise ValueError
    query = urlencode(options, quote_via=quote, safe="/")
    place = f"{parts.scheme}://{_quoted_userinfo(userinfo)}{at}{hosts}{parts.path}"
    return place + (query and f"?{query}")


def _warn_redis_options(raw: str) -> str | None:
    names = {name for name, _ in _options(urlsplit(raw.strip()).query)} - _REDIS_OPTIONS
    return f"options are ignored: {', '.join(sorted(names))}" if names else None


def show_store_url(url: str) -> str:
    """Format the URL of a store without its password."""
    return mask_url(url) if re.match(r"[a-z]+://", url) else MASK


POSTGRESQL: Kind[str] = Kind(
    "postgresql://USER:PASSWORD@HOST:PORT/NAME, special characters as %XX, sslmode one of"
    " disable, allow, prefer, require, verify-ca, verify-full",
    parse_database_url,
    show_store_url,
    secret=True,
    warn=_warn_database_options,
)
REDIS: Kind[str] = Kind(
    "redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss://… or unix:///PATH, special characters as %XX",
    _parse_redis_url,
    show_store_url,
    secret=True,
    warn=_warn_redis_options,
)


DIAL_STRING: Kind[str] = Kind(
    "a dial string such as sofia/external/{pin}@{host}:{port}, with no other braces than {pin},"
    " {host}, {port} and {meeting}, and without $, \\, quotes, %XX and control characters",
    check_dial_string,
    str,
)
