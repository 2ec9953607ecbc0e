"""Rules between variables: required combinations, contradictions, and likely mistakes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from appliance.settings import access_variables as a
from appliance.settings import fleet_variables as f
from appliance.settings import pool_variables as p
from appliance.settings import recording_variables as r
from appliance.settings.addresses import ANY_IPV4, ANY_IPV6
from appliance.settings.kinds import MAX_SOCKET_PATH_BYTES
from appliance.settings.model import Bind
from appliance.settings.reading import SettingProblem, Values
from appliance.settings.table import Variable


def database_disabled(values: Values) -> bool:
    """Return whether PostgreSQL is not used: it only holds recordings."""
    return values.get(a.DB_DISABLED) or values.get(r.RECORDING_DISABLED)


def web_binds(values: Values) -> tuple[Bind, ...]:
    """Return the addresses of the API: BIND, or PORT of all IPv4 addresses."""
    cert = values.find(a.TLS_CERT_FILE)
    by_port = Bind("ssl" if cert else "tcp", ANY_IPV4, values.get(a.PORT))
    return values.find(a.BIND) or (by_port,)


def find_conflicts(values: Values, socket: str) -> Iterator[SettingProblem]:
    """Find contradictions and missing variables.

    socket: path of the control socket. A variable with a problem of its own gets no second one.
    """
    yield from _secret_conflicts(values)
    yield from _listener_conflicts(values)
    yield from _address_conflicts(values, socket)
    yield from _store_conflicts(values)
    yield from _s3_conflicts(values)
    low, high = values.get(p.VOICE_BRIDGE_MIN), values.get(p.VOICE_BRIDGE_MAX)
    if low > high:
        yield SettingProblem(
            "VOICE_BRIDGE_MIN", f'"{low}"', f"expected at most VOICE_BRIDGE_MAX ({high})"
        )
    least, most = values.get(f.POOL_MIN_SERVERS), values.find(f.POOL_MAX_SERVERS)
    if most is not None and least > most:
        yield SettingProblem(
            "POOL_MIN_SERVERS", f'"{least}"', f"expected at most POOL_MAX_SERVERS ({most})"
        )
    if len(socket.encode(errors="surrogateescape")) > MAX_SOCKET_PATH_BYTES and not values.is_bad(
        a.CTL_SOCKET
    ):
        yield SettingProblem(
            "CTL_SOCKET", None, "the default path is too long for a socket; set a shorter one"
        )


def _secret_conflicts(values: Values) -> Iterator[SettingProblem]:
    secrets = (a.LOADBALANCER_SECRET, a.LOADBALANCER_SECRETS)
    if not any(values.is_set(one) or values.is_bad(one) for one in secrets):
        yield SettingProblem(
            "LOADBALANCER_SECRET",
            None,
            "set it (or LOADBALANCER_SECRETS): API calls cannot be authenticated without a secret",
        )
    database = () if database_disabled(values) else (a.DATABASE_URL,)
    external = (*database, a.REDIS_URL, a.REDIS_SENTINELS)
    named = [one.name for one in external if values.is_set(one)]
    if named and not values.is_set(a.SECRET_KEY_BASE) and not values.is_bad(a.SECRET_KEY_BASE):
        yield SettingProblem(
            "SECRET_KEY_BASE",
            None,
            f"set it, to the same value on all appliances: {named[0]} names a store that several"
            " appliances can share",
        )


def _listener_conflicts(values: Values) -> Iterator[SettingProblem]:
    cert, key = a.TLS_CERT_FILE, a.TLS_KEY_FILE
    for one, other in ((cert, key), (key, cert)):
        if values.is_set(one) and not values.is_set(other) and not values.is_bad(other):
            yield SettingProblem(other.name, None, f"set it, because {one.name} is set")
    if values.is_set(cert) or values.is_bad(cert):
        return
    for variable in (a.BIND, a.METRICS_BIND, a.CONSOLE_BIND, p.FSAPI_BIND):
        if any(bind.scheme == "ssl" for bind in values.find(variable) or ()):
            yield SettingProblem(variable.name, None, "ssl:// needs TLS_CERT_FILE and TLS_KEY_FILE")


def _address_conflicts(values: Values, socket: str) -> Iterator[SettingProblem]:
    """Find addresses that two listeners would share. Source: ip(7), ipv6(7)."""
    others = [("CTL_SOCKET", Bind("unix", path=socket))]
    for name, bind in _serving_binds(values):
        for text in _takers(name, bind, others):
            yield SettingProblem(name, None, text)
        others.append((name, bind))


def _serving_binds(values: Values) -> Iterator[tuple[str, Bind]]:
    """Yield the addresses that the appliance does not start without."""
    console = values.find(a.CONSOLE_BIND) if values.get(a.CONSOLE_ENABLED) else ()
    for name, binds in (
        ("BIND", web_binds(values)),
        ("FSAPI_BIND", values.find(p.FSAPI_BIND) or ()),
        ("CONSOLE_BIND", console or ()),
    ):
        for bind in binds:
            yield name, bind


def _takers(name: str, bind: Bind, others: Iterable[tuple[str, Bind]]) -> Iterator[str]:
    for other_name, other in others:
        if _overlap(bind, other, one_variable=name == other_name):
            place = "" if bind == other else f"{other} of "
            yield f"{bind} is taken by {place}{other_name}"


def _overlap(one: Bind, other: Bind, *, one_variable: bool) -> bool:
    if "unix" in (one.scheme, other.scheme):
        return one.path == other.path
    if one.port != other.port or one.port == 0:
        return False
    hosts = {one.host, other.host}
    if len(hosts) == 1:
        return True
    if hosts == {ANY_IPV4, ANY_IPV6}:
        return not one_variable  # where [::] leaves IPv4 to the other
    return ANY_IPV6 in hosts or (ANY_IPV4 in hosts and not any(":" in host for host in hosts))


def _store_conflicts(values: Values) -> Iterator[SettingProblem]:
    sentinels, master = a.REDIS_SENTINELS, a.REDIS_SENTINEL_MASTER
    for one, other in ((sentinels, master), (master, sentinels)):
        if values.is_set(one) and not values.is_set(other) and not values.is_bad(other):
            yield SettingProblem(other.name, None, f"set it, because {one.name} is set")


def serve_mode(values: Values) -> str:
    """Return how recordings are played; Scalelite uses CloudFront as soon as its URL is set."""
    return values.find(r.S3_SERVE) or ("cloudfront" if values.is_set(r.CLOUDFRONT_URL) else "mixed")


def _s3_conflicts(values: Values) -> Iterator[SettingProblem]:
    if not values.get(r.S3_RECORDING):
        return
    needed: list[tuple[Variable[Any], str]] = [(r.S3_BUCKET_NAME, "S3_RECORDING is true")]
    if serve_mode(values) == "cloudfront" and not values.is_bad(r.S3_SERVE):
        needed += [
            (variable, "S3_SERVE is cloudfront")
            for variable in (r.CLOUDFRONT_URL, r.CF_KEY_PAIR_ID, r.CF_PRIVATE_KEY_B64)
        ]
    for variable, reason in needed:
        if not values.is_set(variable) and not values.is_bad(variable):
            yield SettingProblem(variable.name, None, f"set it, because {reason}")
    key: Variable[Any] = r.AWS_ACCESS_KEY_ID
    for one, other in ((key, r.AWS_SECRET_ACCESS_KEY), (r.AWS_SECRET_ACCESS_KEY, key)):
        if values.is_set(one) and not values.is_set(other) and not values.is_bad(other):
            yield SettingProblem(other.name, None, f"set it, because {one.name} is set")


def find_likely_mistakes(values: Values) -> Iterator[str]:
    """Return warnings about combinations that are valid but rarely intended."""
    length, high = values.get(p.VOICE_BRIDGE_LEN), values.get(p.VOICE_BRIDGE_MAX)
    low = values.get(p.VOICE_BRIDGE_MIN)
    if not low <= length <= high:
        yield (
            f"VOICE_BRIDGE_LEN: numbers have {length} digits, but callers can only enter {low} to"
            f" {high} (VOICE_BRIDGE_MIN, VOICE_BRIDGE_MAX)"
        )
    binds = values.find(a.BIND) or ()
    if values.is_set(a.TLS_CERT_FILE) and binds and all(bind.scheme != "ssl" for bind in binds):
        yield "TLS_CERT_FILE: not used, because BIND has no ssl:// address"
    for bind in values.find(a.METRICS_BIND) or ():
        for text in _takers("METRICS_BIND", bind, _serving_binds(values)):
            yield f"METRICS_BIND: {text}, so metrics are not served"
    yield from _weight_mistakes(values)
    if values.find(p.FSAPI_PASSWORD) == "":
        # With a colon the log would take the next word for the password, and mask it.
        yield "FSAPI_PASSWORD is empty, so the dialplan endpoint answers without a password"


def _weight_mistakes(values: Values) -> Iterator[str]:
    variables = (p.LOAD_PER_USER, p.LOAD_PER_VIDEO, p.LOAD_PER_VOICE, p.LOAD_PER_MEETING)
    given = [variable.name for variable in variables if values.is_set(variable)]
    if not given:
        return
    if values.find(p.LOAD_PER_USER) == 0 and not any(map(values.find, variables)):
        yield "LOAD_PER_USER: all weights are 0, so that servers are chosen at random"
    if values.is_set(p.LOAD_COUNT_MODERATORS_TWICE):
        yield f"LOAD_COUNT_MODERATORS_TWICE: not used, because {given[0]} is set"
