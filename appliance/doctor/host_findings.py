"""What doctor says of this host: its certificates, its name, how many files it may open. Pure.

The facts come from system/host_facts.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.doctor.findings import Finding, fail, ok, warn

LEAST_FILES = 1024
GOOD_FILES = 8192
"""Each user who waits for an answer is a connection, and so is each call to a server."""
WARN_DAYS = 14
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the certificate says that the listener shows; times in seconds since the epoch."""

    problem: str = ""
    """Why it cannot be used; empty: it can be read, and the key fits."""
    begins_s: float = 0.0
    ends_s: float = 0.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """What the file of authorities for BBB servers holds."""

    problem: str = ""
    """Why it cannot be used; empty: it can be read."""
    ends_s: tuple[tuple[str, float], ...] = ()
    """Each one's subject, and when it expires, in seconds since the epoch."""


def judge_authorities(facts: AuthorityFacts, now_s: float) -> Finding:
    """Return what is to be said of BBB_CA_FILE: of the one of its authorities that ends first.

    One that has expired beside others that have not may be a left-over: if servers still need it,
    their own findings fail.
    """
    check = "bbb authorities"
    if facts.problem or not facts.ends_s:
        return fail(
            check, f"cannot be used: {facts.problem or 'no certificate'}", "look at BBB_CA_FILE"
        )
    subject, ends_s = min(facts.ends_s, key=lambda one: one[1])
    renew = "put its successor into BBB_CA_FILE, then restart"
    if now_s >= ends_s:
        report = fail if all(now_s >= ends_s for _, ends_s in facts.ends_s) else warn
        text = f"{subject} has expired: servers whose certificates it signed are not trusted"
        return report(check, text, f"{renew}; take it out if none of them is left")
    days = (ends_s - now_s) / _DAY_S
    if days < WARN_DAYS:
        return warn(check, f"{subject} expires in {days:.0f} days", renew)
    return ok(check, f"valid for {days:.0f} more days")


def judge_certificate(facts: CertificateFacts, host: str | None, now_s: float) -> Finding:
    """Return what is to be said of a certificate. host: the name it must be for."""
    check = "tls certificate"
    renew = "renew it, then `systemctl reload scalelite-appliance`"
    if facts.problem:
        return fail(
            check, f"cannot be used: {facts.problem}", "look at TLS_CERT_FILE, TLS_KEY_FILE"
        )
    if now_s >= facts.ends_s:
        return fail(check, "has expired", renew)
    if now_s < facts.begins_s:
        return fail(check, "is not valid yet", "look at the clock of this host (`timedatectl`)")
    if host is not None and not any(_fits(name, host) for name in facts.names):
        names = ", ".join(facts.names) or "no name"
        return warn(check, f"is for {names}, not for {host}", "make one for URL_HOST")
    days = (facts.ends_s - now_s) / _DAY_S
    if days < WARN_DAYS:
        return warn(check, f"expires in {days:.0f} days", renew)
    return ok(check, f"valid for {days:.0f} more days")


def _fits(name: str, host: str) -> bool:
    """Whether a name of a certificate is the host's. Source: RFC 6125 section 6.4.3."""
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def judge_name(variable: str, host: str, problem: str) -> Finding:
    """Return what is to be said of a host name of ours."""
    check = f"name {host}"
    if not problem:
        return ok(check, f"{variable} can be resolved")
    return warn(
        check,
        f"{variable} cannot be resolved here: {problem}",
        "look at DNS: front-ends and servers call us by this name",
    )


def judge_file_limit(limit: int) -> Finding:
    """Return what is to be said of the number of files that may be open."""
    check = "open files"
    advice = "raise LimitNOFILE= in a drop-in (`systemctl edit scalelite-appliance`)"
    if limit < LEAST_FILES:
        return fail(check, f"only {limit} files and connections may be open", advice)
    if limit < GOOD_FILES:
        return warn(check, f"only {limit} files and connections may be open", advice)
    return ok(check, f"{limit} files and connections may be open")
