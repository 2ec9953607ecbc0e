"""The settings as the rest of the program sees them: frozen slices, one per concern.

Data only; `load` builds them. A part of the program is handed its slice, never the whole.
Units are in the names; every secret is left out of the repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from appliance.bbb.checksum import Algorithm
from appliance.bbb.params import Params


@dataclass(frozen=True, slots=True)
class Bind:
    """One address to listen on: `tcp` and `ssl` have host and port, `unix` has a path."""

    scheme: Literal["tcp", "ssl", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the address as BIND spells it."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The BBB API towards the front-ends."""

    secrets: tuple[str, ...] = field(repr=False)
    """At least one, none empty; LOADBALANCER_SECRET first."""
    allowed_algorithms: frozenset[Algorithm]
    send_algorithm: Algorithm
    build_number: str | None
    url_host: str | None
    """Lower case, without scheme and port; None: no host check."""
    base_url: str | None
    """Domain of the tenants' hosts; URL_HOST unless BASE_URL is set."""
    multitenancy: bool
    create_exclude: frozenset[str]
    join_exclude: frozenset[str]
    default_create: Params = field(repr=False)
    override_create: Params = field(repr=False)
    default_join: Params = field(repr=False)
    override_join: Params = field(repr=False)
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


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How BBB servers are called and named."""

    connect_timeout_s: float
    response_timeout_s: float
    response_max_bytes: int
    ca_file: Path | None
    send_algorithm: Algorithm
    id_is_hostname: bool


@dataclass(frozen=True, slots=True)
class PollingSettings:
    """When servers are polled and what counts as up or down."""

    interval_s: float
    retry_interval_s: float
    concurrency: int
    deadline_s: float
    healthy_threshold: int
    unhealthy_threshold: int


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """The load formula and the reservation."""

    min_user_count: int
    join_buffer_ms: int
    count_moderators_twice: bool
    forecast: bool


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """How long records of meetings live."""

    ttl_s: int
    creating_limit_ms: int
    """A create that has not been confirmed by then is given up (spec/balancing.md, Placement 6)."""


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
    """`postgresql://…` with a database name and without Rails' options; None: embedded."""
    prepared_statements: bool
    redis_url: str | None = field(repr=False)
    redis_namespace: str
    redis_sentinels: tuple[tuple[str, int], ...]
    redis_sentinel_master: str | None
    database_disabled: bool
    """DB_DISABLED or RECORDING_DISABLED: PostgreSQL is never touched."""
    database_retry_count: int

    @property
    def redis_embedded(self) -> bool:
        """Whether we run a private Redis."""
        return self.redis_url is None and not self.redis_sentinels

    @property
    def database_embedded(self) -> bool:
        """Whether we run a private PostgreSQL."""
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
    endpoint_url: str | None
    region: str | None
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
    """None: FSAPI_PASSWORD is set and empty, no password is asked."""
    max_duration_s: int
    """0: no limit."""
    binds: tuple[Bind, ...]
    """Empty: on the public listener."""
    max_attempts_per_min: int


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The Prometheus endpoint."""

    binds: tuple[Bind, ...]
    token: str | None = field(repr=False)
    """None: no metrics on the public listener."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The admin API."""

    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The operator's Unix socket."""

    socket_path: Path
    group: str


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What `log.configure_logging` takes of the configuration."""

    level: str
    """debug, info, warning, error, fatal or unknown."""
    format: str
    """auto, console, json or journal."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured."""

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
    control: ControlSettings
    log: LogSettings
    secret_key_base: str | None = field(repr=False)
    """None: to be made in STATE_DIR (only with embedded stores)."""
    locale: str
    callback_block_private: bool
    analytics_store: bool
    retention_days: float | None
    tuning_off: frozenset[str]
    """Of kinds.TUNING_NAMES."""
    warnings: tuple[str, ...]
