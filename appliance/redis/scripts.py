"""The Lua scripts of all features, read from the package.

Pure but for reading files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from appliance.redis.connection import Script

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_DEFINITION = re.compile(r"^local .*?(?=^local |\Z)", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"(?!function\b)\b[A-Za-z_]\w*")


def load_scripts() -> dict[str, Script]:
    """Return the scripts of every feature (`appliance/*/lua/`) by name.

    Each has what it uses of lib.lua in front.
    """
    root = files("appliance")
    library = _COMMENT.sub("", (root / "redis" / "lib.lua").read_text("utf-8"))
    definitions = [(_WORD.findall(text)[1], text) for text in _DEFINITION.findall(library)]
    sources = {
        path.name.removesuffix(".lua"): path.read_text("utf-8")
        for feature in root.iterdir()
        if (folder := feature / "lua").is_dir()
        for path in folder.iterdir()
    }
    return {name: Script(name, _with_library(definitions, text)) for name, text in sources.items()}


def _with_library(definitions: Sequence[tuple[str, str]], text: str) -> str:
    """Return a script after the definitions that it uses, directly or through others.

    Redis makes each function of the text again on every call: with all of them, a join cost it a
    third more.
    """
    used, needed = [text], set(_WORD.findall(text))
    for name, definition in reversed(definitions):  # each uses only those above it
        if name in needed:
            used.append(definition)
            needed.update(_WORD.findall(definition))
    return "".join(reversed(used))
