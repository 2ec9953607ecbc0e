"""The answer to a join that fails: a redirect as BBB makes it, or a page that tries again.

Pure. Source: BigBlueButton's ApiController (respondWithErrors, respondWithRedirect): the browser is
sent to `errorRedirectUrl`, else to `logoutURL`, with `errors=[{"key":…,"message":…}]` in the query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

from appliance.bbb.errors import Failure
from appliance.bbb.params import Params, get

MAX_URL = 2048
RETRY_S = 5
"""The page reloads itself after this many seconds."""

WAITING_KEYS = frozenset({"notFound", "serverUnavailable", "internalError"})
"""Failures that pass: the meeting has not begun, its server is being replaced, a store is away."""

_WEIGHT = re.compile(r"\s*q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)\s*").fullmatch
_PLACEHOLDER = re.compile(r"%%[A-Z0-9_]+%%")


def is_browser(accept: str) -> bool:
    """Whether an Accept header asks for HTML. Those of API clients do not, or refuse it (`q=0`)."""
    ranges = (part.split(";") for part in accept[:1000].lower().split(","))
    return any(
        kind.strip() == "text/html" and not any(_quality(one) == 0 for one in parameters)
        for kind, *parameters in ranges
    )


def _quality(parameter: str) -> float | None:
    """Return the weight that a parameter of an Accept header is (RFC 9110, 12.4.2), else None."""
    found = _WEIGHT(parameter)
    return float(found[1]) if found else None


def wants_xml(params: Params) -> bool:
    """Whether the caller wants the failure as XML in any case: `redirect=false`."""
    return (get(params, "redirect") or "").strip().lower() == "false"


def error_redirect(params: Params, create_logout_url: str | None, failure: Failure) -> str | None:
    """Return where the browser is sent; None: neither join nor create named an http(s) URL."""
    given = (get(params, "errorRedirectUrl"), get(params, "logoutURL"), create_logout_url)
    target = next((url for url in map(_usable, given) if url), None)
    if target is None:
        return None
    document = json.dumps(
        [{"key": failure.key, "message": failure.message}],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    parts = urlsplit(target)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}errors={quote(document, safe='')}"))


def _usable(url: str | None) -> str | None:
    """Return an http or https URL in ASCII without BBB's placeholders, else None."""
    text = _PLACEHOLDER.sub("", url or "").strip()
    if not text or len(text) > MAX_URL or not text.isprintable():
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host or "\\" in text:
        return None
    return quote(text, safe=";/?:@&=+$,%#[]!~*'()-._")


def preferred_languages(accept_language: str) -> list[str]:
    """Return the language tags of an Accept-Language header, the most wanted first.

    Source: RFC 9110, section 12.5.4. Malformed parts are ignored.
    """
    ranked: list[tuple[float, int, str]] = []
    for index, part in enumerate(accept_language[:500].split(",")):
        tag, _, weight = part.strip().partition(";")
        if not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", tag.strip()):
            continue
        quality = _quality(weight) or 0.0 if weight else 1.0
        if quality > 0:
            ranked.append((-quality, index, tag.strip()))
    return [tag for _, _, tag in sorted(ranked)]


def choose_language(accept_language: str, known: Iterable[str], default: str) -> str:
    """Return the best known language for a visitor, `default` if none fits."""
    by_name = {name.lower(): name for name in known}
    for tag in preferred_languages(accept_language):
        wanted = tag.lower()
        found = by_name.get(wanted) or by_name.get(wanted.partition("-")[0])
        if found:
            return found
    return default
