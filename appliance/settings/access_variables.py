"""Table of variables: who may reach the appliance and where; its stores, log and metrics.

Rows only. Truth: spec/configuration.md.
"""

from __future__ import annotations

from appliance.settings.addresses import (
    BINDS,
    HOST,
    NETWORKS,
    POSTGRESQL,
    PRIVATE_NETWORKS,
    REDIS,
    SENTINELS,
)
from appliance.settings.kinds import (
    ALGORITHMS,
    BOOLEAN,
    PATH,
    SECRET,
    SECRETS,
    SOCKET_PATH,
    TUNINGS,
    choice,
    count,
    text,
)
from appliance.settings.table import Section, Variable, variables_of

URL_HOST = Variable(
    "URL_HOST", HOST, None,
    "Public host name. Requests for another host are refused (DNS rebinding), and callback URLs"
    " are made with it. Leave it unset behind a load balancer that checks by address.",
    example="bbb.example.org",
)  # fmt: skip
BASE_URL = Variable(
    "BASE_URL", HOST, None,
    "With multitenancy: the domain that the tenants' hosts are subdomains of.",
    default_text="URL_HOST", example="example.org",
)  # fmt: skip
LOADBALANCER_SECRET = Variable(
    "LOADBALANCER_SECRET", SECRET, None,
    "Secret that front-ends sign API calls with. Without this and LOADBALANCER_SECRETS the"
    " appliance refuses to start. Make one with `scalelite-appliance ctl secret generate`.",
    default_text="the package generates one",
)  # fmt: skip
LOADBALANCER_SECRETS = Variable(
    "LOADBALANCER_SECRETS", SECRETS, None,
    "More secrets, separated by `:`, each as good as the first; one per front-end lets you revoke"
    " one without disturbing the others.",
)  # fmt: skip
LOADBALANCER_CHECKSUM_ALGORITHM = Variable(
    "LOADBALANCER_CHECKSUM_ALGORITHM", ALGORITHMS, None,
    "Checksum algorithms that are accepted, separated by `:`. The strongest of the list signs our"
    " calls to the BBB servers.",
    default_text="accept SHA1:SHA256:SHA384:SHA512, send SHA256", example="SHA256:SHA512",
)  # fmt: skip
ADMIN_SECRET = Variable(
    "ADMIN_SECRET", SECRET, None,
    "Signs /scalelite/api calls. Set it to keep front-ends out of administration.",
    default_text="LOADBALANCER_SECRET and LOADBALANCER_SECRETS",
)  # fmt: skip
SECRET_KEY_BASE = Variable(
    "SECRET_KEY_BASE", SECRET, None,
    "Signs playback cookies and end-of-meeting URLs. Unset, it is generated into STATE_DIR with"
    " the embedded stores; with external ones that is refused, since several appliances must"
    " share it.",
    default_text="generated",
)  # fmt: skip
MULTITENANCY_ENABLED = Variable(
    "MULTITENANCY_ENABLED", BOOLEAN, False,
    "The first label of the host says whose call it is; see `ctl tenants`.",
)  # fmt: skip

_ACCESS = variables_of(globals())

PORT = Variable(
    "PORT", count(0, 65535), 3000,
    "TCP port on all IPv4 addresses, unless BIND is set. 0: any free one.",
    fallbacks=("SCALELITE_API_PORT",),
)  # fmt: skip
BIND = Variable(
    "BIND", BINDS, None,
    "Where to listen, instead of PORT; several separated by a blank. `ssl://` needs TLS_CERT_FILE.",
    default_text="PORT, with TLS if TLS_CERT_FILE is set",
    example="tcp://127.0.0.1:3000 unix:///run/scalelite-appliance/web.sock",
)  # fmt: skip
TLS_CERT_FILE = Variable(
    "TLS_CERT_FILE", PATH, None,
    "Certificate chain (PEM) to serve HTTPS ourselves; reread on SIGHUP.",
    example="/etc/letsencrypt/live/bbb.example.org/fullchain.pem",
)  # fmt: skip
TLS_KEY_FILE = Variable(
    "TLS_KEY_FILE", PATH, None, "Private key (PEM) of TLS_CERT_FILE; reread on SIGHUP.",
    example="/etc/letsencrypt/live/bbb.example.org/privkey.pem",
)  # fmt: skip
TRUSTED_PROXIES = Variable(
    "TRUSTED_PROXIES", NETWORKS, PRIVATE_NETWORKS,
    "Addresses and networks whose X-Forwarded-For, -Host and -Proto count, separated by `,`;"
    " `none` trusts nobody.",
    default_text="loopback and private ranges",
)  # fmt: skip
BUILD_NUMBER = Variable(
    "BUILD_NUMBER", text(pattern=".{1,200}"), None,
    "Shown by the index call of the API.", default_text="version of the package",
)  # fmt: skip

_LISTENERS = variables_of(globals(), after="MULTITENANCY_ENABLED")

