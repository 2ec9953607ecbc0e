"""Judge this host: certificates, name resolution, limit of open files. Pure."""

from __future__ import annotations

from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.system.host_facts import AuthorityFacts, CertificateFacts

LEAST_FILES = 1024
GOOD_FILES = 8192
"""Every request under way and every call to a server takes a connection."""
WARN_DAYS = 14
_DAY_S = 86_400.0


def judge_authorities(facts: AuthorityFacts, now_s: float) -> Finding:
    """Judge BBB_CA_FILE by the authority that expires first.

    An expired one beside valid ones is a warning only: if servers still need it, their own checks
    fail.
    """
    check = "bbb authorities"
    if facts.problem or not facts.ends_s:
        return fail(
            check, f"cannot be used: {facts.problem or 'no certificate'}", "check BBB_CA_FILE"
        )
    subject, ends_s = min(facts.ends_s, key=lambda one: one[1])
    renew = "add its successor to BBB_CA_FILE, then restart"
    if now_s >= ends_s:
        report = fail if all(now_s >= ends_s for _, ends_s in facts.ends_s) else warn
        text = f"{subject} has expired: servers whose certificates it signed are not trusted"
        return report(check, text, f"{renew}; remove it if no server needs it")
    days = (ends_s - now_s) / _DAY_S
    if days < WARN_DAYS:
        return warn(check, f"{subject} expires in {days:.0f} days", renew)
    return ok(check, f"valid for {days:.0f} more days")


def judge_certificate(facts: CertificateFacts, host: str | None, now_s: float) -> Finding:
    """Judge the certificate of the listener; `host` is the name that it must be for."""
    check = "tls certificate"
    renew = "renew it, then `systemctl reload scalelite-appliance`"
    if facts.problem:
        return fail(
            check, f"cannot be used: {facts.problem}", "check TLS_CERT_FILE and TLS_KEY_FILE"
        )
    if now_s >= facts.ends_s:
        return fail(check, "has expired", renew)
    if now_s < facts.begins_s:
        return fail(check, "is not valid yet", "check the clock of this host (`timedatectl`)")
    if host is not None and not any(_fits(name, host) for name in facts.names):
        names = ", ".join(facts.names) or "no name"
        return warn(check, f"is for {names}, not for {host}", "get one for URL_HOST")
    days = (facts.ends_s - now_s) / _DAY_S
    if days < WARN_DAYS:
        return warn(check, f"expires in {days:.0f} days", renew)
    return ok(check, f"valid for {days:.0f} more days")


def _fits(name: str, host: str) -> bool:
    """Return whether a name of a certificate matches the host. Source: RFC 6125, section 6.4.3."""
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def judge_name(variable: str, host: str, problem: str) -> Finding:
    """Judge a public host name; `problem`: why it cannot be resolved, or empty."""
    check = f"name {host}"
    if not problem:
        return ok(check, f"{variable} can be resolved")
    return warn(
        check,
        f"{variable} cannot be resolved here: {problem}",
        "check DNS: front-ends and servers call the appliance by this name",
    )


def judge_file_limit(limit: int) -> Finding:
    """Judge the limit of open files."""
    check = "open files"
    advice = "raise LimitNOFILE= in a drop-in (`systemctl edit scalelite-appliance`)"
    if limit < LEAST_FILES:
        return fail(check, f"only {limit} files and connections can be open", advice)
    if limit < GOOD_FILES:
        return warn(check, f"only {limit} files and connections can be open", advice)
    return ok(check, f"{limit} files and connections can be open")
