"""The column `callback_data.callback_attributes`: YAML that Scalelite's Ruby writes and reads.

Pure. The text is parsed to nodes and no object is constructed; one mapping of strings is accepted,
every other tag, alias or shape is rejected. Source: Psych, Ruby's YAML library; docs/stores.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from appliance.bbb.params import Params

RECORDING_READY = "recording_ready_url"
ANALYTICS = "analytics_callback_url"
READY_PARAMS = (
    "meta_bn-recording-ready-url",
    "meta_bbb-recording-ready-url",
    "meta_canvas-recording-ready-url",
)
"""Names of the parameter for RECORDING_READY; the first that is given counts."""
MAX_TEXT = 64 * 1024

_STRING = "tag:yaml.org,2002:str"
_BINARY = ("!binary", "tag:yaml.org,2002:binary")
_SYMBOLS = ("!ruby/symbol", "!ruby/sym")
_HASH = re.compile(
    r"(?:tag:yaml\.org,2002:map|!(?:ruby/(?:hash|object):|map:)?"
    r"(?:ActiveSupport::HashWithIndifferentAccess|HashWithIndifferentAccess|Hash))"
).fullmatch
_WITH_IVARS = "!ruby/hash-with-ivars:ActiveSupport::HashWithIndifferentAccess"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# Characters and strings that every YAML parser reads as written.
_AS_IT_IS = re.compile(r"[ !#-\[\]-~]").fullmatch
_PLAIN = re.compile(r"https?://[!-~]*[!-9;-~]", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class KeptUrls:
    """The callback URLs of a meeting."""

    urls: Mapping[str, str] = field(repr=False)
    """By RECORDING_READY and ANALYTICS."""
    secret_id: str | None = None
    """Identifies the secret that signed the create (rules.id_of_secret); None: unknown."""


class InvalidCallbackData(Exception):
    """The text is neither the appliance's nor Scalelite's. `str()` is safe to log."""


def extract_ready_url(params: Params) -> tuple[Params, str | None]:
    """Remove the URL of RECORDING_READY, in any case, from a create's parameters; return both.

    A URL that remained, in any case, would be called by the server.
    """
    if not any("recording-ready-url" in name.lower() for name, _ in params):
        return params, None
    found: dict[str, str] = {}
    kept = []
    for name, value in params:
        spelling = name.lower()
        if spelling in READY_PARAMS:
            found.setdefault(spelling, value.strip())
        else:
            kept.append((name, value))
    url = next((found[name] for name in READY_PARAMS if found.get(name)), None)
    return tuple(kept), url


def parse_callback_attributes(text: str) -> dict[str, str]:
    """Return the attributes by name, without the colon of a symbol; nulls are left out.

    Raises InvalidCallbackData.
    """
    if len(text) > MAX_TEXT:
        raise InvalidCallbackData("too large")
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise InvalidCallbackData("not YAML") from None
    if root is None or _is_null(root):
        return {}
    if isinstance(root, yaml.MappingNode) and root.tag == _WITH_IVARS:
        root = dict(_pairs(root)).get("elements", root)
    if not isinstance(root, yaml.MappingNode) or not _HASH(root.tag):
        raise InvalidCallbackData("not a mapping of texts")
    return {name: _value(node) for name, node in _pairs(root) if not _is_null(node)}


def render_callback_attributes(attributes: Mapping[str, str]) -> str:
    """Render attributes as Ruby renders a Hash with symbols as keys."""
    lines = [f":{name}: {_scalar(value)}\n" for name, value in attributes.items()]
    return "---\n" + "".join(lines) if lines else "--- {}\n"


def _pairs(root: yaml.MappingNode) -> list[tuple[str, yaml.Node]]:
    return [(_name(key), node) for key, node in root.value]


def _name(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in (_STRING, *_SYMBOLS):
        raise InvalidCallbackData("a key that is not a symbol")
    return str(node.value).removeprefix(":").strip('"')


def _value(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode) and node.tag == _STRING:
        return str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.tag in _BINARY:
        try:
            return base64.b64decode(node.value).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise InvalidCallbackData("not base64") from None
    raise InvalidCallbackData("a value that is not text")


def _is_null(node: yaml.Node) -> bool:
    return (
        isinstance(node, yaml.ScalarNode)
        and node.tag == _STRING
        and node.style is None
        and node.value in _NULLS
    )


def _scalar(value: str) -> str:
    if _PLAIN(value):
        return value
    text = value.encode("utf-8", "replace").decode()
    return '"' + "".join(one if _AS_IT_IS(one) else f"\\U{ord(one):08x}" for one in text) + '"'
