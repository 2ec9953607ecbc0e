"""The admin calls about access tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import (
    AdminCall,
    Answer,
    Audited,
    Call,
    Snapshot,
    Time,
    time_json,
)
from appliance.admin_calls.fields import (
    NUMBER_VALUES,
    BadRequest,
    Fields,
    NoFields,
    OptionalText,
    RequiredText,
    number,
    reads,
    text,
)
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.model import TenantId
from appliance.tenants.admin_calls import DISABLED_REFUSAL, check_multitenancy
from appliance.tenants.administration import match_tenant
from appliance.tokens.deps import TokenDeps
from appliance.tokens.rules import (
    MAX_DAYS,
    MS_PER_DAY,
    SECRET_BYTES,
    Token,
    digest_of,
    is_name,
    secret_of,
)

# --- requests ------------------------------------------------------------------------------------


def _read_name(fields: Mapping[str, Any], name: str) -> str:
    found = text(fields, name)
    if not found or not is_name(found):
        raise BadRequest(
            f"{name} must be up to 64 letters, digits, dots, hyphens and underscores, beginning "
            "with a letter or digit"
        )
    return found


def _read_days(fields: Mapping[str, Any], name: str) -> float | None:
    days = number(fields, name)
    if days is not None and not 0 < days <= MAX_DAYS:
        raise BadRequest(f"{name} must be greater than 0, at most {MAX_DAYS}")
    return days


def _read_role(fields: Mapping[str, Any], name: str) -> Role:
    found = text(fields, name)
    if found is None or found not in [*Role]:
        raise BadRequest(f"{name} must be one of {', '.join(Role)}")
    return Role(found)


class AddTokenRequest(Fields, frozen=True):
    """addToken."""

    name: Annotated[str, Meta(min_length=1), reads(_read_name)]
    role: Annotated[Role, reads(_read_role, {"enum": [*map(str, Role)]})]
    tenant: Annotated[
        OptionalText,
        Meta(description="Id or name of the only tenant that it is for; empty: the pool."),
    ] = None
    days: Annotated[
        float | None,
        Meta(description="Until it expires; empty: never."),
        reads(_read_days, NUMBER_VALUES),
    ] = None


class TokenNameRequest(Fields, frozen=True):
    """revokeToken."""

    name: RequiredText


# --- answers -------------------------------------------------------------------------------------


class TokenJson(Answer, frozen=True):
    """An access token, without its secret."""

    name: str
    role: Role
    tenant: Annotated[
        str | None, Meta(description="Name of its tenant, or the id if it has none any more.")
    ]
    created: Time
    expires: Time
    last_used: Annotated[Time, Meta(description="Exact to a minute; null: never.")]


class NewTokenJson(TokenJson, frozen=True, kw_only=True):
    """A token that was added, with its secret, which is shown only now."""

    token: str


class RevokedTokenJson(Answer, frozen=True):
    """revokeToken."""

    success: str


def _token_json(token: Token, tenant_names: Mapping[str, str]) -> TokenJson:
    tenant_id = token.tenant_id
    return TokenJson(
        name=token.name,
        role=token.role,
        tenant=None if tenant_id is None else tenant_names.get(tenant_id, tenant_id),
        created=time_json(token.created_ms),
        expires=time_json(token.expires_ms),
        last_used=time_json(token.last_used_ms),
    )


# --- handlers ------------------------------------------------------------------------------------


async def _add(deps: TokenDeps, call: Call[AddTokenRequest]) -> NewTokenJson:
    request = call.read()
    names: dict[str, str] = {}
    tenant_id = None
    if request.tenant:
        check_multitenancy(deps.tenants)
        names = await deps.tenants.store.read_names()
        tenant_id = TenantId(match_tenant(names, request.tenant))
    now_ms, secret = deps.now_ms(), secret_of(deps.random_bytes(SECRET_BYTES))
    token = Token(
        name=request.name,
        role=request.role,
        tenant_id=tenant_id,
        created_ms=now_ms,
        expires_ms=None if request.days is None else now_ms + round(request.days * MS_PER_DAY),
    )
    if not await deps.store.add(token, digest_of(secret)):
        raise Refused(RefusalKind.INVALID, f"there is a token named {token.name} already")
    about = {"name": token.name, "role": token.role.value, "tenant": token.tenant_id}
    deps.log.info("token_added", **about, by=call.who)
    return NewTokenJson(**asdict(_token_json(token, names)), token=secret)


async def _list(deps: TokenDeps, call: Call[NoFields]) -> list[TokenJson]:
    tokens = await deps.store.list_tokens()
    names: dict[str, str] = {}
    if any(token.tenant_id for token in tokens):
        names = await deps.tenants.store.read_names()
    return [_token_json(token, names) for token in tokens]


async def _revoke(deps: TokenDeps, call: Call[TokenNameRequest]) -> RevokedTokenJson:
    name = call.read().name
    if not await deps.store.remove(name):
        raise Refused(RefusalKind.NOT_FOUND, f"there is no token named {name}")
    deps.log.info("token_revoked", name=name, by=call.who)
    return RevokedTokenJson(f"Token {name} was revoked")


async def _read_token(deps: TokenDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    for token in await deps.store.list_tokens():
        if token.name == call.fields.get("name"):
            values = {"role": token.role.value, "tenant_id": token.tenant_id}
            values["expires"] = time_json(token.expires_ms)
            return {token.name: Snapshot(f"token {token.name}", values)}
    return {}


# --- the table -----------------------------------------------------------------------------------

_EXAMPLE = TokenJson(
    name="monitoring",
    role=Role.VIEWER,
    tenant=None,
    created="2026-11-25T10:40:07Z",
    expires="2027-11-25T10:40:07Z",
    last_used=None,
)

TOKEN_CALLS: tuple[AdminCall[TokenDeps], ...] = (
    AdminCall(
        name="listTokens",
        method="GET",
        handler=_list,
        group="tokens",
        summary="All access tokens, also those that have expired.",
        example=[_EXAMPLE],
        role=Role.ADMIN,
    ),
    AdminCall(
        name="addToken",
        method="POST",
        handler=_add,
        group="tokens",
        summary="Adds an access token. Its secret, `token`, is shown only in this answer.",
        example=NewTokenJson(**asdict(_EXAMPLE), token="sla_ACCESS-TOKEN"),
        request={"name": "monitoring", "role": "viewer", "days": 365},
        status=201,
        refusals={404: "There is no such tenant.", **DISABLED_REFUSAL},
        logs="token_added",
        audited=Audited(_read_token),
        role=Role.ADMIN,
    ),
    AdminCall(
        name="revokeToken",
        method="POST",
        handler=_revoke,
        group="tokens",
        summary="Revokes an access token: from now on it is refused.",
        example=RevokedTokenJson("Token monitoring was revoked"),
        request={"name": "monitoring"},
        refusals={404: "There is no token of this name."},
        logs="token_revoked",
        audited=Audited(_read_token),
        role=Role.ADMIN,
    ),
)