STATE_DIR = Variable(
    "STATE_DIR", PATH, None,
    "Embedded stores, analytics and generated secrets.",
    default_text="/var/lib/scalelite-appliance, not root: ~/.local/state/scalelite-appliance",
)  # fmt: skip
DATABASE_URL = Variable(
    "DATABASE_URL", POSTGRESQL, None,
    "PostgreSQL: `postgresql://user:password@host:port/name`, also `postgres://`, socket"
    " directories (`postgresql:///name?host=/run/postgresql`) and `sslmode`. No name means"
    " `scalelite`; options that only Rails knows are ignored with a warning. Unset: a private"
    " PostgreSQL under STATE_DIR.",
    default_text="embedded",
)  # fmt: skip
DB_PROVISION = Variable(
    "DB_PROVISION", choice(("auto", "none")), "auto",
    "Read by the package only. auto: before the appliance starts, its role and database are made in"
    " the PostgreSQL of this machine, unless DATABASE_URL names another. none: never.",
)  # fmt: skip
PREPARED_STATEMENT = Variable(
    "PREPARED_STATEMENT", BOOLEAN, True,
    "false: no statement cache and only transaction-level locks, as PgBouncer needs.",
)  # fmt: skip
DB_DISABLED = Variable(
    "DB_DISABLED", BOOLEAN, False, "Do without PostgreSQL, and so without recordings.",
)  # fmt: skip
DB_CONNECTION_RETRY_COUNT = Variable(
    "DB_CONNECTION_RETRY_COUNT", count(0, 1000), 3,
    "Immediate retries when the connection to PostgreSQL fails, before the back-off begins.",
)  # fmt: skip
REDIS_URL = Variable(
    "REDIS_URL", REDIS, None,
    "Redis: `redis://`, `rediss://` (TLS) or `unix://`. Unset: a private Redis under STATE_DIR.",
    default_text="embedded",
)  # fmt: skip
REDIS_NAMESPACE = Variable(
    "REDIS_NAMESPACE", text("a word without blanks", r"\S{1,100}"), "scalelite",
    "Prefix of all keys; Scalelite's own by default, so that both can use one Redis.",
)  # fmt: skip
REDIS_POOL = Variable(
    "REDIS_POOL", count(1, 10_000), 32,
    "Connections to Redis at most. A few are enough here, whatever this says.",
)  # fmt: skip
REDIS_SENTINELS = Variable(
    "REDIS_SENTINELS", SENTINELS, None,
    "Sentinels, `host:port,host:port`; needs REDIS_SENTINEL_MASTER.",
    example="sentinel1:26379,sentinel2:26379",
)  # fmt: skip
REDIS_SENTINEL_MASTER = Variable(
    "REDIS_SENTINEL_MASTER", text("a word without blanks", r"\S{1,200}"), None,
    "Name of the group that the Sentinels watch.", example="mymaster",
)  # fmt: skip

_STORES = variables_of(globals(), after="BUILD_NUMBER")

LOG_LEVEL = Variable(
    "LOG_LEVEL",
    choice(("debug", "info", "warning", "error", "fatal", "unknown"), {"warn": "warning"}),
    "info",
    "What is logged at least. Secrets, passwords and checksums never are.",
    fallbacks=("RAILS_LOG_LEVEL",),
)  # fmt: skip
LOG_FORMAT = Variable(
    "LOG_FORMAT", choice(("auto", "console", "json", "journal")), "auto",
    "auto: `journal` when standard error goes to the journal, `console` on a terminal, else"
    " `json`.",
)  # fmt: skip
METRICS_BIND = Variable(
    "METRICS_BIND", BINDS, None,
    "A listener of its own for /metrics, which is open there: keep it private.",
    example="tcp://127.0.0.1:9100",
)  # fmt: skip
METRICS_TOKEN = Variable(
    "METRICS_TOKEN", SECRET, None,
    "Bearer token for /metrics on the public listener; without one it is not served there.",
)  # fmt: skip
CTL_SOCKET = Variable(
    "CTL_SOCKET", SOCKET_PATH, None,
    "Socket of `ctl`: mode 0660 with the group scalelite-appliance if it exists, else 0600.",
    default_text="/run/scalelite-appliance/ctl.sock, not root: under $XDG_RUNTIME_DIR or STATE_DIR",
)  # fmt: skip
DEFAULT_LOCALE = Variable(
    "DEFAULT_LOCALE", text("a language such as en or pt-BR", r"[A-Za-z]{2,3}(?:[-_]\w{2,8})*"),
    "en",
    "Language of the pages people see; files in /etc/scalelite-appliance/locales override ours.",
)  # fmt: skip
TUNING_OFF = Variable(
    "TUNING_OFF", TUNINGS, None,
    "Tunings to do without, to see whether one of them is the cause of something: `connections`"
    " (HTTP by Hypercorn itself), `asyncio-loop`, `garbage-collector`, `allocator`"
    " (docs/performance.md).",
    example="connections,asyncio-loop",
)  # fmt: skip

_OPERATION = variables_of(globals(), after="REDIS_SENTINEL_MASTER")

SECTIONS = (
    Section("Access", "Who is answered, and by which name.", _ACCESS),
    Section("Listeners", "Where the appliance is reached.", _LISTENERS),
    Section("Stores", "Where servers, meetings and recordings are kept.", _STORES),
    Section("Operation", "Log, metrics, control socket, language.", _OPERATION),
)
