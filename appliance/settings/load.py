"""Builds the settings from the values of the variables, converted to the units of the fields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from appliance.model import LoadWeights, ParamRule
from appliance.settings import access_variables as a
from appliance.settings import fleet_variables as f
from appliance.settings import pool_variables as p
from appliance.settings import recording_variables as r
from appliance.settings.conflicts import (
    database_disabled,
    find_conflicts,
    find_likely_mistakes,
    serve_mode,
    web_binds,
)
from appliance.settings.model import (
    AdminSettings,
    Algorithm,
    ApiSettings,
    ConsoleSettings,
    ControlSettings,
    FleetSettings,
    FsapiSettings,
    LoadSettings,
    LogSettings,
    MeetingSettings,
    MetricsSettings,
    PollingSettings,
    ProtectedSettings,
    RecordingSettings,
    RegistrySettings,
    S3Settings,
    ServerSettings,
    Settings,
    StoreSettings,
    UsageSettings,
    VoiceBridgeSettings,
    WebSettings,
)
from appliance.settings.param_rules import plain_name
from appliance.settings.paths import CONTROL_GROUP, control_socket_path, state_dir_path
from appliance.settings.reading import SettingProblem, Values, read_values
from appliance.settings.table import Variable

_Params = tuple[tuple[str, str], ...]
_CREATING_MARGIN_S = 5
"""Added to the timeouts of a create before its placement counts as failed (docs/placement.md)."""


class SettingsError(Exception):
    """The configuration is invalid. `str()` is the complete message, safe to show and to log."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        """Take all problems, at least one."""
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"The configuration is not valid:{lines}")


def load_settings(environ: Mapping[str, str], *, is_root: bool) -> Settings:
    """Parse the environment into settings.

    is_root: whether the process runs as root; the default paths depend on it.
    Raises SettingsError: the configuration is invalid; the message names every problem.
    """
    return build_settings(read_values(environ), environ, is_root=is_root)


def build_settings(values: Values, environ: Mapping[str, str], *, is_root: bool) -> Settings:
    """Build the settings from values that were read before; see `load_settings`."""
    socket = control_socket_path(environ, is_root)
    problems = (*values.problems, *find_conflicts(values, socket))
    if problems:
        raise SettingsError(problems)
    api = _api(values)
    return Settings(
        api=api,
        web=_web(values),
        servers=_servers(values, api.send_algorithm),
        polling=_polling(values),
        load=_load(values),
        meetings=_meetings(values),
        voice_bridge=_voice_bridge(values),
        stores=_stores(values, Path(state_dir_path(environ, is_root))),
        recordings=_recordings(values),
        protected=_protected(values),
        s3=_s3(values),
        fsapi=_fsapi(values, api.secrets),
        metrics=MetricsSettings(
            binds=values.find(a.METRICS_BIND) or (),
            token=values.find(a.METRICS_TOKEN),
            tenants=values.get(a.TENANT_METRICS),
        ),
        admin=_admin(values, api.secrets),
        console=ConsoleSettings(
            enabled=values.get(a.CONSOLE_ENABLED),
            binds=values.find(a.CONSOLE_BIND) or (),
            show_names=values.get(a.CONSOLE_SHOW_NAMES),
        ),
        control=ControlSettings(socket_path=Path(socket), group=CONTROL_GROUP),
        log=LogSettings(
            level=values.get(a.LOG_LEVEL),
            format=values.get(a.LOG_FORMAT),
        ),
        secret_key_base=values.find(a.SECRET_KEY_BASE),
        locale=values.get(a.DEFAULT_LOCALE),
        callback_block_private=values.get(p.CALLBACK_BLOCK_PRIVATE),
        analytics_store=values.get(p.ANALYTICS_STORE),
        usage=_usage(values),
        fleet=_fleet(values, api.secrets),
        registry=_registry(values),
        tuning_off=_names(values, a.TUNING_OFF),
        retention_days=values.find(r.RECORDING_RETENTION_DAYS),
        warnings=(*values.warnings, *find_likely_mistakes(values)),
    )


def _usage(values: Values) -> UsageSettings:
    return UsageSettings(
        meeting_names=values.get(p.USAGE_MEETING_NAMES),
        retention_days=values.get(p.USAGE_RETENTION_DAYS),
        analytics_retention_days=values.get(p.ANALYTICS_RETENTION_DAYS),
    )


def _registry(values: Values) -> RegistrySettings:
    return RegistrySettings(
        recording_owed_ms=round(values.get(f.RECORDING_OWED_HOURS) * 3_600_000),
        retired_ms=round(values.get(f.RETIRED_SERVER_DAYS) * 86_400_000),
        self_register_polls=values.get(f.SELF_REGISTER_POLLS),
    )


def _secrets(values: Values) -> tuple[str, ...]:
    first = values.find(a.LOADBALANCER_SECRET)
    more = values.find(a.LOADBALANCER_SECRETS) or ()
    return tuple(dict.fromkeys((*([first] if first else []), *more)))


def _send_algorithm(values: Values) -> Algorithm:
    allowed = values.find(a.LOADBALANCER_CHECKSUM_ALGORITHM)
    if not allowed:
        return Algorithm.SHA256
    return [algorithm for algorithm in Algorithm if algorithm in allowed][-1]


def _names(values: Values, variable: Variable[tuple[str, ...]]) -> frozenset[str]:
    names = values.find(variable)
    return frozenset(names or ())


def _params(values: Values, variable: Variable[_Params]) -> _Params:
    return tuple((plain_name(name), value) for name, value in values.find(variable) or ())


def _rules(values: Values, variable: Variable[tuple[ParamRule, ...]]) -> tuple[ParamRule, ...]:
    return tuple(
        replace(rule, param=plain_name(rule.param)) for rule in values.find(variable) or ()
    )


def _api(values: Values) -> ApiSettings:
    url_host = values.find(a.URL_HOST)
    return ApiSettings(
        secrets=_secrets(values),
        allowed_algorithms=values.find(a.LOADBALANCER_CHECKSUM_ALGORITHM) or frozenset(Algorithm),
        send_algorithm=_send_algorithm(values),
        build_number=values.find(a.BUILD_NUMBER),
        url_host=url_host,
        base_url=values.find(a.BASE_URL) or url_host,
        multitenancy=values.get(a.MULTITENANCY_ENABLED),
        create_exclude=_names(values, p.CREATE_EXCLUDE_PARAMS),
        join_exclude=_names(values, p.JOIN_EXCLUDE_PARAMS),
        default_create=_params(values, p.DEFAULT_CREATE_PARAMS),
        override_create=_params(values, p.OVERRIDE_CREATE_PARAMS),
        default_join=_params(values, p.DEFAULT_JOIN_PARAMS),
        override_join=_params(values, p.OVERRIDE_JOIN_PARAMS),
        create_rules=_rules(values, p.CREATE_PARAM_RULES),
        join_rules=_rules(values, p.JOIN_PARAM_RULES),
        get_meetings_disabled=values.get(p.GET_MEETINGS_API_DISABLED),
        passthrough_calls=_names(values, p.PASSTHROUGH_CALLS),
        request_max_bytes=values.get(p.REQUEST_MAX_BYTES),
        max_meeting_duration_min=math.ceil(values.get(p.MAX_MEETING_DURATION)),
    )


def _web(values: Values) -> WebSettings:
    return WebSettings(
        binds=web_binds(values),
        tls_cert_file=values.find(a.TLS_CERT_FILE),
        tls_key_file=values.find(a.TLS_KEY_FILE),
        trusted_proxies=values.get(a.TRUSTED_PROXIES),
        max_connections=values.find(a.MAX_CLIENT_CONNECTIONS),
    )


def _servers(values: Values, send_algorithm: Algorithm) -> ServerSettings:
    return ServerSettings(
        connect_timeout_s=values.get(p.CONNECT_TIMEOUT),
        response_timeout_s=values.get(p.RESPONSE_TIMEOUT),
        response_max_bytes=values.get(p.RESPONSE_MAX_BYTES),
        max_meetings=values.get(p.MAX_MEETINGS_PER_SERVER),
        ca_file=values.find(p.BBB_CA_FILE),
        send_algorithm=send_algorithm,
        id_is_hostname=values.get(p.SERVER_ID_IS_HOSTNAME),
    )


def _polling(values: Values) -> PollingSettings:
    return PollingSettings(
        interval_s=values.get(p.POLL_INTERVAL),
        retry_interval_s=values.get(p.POLL_RETRY_INTERVAL),
        concurrency=values.get(p.POLLER_THREADS),
        deadline_s=values.get(p.POLLER_WAIT_TIMEOUT),
        healthy_threshold=values.get(p.SERVER_HEALTHY_THRESHOLD),
        unhealthy_threshold=values.get(p.SERVER_UNHEALTHY_THRESHOLD),
    )


def _load(values: Values) -> LoadSettings:
    return LoadSettings(
        min_user_count=values.get(p.LOAD_MIN_USER_COUNT),
        join_buffer_ms=round(values.get(p.LOAD_JOIN_BUFFER_TIME) * 60_000),
        count_moderators_twice=values.get(p.LOAD_COUNT_MODERATORS_TWICE),
        forecast=values.get(p.LOAD_FORECAST),
        weights=_load_weights(values),
    )


def _load_weights(values: Values) -> LoadWeights | None:
    variables = (p.LOAD_PER_USER, p.LOAD_PER_VIDEO, p.LOAD_PER_VOICE, p.LOAD_PER_MEETING)
    if not any(values.is_set(variable) for variable in variables):
        return None
    found, plain = (values.find(variable) for variable in variables), LoadWeights()
    defaults = (plain.user, plain.video, plain.voice, plain.meeting)
    given = zip(found, defaults, strict=True)
    return LoadWeights(*(default if value is None else value for value, default in given))


def _meetings(values: Values) -> MeetingSettings:
    timeouts_s = values.get(p.CONNECT_TIMEOUT) + values.get(p.RESPONSE_TIMEOUT)
    return MeetingSettings(
        ttl_s=math.ceil(values.get(p.DEFAULT_MEETING_TTL)),
        creating_limit_ms=math.ceil((timeouts_s + _CREATING_MARGIN_S) * 1000),
    )


def _voice_bridge(values: Values) -> VoiceBridgeSettings:
    return VoiceBridgeSettings(
        length=values.get(p.VOICE_BRIDGE_LEN),
        pin_min=values.get(p.VOICE_BRIDGE_MIN),
        pin_max=values.get(p.VOICE_BRIDGE_MAX),
        use_external=values.get(p.USE_EXTERNAL_VOICE_BRIDGE),
    )


def _stores(values: Values, state_dir: Path) -> StoreSettings:
    return StoreSettings(
        state_dir=state_dir,
        database_url=values.find(a.DATABASE_URL),
        prepared_statements=values.get(a.PREPARED_STATEMENT),
        redis_url=values.find(a.REDIS_URL),
        redis_namespace=values.get(a.REDIS_NAMESPACE),
        redis_min_replicas=values.get(a.REDIS_MIN_REPLICAS),
        redis_sentinels=values.find(a.REDIS_SENTINELS) or (),
        redis_sentinel_master=values.find(a.REDIS_SENTINEL_MASTER),
        database_disabled=database_disabled(values),
        database_retry_count=values.get(a.DB_CONNECTION_RETRY_COUNT),
    )


def _recordings(values: Values) -> RecordingSettings:
    return RecordingSettings(
        disabled=database_disabled(values),
        api_filtered=values.get(r.GET_RECORDINGS_API_FILTERED),
        spool_dir=values.get(r.RECORDING_SPOOL_DIR),
        work_dir=values.get(r.RECORDING_WORK_DIR),
        publish_dir=values.get(r.RECORDING_PUBLISH_DIR),
        unpublish_dir=values.get(r.RECORDING_UNPUBLISH_DIR),
        playback_dir=values.get(r.PLAYBACK_DIR),
        import_poll=values.get(r.RECORDING_IMPORT_POLL),
        import_poll_interval_s=values.get(r.RECORDING_IMPORT_POLL_INTERVAL),
        import_unpublished=values.get(r.RECORDING_IMPORT_UNPUBLISHED),
        import_concurrency=values.get(r.RECORDING_IMPORT_CONCURRENCY),
        max_files=values.get(r.RECORDING_MAX_FILES),
        max_bytes=values.get(r.RECORDING_MAX_BYTES),
        playback_formats=values.get(r.RECORDING_PLAYBACK_FORMATS),
        x_accel_redirect=values.get(r.X_ACCEL_REDIRECT),
    )


def _protected(values: Values) -> ProtectedSettings:
    return ProtectedSettings(
        enabled=values.get(r.PROTECTED_RECORDINGS_ENABLED),
        token_timeout_s=math.ceil(values.get(r.PROTECTED_RECORDINGS_TOKEN_TIMEOUT) * 60),
        cookie_timeout_s=math.ceil(values.get(r.PROTECTED_RECORDINGS_TIMEOUT) * 60),
    )


def _s3(values: Values) -> S3Settings:
    return S3Settings(
        enabled=values.get(r.S3_RECORDING),
        bucket=values.find(r.S3_BUCKET_NAME),
        prefix=values.get(r.S3_PREFIX),
        endpoint_url=values.find(r.S3_ENDPOINT_URL),
        region=values.find(r.S3_REGION),
        addressing=values.get(r.S3_ADDRESSING),
        ca_file=values.find(r.S3_CA_FILE),
        serve=serve_mode(values),
        sse=values.find(r.S3_SSE),
        storage_class=values.find(r.S3_STORAGE_CLASS),
        sweep_interval_s=values.get(r.S3_SWEEP_INTERVAL),
        access_key_id=values.find(r.AWS_ACCESS_KEY_ID),
        secret_access_key=values.find(r.AWS_SECRET_ACCESS_KEY),
        session_token=values.find(r.AWS_SESSION_TOKEN),
        cloudfront_url=values.find(r.CLOUDFRONT_URL),
        cloudfront_key_pair_id=values.find(r.CF_KEY_PAIR_ID),
        cloudfront_private_key_pem=values.find(r.CF_PRIVATE_KEY_B64),
    )


def _fsapi(values: Values, secrets: tuple[str, ...]) -> FsapiSettings:
    given = values.find(p.FSAPI_PASSWORD)
    minutes = values.find(p.FSAPI_MAX_DURATION)
    if minutes is None:
        minutes = math.ceil(values.get(p.MAX_MEETING_DURATION))
    return FsapiSettings(
        password=secrets[0] if given is None else given or None,
        max_duration_s=math.ceil(minutes * 60),
        binds=values.find(p.FSAPI_BIND) or (),
        max_attempts_per_min=values.get(p.FSAPI_MAX_ATTEMPTS),
        max_guesses_per_gateway_per_min=values.get(p.FSAPI_MAX_GUESSES_PER_GATEWAY),
        context=values.get(p.FSAPI_CONTEXT),
        bridge=values.find(p.FSAPI_BRIDGE),
    )


def _admin(values: Values, secrets: tuple[str, ...]) -> AdminSettings:
    own = values.find(a.ADMIN_SECRET)
    return AdminSettings(
        secrets=(own,) if own else secrets,
        audit_retention_days=values.get(a.AUDIT_RETENTION_DAYS),
    )


def _fleet(values: Values, secrets: tuple[str, ...]) -> FleetSettings:
    return FleetSettings(
        seats_per_server=values.get(f.SEATS_PER_SERVER),
        headroom_percent=values.get(f.POOL_HEADROOM),
        min_servers=values.get(f.POOL_MIN_SERVERS),
        max_servers=values.find(f.POOL_MAX_SERVERS),
        time_zone=values.find(f.POOL_TIME_ZONE),
        autoscale_url=values.find(f.AUTOSCALE_URL),
        autoscale_command=values.find(f.AUTOSCALE_COMMAND) or (),
        autoscale_timeout_s=values.get(f.AUTOSCALE_TIMEOUT),
        autoscale_secret=(
            values.find(f.AUTOSCALE_SECRET) or values.find(a.ADMIN_SECRET) or secrets[0]
        ),
    )
