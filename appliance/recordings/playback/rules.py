"""Rules of playback: valid paths, targets of links, cookies of protected recordings.

Pure. Source: docs/recordings.md; RFC 6265bis (SameSite); RFC 7519; Chromium's list of browsers that
mishandle SameSite=None (https://www.chromium.org/updates/same-site/incompatible-clients/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any
from urllib.parse import parse_qs, quote

from appliance.recordings.recording import Recording, RecordingStates, is_record_id

ALGORITHM = "HS256"
INLINE_FORMATS = frozenset({"presentation", "video", "screenshare"})
"""Formats that browsers display; files of other formats are downloaded."""
STATIC_RESOURCE = "/static-resource"
"""Prefix of the internal location in nginx (X_ACCEL_REDIRECT)."""

_MAX_TOKEN = 4096
_MAX_DIGITS = 11
"""Of a time in seconds, as its text in Scalelite's cookies."""
_PLAYER_APPLICATION = "presentation/2.3"
_URL_SAFE = "/?&=%~!$'()*+,;:@#"
_OPTIONS: Any = {
    "require": ["exp", "sub"],
    # Checked below, against the `now_s` of the caller.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


class NotAFile(Enum):
    """Result of opening a path that is not a file."""

    MISSING = "missing"
    DIRECTORY = "directory"


def split_path(path: str) -> tuple[str, ...] | None:
    """Split a decoded path below a directory into names; None: it is invalid.

    An empty last name means the page of a directory: `a/` -> ("a", "").
    """
    names = tuple(path.split("/"))
    if "\0" in path or any(name in (".", "..") for name in names) or "" in names[:-1]:
        return None
    return names


def player_page(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the page that replaces a missing file of the BBB player, None if there is none.

    The player of presentation/2.3 is one page that reads the recording's id from its own address.
    """
    inside = "/".join((*names, "")).startswith(f"{_PLAYER_APPLICATION}/")
    return (*_PLAYER_APPLICATION.split("/"), "index.html") if inside else None


def recording_of_page(names: tuple[str, ...]) -> str | None:
    """Return the recording whose page in BBB's player an address is; None: it is none."""
    parts = names[:-1] if names[-1] == "" else names
    if parts[:-1] == tuple(_PLAYER_APPLICATION.split("/")) and is_record_id(parts[-1]):
        return parts[-1]
    return None


def needs_player(target: str) -> bool:
    """Whether the target of a link is a page of BBB's player."""
    return target.startswith("/playback/presentation/")


def best_language(wanted: Iterable[str], known: Iterable[str], default: str) -> str:
    """Return the first language that there are texts for, of those that a browser wants, best
    first, and the default; English, which is always known, if there are for none.
    """
    by_name = {"en": "en", **{name.lower(): name for name in known}}
    for tag in (*wanted, default):
        name = tag.replace("_", "-").lower()
        found = by_name.get(name) or by_name.get(name.partition("-")[0])
        if found:
            return found
    return "en"


def moved_address(names: tuple[str, ...], query: str) -> str | None:
    """Return the new address of an old address below /playback/, None if it has none.

    BBB servers use the old addresses for the files of `video` and for the player before 2.3.
    Scalelite's nginx redirects them too. The query is kept: it may hold where to begin.
    """
    kept = f"?{quote(query, safe=_URL_SAFE)}" if query else ""
    if len(names) > 2 and names[0] == "video":
        return "/" + "/".join(quote(name) for name in names) + kept
    if names == ("presentation", "2.0", "playback.html"):
        meeting = parse_qs(query).get("meetingId", [""])[0]
        if is_record_id(meeting):
            return f"/playback/{_PLAYER_APPLICATION}/{meeting}{kept}"
    return None


def is_shown(recording: Recording, format: str, tenant_id: str | None) -> bool:
    """Whether a caller has access to a format; `tenant_id` is None without multitenancy."""
    if not recording.published or recording.state == RecordingStates.DELETED:
        return False
    if tenant_id is not None and recording.tenant_id != tenant_id:
        return False
    return any(shown.format == format for shown in recording.formats)


def playback_target(recording: Recording, format: str) -> str | None:
    """Return path and query of a format's player; None: the recording has no such format.

    The result is safe for any stored value: it has no other host and no characters that would break
    a header.
    """
    for shown in recording.formats:
        if shown.format == format:
            return "/" + quote(shown.url.lstrip("/\\"), safe=_URL_SAFE)
    return None


def accel_path(format: str, record_id: str, names: Iterable[str]) -> str:
    """Return the internal location of a file in nginx."""
    return "/".join((STATIC_RESOURCE, format, record_id, *(quote(name) for name in names)))


def is_inline(format: str) -> bool:
    """Whether browsers display the files of a format instead of downloading them."""
    return format in INLINE_FORMATS


def cookie_name(format: str, record_id: str) -> str:
    """Return the name of the cookie that grants access to a protected format."""
    return f"recording_{format}_{record_id}"


def cookie_path(format: str, record_id: str) -> str:
    """Return the path of the cookie, which is also the subject of its token."""
    return f"/{format}/{record_id}"


def sign_cookie(format: str, record_id: str, *, secret: str, expires_s: int) -> str:
    """Return the value of the cookie, a JWT; `expires_s` is in seconds since the epoch."""
    return sign_path(cookie_path(format, record_id), secret=secret, expires_s=expires_s)


def is_valid_cookie(cookie: str, format: str, record_id: str, *, secret: str, now_s: float) -> bool:
    """Whether a cookie's value grants access to a protected format now."""
    return is_valid_token(cookie, cookie_path(format, record_id), secret=secret, now_s=now_s)


def _seconds(expires: object) -> float:
    """Return the end of a cookie in s since the epoch; a Scalelite writes it as a text of digits.

    Anything else is in the past.
    """
    if isinstance(expires, str) and len(expires) <= _MAX_DIGITS and expires.isascii():
        return int(expires) if expires.isdigit() else 0
    if isinstance(expires, int | float) and 0 <= expires < 10**_MAX_DIGITS:
        return expires
    return 0


def sign_path(path: str, *, secret: str, expires_s: int) -> str:
    """Return a token that grants access to one file of a protected recording.

    `path` is decoded; `expires_s` is in seconds since the epoch.
    """
    # Imported here, as below, since it loads cryptography: ten megabytes that few appliances need.
    import jwt

    return jwt.encode({"sub": path, "exp": expires_s}, secret, ALGORITHM)


def is_valid_token(token: str, path: str, *, secret: str, now_s: float) -> bool:
    """Whether a token grants access now to the file at a path, or as a cookie to a directory."""
    if not token or len(token) > _MAX_TOKEN or not secret:
        return False
    import jwt

    try:
        claims = jwt.decode(token, secret, [ALGORITHM], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return False  # the last three occur with unusual JSON in the header
    return now_s < _seconds(claims["exp"]) and claims["sub"] == path


def render_cookie(
    format: str, record_id: str, value: str, *, max_age_s: int, user_agent: str
) -> str:
    """Return the Set-Cookie header for a format. SameSite=None: players are used in frames."""
    parts = [
        f"{cookie_name(format, record_id)}={value}",
        f"Path={cookie_path(format, record_id)}",
        f"Max-Age={max_age_s}",
        "Secure",
        "HttpOnly",
    ]
    if not mishandles_same_site_none(user_agent):
        parts.append("SameSite=None")
    return "; ".join(parts)


def cookies_named(header: str, name: str) -> list[str]:
    """Return the values of all cookies of a name in a Cookie header."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value.strip('"') for found, _, value in pairs if found == name]


_IOS_12 = re.compile(r"\(iP.+; CPU .*OS 12[_\d]*.*\) AppleWebKit/")
_MACOS_10_14 = re.compile(r"\(Macintosh;.*Mac OS X 10_14[_\d]*.*\) AppleWebKit/")
_SAFARI = re.compile(r"Version/.* Safari/")
_MAC_EMBEDDED = re.compile(
    r"^Mozilla/[.\d]+ \(Macintosh;.*Mac OS X [_\d]+\) AppleWebKit/[.\d]+ \(KHTML, like Gecko\)$"
)
_CHROMIUM = re.compile(r"Chrom(?:e|ium)/(\d{1,6})")
_UC_BROWSER = re.compile(r"UCBrowser/(\d{1,6})\.(\d{1,6})\.(\d{1,6})")
_UC_FIXED = (12, 13, 2)
_MAX_USER_AGENT = 1024


def mishandles_same_site_none(user_agent: str) -> bool:
    """Whether a browser treats SameSite=None as Strict, or drops such a cookie."""
    agent = user_agent[:_MAX_USER_AGENT]
    if _IOS_12.search(agent):
        return True
    chromium = _CHROMIUM.search(agent)
    if _MACOS_10_14.search(agent):
        safari = _SAFARI.search(agent) is not None and chromium is None
        if safari or _MAC_EMBEDDED.search(agent):
            return True
    uc_browser = _UC_BROWSER.search(agent)
    if uc_browser:
        return tuple(int(number) for number in uc_browser.groups()) < _UC_FIXED
    return chromium is not None and 51 <= int(chromium.group(1)) <= 66
