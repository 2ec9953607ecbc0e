"""The access tokens in Redis (docs/stores.md). The rules are the scripts in lua/.

Each method is one round trip and raises StoreDown. Nothing is cached, so that a token that was
revoked is refused by every appliance at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.admin_calls.actors import Role
from appliance.model import TenantId
from appliance.redis.store import RedisStore
from appliance.tokens.rules import USE_RECORDED_MS, Token


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Adds, finds, lists and removes tokens."""

    redis: RedisStore

    async def add(self, token: Token, digest: str) -> bool:
        """Add a token; False: there is one of this name."""
        added = await self.redis.run(
            "add_token",
            *(token.name, digest, token.role, token.tenant_id or ""),
            *(token.created_ms, "" if token.expires_ms is None else token.expires_ms),
        )
        return bool(added)

    async def find(self, digest: str, now_ms: int) -> Token | None:
        """Return the valid token of a digest, and record that it was used."""
        found = await self.redis.run("find_token", digest, now_ms, USE_RECORDED_MS)
        return _parse(found) if found else None

    async def list_tokens(self) -> list[Token]:
        """Return all tokens by name, also those that have expired."""
        found = map(_parse, await self.redis.run("list_tokens"))
        return sorted(found, key=lambda token: token.name)

    async def remove(self, name: str) -> bool:
        """Remove a token; False: there is none of this name."""
        return bool(await self.redis.run("remove_token", name))


def _parse(reply: list[str | None]) -> Token:
    name, role, tenant_id, created, expires, last_used = reply
    return Token(
        name=name or "",
        role=Role(role or ""),
        tenant_id=TenantId(tenant_id) if tenant_id else None,
        created_ms=int(created or 0),
        expires_ms=int(expires) if expires else None,
        last_used_ms=int(last_used) if last_used else None,
    )
