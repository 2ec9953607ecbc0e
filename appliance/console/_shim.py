"""Temporary."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.model import TenantId


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    who: str
    role: Role = Role.ADMIN
    tenant_id: TenantId | None = None


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    role: Role
    tenant_id: TenantId | None
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None = None


ADMIN_SECRET = "(ADMIN_SECRET)"
EXTRA: dict[str, Token] = {}


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


async def find_login(deps: Any, digest: str) -> Token | None:
    own = {digest_of(secret) for secret in deps.settings.admin.secrets}
    if digest in own:
        return Token(ADMIN_SECRET, Role.ADMIN, None, 0, None)
    for role in Role:
        if digest == digest_of(f"sla_{role}"):
            return Token(str(role), role, None, 0, None)
    return None


@dataclass(slots=True)
class AttemptLimiter:
    now_s: Callable[[], float]
    _failures: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_s(self, address: str) -> float:
        began_s, count = self._failures.get(address, (0.0, 0))
        left_s = began_s + 60 - self.now_s()
        return left_s if count >= 10 and left_s > 0 else 0.0

    def note_failure(self, address: str) -> None:
        now_s = self.now_s()
        began_s, count = self._failures.pop(address, (now_s, 0))
        if now_s - began_s >= 60:
            began_s, count = now_s, 0
        self._failures[address] = began_s, count + 1


class AdminCalls:
    def __init__(self, calls: Iterable[Any]) -> None:
        self._calls = {call.declaration.name: call for call in calls}

    def find(self, name: str) -> Any:
        call = self._calls.get(name)
        return None if call is None else call.declaration

    async def make(self, name: str, actor: Actor, fields: Any, file: int | None = None) -> Any:
        call = self._calls[name]
        return await call.run(actor.who, fields, file)
