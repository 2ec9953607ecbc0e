"""Captions of recordings: language tags, conversion to WebVTT, the index `captions.json`.

Pure. Source: RFC 5646 section 2.1 (language tags); W3C WebVTT; bbb-playback, whose player reads the
list of `{locale, localeName}` in `captions.json` and a file `caption_{locale}.vtt` for each.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, replace
from itertools import chain, count

from appliance.recordings.text_tracks.ssa import is_ssa, ssa_cues

KINDS = ("subtitles", "captions")
UPLOADED = "upload"
"""Source of a track that a user added."""

_LANGTAG = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"
    r"(?:-[a-z]{4})?"
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*"
    r"(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE | re.ASCII,
).fullmatch
_MAX_LANG = 64
_TIME = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
# Some SRT files have no blank lines between cues.
_CUE_BEGINS = re.compile(
    rf"^(?:[ \t]*\d+[ \t]*\n)?[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}", re.ASCII | re.MULTILINE
)
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t].*)?", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class TextTrack:
    """One track of a recording."""

    lang: str
    label: str
    kind: str = "captions"
    source: str = "live"
    """`upload`, or `live` for captions recorded by BBB."""
    locale: str = ""
    """Its name in the index, if not the language: the other kind has that already."""

    @property
    def file_name(self) -> str:
        """Return the name of its file."""
        return f"caption_{self.locale or self.lang}.vtt"

    def is_same(self, other: TextTrack) -> bool:
        """Return whether kind and language are equal. BBB writes `pt_BR` for `pt-BR`."""
        return (self.kind, _plain(self.lang)) == (other.kind, _plain(other.lang))


def canonical_lang(text: str) -> str | None:
    """Return a language tag in the case of RFC 5646 section 2.1.1, None if it is malformed."""
    if len(text) > _MAX_LANG or not _LANGTAG(text):
        return None
    language, *rest = text.lower().split("-")
    parts, after_singleton = [language], len(language) == 1
    for part in rest:
        if len(part) == 1:
            after_singleton = True
        elif not after_singleton and len(part) == 2:
            part = part.upper()
        elif not after_singleton and len(part) == 4 and part.isalpha():
            part = part.title()
        parts.append(part)
    return "-".join(parts)


def to_webvtt(body: bytes) -> bytes | None:
    """Convert WebVTT, SRT or SSA/ASS to WebVTT; None: it is none of them.

    The encoding may be UTF-8, with or without byte order mark, or UTF-16 with one, as from Windows;
    anything else is read as Windows-1252, the encoding of old SRT files.
    """
    text = _decode(body).replace("\r\n", "\n").replace("\r", "\n")
    if re.match(r"WEBVTT(?:[ \t\n]|$)", text):
        return text.encode()
    blocks = re.split(r"\n[ \t]*\n", _CUE_BEGINS.sub(r"\n\g<0>", text))
    cues = ssa_cues(text) if is_ssa(text) else [cue for cue in map(_cue, blocks) if cue is not None]
    return ("\n\n".join(["WEBVTT", *cues]) + "\n").encode() if cues else None


def read_index(entries: object) -> list[TextTrack]:
    """Read a parsed `captions.json`; invalid entries are ignored."""
    tracks = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("locale"), str):
            continue
        # Becomes part of a path. BBB writes underscores: `pt_BR`.
        locale = entry["locale"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", locale):
            continue
        kind, name, lang = entry.get("kind"), entry.get("localeName"), entry.get("lang")
        if not isinstance(lang, str) or canonical_lang(lang) != lang:
            lang = locale
        tracks.append(
            TextTrack(
                lang,
                name if isinstance(name, str) else locale,
                kind if kind in KINDS else "captions",
                UPLOADED if entry.get("source") == UPLOADED else "live",
                locale if locale != lang else "",
            )
        )
    return tracks


def add_track(tracks: list[TextTrack], track: TextTrack) -> list[TextTrack]:
    """Return the tracks with `track` at the end, replacing one of its kind and language.

    The player identifies a track by its locale. If the other kind has that of the language, the
    new one gets a private subtag (RFC 5646 section 2.2.7), `en-x-subtitle`, and a number if a
    track of that language exists, too.
    """
    kept = [one for one in tracks if not one.is_same(track)]
    taken = {_plain(one.locale or one.lang) for one in kept}
    private = "-" if re.search(r"(?:^|-)x-", track.lang) else "-x-"
    other = f"{track.lang}{private}{track.kind[:8]}"
    names = chain((track.lang, other), (f"{other}-{number}" for number in count(2)))
    free = next(name for name in names if _plain(name) not in taken)
    return [*kept, replace(track, locale="" if free == track.lang else free)]


def parse_index(content: bytes | None) -> list[TextTrack]:
    """Read `captions.json`; a missing or broken one has no tracks."""
    try:
        return [] if content is None else read_index(json.loads(content))
    except (ValueError, RecursionError):
        return []


def render_index(tracks: list[TextTrack]) -> bytes:
    """Return the content of `captions.json`."""
    entries = [
        {
            "locale": one.locale or one.lang,
            "localeName": one.label,
            "kind": one.kind,
            "source": one.source,
            **({"lang": one.lang} if one.locale else {}),
        }
        for one in tracks
    ]
    return json.dumps(entries, ensure_ascii=False, indent=2).encode()


def is_uploaded(track: TextTrack) -> bool:
    """Return whether a user added a track, so that an import keeps it."""
    return track.source == UPLOADED


def _plain(lang: str) -> str:
    return lang.replace("_", "-").lower()


def _decode(body: bytes) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _cue(block: str) -> str | None:
    """Convert one SRT block to a WebVTT cue; None: it is not a cue."""
    lines = block.strip("\n").split("\n")
    if lines and lines[0].strip().isdigit():
        del lines[0]
    match = _TIMING(lines[0]) if lines else None
    if match is None:
        return None
    spoken = [line for line in lines[1:] if line.strip()]
    if not spoken:
        return None
    # An arrow in the text would begin a new cue.
    text = "\n".join(line.replace("-->", "--&gt;") for line in spoken)
    return f"{_time(match.groups()[:4])} --> {_time(match.groups()[4:])}\n{text}"


def _time(parts: tuple[str | None, ...]) -> str:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}.{fraction.ljust(3, '0')}"
