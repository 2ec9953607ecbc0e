"""One-time tokens for protected recordings in Redis, in Scalelite's form.

The key `protector_token_{token}` has the JSON {"record_id", "format"} and a time to live. Every
method raises StoreDown when Redis cannot be used.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.redis.store import RedisStore

_TOKEN_BYTES = 32
_HEX_DIGITS = 2 * _TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class PlaybackTokens:
    """Issues and consumes tokens."""

    redis: RedisStore
    timeout_s: int
    """Lifetime of a token."""

    async def issue_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Return a new token for each (recordID, format), in one round trip."""
        if not pairs:
            return []
        tokens = [secrets.token_hex(_TOKEN_BYTES) for _ in pairs]
        commands: list[list[str | int]] = [
            [
                "SET",
                self._key(token),
                json.dumps({"record_id": record_id, "format": format_name}),
                "EX",
                self.timeout_s,
            ]
            for token, (record_id, format_name) in zip(tokens, pairs, strict=True)
        ]
        await self.redis.pipeline(commands)
        return tokens

    async def consume_token(self, token: str) -> tuple[str, str] | None:
        """Delete a token and return its (recordID, format); None: unknown, used or expired."""
        return await self._read("GETDEL", token)

    async def find_token(self, token: str) -> tuple[str, str] | None:
        """Return the (recordID, format) of a token without consuming it; None as consume_token."""
        return await self._read("GET", token)

    async def _read(self, command: str, token: str) -> tuple[str, str] | None:
        if len(token) != _HEX_DIGITS or not (token.isascii() and token.isalnum()):
            return None
        found = await self.redis.command(command, self._key(token))
        if found is None:
            return None
        try:
            value = json.loads(found)
            return str(value["record_id"]), str(value["format"])
        except (ValueError, KeyError, TypeError):
            return None  # written by neither the appliance nor Scalelite

    def _key(self, token: str) -> str:
        return self.redis.key(f"protector_token_{token}")
