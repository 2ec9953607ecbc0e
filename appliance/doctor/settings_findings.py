"""Judge the configuration: secrets that can be guessed, hosts that are not set. Pure.

Invalid settings are not judged here: the appliance does not start with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.doctor.findings import Finding, Level, fail, ok, warn
from appliance.model import Server
from appliance.settings import Settings
from appliance.settings.secret_strength import find_weakness
from appliance.tenants.values import TenantRecord

_NEW = "generate one with `scalelite-appliance secret generate`"


def judge_settings(settings: Settings) -> list[Finding]:
    """Judge the settings."""
    return [*_judge_secrets(settings), *_judge_hosts(settings), _judge_fsapi(settings)]


def _judge_secrets(settings: Settings) -> Iterator[Finding]:
    for number, secret in enumerate(settings.api.secrets):
        name = "LOADBALANCER_SECRET" if number == 0 else f"LOADBALANCER_SECRETS, no. {number + 1}"
        yield _judge(name, secret, f"{_NEW}, and configure it in the front-ends")
    if settings.secret_key_base is not None:
        yield _judge("SECRET_KEY_BASE", settings.secret_key_base, _NEW)
    yield _judge_admin_secret(settings)


def _judge(name: str, secret: str, advice: str) -> Finding:
    return _judge_strength(f"secret {name}", secret, advice)


def _judge_strength(check: str, secret: str, advice: str) -> Finding:
    weakness = find_weakness(secret)
    if weakness is None:
        return ok(check, "long enough")
    level = Level.FAIL if weakness.guessable else Level.WARN
    return Finding(check, level, weakness.reason, advice)


def _judge_admin_secret(settings: Settings) -> Finding:
    if set(settings.admin.secrets) & set(settings.api.secrets):
        return warn(
            "secret ADMIN_SECRET",
            "is not set, so every front-end could administer the pool with its API secret",
            f"set it: {_NEW}",
        )
    (secret,) = settings.admin.secrets
    return _judge("ADMIN_SECRET", secret, _NEW)


def _judge_hosts(settings: Settings) -> Iterator[Finding]:
    api = settings.api
    if api.multitenancy and api.base_url is None:
        yield fail(
            "multitenancy",
            "neither BASE_URL nor URL_HOST is set: every host whose first label is a tenant's name"
            " is served",
            "set BASE_URL to the parent domain of the tenants' hosts",
        )
    elif api.multitenancy:
        yield ok("multitenancy", f"tenants have hosts below {api.base_url}")
    if api.url_host is None and not api.multitenancy:
        yield warn(
            "public host",
            "URL_HOST is not set: every host name is served, and used in callback URLs",
            "set URL_HOST to the host name that front-ends use",
        )
    elif api.url_host is not None:
        yield ok("public host", api.url_host)


def _judge_fsapi(settings: Settings) -> Finding:
    check, password = "dial-in password", settings.fsapi.password
    if password is None:
        return warn(
            check,
            "FSAPI_PASSWORD is empty: every client that reaches /fsapi is answered",
            "set it, or set FSAPI_BIND to an address that only the gateway reaches",
        )
    if password in settings.api.secrets:
        return ok(check, "is LOADBALANCER_SECRET; with a gateway, set FSAPI_PASSWORD to another")
    return _judge_strength(check, password, _NEW)


def judge_tenant_secrets(tenants: Sequence[TenantRecord]) -> list[Finding]:
    """Judge the secrets of the tenants: one finding per weak secret, else one for all."""
    found = [
        _judge(f"of tenant {tenant.name}", secret, f"`ctl tenants update {tenant.id} --secrets S`")
        for tenant in tenants
        for secret in tenant.secrets.split(":")
        if secret
    ]
    bad = [finding for finding in found if finding.level is not Level.OK]
    return bad or ([ok("secrets of tenants", f"{len(found)} are long enough")] if found else [])


def judge_server_secrets(servers: Sequence[Server]) -> list[Finding]:
    """Judge the secrets of the servers; only weak ones give a finding."""
    findings = []
    for server in servers:
        weakness = find_weakness(server.secret)
        if weakness is not None:
            advice = f"`bbb-conf --setsecret S` there, `ctl servers update {server.id} --secret S`"
            # Only a warning: the secret belongs to the server.
            findings.append(warn(f"secret of server {server.id}", weakness.reason, advice))
    return findings
