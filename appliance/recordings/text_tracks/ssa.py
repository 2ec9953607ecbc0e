"""Converts the subtitle format SSA/ASS to WebVTT cues; styles and positions are dropped.

Pure. Source: the ASS file format guide of libass
(https://github.com/libass/libass/wiki/ASS-File-Format-Guide); W3C WebVTT.
"""

from __future__ import annotations

import re

_DEFAULT_FORMAT = "layer,start,end,style,name,marginl,marginr,marginv,effect,text"
_TIME = re.compile(r"(\d{1,3}):([0-5]?\d):([0-5]?\d)[.:](\d{1,3})", re.ASCII).fullmatch
_OVERRIDE = re.compile(r"\{[^}]*\}")
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}")
"""The text that follows draws shapes."""
_BREAKS = re.compile(r"(?:\\[Nn]|\n)+")
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def is_ssa(text: str) -> bool:
    """Return whether a text with `\\n` as line ends is a script of SSA or ASS."""
    return text.lstrip().lower().startswith("[script info]")


def ssa_cues(text: str) -> list[str]:
    """Return the dialogue of a script as WebVTT cues, in the order of their begin."""
    columns, cues, in_events = _DEFAULT_FORMAT.split(","), list[tuple[str, str]](), False
    for line in text.split("\n"):
        name, _, value = line.strip().partition(":")
        if name.startswith("["):
            in_events = name.lower() == "[events]"
        elif in_events and name == "Format":
            columns = [column.strip().lower() for column in value.split(",")]
        elif in_events and name == "Dialogue":
            # The text is the last column and may have commas.
            values = value.strip().split(",", len(columns) - 1)
            cue = _cue(dict(zip(columns, values, strict=False)))
            if cue is not None:
                cues.append(cue)
    return [cue for _, cue in sorted(cues, key=lambda one: one[0].zfill(13))]


def _cue(fields: dict[str, str]) -> tuple[str, str] | None:
    """Return begin and text of a cue; None: nothing is spoken, or a time is invalid."""
    begin, end = _time(fields.get("start", "")), _time(fields.get("end", ""))
    text = fields.get("text", "")
    if begin is None or end is None or _DRAWING.search(text):
        return None
    spoken = _BREAKS.sub("\n", _OVERRIDE.sub("", text).replace("\\h", " "))
    lines = [line.strip() for line in spoken.translate(_ESCAPED).split("\n") if line.strip()]
    return (begin, f"{begin} --> {end}\n" + "\n".join(lines)) if lines else None


def _time(text: str) -> str | None:
    match = _TIME(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    return f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}.{fraction.ljust(3, '0')}"
