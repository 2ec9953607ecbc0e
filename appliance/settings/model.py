"""The settings as the rest of the program sees them: frozen dataclasses, one per concern.

Data only; load.py builds them. Pass a feature the dataclass that it needs, not all settings.
Secrets are left out of the repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from appliance.model import LoadWeights, ParamRule


class Algorithm(StrEnum):
    """Hash algorithms for the checksums of the BigBlueButton API, weakest first."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on: `tcp` and `ssl` have host and port, `unix` has a path."""

    scheme: Literal["tcp", "ssl", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the address in the syntax of BIND."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The BigBlueButton API as front-ends call it."""

    secrets: tuple[str, ...] = field(repr=False)
    """At least one, none empty; LOADBALANCER_SECRET is the first."""
    allowed_algorithms: frozenset[Algorithm]
    send_algorithm: Algorithm
    build_number: str | None
    url_host: str | None
    """Lower case, without scheme and port; None: the host is not checked."""
    base_url: str | None
    """Parent domain of the tenants' hosts; URL_HOST unless BASE_URL is set."""
    multitenancy: bool
    create_exclude: frozenset[str]
    join_exclude: frozenset[str]
    default_create: tuple[tuple[str, str], ...] = field(repr=False)
    override_create: tuple[tuple[str, str], ...] = field(repr=False)
    default_join: tuple[tuple[str, str], ...] = field(repr=False)
    override_join: tuple[tuple[str, str], ...] = field(repr=False)
    create_rules: tuple[ParamRule, ...] = field(repr=False)
    join_rules: tuple[ParamRule, ...] = field(repr=False)
    get_meetings_disabled: bool
    passthrough_calls: frozenset[str]
    request_max_bytes: int
    max_meeting_duration_min: int
    """0: no limit."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The public listener."""

    binds: tuple[Bind, ...]
    tls_cert_file: Path | None
    tls_key_file: Path | None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    max_connections: int | None = None
    """None: derived from the limit of open files."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Calls to BigBlueButton servers, and their ids."""

    connect_timeout_s: float
    response_timeout_s: float
    response_max_bytes: int
    max_meetings: int
    ca_file: Path | None
    send_algorithm: Algorithm
    id_is_hostname: bool


@dataclass(frozen=True, slots=True)
class PollingSettings:
    """Polling of servers, and thresholds for online and offline."""

    interval_s: float
    retry_interval_s: float
    concurrency: int
    deadline_s: float
    healthy_threshold: int
    unhealthy_threshold: int


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """The load formula and the reservation of expected users."""

    min_user_count: int
    join_buffer_ms: int
    count_moderators_twice: bool
    forecast: bool
    weights: LoadWeights | None


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """Lifetime of meeting records."""

    ttl_s: int
    creating_limit_ms: int
    """A placement without a confirmed create counts as failed after this time."""


@dataclass(frozen=True, slots=True)
class VoiceBridgeSettings:
    """Dial-in numbers."""

    length: int
    pin_min: int
    pin_max: int
    use_external: bool


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Redis, PostgreSQL and the state directory."""

    state_dir: Path
    database_url: str | None = field(repr=False)
    """`postgresql://…` with a database name and without Rails options; None: embedded."""
    prepared_statements: bool
    redis_url: str | None = field(repr=False)
    redis_namespace: str
    redis_min_replicas: int
    redis_sentinels: tuple[tuple[str, int], ...]
    redis_sentinel_master: str | None
    database_disabled: bool
    """DB_DISABLED or RECORDING_DISABLED: PostgreSQL is not used."""
    database_retry_count: int

    @property
    def redis_embedded(self) -> bool:
        """Return whether the appliance runs its own Redis."""
        return self.redis_url is None and not self.redis_sentinels

    @property
    def database_embedded(self) -> bool:
        """Return whether the appliance runs its own PostgreSQL."""
        return self.database_url is None and not self.database_disabled


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """Import, files and playback of recordings."""

    disabled: bool
    api_filtered: bool
    spool_dir: Path
    work_dir: Path
    publish_dir: Path
    unpublish_dir: Path
    playback_dir: Path
    import_poll: bool
    import_poll_interval_s: float
    import_unpublished: bool
    import_concurrency: int
    max_files: int
    max_bytes: int
    playback_formats: tuple[str, ...]
    x_accel_redirect: bool


@dataclass(frozen=True, slots=True)
class ProtectedSettings:
    """Protected recordings."""

    enabled: bool
    token_timeout_s: int
    cookie_timeout_s: int


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Recordings in an object store."""

    enabled: bool
    bucket: str | None
    prefix: str
    """Without slashes at its ends; may be empty."""
    endpoint_url: str | None
    region: str | None
    addressing: str
    """auto, path or virtual."""
    ca_file: Path | None
    serve: str
    """mixed, proxy, redirect or cloudfront."""
    sse: str | None
    """AES256, aws:kms or aws:kms:KEY."""
    storage_class: str | None
    sweep_interval_s: float
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    session_token: str | None = field(repr=False)
    cloudfront_url: str | None
    cloudfront_key_pair_id: str | None
    cloudfront_private_key_pem: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class FsapiSettings:
    """The FreeSWITCH dialplan endpoint."""

    password: str | None = field(repr=False)
    """None: FSAPI_PASSWORD is set and empty, no password is required."""
    max_duration_s: int
    """0: no limit."""
    binds: tuple[Bind, ...]
    """Empty: served on the public listener."""
    max_attempts_per_min: int
    """Of one calling number. 0: no limit."""
    max_guesses_per_gateway_per_min: int
    """0: no limit."""
    context: str
    bridge: str | None
    """Template of dial strings; None: the default one."""


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The Prometheus endpoint."""

    binds: tuple[Bind, ...]
    token: str | None = field(repr=False)
    """None: not served on the public listener."""
    tenants: bool = True
    """Show metrics of tenants."""


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """The records of meetings, and for how long they are kept."""

    meeting_names: bool = False
    retention_days: float = 400.0
    analytics_retention_days: float = 30.0


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The size of the pool, and what asks for servers."""

    seats_per_server: int
    """Users of a server without `max_users`."""
    headroom_percent: int
    min_servers: int
    max_servers: int | None
    """None: no limit."""
    time_zone: str | None
    """IANA name of the users' time zone; None: that of the machine."""
    autoscale_url: str | None = field(repr=False)
    autoscale_command: tuple[str, ...] = field(repr=False)
    """Empty: none."""
    autoscale_timeout_s: float
    autoscale_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How servers join the pool, and what is left when they leave it."""

    recording_owed_ms: int = 48 * 3_600_000
    """Age up to which a recording that is owed keeps its server from being removed."""
    retired_ms: int = 14 * 86_400_000
    """How long a removed server is known as retired; 0: not at all."""
    self_register_polls: int = 3


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The admin API."""

    secrets: tuple[str, ...] = field(repr=False)
    audit_retention_days: float


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The web console."""

    enabled: bool = True
    binds: tuple[Bind, ...] = ()
    """Empty: served on the public listener."""
    show_names: bool = False
    """Whether administrators see the names of users."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The Unix socket of `ctl`."""

    socket_path: Path
    group: str


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Level and format of the log."""

    level: str
    """debug, info, warning, error, fatal or unknown."""
    format: str
    """auto, console, json or journal."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration."""

    api: ApiSettings
    web: WebSettings
    servers: ServerSettings
    polling: PollingSettings
    load: LoadSettings
    meetings: MeetingSettings
    voice_bridge: VoiceBridgeSettings
    stores: StoreSettings
    recordings: RecordingSettings
    protected: ProtectedSettings
    s3: S3Settings
    fsapi: FsapiSettings
    metrics: MetricsSettings
    admin: AdminSettings
    console: ConsoleSettings
    control: ControlSettings
    log: LogSettings
    secret_key_base: str | None = field(repr=False)
    """None: generated in STATE_DIR (only with embedded stores)."""
    locale: str
    callback_block_private: bool
    analytics_store: bool
    usage: UsageSettings
    fleet: FleetSettings
    registry: RegistrySettings
    retention_days: float | None
    tuning_off: frozenset[str]
    """Subset of kinds.TUNING_NAMES."""
    warnings: tuple[str, ...]

    def authorities(self) -> list[tuple[str, Path]]:
        """Return the files of certificate authorities that are used, with their variables."""
        files = (
            ("BBB_CA_FILE", self.servers.ca_file),
            ("S3_CA_FILE", self.s3.ca_file if self.s3.enabled else None),
            ("REDIS_URL (ssl_ca_certs)", _redis_file(self.stores, "ssl_ca_certs")),
            ("DATABASE_URL (sslrootcert)", _database_authorities(self.stores)),
        )
        return [(name, path) for name, path in files if path is not None]

    def redis_certificate(self) -> tuple[Path, Path] | None:
        """Return the files of the certificate for Redis and of its key, if there is one."""
        certificate = _redis_file(self.stores, "ssl_certfile")
        key = _redis_file(self.stores, "ssl_keyfile")
        return None if certificate is None else (certificate, key or certificate)


def _redis_file(stores: StoreSettings, option: str) -> Path | None:
    url = stores.redis_url or ""
    given = _options(url).get(option) if url.startswith("rediss://") else None
    return Path(given) if given else None


def _database_authorities(stores: StoreSettings) -> Path | None:
    options = {} if stores.database_disabled else _options(stores.database_url or "")
    is_read = options.get("sslmode") in ("require", "verify-ca", "verify-full")
    return Path(options["sslrootcert"]) if is_read and "sslrootcert" in options else None


def _options(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
