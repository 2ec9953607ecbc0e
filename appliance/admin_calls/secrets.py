"""Secrets in the answers of admin calls: how a field declares one, and how they are hidden.

Only admins see secrets. A field of type Secret is hidden wherever it is in an answer, so that no
call needs to think of it. Pure.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from appliance.redaction import MASK, is_secret_name, mask_text

_SECRET = "secret"

Secret = Annotated[
    str, Meta(description=f"`{MASK}` unless the caller is an admin.", extra={_SECRET: ""})
]
SecretsByName = Annotated[dict[str, str], Meta(extra={_SECRET: ""})]
"""Of these values, those that their names or texts show to be secrets."""


def secret_if_named(name_field: str) -> Meta:
    """Annotate a text that is a secret if the field `name_field` holds the name of one."""
    return Meta(extra={_SECRET: name_field})


def hide_secrets(answer: Any) -> Any:
    """Return an answer with its secrets masked."""
    if isinstance(answer, msgspec.Struct):
        marked = _marked_fields(type(answer))
        changed = {}
        for name in answer.__struct_fields__:
            value = getattr(answer, name)
            if name not in marked:
                hidden = hide_secrets(value)
            elif by := marked[name]:
                hidden = _hide_named(str(getattr(answer, by)), value)
            elif isinstance(value, dict):
                hidden = {key: _hide_named(key, text) for key, text in value.items()}
            else:
                hidden = MASK if value else value
            if hidden is not value:
                changed[name] = hidden
        return msgspec.structs.replace(answer, **changed) if changed else answer
    if isinstance(answer, list | tuple):
        return type(answer)(map(hide_secrets, answer))
    return answer


def _hide_named(name: str, text: str) -> str:
    return MASK if text and is_secret_name(name.replace("-", "_")) else mask_text(text)


@cache
def _marked_fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the fields of a type that may hold secrets, and the field that names each or ''."""
    info = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(kind))
    marked = {}
    for field in info.fields:
        found = field.type
        while isinstance(found, msgspec.inspect.Metadata):
            if found.extra and _SECRET in found.extra:
                marked[field.name] = str(found.extra[_SECRET])
            found = found.type
    return marked
